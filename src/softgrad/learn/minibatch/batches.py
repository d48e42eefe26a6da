"""Where mini-batches come from: rows in memory, or whatever else has epochs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from softgrad.arrays import Array
from softgrad.heads.plan import cuts
from softgrad.learn.linear_loss import MEMORY
from softgrad.learn.stored_rows import StoredRows

__all__ = ["Batch", "Batches", "Scattered", "Shuffled", "shuffled"]

_PIECE = 2**18
"""Bytes of rows that are read together: a disk is as fast as it gets, and many fit the memory."""


class Batch(NamedTuple):
    """Some rows, in the dtype of the parameters."""

    X: Any  # [n, D], dense or CSR
    y: Array  # class indices [n]
    weights: Array  # [n]; the mean over all batches is 1


class Batches(Protocol):
    """All rows, a mini-batch at a time."""

    def epoch(self, rng: np.random.Generator) -> Iterator[Batch]:
        """Go through all rows once, in an order that is drawn from the generator alone.

        The same numbers of the generator bring the same batches: what was broken off in the middle
        of an epoch can then go on there.
        """


@dataclass(frozen=True, eq=False)
class Shuffled:
    """Rows in memory, in a new order every epoch."""

    rows: Batch
    size: int
    """The most rows of a mini-batch; all of an epoch are of one size, or one less."""

    def epoch(self, rng: np.random.Generator) -> Iterator[Batch]:
        N = len(self.rows.y)
        if self.size >= N:
            yield self.rows
            return
        for ids in np.array_split(rng.permutation(N), -(-N // self.size)):
            yield Batch(*(part[ids] for part in self.rows))


@dataclass(frozen=True, eq=False)
class Scattered:
    """Rows in a file, in a new order every epoch, as well as can be without reading row by row.

    Pieces of the file are drawn at random until the memory is full of them; their rows are shuffled
    and cut into mini-batches, and the next pieces are drawn.
    """

    rows: Batch
    """X is StoredRows."""

    size: int
    """The most rows of a mini-batch."""

    memory: int = MEMORY // 2
    """Bytes of the rows that are shuffled together."""

    def epoch(self, rng: np.random.Generator) -> Iterator[Batch]:
        pieces = list(cuts(len(self.rows.y), max(1, _PIECE // self.rows.X.row_bytes)))
        drawn = rng.permutation(len(pieces))
        for some in cuts(len(drawn), max(1, self.memory // _PIECE)):
            places = [pieces[i] for i in drawn[some]]
            buffer = [_joined(part, places) for part in self.rows]
            N = len(buffer[1])
            for ids in np.array_split(rng.permutation(N), -(-N // self.size)):
                yield Batch(*(part[ids] for part in buffer))


def shuffled(rows: Batch, size: int) -> Batches:
    """Return the mini-batches of rows, wherever they are."""
    return (Scattered if isinstance(rows.X, StoredRows) else Shuffled)(rows, size)


def _joined(part: Any, places: Sequence[slice]) -> Array:
    """Return pieces of rows in one array; each leaves the memory as the next one is read."""
    first, N = 0, sum(place.stop - place.start for place in places)
    joined = np.empty((N, *part.shape[1:]), part.dtype)
    for place in places:
        n = place.stop - place.start
        joined[first : first + n] = part[place]
        first += n
    return joined
