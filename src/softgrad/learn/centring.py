"""Columns far from 0, such as years or times of day in seconds since 1970, brought near it.

The intercept is free, so that it absorbs what is taken from a column: W (x − s) + c is W x + b with
b = c − W s. The problem stays the same, but products of numbers that are all alike lose the digits
in which they differ. x − s has no rounding error where x is from s/2 to 2s (Sterbenz, 1974).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from softgrad.arrays import Array
from softgrad.learn.affine import is_sparse
from softgrad.learn.stored_rows import StoredRows, cut_rows, every
from softgrad.learn.team import ALONE, AbstractTeam

__all__ = ["shift_of", "shifted"]

_FAR = 32.0
"""Standard deviations of a column from 0, from where on it is brought near."""

_SAMPLE = 1024
"""Rows that are looked at, or a few more; any number close to the mean will do as well as it."""

_MEMORY = 16 * 2**20


def shift_of(X: Any, team: AbstractTeam = ALONE) -> Array:
    """Return about the mean of every column that is far from 0, and 0 for the others: [D]."""
    D = X.shape[1]
    first, N = team.share(X.shape[0])
    sample = every(max(1, N // _SAMPLE), X, first)
    n, sums, squares = sample.shape[0], np.zeros(D), np.zeros(D)
    for rows in cut_rows(sample, _MEMORY, 8 * D):
        x = sample[rows].astype(np.float64)
        sums += np.asarray(x.sum(axis=0)).ravel()
        squares += np.asarray((x.multiply(x) if is_sparse(x) else x * x).sum(axis=0)).ravel()
    n, sums, squares = team.summed(n, sums, squares)
    mean = sums / n
    far = _FAR**2 * (squares / n - mean**2) < mean**2
    return np.where(far, mean, 0.0).astype(X.dtype)


def shifted(X: Any, shift: Array) -> Any:
    """Return X − shift, in X's dtype; what is 0 throughout takes no copy.

    A CSR matrix stays one: a column that is far from 0 has hardly a cell that is 0.
    """
    if not shift.any():
        return X
    if isinstance(X, StoredRows):
        return X.shifted(shift)
    return X - _every_row(shift, X.shape[0]) if is_sparse(X) else X - shift


def _every_row(row: Array, N: int) -> Any:
    """Return N rows that are all the same, as CSR."""
    from scipy.sparse import csr_array

    columns = np.flatnonzero(row)
    ends = len(columns) * np.arange(N + 1)
    return csr_array((np.tile(row[columns], N), np.tile(columns, N), ends), shape=(N, len(row)))
