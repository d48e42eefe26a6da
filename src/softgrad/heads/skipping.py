"""Products that are left out where the gradient is small, and a bound on what that changes."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from softgrad.arrays import Array, namespace, wider_dtype
from softgrad.heads.layer import LinearLayer
from softgrad.heads.plan import cuts

__all__ = ["ErrorBound", "Skipping"]

_CLASSES = 256
"""Classes of a tile that is multiplied or skipped as a whole."""

_SLACK = 1 + 2.0**-20
"""What makes bounds of sums that were rounded."""


class ErrorBound(NamedTuple):
    """How far gradients are from those without skipping, but for rounding."""

    x: float
    """No entry of x_bar is farther off than this."""

    W: float
    """No entry of W_bar is farther off than this."""

    skipped: float
    """The share of the tiles that were skipped, from 0 to 1."""


class Skipping:
    """Tiles of z_bar [n, K], of some classes each, whose entries are all smaller than a bound.

    Where a tile with entries up to a is skipped, an entry of x_bar misses at most a·Σ_j |W_jd| over
    its classes, and an entry of W_bar at most a·Σ_i |x_id| over the rows.
    """

    def __init__(self, layer: LinearLayer, below: float) -> None:
        self.layer, self.below = layer, below
        K = layer.W.shape[0]
        self.sums = [_largest_column(layer, layer.W[tile]) for tile in cuts(K, _CLASSES)]
        self.of_x, self.of_W = 0.0, [0.0] * len(self.sums)
        self.seen = self.left_out = 0

    def kept(self, z_bar: Array, x: Array, most: int) -> list[slice]:
        """Return the classes that are to be multiplied, at most so many in a slice."""
        xp, kept, missing = namespace(z_bar), [], 0.0
        column = _largest_column(self.layer, x)
        for number, tile in enumerate(cuts(z_bar.shape[1], _CLASSES)):
            part = z_bar[:, tile]
            largest = max(float(xp.max(part)), -float(xp.min(part)))
            self.seen += 1
            bounded = math.isfinite(self.sums[number]) and math.isfinite(column)
            if not (largest < self.below and bounded):  # NaN is kept
                kept.append(tile)
                continue
            self.left_out += 1
            missing += largest * self.sums[number]
            self.of_W[number] += largest * column
        self.of_x = max(self.of_x, missing)
        return _joined(kept, most)

    def bound(self) -> ErrorBound:
        """Return the bound for all chunks that were seen."""
        share = self.left_out / self.seen if self.seen else 0.0
        return ErrorBound(self.of_x * _SLACK, max(self.of_W, default=0.0) * _SLACK, share)


def _largest_column(layer: LinearLayer, rows: Array) -> float:
    """Return the largest sum of |entries| of a column; 0 where there are none."""
    xp, dtype = namespace(rows), wider_dtype(layer.like) or layer.dtype
    if not rows.shape[1]:
        return 0.0
    absolute: Any = xp.abs(layer.cast(rows))
    return float(xp.max(xp.sum(absolute, axis=0, dtype=dtype)))


def _joined(tiles: list[slice], most: int) -> list[slice]:
    """Make long slices of neighbours."""
    joined: list[slice] = []
    for tile in tiles:
        last = joined[-1] if joined else None
        if last is not None and last.stop == tile.start and tile.stop - last.start <= most:
            joined[-1] = slice(last.start, tile.stop)
        else:
            joined.append(tile)
    return joined
