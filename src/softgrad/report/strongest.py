"""Large matrices made small enough to read: the strongest rows stay, the others become one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from softgrad.report.grid import Axis

__all__ = ["MOST", "merge_rows", "strongest"]

MOST = 64
"""Rows or columns of a picture."""


def strongest(strengths: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the places of the `MOST − 1` largest, in their order, or all where they have room."""
    if len(strengths) <= MOST:
        return np.arange(len(strengths))
    # Infinities and NaN are what a reader looks for: they come first.
    ranked = np.argsort(-np.nan_to_num(strengths, nan=np.inf), kind="stable")
    return np.sort(ranked[: MOST - 1])


def merge_rows(
    matrix: NDArray[np.float64], axis: Axis, kept: NDArray[np.intp]
) -> tuple[NDArray[np.float64], Axis]:
    """Keep the rows `kept` of [R, C], in this order, and add one, the sum of the others if any are.

    The sum keeps every column's total. It turns the Jacobian of a softmax, merged on both sides,
    into the Jacobian of the softmax whose other classes are one class.
    """
    labels = [axis.labels[i] for i in kept.tolist()]
    if len(kept) == len(matrix):
        return matrix[kept], Axis(tuple(labels), axis.title)
    with np.errstate(over="ignore", invalid="ignore"):  # such a sum is shown as not finite
        rest = np.delete(matrix, kept, axis=0).sum(axis=0, keepdims=True)  # [1, C]
    return np.concatenate([matrix[kept], rest]), Axis((*labels, "the rest"), axis.title)
