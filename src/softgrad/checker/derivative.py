"""Slopes with no differences in them: forward mode, or the complex step, verified first."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from softgrad.checker.calls import Ended, guarded
from softgrad.checker.differences import Differences
from softgrad.checker.oracle import Oracle
from softgrad.checker.richardson import Estimate, rms
from softgrad.checker.subject import Arrays, Subject, Vector, flat, shaped
from softgrad.checker.subjects.library import Lifted
from softgrad.results import number

__all__ = ["Derivative"]

_DOUBLE = 2.0**-52
_TINY = 2.0**-340
"""The complex step: its square is nothing, even times the largest number."""
_CLOSE = 1e-5
"""The differences must settle to within this part of the slopes to verify anything."""


class Derivative:
    """The derivative of the oracle's function along the probes, exact but for rounding.

    Forward mode trusts rules: what is detached, or has a wrong rule of its own, misleads it. The
    complex step trusts that the function is analytic. So one direction is differenced as well.
    """

    def __init__(
        self, subject: Subject, oracle: Oracle, directions: Vector, weights: Vector
    ) -> None:
        self._subject = subject
        self._oracle = oracle
        self._directions = directions  # [D, inputs]
        self._weights = weights  # [C, outputs]
        self.name = "forward mode" if self._is_lifted else "complex step"
        self.refusal: str | None = None
        """Why forward mode was not used, where that is worth knowing."""

    def estimate(self, differences: Differences) -> Estimate | None:
        """Return the slopes [D, C], or None where there is no such derivative to be trusted."""
        # A layer would keep the complex numbers.
        if self._oracle.epsilon > _DOUBLE or self._subject.forwards_per_vjp:
            return None
        first = self._along(self._directions[0])
        # A slope of zero is for the differences to judge: they look further around.
        if first is None or rms(first) <= 64 * _DOUBLE * differences.scale:
            return None
        bar = self._verified(first, differences)
        if bar is None:
            return None
        rest = [self._along(direction) for direction in self._directions[1:]]
        slopes = [first, *(slope for slope in rest if slope is not None)]
        if len(slopes) < len(self._directions):
            return None
        return Estimate(np.stack(slopes), bar, kink=0.0)

    @property
    def _is_lifted(self) -> bool:
        return isinstance(self._oracle.function, Lifted)

    def _verified(self, first: Vector, differences: Differences) -> float | None:
        """Return how far the slopes are from differences; None where that is too far, or open."""
        seen = differences.settled(0)
        if seen is None:
            return None
        size, error = rms(seen.value), rms(first - seen.value)
        if size == 0 or seen.gap > _CLOSE * size:
            return None
        if error > 8 * seen.gap:
            self._refuse(f"it differs from the differences by {number(error / size)}.")
            return None
        return error + seen.rounding

    def _along(self, direction: Vector) -> Vector | None:
        """Return the slopes of all projected outputs along one direction."""
        run = self._forward_mode if self._is_lifted else self._complex_step
        try:
            outputs, tangents = run(tuple(shaped(direction, self._oracle.points)))
        except Ended as end:
            self._refuse(end.finding.message)
            return None
        own, y, y_dot = self._oracle.outputs, flat(outputs), flat(tangents)
        # A complex exponential may round otherwise than a real one.
        if y.size != own.size or rms(y - own) > 2.0**-40 * rms(own):
            self._refuse("it computes something else.")
            return None
        return self._weights @ y_dot if np.isfinite(y_dot).all() else None

    def _forward_mode(self, tangents: Arrays) -> tuple[Arrays, Arrays]:
        self._subject.forward_mode_calls += 1
        subject = self._subject
        arguments = subject.arguments(self._oracle.points)
        along = dict(zip(subject.floating, tangents, strict=True))
        along |= {place: np.zeros_like(subject.values[place]) for place in subject.aside}
        tangents = tuple(along[place] for place in sorted(along))

        def push(*values: Any) -> Any:
            return self._oracle.function.push(*values, tangents=tangents)  # type: ignore[attr-defined]

        push.__wrapped__ = self._oracle.function  # type: ignore[attr-defined]
        outputs, moved = guarded("it", "doubt", push, arguments)
        return outputs, moved

    def _complex_step(self, tangents: Arrays) -> tuple[Arrays, Arrays]:
        points = tuple(
            point + 1j * _TINY * tangent
            for point, tangent in zip(self._oracle.points, tangents, strict=True)
        )
        with warnings.catch_warnings():
            # It says that the imaginary part is thrown away.
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            outputs = self._subject.evaluate(points, self._oracle.function)
        return _parts(np.real, outputs), _parts(lambda y: np.imag(y) / _TINY, outputs)

    def _refuse(self, reason: str) -> None:
        if self._is_lifted:
            self.refusal = f"The forward-mode derivative is not used: {reason}"


def _parts(part: Callable[[Any], Any], outputs: Arrays) -> Arrays:
    return tuple(np.asarray(part(y), np.float64) if y.dtype.kind in "fc" else y for y in outputs)
