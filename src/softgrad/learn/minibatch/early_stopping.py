"""Rows held out, to tell when to stop."""

from __future__ import annotations

import numpy as np

from softgrad.arrays import Array
from softgrad.errors import mismatch

__all__ = ["hold_out"]


def hold_out(y: Array, fraction: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return the positions of rows to train on, and of those held out, rising.

    Every class gives its share, but for one row more or less, and keeps one row at least.

    >>> y = np.repeat([0, 1, 2], [10, 20, 1])
    >>> train, held = hold_out(y, 0.2, np.random.default_rng(0))
    >>> np.bincount(y[train]), np.bincount(y[held])
    (array([ 8, 16,  1]), array([2, 4]))

    Raises
    ------
    ValueError
        No row can be spared.
    """
    order = rng.permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]  # class by class, each at random
    first = np.diff(y[order], prepend=-1) > 0
    spare = order[~first]
    # Every so manieth of the spare rows: each class's share comes out, whatever its size.
    steps = np.floor(np.arange(len(spare) + 1) * _share(fraction, len(y), len(spare)) + 0.5)
    held = spare[np.diff(steps) > 0]
    if len(held) == 0:
        got = f"{fraction} of {len(y)} rows, of which {len(spare)} can be spared"
        raise ValueError(mismatch("validation_fraction", "a share of one row at least", got))
    keep = np.ones(len(y), dtype=bool)
    keep[held] = False
    return np.flatnonzero(keep), np.flatnonzero(~keep)


def _share(fraction: float, rows: int, spare: int) -> float:
    """Return the share of the spare rows that is a fraction of all rows, or what there is."""
    return min(1.0, fraction * rows / max(1, spare))
