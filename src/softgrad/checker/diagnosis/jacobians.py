"""Whole Jacobians on a twin: from the backward, row by row; from differences, column by column."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from softgrad.checker.calls import Ended
from softgrad.checker.probes import coarsest_epsilon
from softgrad.checker.richardson import rms
from softgrad.checker.subject import Arrays, Subject, Vector, flat, is_floating
from softgrad.checker.subjects.library import Lifted

__all__ = ["Matrix", "Spot", "Unusable"]

_DOUBLE = 2.0**-52
_TINY = 2.0**-340
"""The complex step: its square is nothing, even times the largest number."""

Matrix = NDArray[np.float64]


class Unusable(Exception):
    """The twin cannot be used: a function raised there, or gave numbers that are not finite."""


@dataclass(frozen=True)
class Spot:
    """One point of a twin. `where` counts floating-point inputs, from 0."""

    subject: Subject
    most: int = 75
    """The most calls of the forward that take complex numbers; differences take four times that."""

    @property
    def points(self) -> Arrays:
        """The floating-point inputs."""
        return self.subject.points

    @cached_property
    def outputs(self) -> Arrays:
        """The forward's value here."""
        try:
            outputs = self.subject.first_outputs()
        except (Ended, TypeError) as error:
            raise Unusable from error
        if not np.isfinite(flat(outputs)).all():
            raise Unusable
        return outputs

    @cached_property
    def epsilon(self) -> float:
        """The spacing at 1 of the outputs."""
        return coarsest_epsilon(self.outputs)

    @cached_property
    def analytic(self) -> tuple[Matrix, ...]:
        """The backward's Jacobian for every input: row m is its answer to the m-th unit vector.

        Raises
        ------
        Unusable
            An answer is not finite.
        Ended
            The backward raised, or the number, shape or dtype of its entries is wrong.
        """
        rows: list[list[Vector]] = []
        size = flat(self.outputs).size
        for m in range(size):
            entries = self.subject.pull_back(self.points, self._unit(m, size))
            rows.append(
                [
                    np.zeros(point.size) if entry is None else flat([entry])
                    for entry, point in zip(entries, self.points, strict=True)
                ]
            )
            if not all(np.isfinite(row).all() for row in rows[-1]):
                raise Unusable
        return tuple(np.stack(column) for column in zip(*rows, strict=True))  # [M, n] each

    def numeric(
        self,
        where: int,
        points: Arrays | None = None,
        pattern: Matrix | None = None,
        whole: bool = False,
    ) -> tuple[Matrix, float]:
        """Return the true Jacobian and its error bar, an RMS.

        Columns that share no row of `pattern` share calls; one more direction tells whether J has
        that pattern. Where none is given, a map of the rows of a matrix is tried.

        Raises
        ------
        Unusable
        """
        points = self.points if points is None else points
        size, shape = points[where].size, points[where].shape
        if pattern is None and not whole and len(shape) > 1 and self._same_shape(shape):
            K = shape[-1]
            pattern = np.asarray(np.kron(np.eye(size // K), np.ones((K, K))), np.float64)
        groups = [[j] for j in range(size)] if pattern is None else _groups(pattern != 0)
        self._demand(len(groups))
        J = np.zeros((flat(self.outputs).size, size))
        open_yet = np.zeros_like(J)
        for group in groups:
            direction = np.zeros(size)
            direction[group] = 1
            slope, bar = self.slope(where, points, direction)
            for j in group:
                seen = slice(None) if pattern is None else pattern[:, j] != 0
                J[seen, j], open_yet[seen, j] = slope[seen], bar[seen]
        if pattern is not None:
            probe = np.random.default_rng(0).uniform(0.5, 1.5, size)
            slope, bar = self.slope(where, points, probe)
            if rms(J @ probe - slope) > 1e3 * rms(bar) + 1e-6 * rms(slope):
                return self.numeric(where, points, whole=True)
        return J, rms(open_yet)

    def wrong(self, rng: np.random.Generator) -> list[int]:
        """Return the inputs whose gradient is wrong, by one random direction in each."""
        found = []
        for where, point in enumerate(self.points):
            direction = rng.uniform(0.5, 1.5, point.size) * rng.choice([-1.0, 1.0], point.size)
            slope, bar = self.slope(where, self.points, direction)
            error = rms(self.analytic[where] @ direction - slope)
            if error > 32 * rms(bar) + 1e-6 * rms(slope):
                found.append(where)
        return found

    def _demand(self, directions: int) -> None:
        """Refuse to spend more on a Jacobian than a name is worth."""
        most, each = (self.most, 1) if self._is_analytic else (4 * self.most, 4)
        if self.subject.forward_calls + each * directions > most:
            raise Unusable

    def _same_shape(self, shape: tuple[int, ...]) -> bool:
        return len(self.outputs) == 1 and flat(self.outputs).size == int(np.prod(shape))

    def _unit(self, m: int, size: int) -> Arrays:
        units = np.zeros(size)
        units[m] = 1
        parts, start = [], 0
        for output in self.outputs:
            part = units[start : start + output.size].reshape(output.shape)
            parts.append(part.astype(output.dtype) if is_floating(output) else 0 * output)
            start += output.size
        return tuple(parts)

    def slope(self, where: int, points: Arrays, direction: Vector) -> tuple[Vector, Vector]:
        """Return the derivative along a direction, by the complex step if it holds, and its bar."""
        exact = self._complex_step(where, points, direction) if self._is_analytic else None
        if exact is not None:
            return exact, 16 * self.epsilon * np.abs(exact)
        return self._differences(where, points, direction)

    @cached_property
    def _is_analytic(self) -> bool:
        """Whether the complex step agrees with differences, along a direction in every input."""
        subject = self.subject
        if (
            subject.kept_vjp is not None  # a layer would keep the complex numbers
            or isinstance(subject.forward, Lifted)
            or self.epsilon > _DOUBLE
        ):
            return False
        rng = np.random.default_rng(0)
        for where, point in enumerate(self.points):
            direction = rng.uniform(0.5, 1.5, point.size)
            exact = self._complex_step(where, self.points, direction)
            if exact is None:
                return False
            slope, bar = self._differences(where, self.points, direction)
            if rms(exact - slope) > 32 * rms(bar) + 1e-6 * rms(slope):
                return False
        return True

    def _complex_step(self, where: int, points: Arrays, direction: Vector) -> Vector | None:
        moved = list(points)
        step = 1j * _TINY * direction.reshape(points[where].shape)
        moved[where] = points[where] + step
        try:
            with warnings.catch_warnings():
                # It says that the imaginary part is thrown away.
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                outputs = self.subject.evaluate(tuple(moved))
        except Ended:
            return None
        parts = [np.imag(y) if y.dtype.kind == "c" else np.zeros(y.shape) for y in outputs]
        slope = np.concatenate([part.ravel() for part in parts]) / _TINY
        right = slope.size == flat(self.outputs).size and np.isfinite(slope).all()
        return np.asarray(slope, np.float64) if right else None

    def _differences(self, where: int, points: Arrays, direction: Vector) -> tuple[Vector, Vector]:
        """Return differences at h and h/4, extrapolated, and their error bars."""
        entries = flat([points[where]])
        size = rms(entries[np.isfinite(entries)])
        scale = 2.0 ** round(np.log2(min(max(size, 2.0**-13), 1.0)))
        h = 2.0 ** round(np.log2(self.epsilon) / 8) * scale
        wide, near = (self._central(where, points, direction * step) for step in (h, h / 4))
        coarse, fine = wide / (2 * h), near / (h / 2)
        rounding = self.epsilon * np.abs(flat(self.outputs)).max() / h
        return fine + (fine - coarse) / 15, np.abs(fine - coarse) / 512 + 8 * rounding

    def _central(self, where: int, points: Arrays, move: Vector) -> Vector:
        values = []
        for sign in (1, -1):
            moved = list(points)
            moved[where] = points[where] + sign * move.reshape(points[where].shape)
            try:
                values.append(flat(self.subject.evaluate(tuple(moved))))
            except Ended as end:
                raise Unusable from end
        size = flat(self.outputs).size
        if any(v.size != size or not np.isfinite(v).all() for v in values):
            raise Unusable
        return np.asarray(values[0] - values[1])


def _groups(pattern: NDArray[np.bool_]) -> list[list[int]]:
    """Put columns that share no row into one group, greedily."""
    groups: list[list[int]] = []
    taken: list[NDArray[np.bool_]] = []
    for j, column in enumerate(pattern.T):
        for group, rows in zip(groups, taken, strict=True):
            if not (rows & column).any():
                group.append(j)
                rows |= column
                break
        else:
            groups.append([j])
            taken.append(column.copy())
    return groups
