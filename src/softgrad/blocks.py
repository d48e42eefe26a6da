"""Rows in blocks: what is done to many rows, done to some of them at a time.

The bits of a row do not depend on the rows around it, so blocks change no result. But what a
formula makes on the way stays in the cache, no memory but the result's grows with the rows, and
Ctrl-C, for which NumPy's operations do not stop, is answered between two of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np

from softgrad.arrays import Array, cuts

__all__ = ["RowBlocks", "matrix_by_rows", "scaled"]

ENTRIES = 2**17
"""Entries of a block, if a row has no more. For fewer, calls cost as much as the arithmetic; many
times as many do not stay in the cache."""

FEW = 8 * ENTRIES
"""Entries of rows that are not cut: blocks would gain little, and cost the weighing of losses."""


@dataclass(frozen=True)
class RowBlocks:
    """How rows [..., K] are cut."""

    batch: tuple[int, ...]
    cuts: tuple[slice, ...]

    @classmethod
    def of(cls, x: Array) -> RowBlocks | None:
        """Cut rows x [..., K]; None where they are few, or not NumPy's."""
        *batch, classes = x.shape
        if not isinstance(x, np.ndarray) or x.size <= FEW or prod(batch) == 1:
            return None
        return cls(tuple(batch), tuple(cuts(prod(batch), max(1, ENTRIES // classes))))

    def flat(self, a: Array) -> Array:
        """Make one axis of the batch axes: [..., *rest] to [N, *rest]."""
        return a.reshape(prod(self.batch), *a.shape[len(self.batch) :])

    def each(self, f: Callable[[slice], Array]) -> Array:
        """Return the array [..., *rest] of which f returns some rows [R, *rest]."""
        return self.joined(lambda rows: (f(rows),))[0]

    def joined(self, f: Callable[[slice], tuple[Array, ...]]) -> tuple[Array, ...]:
        """Do what `each` does for a function that returns several arrays."""
        wholes: tuple[Array, ...] = ()
        for rows in self.cuts:
            parts = f(rows)
            wholes = wholes or tuple(
                np.empty((prod(self.batch), *part.shape[1:]), part.dtype) for part in parts
            )
            for whole, part in zip(wholes, parts, strict=True):
                whole[rows] = part
        return tuple(whole.reshape(*self.batch, *whole.shape[1:]) for whole in wholes)


def matrix_by_rows(f: Callable[[slice], Array], like: Array) -> Array:
    """Return the matrix [..., K, K] beside `like` [..., K], of which f returns rows [..., R, K]."""
    K = like.shape[-1]
    if not isinstance(like, np.ndarray) or like.size * K <= FEW:
        return f(slice(None))
    matrix = np.empty((*like.shape, K), like.dtype)
    for rows in cuts(K, max(1, ENTRIES // like.size)):
        matrix[..., rows, :] = f(rows)
    return matrix


def scaled(factor: Array | float, matrix: Array) -> Array:
    """Return a number, or one for each matrix [..., 1, 1], times a matrix [..., K, K]."""
    if matrix.ndim < 2 or matrix.shape[-2] != matrix.shape[-1] or not matrix.shape[-1]:
        return factor * matrix
    return matrix_by_rows(lambda rows: factor * matrix[..., rows, :], matrix[..., 0])
