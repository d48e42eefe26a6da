"""Objectives on a layer's outputs, with no loss and no target: what is followed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from softgrad.arithmetic import accurate_sum
from softgrad.errors import mismatch
from softgrad.explain.arguments import Vector, class_index, finite
from softgrad.linear.rows import weighted
from softgrad.maps import AbstractMap, LogSoftmax, Sigmoid, Softmax, log_sigmoid

__all__ = ["Kind", "Objective", "choose_objective", "has_logarithm"]

Kind = Literal["output", "weighted", "sum", "log", "entropy"]


@dataclass(frozen=True, eq=False)
class Objective:
    """A number made from outputs p: ⟨c, p⟩, ⟨c, log p⟩ or −⟨p, log p⟩."""

    kind: Kind
    formula: str
    c: Vector  # [K]; the entropy has no use for it
    index: int | None

    def at(self, f: AbstractMap, z: Vector) -> tuple[float, Vector, Vector]:
        """Return the objective, the outputs f(z), and the objective's gradient in z."""
        p, J = f.linearize(z)
        if self.kind == "log":
            log_p, log_J = _logarithm(f).linearize(z)
            return float(accurate_sum(weighted(self.c, log_p))), p, log_J.rmv(self.c)
        if self.kind == "entropy":
            log_p = _logarithm(f)(z)
            return -float(accurate_sum(weighted(p, log_p))), p, J.rmv(-log_p - 1)
        return float(accurate_sum(weighted(self.c, p))), p, J.rmv(self.c)


def has_logarithm(f: AbstractMap) -> bool:
    """Tell whether log f(z) is at hand, accurate where f(z) underflows."""
    return isinstance(f, (Softmax, Sigmoid))


def _logarithm(f: AbstractMap) -> AbstractMap:
    return LogSoftmax(temperature=f.temperature) if isinstance(f, Softmax) else log_sigmoid


def choose_objective(kind: Any, index: Any, weights: Any, outputs: int) -> Objective:
    """Return the objective that the arguments of `softgrad.follow` name.

    Raises
    ------
    TypeError
        `index` or `weights` is missing or not of use.
    ValueError
        The objective is unknown, or there is not one weight an output.
    IndexError
        There is no such output.
    """
    if kind not in get_args(Kind):
        expected = " or ".join(map(repr, get_args(Kind)))
        raise ValueError(mismatch("objective", expected, repr(kind)))
    takes_index, takes_weights = kind in ("output", "log"), kind == "weighted"
    for name, value, taken in (("index", index, takes_index), ("weights", weights, takes_weights)):
        if taken == (value is None):
            expected = "given" if taken else "left out"
            raise TypeError(mismatch(name, f"{expected} for the objective {kind!r}", repr(value)))
    if takes_weights:
        c = finite("weights", weights, 1, f"({outputs},)")
        if c.size != outputs:
            raise ValueError(mismatch("weights", f"of shape ({outputs},)", f"shape {c.shape}"))
        return Objective(kind, "Σ c[k]·p[k]", c, None)
    if takes_index:
        index = class_index("index", index, outputs)
        formula = f"p[{index}]" if kind == "output" else f"log p[{index}]"
        return Objective(kind, formula, (np.arange(outputs) == index).astype(np.float64), index)
    formula = "Σ p[k]" if kind == "sum" else "−Σ p[k]·log p[k]"
    return Objective(kind, formula, np.ones(outputs), None)
