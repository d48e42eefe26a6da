"""How the work is cut: rows into chunks that fit a budget, classes into tiles that end soon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from softgrad.arrays import cuts

__all__ = ["Plan", "Size", "TiledPlan", "block_of", "cuts"]

_FLOPS = 5_000_000_000
"""The most of one product, a tenth of a second or so: between two of them Ctrl-C is answered."""

FEW_ROWS = 64
"""Chunks of fewer rows than these make products that wait for memory: classes are tiled instead."""

_MANY_ROWS = 1024
"""Rows of a chunk whose classes are tiled."""

_LEAST_ROWS, _LEAST_CLASSES = 16, 32
"""Of a tile of logits, however little memory there is: smaller ones would be all overhead."""

_STEP = 64
"""What a chunk has a multiple of rows of: a BLAS is slower by some percent where it has not."""


class Size(NamedTuple):
    """The size of the work."""

    N: int
    """Rows."""

    D: int
    """Features."""

    K: int
    """Classes."""

    itemsize: int
    """Bytes of a number that is computed with."""

    narrow: bool
    """Whether weights are stored in half precision: their tiles are converted."""

    memory: int
    """Bytes that there are for buffers."""

    flops: int = _FLOPS
    """The most of one product."""


@dataclass(frozen=True)
class Plan:
    """How many rows of logits there are at a time, and how many classes of a product."""

    chunk: int
    """Rows whose logits are stored at a time."""

    tile: int
    """Classes that one product covers."""

    @classmethod
    def of(cls, size: Size, *, buffers: int, light: bool = False) -> Plan:
        """Share the memory between the given number of buffers of logits and the rest.

        `light` says that the formulas need no temporaries.
        """
        N, D, K, itemsize, narrow, memory, flops = size
        rest = memory // 8 if light else memory // 4  # for formulas and tiles
        fitting = (memory - rest) // (itemsize * (buffers * K + 3 * D))
        chunk = max(1, min(N, fitting))
        if chunk < N:
            step = _STEP if chunk >= _STEP else 1
            number = -(-N // (chunk - chunk % step))
            chunk = -(-N // (number * step)) * step  # chunks of about one size
        tile = flops // (2 * chunk * max(1, D))
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
    def of(cls, size: Size) -> TiledPlan | None:
        """Return the sizes, or None where whole rows of logits are as good."""
        N, D, K, itemsize, narrow, memory, flops = size
        whole = Plan.of(size, buffers=1)
        if whole.chunk >= min(N, FEW_ROWS):
            return None
        fitting = (memory // 4) // (3 * itemsize * max(1, D))
        chunk = min(N, max(_LEAST_ROWS, min(fitting, _MANY_ROWS)))
        tile = min((memory // 2) // (itemsize * chunk), flops // (2 * chunk * max(1, D)), K)
        if narrow:
            tile = min(tile, (memory // 16) // (itemsize * max(1, D)))
        return cls(chunk, min(K, max(_LEAST_CLASSES, tile)))


def block_of(row: int, memory: int, *, compiled: bool, light: bool, chunk: int) -> int:
    """Return how many rows of so many bytes the formulas see at a time.

    Formulas that need no temporaries, the light ones, take the whole chunk. Other kernels have a
    few, and the reference has about twenty, which are to stay in the cache.
    """
    if light:
        return chunk
    return max(1, min(chunk, memory // (32 if compiled else 128) // row))
