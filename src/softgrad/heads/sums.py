"""Sums [K, D] in the dtype that is computed in, whose result takes no memory beside them."""

from __future__ import annotations

from collections.abc import Iterator

from softgrad.arrays import Array, namespace
from softgrad.heads.layer import LinearLayer

__all__ = ["WeightSums"]

_ALIGNED = 8
"""Classes: the rows that a product has of the rest begin at a multiple of 16 bytes."""

_BLOCK = 2**20
"""Numbers that are copied when the first of them are shortened."""


class WeightSums:
    """What becomes W_bar.

    In half precision the result is half as long as the sums. They stand in two pieces of memory
    then, of which the first becomes the result, and the second is free.
    """

    def __init__(self, layer: LinearLayer) -> None:
        self.shape, self.dtype = tuple(layer.W.shape), layer.W.dtype
        K, D = self.shape
        self.shortened = layer.itemsize == 2 * self.dtype.itemsize
        half = -(-K // (2 * _ALIGNED)) * _ALIGNED
        first = min(half, K) if self.shortened else K
        self.pieces = [layer.empty((n, D)) for n in (first, K - first)]

    def parts(self, tile: slice) -> Iterator[tuple[slice, Array]]:
        """Yield the sums of a tile's classes, and which of the tile's they are."""
        end = 0
        for piece in self.pieces:
            begin, end = end, end + piece.shape[0]
            first, last = max(tile.start, begin), min(tile.stop, end)
            if first < last:
                here = slice(first - tile.start, last - tile.start)
                yield here, piece[first - begin : last - begin]

    def clear(self) -> None:
        """Begin with zeros."""
        for piece in self.pieces:
            piece[...] = 0

    def result(self) -> Array:
        """Return the sums in W's dtype; they are used up."""
        first, rest = self.pieces
        xp = namespace(first)
        if not self.shortened:
            return xp.astype(first, self.dtype, copy=False)
        K, D = self.shape
        long = xp.reshape(first, (-1,))
        short = long.view(self.dtype)[: K * D]
        count = long.shape[0]
        _shorten(long, short[:count])
        short[count:] = xp.reshape(rest, (-1,))
        return xp.reshape(short, (K, D))


def _shorten(v: Array, out: Array) -> None:
    """Round numbers to `out`, which is half as long and begins where they do.

    All that is written to has been read: from one block to the next, their number doubles.
    """
    count = v.shape[0]
    done = min(_BLOCK, count)
    out[:done] = namespace(v).astype(v[:done], out.dtype)
    while done < count:
        block = slice(done, min(2 * done, count))
        out[block] = v[block]
        done = block.stop
