"""Run the cases, one after the other."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence

from benchmarks.checker.batches import BATCHES, Batch
from benchmarks.checker.cases import Case, right_cases, wrong_cases
from benchmarks.checker.outcome import Outcome
from benchmarks.checker.peers.peer import Peer
from benchmarks.checker.row import Row, row_of
from softgrad.bench.machine import Machine

__all__ = ["QUICK", "run", "sampled"]

QUICK = 41
"""A quick run takes every 41st case, some 200: a prime, so that it meets every dtype."""


def run(
    peers: Sequence[Peer],
    quick: bool = False,
    watch: Callable[[Row], None] = lambda row: None,
    batches: Sequence[Batch] = BATCHES,
) -> Outcome:
    """Ask softgrad and the peers about every case."""
    rows = []
    # Wrong backwards overflow, and that is theirs to do.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in sampled(QUICK if quick else 1, batches):
            rows.append(row_of(case, peers))
            watch(rows[-1])
    return Outcome(Machine.this(), quick, {peer.name: peer.called for peer in peers}, tuple(rows))


def sampled(every: int, batches: Sequence[Batch] = BATCHES) -> Iterator[Case]:
    """Yield every so many-th wrong case, and so of the right ones."""
    yield from _thinned(wrong_cases(batches), every)
    yield from _thinned(right_cases(batches), every)


def _thinned(cases: Iterable[Case], every: int) -> Iterator[Case]:
    return (case for index, case in enumerate(cases) if index % every == 0)
