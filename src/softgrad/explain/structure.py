"""The structure of a derivative, and how it is read off numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from softgrad.explain.arguments import Vector

__all__ = ["Pattern", "Structure", "structure_of"]

Pattern = Literal["zero", "diagonal", "dense", "dense on the support", "partly zero"]


@dataclass(frozen=True)
class Structure:
    """What holds in every block of a Jacobian."""

    pattern: Pattern
    zeros: int
    """How many entries of the blocks are zero; by form, one that underflows is not."""
    symmetric: bool | None
    """None where the blocks are not square."""
    rows_sum_to_zero: bool
    columns_sum_to_zero: bool
    least_rank: int
    """The smallest rank of a block."""
    greatest_rank: int
    by_form: bool = False
    """Whether the form of a linear map says so; else the numbers alone decide."""


def structure_of(blocks: Vector, error: float = 0.0) -> Structure:
    """Return the structure of blocks [B, m, n] with entries known to ± error.

    Entries count as zero when they are no larger than the error: exactly zero where that is 0.
    Sums and the rank forgive rounding as well, relative to the largest entry of the block.
    """
    m, n = blocks.shape[1:]
    zero = np.abs(blocks) <= error  # [B, m, n]
    largest = np.abs(blocks).max(axis=(1, 2))  # [B]
    slack = error + 8 * np.finfo(np.float64).eps * largest  # [B], an entry's
    symmetric = None
    if m == n:
        gaps = np.abs(blocks - blocks.swapaxes(1, 2)).max(axis=(1, 2))
        symmetric = bool((gaps <= 2 * slack).all())
    ranks = np.linalg.matrix_rank(blocks, tol=max(m, n) * slack)
    return Structure(
        _pattern(zero),
        int(zero.sum()),
        symmetric,
        bool((np.abs(blocks.sum(axis=2)) <= n * slack[:, None]).all()),
        bool((np.abs(blocks.sum(axis=1)) <= m * slack[:, None]).all()),
        int(ranks.min()),
        int(ranks.max()),
    )


def _pattern(zero: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Pattern:
    m, n = zero.shape[1:]
    if zero.all():
        return "zero"
    if not zero.any():
        return "dense"
    off_diagonal = ~np.eye(m, n, dtype=np.bool_)
    return "diagonal" if m == n and zero[:, off_diagonal].all() else "partly zero"
