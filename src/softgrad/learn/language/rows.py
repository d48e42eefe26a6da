"""Rows of a matrix that are looked up, and the gradient that goes back into them."""

from __future__ import annotations

import numpy as np

from softgrad.arrays import Array

__all__ = ["add_rows"]


def add_rows(matrix: Array, ids: Array, rows: Array) -> None:
    """Add rows [n, D] to the rows `ids` [n] of a matrix [V, D]; an id may stand several times.

    It is the transpose of looking up, ``matrix[ids]``. Rows of one id are summed first, side by
    side, which is some times as fast as ``np.add.at``.

    >>> matrix = np.zeros((3, 2))
    >>> add_rows(matrix, np.array([2, 0, 2]), np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    >>> matrix
    array([[3., 4.],
           [0., 0.],
           [6., 8.]])
    """
    order = np.argsort(ids, kind="stable")
    ids = ids[order]
    starts = np.flatnonzero(np.diff(ids, prepend=-1))
    matrix[ids[starts]] += np.add.reduceat(rows[order], starts, axis=0)
