"""The derivative of a map, a loss or a user's function at a point, in independent blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from softgrad.errors import mismatch
from softgrad.explain.arguments import MOST_ENTRIES, Vector, finite
from softgrad.explain.forms import kept_by, structure_by_form
from softgrad.explain.measured import measure
from softgrad.explain.structure import Structure, structure_of
from softgrad.losses import AbstractLoss
from softgrad.maps import AbstractMap

__all__ = ["Derivative", "derivative_of"]

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Derivative:
    """∂y/∂x, one block for each of B groups of inputs and outputs that hear nothing of the rest."""

    x_shape: Shape
    y_shape: Shape
    blocks: Vector  # [B, m, n]
    structure: Structure | None
    """None where the function has a kink, or where its derivative could not be measured."""
    stored: int | None = None
    """How many numbers the library's object keeps in place of the matrix."""
    error: float | None = None
    """For a measured one: what the differences leave open, RMS over the entries."""
    kink: bool = False
    """Whether a measured one is none: the slopes to the left and to the right differ."""

    @property
    def unclear(self) -> bool:
        """Whether it could not be measured."""
        return self.structure is None and not self.kink


def derivative_of(f: Any, x: Any, axis: int, targets: Any) -> Derivative:
    """Return the derivative at x, in closed form where the library has it.

    Raises
    ------
    TypeError
        f is no function, or `targets` are missing or not of use.
    ValueError
        The derivative is too large to be looked at.
    """
    if not callable(f):
        raise TypeError(mismatch("f", "a map, a loss or a function", repr(f)))
    if isinstance(f, AbstractLoss) == (targets is None):
        expected = "given for a loss" if targets is None else "left out where f is not a loss"
        raise TypeError(mismatch("targets", expected, "None" if targets is None else "an array"))
    x = finite("x", x)
    if isinstance(f, AbstractLoss):
        return _of_loss(f, x, axis, targets)
    return _of_map(f, x, axis) if isinstance(f, AbstractMap) else _of_function(f, x, axis)


def _of_map(f: AbstractMap, x: Vector, axis: int) -> Derivative:
    y, J = f.linearize(x, axis=axis)
    n = x.shape[axis] if x.ndim else 1
    m = n if y.shape == x.shape else 1
    entries = x.size * m
    if entries > MOST_ENTRIES:
        expected = f"small enough that the blocks have at most {MOST_ENTRIES} entries"
        raise ValueError(mismatch("x", expected, f"{entries} of shape {x.shape}"))
    matrix = np.asarray(J.as_matrix())
    if x.ndim and np.ndim(y) < x.ndim:  # gradients of the rows, laid out as x is
        matrix = np.moveaxis(matrix, axis, -1)
    blocks = matrix.reshape(-1, m, n)
    structure = structure_by_form(J, blocks)
    return Derivative(x.shape, tuple(np.shape(y)), blocks, structure, stored=kept_by(J))


def _of_loss(f: AbstractLoss, x: Vector, axis: int, targets: Any) -> Derivative:
    value, gradient = f.value_and_gradient(x, targets, axis=axis)
    y_shape = tuple(np.shape(value))
    if x.ndim and len(y_shape) == x.ndim - 1:  # one loss a row, as for a single row
        gradient = np.moveaxis(gradient, axis, -1)
    blocks = np.reshape(gradient, (math.prod(y_shape), 1, -1))
    return Derivative(x.shape, y_shape, blocks, structure_of(blocks), stored=x.size)


def _of_function(f: Any, x: Vector, axis: int) -> Derivative:
    measured = measure(f, x)
    y_shape, slack = measured.y.shape, measured.largest_error
    blocks = measured.jacobian[None]  # [1, m, n]
    rows = _rows(blocks[0], x.shape, y_shape, axis)
    if rows is not None:
        within, others = rows
        if (np.abs(others) <= slack).all():
            blocks = within
    known = not (measured.kink or measured.unclear)
    structure = structure_of(blocks, slack) if known else None
    return Derivative(x.shape, y_shape, blocks, structure, error=measured.error, kink=measured.kink)


def _rows(
    jacobian: Vector, x_shape: Shape, y_shape: Shape, axis: int
) -> tuple[Vector, Vector] | None:
    """Split a Jacobian into the blocks of rows along `axis` and what joins different rows.

    None where the outputs have no such rows, or there is one row only.
    """
    if len(x_shape) < 2 or not -len(x_shape) <= axis < len(x_shape):
        return None
    axis %= len(x_shape)
    batch = x_shape[:axis] + x_shape[axis + 1 :]
    if y_shape == batch:  # f took the axis away: give it back with length 1
        y_shape = (*batch[:axis], 1, *batch[axis:])
    if len(y_shape) != len(x_shape) or y_shape[:axis] + y_shape[axis + 1 :] != batch:
        return None
    full = jacobian.reshape(y_shape + x_shape)
    full = np.moveaxis(full, (axis, len(y_shape) + axis), (len(batch), -1))  # [*b, m, *b, n]
    B, m, n = math.prod(batch), y_shape[axis], x_shape[axis]
    full = full.reshape(B, m, B, n)
    same = np.eye(B, dtype=np.bool_)
    by_rows = full.transpose(0, 2, 1, 3)  # [B, B, m, n]
    return by_rows[same], by_rows[~same]
