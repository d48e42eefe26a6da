"""What a linear map is.

A map acts on the last axis, row by row: `mv` takes x_dot [..., n] to y_dot [..., m], and `rmv`
takes y_bar [..., m] back to x_bar [..., n].
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

from softgrad.arrays import Array, describe, quiet, real_array
from softgrad.errors import mismatch
from softgrad.out import check_out, is_contiguous, write

__all__ = ["AbstractJacobian", "AbstractLinearMap", "Shape", "Shapes"]

Shape = tuple[int, ...]
Shapes = tuple[Shape, Shape]


class AbstractLinearMap(ABC):
    """A linear map between arrays of two fixed shapes, block by block over the batch."""

    @property
    @abstractmethod
    def shapes(self) -> Shapes:
        """The shapes of what `mv` takes and of what it returns."""

    @property
    def in_shape(self) -> Shape:
        """The shape of what `mv` takes and `rmv` returns."""
        return self.shapes[0]

    @property
    def out_shape(self) -> Shape:
        """The shape of what `mv` returns and `rmv` takes."""
        return self.shapes[1]

    @property
    def reads_half(self) -> bool:
        """Whether `apply` and `apply_transpose` take half precision as it is, since kernels do."""
        how = getattr(self, "how", None)
        return how is not None and how.impl in ("numba", "triton")

    def writing_to(self, out: Array | None) -> AbstractLinearMap:
        """Return the map with memory for its results, if it has kernels that can write there."""
        how = getattr(self, "how", None)
        if how is None or not is_contiguous(out):
            return self
        return replace(self, how=replace(how, out=out))  # type: ignore[type-var]

    @abstractmethod
    def apply(self, x_dot: Array) -> Array:
        """Apply the map to an array that was checked."""

    @abstractmethod
    def apply_transpose(self, y_bar: Array) -> Array:
        """Apply the transpose to an array that was checked."""

    @abstractmethod
    def as_matrix(self) -> Array:
        """Return the dense blocks, [*batch, m, n]; an axis without classes is left out."""

    def mv(self, x_dot: Any, *, out: Any = None) -> Array:
        """Apply the map: the Jacobian-vector product J·x_dot, written to `out` if that is given.

        Raises
        ------
        ValueError
            `x_dot` does not have the shape `in_shape`, or `out` not that of the result.
        """
        x_dot = _checked("x_dot", x_dot, self.in_shape)
        check_out(out, x_dot, self.out_shape)
        with quiet():
            return write(self.writing_to(out).apply(x_dot), out)

    def rmv(self, y_bar: Any, *, out: Any = None) -> Array:
        """Apply the transpose: the vector-Jacobian product Jᵀ·y_bar of backpropagation.

        Raises
        ------
        ValueError
            `y_bar` does not have the shape `out_shape`, or `out` not that of the result.
        """
        y_bar = _checked("y_bar", y_bar, self.out_shape)
        check_out(out, y_bar, self.in_shape)
        with quiet():
            return write(self.writing_to(out).apply_transpose(y_bar), out)

    @property
    def T(self) -> AbstractLinearMap:
        """The transpose; it shares this map's arrays."""
        from softgrad.linear.algebra import Transposed

        return Transposed(self)

    def __matmul__(self, other: AbstractLinearMap) -> AbstractLinearMap:
        """Compose: first `other`, then this map."""
        from softgrad.linear.algebra import Composed

        if not isinstance(other, AbstractLinearMap):
            got = f"{type(other).__name__} (a map is applied to an array by `mv`)"
            raise TypeError(mismatch("other", "a linear map", got))
        return Composed(self, other)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.in_shape} -> {self.out_shape}>"


class AbstractJacobian(AbstractLinearMap):
    """The Jacobian of a map at a point: it knows how it changes as the point moves."""

    @abstractmethod
    def derivative(self, x_dot: Array) -> AbstractLinearMap:
        """Return the rate of change of this linear map as its point moves along `x_dot`."""


def _checked(name: str, x: Any, shape: Shape) -> Array:
    x = real_array(name, x)
    if tuple(x.shape) != shape:
        raise ValueError(mismatch(name, f"of shape {shape}", describe(x)))
    return x
