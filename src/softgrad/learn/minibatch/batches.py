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
from softgrad.learn.team import ALONE, AbstractTeam, Share

__all__ = ["Batch", "Batches", "Scattered", "Shuffled", "shuffled"]

_PIECE = 2**18
"""Bytes of rows that are read together: a disk is as fast as it gets, and many fit the memory."""


class Batch(NamedTuple):
    """Some rows, in the dtype of the parameters."""

    X: Any  # [n, D], dense or CSR
    y: Array  # class indices [n]
    weights: Array  # [n]; the mean over all batches is 1
    everywhere: int | None = None
    """How many rows it has in all processes; None where there is one process."""

    @property
    def rows(self) -> int:
        """How many rows it has, those of other processes too."""
        return len(self.y) if self.everywhere is None else self.everywhere

    def taken(self, ids: Array, everywhere: int | None = None) -> Batch:
        """Return the rows of given indices, or a slice."""
        return Batch(self.X[ids], self.y[ids], self.weights[ids], everywhere)


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

    share: Share | None = None
    """Which of all rows these are; None for all."""

    def epoch(self, rng: np.random.Generator) -> Iterator[Batch]:
        share = self.share or Share(0, len(self.rows.y))
        if self.size >= share.N:
            yield self.rows._replace(everywhere=share.N)
            return
        for ids in np.array_split(rng.permutation(share.N), -(-share.N // self.size)):
            own = ids - share.first
            own = own[(own >= 0) & (own < len(self.rows.y))]
            yield self.rows.taken(own, len(ids))


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

    share: Share | None = None
    """Which of all rows these are; None for all."""

    piece: int | None = None
    """Rows of a piece; None for what is as large as a disk likes."""

    def epoch(self, rng: np.random.Generator) -> Iterator[Batch]:
        n = len(self.rows.y)
        share = self.share or Share(0, n)
        pieces = list(cuts(share.N, self.piece or _piece(self.rows)))
        drawn = rng.permutation(len(pieces))
        for some in cuts(len(drawn), max(1, self.memory // _PIECE)):
            places = [pieces[i] for i in drawn[some]]
            numbers = np.concatenate([np.r_[place] for place in places]) - share.first
            own = (numbers >= 0) & (numbers < n)
            row = np.cumsum(own) - 1  # in the buffer, of those that are here
            here = [
                slice(*np.clip([p.start - share.first, p.stop - share.first], 0, n)) for p in places
            ]
            X, y, weights = (_joined(part, here) for part in self.rows[:3])
            buffer, N = Batch(X, y, weights), len(numbers)
            for ids in np.array_split(rng.permutation(N), -(-N // self.size)):
                yield buffer.taken(row[ids[own[ids]]], len(ids))


def shuffled(rows: Batch, size: int, team: AbstractTeam = ALONE) -> Batches:
    """Return the mini-batches of rows, wherever they are; all processes draw the same."""
    share = team.share(len(rows.y))
    if not isinstance(rows.X, StoredRows):
        return Shuffled(rows, size, share)
    piece = min(team.numbers(_piece(rows)))
    return Scattered(rows, size, share=share, piece=piece)


def _piece(rows: Batch) -> int:
    """Return how many rows are read together."""
    return max(1, _PIECE // int(rows.X.row_bytes))


def _joined(part: Any, places: Sequence[slice]) -> Array:
    """Return pieces of rows in one array; each leaves the memory as the next one is read."""
    first, N = 0, sum(place.stop - place.start for place in places)
    joined = np.empty((N, *part.shape[1:]), part.dtype)
    for place in places:
        n = place.stop - place.start
        joined[first : first + n] = part[place]
        first += n
    return joined
