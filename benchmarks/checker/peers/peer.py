"""A peer: another checker, asked about the same case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.checker.cases import Case
from benchmarks.checker.subject import Array, Function, as_tuple

__all__ = ["Peer", "Projected", "is_double"]


@dataclass(frozen=True)
class Peer:
    """A checker, how it is called, and what it is not asked."""

    name: str
    called: str
    """One sentence for the reader."""
    takes: Callable[[Case], bool]
    accepts: Callable[[Case], bool]
    """Whether it lets the pair pass; what it raises counts as a refusal."""

    def verdict(self, case: Case) -> bool | None:
        """Return whether the case passes; None where it is not asked."""
        if not self.takes(case):
            return None
        try:
            return bool(self.accepts(case))
        except Exception:  # a refusal, in whatever way the peer puts it
            return False


def is_double(case: Case) -> bool:
    """Return whether the case is in float64, and its numbers tell it from a right one."""
    return case.point.dtype == "float64" and not case.is_breach


class Projected:
    """The scalar ⟨g, f(x)⟩ with a random g, and its gradient, as functions of one vector."""

    def __init__(self, case: Case) -> None:
        self._pair = case.right
        self._backward: Function = case.backward()
        outputs = self._pair.forward(*self._pair.inputs)
        self._is_several = isinstance(outputs, tuple)
        rng = np.random.default_rng(0)
        self._g = tuple(np.asarray(rng.normal(size=np.shape(y))) for y in as_tuple(outputs))
        # The mask's infinite entries are no coordinates.
        flat = np.concatenate([x.ravel() for x in self._pair.points])
        self._moving = np.isfinite(flat)
        self._flat = flat
        self.start: Array = flat[self._moving]

    def value(self, x: Array) -> float:
        """Return the projected output."""
        outputs = as_tuple(self._pair.forward(*self._inputs(x)))
        return sum(float((g * y).sum()) for g, y in zip(self._g, outputs, strict=True))

    def gradient(self, x: Array) -> Array:
        """Return the backward's answers, end to end; None has no shape, and raises."""
        inputs = self._inputs(x)
        g = tuple(map(np.array, self._g))
        answers = as_tuple(self._backward(*inputs, g if self._is_several else g[0]))
        if len(answers) == len(self._pair.inputs):
            answers = tuple(answers[place] for place in self._pair.floating)
        for answer, point in zip(answers, self._pair.points, strict=True):
            if np.shape(answer) != point.shape:
                raise ValueError("the gradient's shape is not the input's")
        return np.concatenate([np.ravel(a) for a in answers])[self._moving]

    def _inputs(self, x: Array) -> list[Any]:
        flat = self._flat.copy()
        flat[self._moving] = x
        inputs = list(self._pair.inputs)
        start = 0
        for place, point in zip(self._pair.floating, self._pair.points, strict=True):
            inputs[place] = flat[start : start + point.size].reshape(point.shape).copy()
            start += point.size
        return inputs
