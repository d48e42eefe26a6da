"""The weights of rows, and of elements where a loss has one an element."""

from __future__ import annotations

from softgrad.arrays import Array, compute_dtype, namespace
from softgrad.losses.base import Rows

__all__ = ["class_weights", "element_weights", "row_weights"]


def row_weights(rows: Rows) -> Array:
    """Return the weight of every row: [...]."""
    if rows.row_weights is not None:
        return rows.row_weights
    return namespace(rows.x).ones_like(rows.x[..., 0], dtype=compute_dtype(rows.x))


def element_weights(rows: Rows) -> Array:
    """Return row weight times class weight, and 0 under the mask: [..., K]."""
    return row_weights(rows)[..., None] * class_weights(rows)


def class_weights(rows: Rows) -> Array:
    """Return the weight of every class, and 0 under the mask: [..., K]."""
    xp = namespace(rows.x)
    weights = xp.ones_like(rows.x, dtype=compute_dtype(rows.x))
    if rows.class_weights is not None:
        weights = weights * rows.class_weights
    return weights if rows.where is None else xp.where(rows.where, weights, xp.zeros_like(weights))
