"""Derivatives of a forward along directions: by the complex step where it holds, or differences."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from softgrad.checker.calls import Ended
from softgrad.checker.probes import first_step
from softgrad.checker.richardson import rms
from softgrad.checker.subject import AnyArray, Arrays, Subject, Vector, flat
from softgrad.checker.subjects.library import Lifted

__all__ = ["Slopes", "Unusable"]

_DOUBLE = 2.0**-52
_TINY = 2.0**-340
"""The complex step: its square is nothing, even times the largest number."""


class Unusable(Exception):
    """The point cannot be used: a function raised there, or gave numbers that are not finite."""


@dataclass(frozen=True)
class Slopes:
    """How the outputs change with the inputs at one point. `where` counts floating-point inputs."""

    subject: Subject
    points: Arrays
    outputs: Vector
    epsilon: float
    """The spacing at 1 of the outputs."""
    function: Callable[..., Any] | None = None
    """What is differentiated in place of the forward."""

    def along(
        self, where: int, direction: Vector, points: Arrays | None = None
    ) -> tuple[Vector, float]:
        """Return the derivative of every output along a direction, and its error bar, an RMS.

        Raises
        ------
        Unusable
            The forward raised, or its numbers are not finite.
        """
        points = self.points if points is None else points
        moves = [np.zeros(point.shape) for point in points]
        moves[where] = direction.reshape(points[where].shape)
        if self.is_analytic:
            exact = self._complex_step(points, moves)
            if exact is not None:
                return exact, 16 * self.epsilon * rms(exact)
        scale, (step, bar) = _scale(points[where]), self._settled
        slope, bend = self._difference(points, moves, step * scale)
        # A smooth function bends by about the step's part of its slope, a kink by all of it.
        kinked = points is self.points and rms(bend) > math.sqrt(step) * rms(slope)
        return slope, bar / scale + (rms(bend) if kinked else 0.0)

    @cached_property
    def is_analytic(self) -> bool:
        """Whether the complex step agrees with differences, along a direction in all inputs."""
        subject = self.subject
        if (
            subject.kept_vjp is not None  # a layer would keep the complex numbers
            or isinstance(self.function or subject.forward, Lifted)
            or self.epsilon > _DOUBLE
        ):
            return False
        exact = self._complex_step(self.points, self._probe)
        if exact is None:
            return False
        for step in self._steps[1::-1]:  # the smaller one where outputs are curved
            slope = self._probed(step)
            rounding = 32 * self.epsilon * rms(self.outputs) / step
            if rms(exact - slope) <= 1e-6 * rms(slope) + rounding:
                return True
        return False

    @property
    def _steps(self) -> list[float]:
        """Growing steps: at the first rounding and curvature are of one size, if all is smooth."""
        first, ratio = first_step(self.epsilon), 2.0 ** round(math.log2(self.epsilon) * 7 / 90)
        return [first * ratio**k for k in (3, 2, 1, 0)]

    @cached_property
    def _settled(self) -> tuple[float, float]:
        """Return the step at which a probe's slopes change least, and by how much they do.

        The smallest steps come first, and are left only where the outputs are noisy.
        """
        seen: list[tuple[float, float]] = []
        finer, before = 0.0, None
        for step in self._steps:
            slope = self._probed(step)
            # What does not move at all may be frozen by rounding.
            if before is not None and (slope.any() or step == self._steps[-1]):
                seen.append((rms(slope - before), finer))
                if seen[-1][0] <= 16 * math.sqrt(self.epsilon) * rms(slope):
                    break
            finer, before = step, slope
        gap, step = min(seen)
        curved = len(seen) > 1 and seen[1][0] > 64 * gap  # falls as h² does, and is the wider's
        return step, max(gap / (16 if curved else 1), 8 * self.epsilon * rms(self.outputs) / step)

    def _probed(self, step: float) -> Vector:
        if step not in self._known:
            self._known[step], _ = self._difference(self.points, self._probe, step)
        return self._known[step]

    @cached_property
    def _known(self) -> dict[float, Vector]:
        return {}

    @cached_property
    def _probe(self) -> list[Vector]:
        """A random direction in all inputs at once, in their own scales."""
        rng = np.random.default_rng(0)
        found = []
        for point, mask in zip(self.points, self.subject.masks, strict=True):
            signs = rng.choice([-1.0, 1.0], point.shape)
            move = _scale(point) * signs * rng.uniform(0.5, 1.5, point.shape)
            found.append(np.asarray(move if mask is None else np.where(mask, move, 0.0)))
        return found

    def _complex_step(self, points: Arrays, moves: Sequence[Vector]) -> Vector | None:
        moved = tuple(point + 1j * _TINY * move for point, move in zip(points, moves, strict=True))
        try:
            with warnings.catch_warnings():
                # It says that the imaginary part is thrown away.
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                outputs = self.subject.evaluate(moved, self.function)
        except Ended:
            return None
        parts = [np.imag(y) if y.dtype.kind == "c" else np.zeros(y.shape) for y in outputs]
        slope = np.concatenate([part.ravel() for part in parts]) / _TINY
        right = slope.size == self.outputs.size and np.isfinite(slope).all()
        return np.asarray(slope, np.float64) if right else None

    def _difference(
        self, points: Arrays, moves: Sequence[Vector], step: float
    ) -> tuple[Vector, Vector]:
        """Return the mean of both one-sided slopes, and half of what they differ by."""
        plus, minus = (self._values(points, moves, sign * step) for sign in (1.0, -1.0))
        bend = plus + minus - 2 * self.outputs
        return (plus - minus) / (2 * step), bend / (2 * step)

    def _values(self, points: Arrays, moves: Sequence[Vector], step: float) -> Vector:
        moved = []
        for point, move in zip(points, moves, strict=True):
            # −inf, where it is masked, stays what it is.
            shifted = point + np.where(move != 0, step * move, 0.0)
            moved.append(np.asarray(shifted).astype(point.dtype))
        try:
            values = flat(self.subject.evaluate(tuple(moved), self.function))
        except Ended as end:
            raise Unusable from end
        if values.size != self.outputs.size or not np.isfinite(values).all():
            raise Unusable
        return values


def _scale(point: AnyArray) -> float:
    """Return the input's own scale, a power of two and at most 1: logits of 1e4 vary over 1."""
    entries = flat([point])
    size = rms(entries[np.isfinite(entries)])
    return 2.0 ** round(math.log2(min(max(size, 2.0**-13), 1.0)))
