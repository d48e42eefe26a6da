"""How wrong a backward is, by the right one in a wider format; what is not wrong is set apart."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from benchmarks.checker.aliases import other_names
from benchmarks.checker.cases import Case, dtype_named
from benchmarks.checker.subject import Array, Codes, Function, Pair, as_tuple, is_floating

__all__ = ["Kind", "Truth", "truth_of"]

Kind = Literal["right", "wrong", "small", "equivalent"]

_SAME = 1e-13
"""Backwards that agree to this part in long doubles are the same one."""
_ROUNDINGS = 10
"""A mistake has to be this many times larger than what rounding does to the right backward."""


@dataclass(frozen=True)
class Truth:
    """What a case is."""

    kind: Kind
    error: float
    """RMS(wrong − right) / RMS(right); infinite, where there is no such number."""
    also: Codes = frozenset()
    """Names of other mistakes that give the very same answers here."""


def truth_of(case: Case) -> Truth:
    """Compare the case's backward with the right one, both in long doubles.

    A mistake may make no difference at a point: one row hides a mean, a symmetric Jacobian its
    transposition. One below the square root of the format's resolution, or below ten times the
    rounding of the right backward, is too small to be asked for.
    """
    if not case.is_wrong:
        return Truth("right", 0.0)
    if case.is_breach:
        return Truth("wrong", math.inf)
    wide = Pair(
        case.subject.forward, case.subject.backward, tuple(map(_widened, case.right.inputs))
    )
    with np.errstate(all="ignore"):
        v, w = (_cotangent(case, seed) for seed in (1, 2))
        # Both signs, and two lengths: an absolute value must not pass for the right one.
        cotangents = [v, _times(v, -1), w, _times(w, 4)]
        right = [_answers(wide.backward, wide.inputs, c) for c in cotangents]
        found = _outcomes(case.backward(wide), wide.inputs, cotangents)
        error = _distance(case, right, found)
        own = tuple(_narrowed(v, case) for v in cotangents)
        rounding = _distance(case, right, _outcomes(case.right.backward, case.right.inputs, own))
    smallest = math.sqrt(_resolution(case.point.dtype))
    if error <= _SAME:
        return Truth("equivalent", error)
    kind: Kind = "wrong" if error > max(smallest, _ROUNDINGS * rounding) else "small"
    return Truth(kind, error, other_names(right, found, cotangents))


def _widened(value: Any) -> Any:
    return value.astype(np.float64).astype(np.longdouble) if is_floating(value) else value


def _cotangent(case: Case, seed: int) -> Any:
    """Return normal numbers in the outputs' shapes, rounded to the case's dtype."""
    rng = np.random.default_rng(seed)
    outputs = case.subject.forward(*case.right.inputs)
    dtype = dtype_named(case.point.dtype)
    wide = tuple(
        _widened(rng.normal(size=np.shape(y)) + np.zeros(np.shape(y))) for y in as_tuple(outputs)
    )
    drawn = tuple(_widened(np.asarray(v).astype(dtype)) for v in wide)
    return drawn if isinstance(outputs, tuple) else drawn[0]


def _times(cotangent: Any, factor: float) -> Any:
    if isinstance(cotangent, tuple):
        return tuple(factor * v for v in cotangent)
    return factor * cotangent


def _narrowed(cotangent: Any, case: Case) -> Any:
    dtype = dtype_named(case.point.dtype)
    if isinstance(cotangent, tuple):
        return tuple(v.astype(dtype) for v in cotangent)
    return cotangent.astype(dtype)


def _answers(backward: Function, inputs: tuple[Any, ...], cotangent: Any) -> tuple[Any, ...]:
    copies = [np.array(v) if isinstance(v, np.ndarray) else v for v in inputs]
    own = tuple(map(np.array, cotangent)) if isinstance(cotangent, tuple) else np.array(cotangent)
    return as_tuple(backward(*copies, own))


def _outcomes(backward: Function, inputs: Any, cotangents: Any) -> list[tuple[Any, ...]]:
    """Return the answers to every cotangent; none, where the backward raises."""
    try:
        return [tuple(_answers(backward, inputs, c)) for c in cotangents]
    except Exception:  # a wrong backward may do anything
        return []


def _distance(case: Case, right: list[tuple[Any, ...]], found: list[tuple[Any, ...]]) -> float:
    """Return the relative distance of all answers together; infinite, where shapes differ."""
    if not found:
        return math.inf
    square = reference = 0.0
    for expected, answers in zip(right, found, strict=True):
        if len(answers) != len(expected):
            return math.inf
        for wanted, answer in zip(expected, answers, strict=True):
            if answer is None or np.shape(answer) != np.shape(wanted):
                return math.inf
            gap = _probed(case, np.asarray(answer, np.longdouble) - wanted)
            square += float((gap**2).sum())
            reference += float((_probed(case, wanted) ** 2).sum())
    if not math.isfinite(square):
        return math.inf
    if reference == 0:
        return math.inf if square else 0.0
    return math.sqrt(square / reference)


def _probed(case: Case, gradient: Array) -> Array:
    return gradient if case.where is None else np.where(case.where, gradient, 0)


def _resolution(dtype: str) -> float:
    return {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}[
        dtype
    ]
