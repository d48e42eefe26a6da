"""Columns as solvers see them: (x − shift) / scale.

The intercept is free, so that it absorbs what is taken from a column: V (x − s)/r + c is W x + b
with W = V/r and b = c − W s. Columns far from 0, such as years or times of day in seconds since
1970, are brought near it: the problem stays the same, but products of numbers that are all alike
lose the digits in which they differ. x − s has no rounding error where x is from s/2 to 2s
(Sterbenz, 1974). A scale changes what the penalty is of, and is there for who asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from softgrad.arrays import Array
from softgrad.learn.affine import is_sparse
from softgrad.learn.stored_rows import StoredRows, cut_rows, every
from softgrad.learn.team import ALONE, AbstractTeam

__all__ = ["Columns", "extremes", "near", "standardised"]

_FAR = 32.0
"""Standard deviations of a column from 0, from where on it is brought near."""

_SAMPLE = 1024
"""Rows that are looked at, or a few more; any number close to the mean will do as well as it."""

_MEMORY = 16 * 2**20


class Columns(NamedTuple):
    """What is taken from every column, and what it is then divided by."""

    shift: Array  # [D], in X's dtype
    scale: Array | None = None  # [D], in X's dtype; None for 1

    @property
    def as_they_came(self) -> bool:
        """Whether nothing is taken from them, and they are not divided."""
        return self.scale is None and not self.shift.any()

    def of(self, X: Any) -> Any:
        """Return X as it is seen, in its dtype; what stays as it is takes no copy.

        A CSR matrix stays one: a column that is far from 0 has hardly a cell that is 0.
        """
        if isinstance(X, StoredRows):
            return X.seen(self.shift if self.shift.any() else None, self.scale)
        if self.shift.any():
            X = X - (_every_row(self.shift, X.shape[0]) if is_sparse(X) else self.shift)
        return X if self.scale is None else _by_column(np.divide, X, self.scale)

    def inside(self, theta: Array) -> Array:
        """Return theta for the columns as they are seen, from that as they came: [..., D+1]."""
        if self.as_they_came:
            return theta
        theta = theta.copy()
        theta[..., -1] += theta[..., :-1] @ self.shift.astype(np.float64)
        if self.scale is not None:
            theta[..., :-1] *= self.scale
        return theta

    def outside(self, theta: Array) -> Array:
        """Return theta for the columns as they came, from that as they are seen: [..., D+1]."""
        if self.as_they_came:
            return theta
        theta = theta.copy()
        if self.scale is not None:
            theta[..., :-1] /= self.scale
        theta[..., -1] -= theta[..., :-1] @ self.shift.astype(np.float64)
        return theta


def near(X: Any, team: AbstractTeam = ALONE) -> Columns:
    """Return about the mean of every column that is far from 0, and 0 for the others."""
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
    return Columns(np.where(far, mean, 0.0).astype(X.dtype))


def standardised(X: Any, weights: Array, team: AbstractTeam = ALONE) -> Columns:
    """Return the weighted mean of every column, and its standard deviation; 1 where it is constant.

    Of a CSR matrix only columns that are far from 0 are shifted: the others keep their zeros.
    """
    columns, D = near(X, team), X.shape[1]
    X = columns.of(X)
    least, largest = extremes(X, team)
    # In units of a power of two near the largest cell, which is exact, no square overflows and the
    # square of a spread does not vanish.
    _, exponent = np.frexp(np.maximum(-least, largest))  # [D]
    total, sums, squares = weights.sum(), np.zeros(D), np.zeros(D)
    for rows in cut_rows(X, _MEMORY, 3 * 8 * D):
        x, w = _by_column(np.ldexp, X[rows].astype(np.float64), -exponent), weights[rows]
        sums += x.T @ w
        squares += (x.multiply(x) if is_sparse(x) else x * x).T @ w
    total, sums, squares = team.summed(total, sums, squares)
    mean = sums / total
    deviation = np.ldexp(np.sqrt(np.maximum(squares / total - mean**2, 0.0)), exponent)
    scale = np.where((least == largest) | (deviation == 0), 1.0, deviation).astype(X.dtype)
    if is_sparse(X):
        return columns._replace(scale=scale)
    return Columns((columns.shift + np.ldexp(mean, exponent)).astype(X.dtype), scale)


def extremes(X: Any, team: AbstractTeam = ALONE) -> tuple[Array, Array]:
    """Return the least and the largest cell of every column: [D] each."""
    D = X.shape[1]
    least, largest = np.full(D, np.inf), np.full(D, -np.inf)
    for rows in cut_rows(X, _MEMORY, 8 * D):
        x = X[rows]
        np.minimum(least, _dense(x.min(axis=0)), out=least)
        np.maximum(largest, _dense(x.max(axis=0)), out=largest)
    return np.min(team.gathered(least), axis=0), np.max(team.gathered(largest), axis=0)


def _dense(row: Any) -> Array:
    """Return a row that a sparse matrix may have given."""
    return row.toarray().ravel() if is_sparse(row) else row


def _by_column(function: Callable[[Any, Any], Any], X: Any, row: Array) -> Any:
    """Return function(x, r) of every cell x, with the number r of its column; 0 stays 0."""
    if not is_sparse(X):
        return function(X, row)
    X = X.copy()
    X.data = function(X.data, row[X.indices])
    return X


def _every_row(row: Array, N: int) -> Any:
    """Return N rows that are all the same, as CSR."""
    from scipy.sparse import csr_array

    columns = np.flatnonzero(row)
    ends = len(columns) * np.arange(N + 1)
    return csr_array((np.tile(row[columns], N), np.tile(columns, N), ends), shape=(N, len(row)))
