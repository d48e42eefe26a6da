"""What a hypothesis sees: both Jacobians for one input at one point of the twin."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softgrad.checker.diagnosis.jacobians import Matrix, Spot
from softgrad.checker.richardson import rms
from softgrad.checker.subject import AnyArray, Vector

__all__ = ["Rows", "View", "differ_along"]


def differ_along(shape: tuple[int, ...], axes: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return where two entries of one array differ along `axes` at most: [size, size]."""
    index = np.indices(shape).reshape(len(shape), -1)
    mask = np.ones((index.shape[1],) * 2, dtype=bool)
    for axis, own in enumerate(index):
        if axis not in axes:
            mask &= own[:, None] == own[None, :]
    return mask


@dataclass(frozen=True)
class Rows:
    """The structure c·(diag(d) − u·vᵀ) of the softmax family, within rows along one axis."""

    log: bool
    axis: int
    p: Vector
    """The probabilities, in the output's shape."""


@dataclass(frozen=True)
class View:
    """A [M, n] is the backward's Jacobian, J the true one; `bar` is the RMS error of J."""

    spot: Spot
    where: int
    A: Matrix
    J: Matrix
    bar: float

    @property
    def x(self) -> Vector:
        """The input."""
        return np.asarray(self.spot.points[self.where], np.float64)

    @property
    def y(self) -> Vector | None:
        """The output, where there is one alone."""
        outputs = self.spot.outputs
        return np.asarray(outputs[0], np.float64) if len(outputs) == 1 else None

    @property
    def others(self) -> dict[int, AnyArray]:
        """The other inputs that are arrays or numbers, by their place in the call."""
        own = self.spot.subject.floating[self.where]
        found = {}
        for place, value in enumerate(self.spot.subject.values):
            if place != own and isinstance(value, (np.ndarray, list, int, float)):
                array = np.asarray(value)
                if array.dtype.kind in "biuf":
                    found[place] = array
        return found

    @property
    def cotangents(self) -> int:
        """How many of the inputs are cotangents; 0 for first derivatives."""
        return self.spot.subject.cotangents

    def name(self, place: int) -> str:
        """What an input is called in a sentence, by its place in the call."""
        return self.spot.subject.names[place]

    @cached_property
    def error(self) -> float:
        """RMS(A − J)."""
        return rms(self.A - self.J)

    @cached_property
    def size(self) -> float:
        """RMS(A)."""
        return rms(self.A)

    @cached_property
    def true_size(self) -> float:
        """RMS(J)."""
        return rms(self.J)

    @cached_property
    def factor(self) -> float:
        """The c that brings c·J nearest to A."""
        return float(np.vdot(self.J, self.A) / (np.vdot(self.J, self.J) or 1.0))

    @cached_property
    def elementwise(self) -> bool:
        """Whether the output has the input's shape."""
        return self.y is not None and self.y.shape == self.x.shape

    @cached_property
    def diagonal(self) -> NDArray[np.bool_] | None:
        """Where an output and an input have the same indices, along axes of the same length."""
        if self.y is None or not set(self.x.shape) & set(self.y.shape):
            return None
        if self.elementwise:
            return np.eye(self.x.size, dtype=bool)
        mask = np.ones(self.J.shape, dtype=bool)
        for axis, length in enumerate(self.x.shape):
            if self.y.shape.count(length) == 1 == self.x.shape.count(length) and length > 1:
                out = np.indices(self.y.shape)[self.y.shape.index(length)].ravel()
                mask &= out[:, None] == np.indices(self.x.shape)[axis].ravel()[None, :]
        return mask

    @cached_property
    def _kept(self) -> dict[tuple[int, ...], NDArray[np.bool_]]:
        return {}

    def same(self, axes: tuple[int, ...]) -> NDArray[np.bool_]:
        """Where output and input differ along `axes` at most; their shapes are the same."""
        if axes not in self._kept:
            self._kept[axes] = differ_along(self.x.shape, axes)
        return self._kept[axes]

    @cached_property
    def rows(self) -> Rows | None:
        """The softmax or log_softmax that the forward ends in, seen from its numbers."""
        y = self.y
        if y is None or y.ndim == 0:
            return None
        for log, p in ((False, y), (True, np.exp(y))):
            for axis in range(y.ndim):
                sums = p.sum(axis=axis)
                if y.shape[axis] < 2 or p.min() < 0 or not np.allclose(sums, 1, atol=1e-9):
                    continue
                rows = Rows(log, axis, p)
                S = self._structure(rows)
                if S is not None and self._is_multiple(S):
                    return rows
        return None

    def is_multiple(self, B: Matrix) -> bool:
        """Whether a matrix is a multiple of J."""
        c = float(np.vdot(self.J, B)) / (float(np.vdot(self.J, self.J)) or 1.0)
        return rms(B - c * self.J) <= 1e-5 * rms(B)

    def term(self, rows: Rows, u: Vector, v: Vector, axes: tuple[int, ...]) -> Matrix | None:
        """Return u·vᵀ between entries that differ along `axes` at most, times what J's scale is.

        `u` and `v` have the output's shape. Behind a bias or a linear layer, J is a product, and
        its other factor is kept.
        """
        if self.elementwise:
            outer = np.outer(u.ravel(), v.ravel()) * self.same(axes)
            return np.asarray(outer * self.scale(rows))
        pair = self._classes(rows)
        if pair is None or axes != (rows.axis,):
            return None
        classes = np.moveaxis(v, rows.axis, -1)[pair]
        return np.asarray(u.ravel()[:, None] * classes * self._rest(rows))

    def diagonal_term(self, rows: Rows, d: Vector) -> Matrix | None:
        """Return diag(d) in the same sense as `term`."""
        full = self.term(rows, d, np.ones_like(d), (rows.axis,))
        if full is None:
            return None
        if self.elementwise:
            return np.asarray(full * np.eye(self.x.size))
        own = np.indices(rows.p.shape)[rows.axis].ravel()[:, None]
        pair = self._classes(rows)
        assert pair is not None
        return np.asarray(full * (own == pair[-1]))

    def jacobian_at(self, points: tuple[AnyArray, ...], where: int | None = None) -> Matrix:
        """Return the true Jacobian at other inputs; columns share calls where J's do.

        Raises
        ------
        Unusable
        """
        if where is None or where == self.where:
            return self.spot.numeric(self.where, points, self.pattern)[0]
        return self.spot.numeric(where, points)[0]

    @cached_property
    def pattern(self) -> Matrix:
        """J without what is mere rounding."""
        least = max(1e-9 * float(np.abs(self.J).max()), 8 * self.bar)
        return np.where(np.abs(self.J) > least, self.J, 0.0)

    def at(self, x: Vector) -> tuple[AnyArray, ...]:
        """Return the inputs with another array in the place of this one."""
        points = list(self.spot.points)
        points[self.where] = np.ascontiguousarray(x)
        return tuple(points)

    def _classes(self, rows: Rows) -> tuple[Any, ...] | None:
        """Return, for every pair of an output and an input, the row and the input's class."""
        K = rows.p.shape[rows.axis]
        if self.x.shape.count(K) != 1:
            return None
        index = np.indices(rows.p.shape).reshape(rows.p.ndim, -1)
        row = [i[:, None] for axis, i in enumerate(index) if axis != rows.axis]
        return (*row, np.indices(self.x.shape)[self.x.shape.index(K)].ravel()[None, :])

    def _structure(self, rows: Rows) -> Matrix | None:
        p = rows.p
        if self.elementwise:
            eye, same = np.eye(p.size), self.same((rows.axis,))
            left, d = (np.ones_like(p), np.ones_like(p)) if rows.log else (p, p)
            return np.asarray(eye * d.ravel() - np.outer(left, p) * same)
        pair = self._classes(rows)
        if pair is None:
            return None
        own = np.indices(p.shape)[rows.axis].ravel()[:, None] == pair[-1]
        classes = np.moveaxis(p, rows.axis, -1)[pair]
        return np.asarray(own - classes if rows.log else p.ravel()[:, None] * (own - classes))

    def _is_multiple(self, S: Matrix) -> bool:
        if not self.elementwise:
            return bool((S != 0).all()) and self._factor_has_no_classes(S)
        c = np.vdot(S, self.J) / np.vdot(S, S)
        return rms(self.J - c * S) <= 1e-5 * rms(self.J)

    def _factor_has_no_classes(self, S: Matrix) -> bool:
        """Whether J/S is the same for every class of the output, as behind a linear layer."""
        y = self.y
        assert y is not None
        quotient = (self.J / S).reshape(*y.shape, -1)
        spread = min(np.ptp(quotient, axis=axis).max() for axis in range(y.ndim))
        return bool(spread <= 1e-4 * np.abs(quotient).max())

    @cached_property
    def _scales(self) -> dict[bool, float]:
        return {}

    def scale(self, rows: Rows) -> float:
        """Return what J is as a multiple of the map's own Jacobian, such as 1/temperature."""
        if rows.log not in self._scales:
            S = self._structure(rows)
            assert S is not None
            self._scales[rows.log] = float(np.vdot(S, self.J) / np.vdot(S, S))
        return self._scales[rows.log]

    def _rest(self, rows: Rows) -> Matrix:
        """Return J over the map's own Jacobian: what stands before the map."""
        S = self._structure(rows)
        assert S is not None
        return np.asarray(self.J / S)
