"""Large matrices made small enough to read: the strongest rows stay, the others become one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from softgrad.report.grid import Axis

__all__ = ["MOST", "merge_rows", "strongest"]

MOST = 64
"""Rows or columns of a picture."""


def strongest(strengths: NDArray[np.float64]) -> NDArray[np.intp] | None:
    """Return the places of the `MOST − 1` largest, in their order; None when all have room."""
    if len(strengths) <= MOST:
        return None
    # Infinities and NaN are what a reader looks for: they come first.
    ranked = np.argsort(-np.nan_to_num(strengths, nan=np.inf), kind="stable")
    return np.sort(ranked[: MOST - 1])


def merge_rows(
    matrix: NDArray[np.float64], axis: Axis, kept: NDArray[np.intp] | None
) -> tuple[NDArray[np.float64], Axis]:
    """Keep the rows `kept` of [R, C] and add one, the sum of all others.

    The sum keeps every column's total. It turns the Jacobian of a softmax, merged on both sides,
    into the Jacobian of the softmax whose other classes are one class.
    """
    if kept is None:
        return matrix, axis
    with np.errstate(over="ignore", invalid="ignore"):  # such a sum is shown as not finite
        rest = np.delete(matrix, kept, axis=0).sum(axis=0, keepdims=True)  # [1, C]
    labels = (*_pick(axis.labels, kept), "the rest")
    return np.concatenate([matrix[kept], rest]), Axis(labels, axis.title)


def _pick(labels: Sequence[str], kept: NDArray[np.intp]) -> list[str]:
    return [labels[i] for i in kept.tolist()]
