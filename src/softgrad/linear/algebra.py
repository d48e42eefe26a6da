"""Linear maps made from others, and the few that stand for themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import array_api_compat
import numpy as np

from softgrad.arrays import Array, indices, namespace
from softgrad.blocks import matrix_by_rows, scaled
from softgrad.errors import mismatch
from softgrad.layout import Layout
from softgrad.linear.base import AbstractJacobian, AbstractLinearMap, Shapes
from softgrad.linear.rows import total, weighted

__all__ = ["Composed", "Deferred", "Identity", "OnAxis", "Outer", "Scaled", "Sum", "Transposed"]


@dataclass(frozen=True, eq=False, repr=False)
class Identity(AbstractLinearMap):
    """The identity on arrays like one that is given."""

    like: Array  # [..., K]; its values are not looked at

    @property
    def shapes(self) -> Shapes:
        return tuple(self.like.shape), tuple(self.like.shape)

    def apply(self, x_dot: Array) -> Array:
        return x_dot

    def apply_transpose(self, y_bar: Array) -> Array:
        return y_bar

    def as_matrix(self) -> Array:
        return matrix_by_columns(self, self.like)


@dataclass(frozen=True, eq=False, repr=False)
class Outer(AbstractLinearMap):
    """u vᵀ, row by row."""

    u: Array  # [..., K]
    v: Array  # [..., K]

    @property
    def shapes(self) -> Shapes:
        return tuple(self.v.shape), tuple(self.u.shape)

    def apply(self, x_dot: Array) -> Array:
        return self.u * total(weighted(self.v, x_dot))

    def apply_transpose(self, y_bar: Array) -> Array:
        return self.v * total(weighted(self.u, y_bar))

    def as_matrix(self) -> Array:
        def some(rows: slice) -> Array:
            return self.u[..., rows, None] * self.v[..., None, :]

        return matrix_by_rows(some, self.v)


@dataclass(frozen=True, eq=False, repr=False)
class Scaled(AbstractLinearMap):
    """c·A, for one number c or one a row."""

    factor: Array | float  # a number, or [..., 1]
    inner: AbstractLinearMap

    @property
    def shapes(self) -> Shapes:
        return self.inner.shapes

    @property
    def reads_half(self) -> bool:
        return not isinstance(self.factor, float) and self.inner.reads_half

    def apply(self, x_dot: Array) -> Array:
        return self.factor * self.inner.apply(x_dot)

    def apply_transpose(self, y_bar: Array) -> Array:
        return self.inner.apply_transpose(self.factor * y_bar)

    def as_matrix(self) -> Array:
        factor = self.factor if isinstance(self.factor, float) else self.factor[..., None]
        return scaled(factor, self.inner.as_matrix())


@dataclass(frozen=True, eq=False, repr=False)
class Sum(AbstractLinearMap):
    """A + B."""

    first: AbstractLinearMap
    second: AbstractLinearMap

    @property
    def shapes(self) -> Shapes:
        return self.first.shapes

    def apply(self, x_dot: Array) -> Array:
        return self.first.apply(x_dot) + self.second.apply(x_dot)

    def apply_transpose(self, y_bar: Array) -> Array:
        return self.first.apply_transpose(y_bar) + self.second.apply_transpose(y_bar)

    def as_matrix(self) -> Array:
        return self.first.as_matrix() + self.second.as_matrix()


@dataclass(frozen=True, eq=False, repr=False)
class Composed(AbstractLinearMap):
    """outer ∘ inner: the chain rule's product."""

    outer: AbstractLinearMap
    inner: AbstractLinearMap

    def __post_init__(self) -> None:
        if self.outer.in_shape != self.inner.out_shape:
            expected = f"a linear map to shape {self.outer.in_shape}"
            raise ValueError(mismatch("inner", expected, f"one to {self.inner.out_shape}"))

    @property
    def shapes(self) -> Shapes:
        return self.inner.in_shape, self.outer.out_shape

    def apply(self, x_dot: Array) -> Array:
        return self.outer.apply(self.inner.apply(x_dot))

    def apply_transpose(self, y_bar: Array) -> Array:
        return self.inner.apply_transpose(self.outer.apply_transpose(y_bar))

    def as_matrix(self) -> Array:
        return self.outer.as_matrix() @ self.inner.as_matrix()


@dataclass(frozen=True, eq=False, repr=False)
class Transposed(AbstractLinearMap):
    """Aᵀ."""

    inner: AbstractLinearMap

    @property
    def shapes(self) -> Shapes:
        return self.inner.out_shape, self.inner.in_shape

    def apply(self, x_dot: Array) -> Array:
        return self.inner.apply_transpose(x_dot)

    def apply_transpose(self, y_bar: Array) -> Array:
        return self.inner.apply(y_bar)

    def as_matrix(self) -> Array:
        matrix = self.inner.as_matrix()
        if len(self.in_shape) != len(self.out_shape):  # a single row or column: no axis to swap
            return matrix
        return namespace(matrix).matrix_transpose(matrix)


@dataclass(frozen=True, eq=False, repr=False)
class Deferred(AbstractJacobian):
    """A Jacobian that is made when somebody asks for it: the value alone costs no more."""

    of_shapes: Shapes
    make: Callable[[], AbstractJacobian]

    @property
    def shapes(self) -> Shapes:
        return self.of_shapes

    @cached_property
    def made(self) -> AbstractJacobian:
        """The Jacobian."""
        return self.make()

    @property
    def reads_half(self) -> bool:
        return self.made.reads_half

    def writing_to(self, out: Array | None) -> AbstractLinearMap:
        return self.made.writing_to(out)

    def apply(self, x_dot: Array) -> Array:
        return self.made.apply(x_dot)

    def apply_transpose(self, y_bar: Array) -> Array:
        return self.made.apply_transpose(y_bar)

    def as_matrix(self) -> Array:
        return self.made.as_matrix()

    def derivative(self, x_dot: Array) -> AbstractLinearMap:
        return self.made.derivative(x_dot)


@dataclass(frozen=True, eq=False, repr=False)
class OnAxis(AbstractLinearMap):
    """A map of rows, applied to arrays that have another class axis or a narrower dtype."""

    inner: AbstractLinearMap
    layout: Layout

    @property
    def shapes(self) -> Shapes:
        return self.layout.shape_of(self.inner.in_shape), self.layout.shape_of(
            self.inner.out_shape, self.out_axes
        )

    @property
    def out_axes(self) -> int:
        """The number of class axes in the output: 0 for the Jacobian of logsumexp."""
        return 1 + len(self.inner.out_shape) - len(self.inner.in_shape)

    def writing_to(self, out: Array | None) -> AbstractLinearMap:
        if out is None or out.dtype != self.layout.dtype or not self.layout.is_last:
            return self
        return replace(self, inner=self.inner.writing_to(out))

    def rows_of(self, v: Array, class_axes: int = 1) -> Array:
        """Lay a tangent or a cotangent out, in the dtype that the inner map takes."""
        return self.layout.to_rows(v, class_axes, stored=self.inner.reads_half)

    def apply(self, x_dot: Array) -> Array:
        rows = self.rows_of(x_dot)
        return self.layout.from_rows(self._rounding(rows).apply(rows), self.out_axes)

    def apply_transpose(self, y_bar: Array) -> Array:
        rows = self.rows_of(y_bar, self.out_axes)
        return self.layout.from_rows(self._rounding(rows).apply_transpose(rows))

    def _rounding(self, rows: Array) -> AbstractLinearMap:
        """Return the inner map; if its kernels read half precision, they write it as well."""
        how = getattr(self.inner, "how", None)
        if rows.dtype == self.layout.compute_dtype or (how and how.out is not None):
            return self.inner
        device = array_api_compat.device(rows)
        room = namespace(rows).empty(tuple(rows.shape), dtype=rows.dtype, device=device)
        return self.inner.writing_to(room)

    def as_matrix(self) -> Array:
        return self.layout.from_rows(self.inner.as_matrix(), 1 + self.out_axes)


def matrix_by_columns(a: AbstractLinearMap, like: Array) -> Array:
    """Apply a square map to every unit vector: K products for arrays of shape [..., K]."""
    xp, index, shape = namespace(like), indices(like), (*like.shape, like.shape[-1])

    def column(j: int) -> Array:
        return a.apply(xp.broadcast_to(xp.astype(index == j, like.dtype), like.shape))

    if isinstance(like, np.ndarray):  # no second matrix is made
        matrix = np.empty(shape, like.dtype)
        for j in range(like.shape[-1]):
            matrix[..., j] = column(j)
        return matrix
    columns = [column(j) for j in range(like.shape[-1])]
    if not columns:
        return xp.zeros(shape, dtype=like.dtype, device=array_api_compat.device(like))
    return xp.stack(columns, axis=-1)
