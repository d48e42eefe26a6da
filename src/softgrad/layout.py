"""How arrays become rows, and results arrays again.

Formulas see rows: the class axis last, a dtype that can be computed in, C order. `Layout` takes an
array there and back; nothing else in the library moves an axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from softgrad.arrays import Array, as_integer, compute_dtype, cuts, dtype_name, namespace
from softgrad.errors import mismatch

__all__ = ["Layout", "copy_in_parts"]

PART = 2**18
"""Entries that are copied at a time."""


@dataclass(frozen=True)
class Layout:
    """Where the class axis of an array is, and which dtype its results have."""

    axis: int | None
    """The class axis, counted from 0; None for a single number."""

    rows_ndim: int

    dtype: Any
    compute_dtype: Any

    @classmethod
    def of(cls, x: Array, axis: int) -> Layout:
        """Return the layout of a real array.

        Raises
        ------
        TypeError
            `axis` is not an integer.
        ValueError
            `axis` is outside of `x`.
        """
        axis = as_integer("axis", axis)
        if x.ndim == 0 and axis == -1:
            return cls(None, 1, x.dtype, compute_dtype(x))
        if not -x.ndim <= axis < x.ndim:
            expected = f"within the {x.ndim} axes of shape {tuple(x.shape)}"
            raise ValueError(mismatch("axis", expected, axis))
        return cls(axis % x.ndim, x.ndim, x.dtype, compute_dtype(x))

    def to_rows(self, x: Array, class_axes: int = 1, stored: bool = False) -> Array:
        """Move the class axis last, in C order and in the dtype that is computed in.

        `class_axes` is 0 for an array whose class axis was summed away. With `stored`, half
        precision stays what it is: kernels read it.
        """
        xp = namespace(x)
        kept = dtype_name(x) == "bool" or (stored and x.dtype == self.dtype)
        if not kept and x.dtype != self.compute_dtype:
            x = xp.astype(x, self.compute_dtype)
        if class_axes:
            x = x[None] if self.axis is None else xp.moveaxis(x, self.axis, -1)
        return _in_c_order(x) if isinstance(x, np.ndarray) else x

    def from_rows(self, y: Array, class_axes: int = 1) -> Array:
        """Undo `to_rows` for a result with 0, 1 or 2 class axes at its end.

        A matrix keeps its two class axes at the end: [*batch, K, K] for any class axis.
        """
        if y.dtype != self.dtype:
            y = namespace(y).astype(y, self.dtype)
        return self.move_back(y, class_axes)

    def move_back(self, y: Array, class_axes: int = 1) -> Array:
        """Do what `from_rows` does, in the dtype that was computed in."""
        if self.axis is None:
            return y[(0,) * class_axes]
        if self.is_last:
            return y
        return namespace(y).moveaxis(y, -1, self.axis) if class_axes == 1 else y

    def shape_of(self, rows: tuple[int, ...], class_axes: int = 1) -> tuple[int, ...]:
        """Return the shape that `from_rows` gives to rows of a shape."""
        if not class_axes:
            return rows
        if self.axis is None:
            return ()
        batch = rows[:-1]
        return (*batch[: self.axis], rows[-1], *batch[self.axis :])

    @property
    def is_last(self) -> bool:
        """Whether the class axis is the last: nothing to move."""
        return self.axis == self.rows_ndim - 1

    @property
    def is_rows(self) -> bool:
        """Whether rows are the array itself: nothing to move, nothing to cast."""
        return self.is_last and bool(self.dtype == self.compute_dtype)


def copy_in_parts(x: np.ndarray, to: np.ndarray) -> None:
    """Copy into memory of the same shape, in any order, some entries at a time.

    Columns that become rows take seconds, and Ctrl-C is answered between two parts alone.
    """
    if x.size <= PART:
        to[...] = x
    elif step := PART * len(x) // x.size:
        for part in cuts(len(x), step):
            to[part] = x[part]
    else:
        for part_of_x, part_of_to in zip(x, to, strict=True):
            copy_in_parts(part_of_x, part_of_to)


def _in_c_order(x: np.ndarray) -> np.ndarray:
    """Return an aligned array in C order: the same bits whatever the strides were."""
    if x.flags.c_contiguous and x.flags.aligned:
        return x
    rows = np.empty(x.shape, x.dtype)
    copy_in_parts(x, rows)
    return rows
