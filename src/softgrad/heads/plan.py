"""How the work is cut: rows into chunks that fit a budget, classes into tiles that end soon."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Plan", "TiledPlan", "block_of", "cuts"]

_FLOPS = 5_000_000_000
"""The most of one product, a tenth of a second or so: between two of them Ctrl-C is answered."""

FEW_ROWS = 64
"""Chunks of fewer rows than these make products that wait for memory: classes are tiled instead."""

_MANY_ROWS = 1024
"""Rows of a chunk whose classes are tiled."""


@dataclass(frozen=True)
class Plan:
    """Sizes for N rows, D features and K classes."""

    chunk: int
    """Rows whose logits are stored at a time."""

    tile: int
    """Classes that one product covers."""

    @classmethod
    def of(
        cls, N: int, D: int, K: int, *, itemsize: int, narrow: bool, buffers: int, memory: int
    ) -> Plan:
        """Share a budget of bytes between the given number of buffers of logits and the rest.

        `narrow` says that the weights are stored in half precision: their tiles are converted.
        """
        # Three quarters for logits and rows of features; formulas and tiles share the last one.
        fitting = (memory * 3 // 4) // (itemsize * (buffers * K + 3 * D))
        chunk = max(1, min(N, fitting))
        chunk = -(-N // -(-N // chunk)) if N else 1  # chunks of one size, all of them
        tile = _FLOPS // (2 * chunk * max(1, D))
        if narrow:
            tile = min(tile, (memory // 16) // (itemsize * max(1, D)))
        return cls(chunk, max(1, min(tile, K)))


@dataclass(frozen=True)
class TiledPlan:
    """Sizes for so many classes that only tiles of the logits of a chunk are stored."""

    chunk: int
    tile: int
    """Classes of a tile."""

    @classmethod
    def of(
        cls, N: int, D: int, K: int, *, itemsize: int, narrow: bool, memory: int
    ) -> TiledPlan | None:
        """Return the sizes, or None where whole rows of logits are as good."""
        whole = Plan.of(N, D, K, itemsize=itemsize, narrow=narrow, buffers=1, memory=memory)
        if whole.chunk >= min(N, FEW_ROWS):
            return None
        fitting = (memory // 4) // (3 * itemsize * max(1, D))
        chunk = max(1, min(N, fitting, _MANY_ROWS))
        tile = min((memory // 2) // (itemsize * chunk), _FLOPS // (2 * chunk * max(1, D)), K)
        if narrow:
            tile = min(tile, (memory // 16) // (itemsize * max(1, D)))
        return cls(chunk, max(1, tile))


def block_of(row: int, memory: int, *, compiled: bool, light: bool, chunk: int) -> int:
    """Return how many rows of so many bytes the formulas see at a time.

    Kernels that need no temporaries, the light ones, take the whole chunk. Others have a few, and
    the reference has about twenty, which are to stay in the cache.
    """
    if compiled and light:
        return chunk
    return max(1, min(chunk, memory // (32 if compiled else 128) // row))


def cuts(length: int, step: int) -> Iterator[slice]:
    """Cut 0 … length into slices."""
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))
