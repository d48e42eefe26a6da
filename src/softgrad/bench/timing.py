"""Medians of runs that take turns, so that what disturbs the machine disturbs all of them alike."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from softgrad.bench.work import Run

__all__ = ["FULL", "QUICK", "Effort", "medians"]

_SHORT = 0.1
"""Seconds; a run that is shorter notices who had the cores before it."""


@dataclass(frozen=True)
class Effort:
    """How long a case is measured."""

    seconds: float
    """What all rounds together may take, at least `least` of them and at most `most`."""
    least: int
    most: int
    settle: float
    """Seconds that a short run is run for at the begin of its turn, before it is timed.

    Libraries have their own threads, which spin for a while after work and are slow to wake after
    a rest. A way is timed as in a loop of its own, whoever had the turn before.
    """
    calls: int
    """How often a short run is timed in a turn."""

    def rounds(self, one: float) -> int:
        """Return how many rounds of `one` second each are run."""
        return max(self.least, min(self.most, int(self.seconds / max(one, 1e-9))))


FULL = Effort(seconds=15, least=5, most=25, settle=0.02, calls=3)
QUICK = Effort(seconds=0.2, least=3, most=5, settle=0.002, calls=1)


def medians(
    runs: Mapping[str, Run],
    effort: Effort,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[dict[str, float], int]:
    """Return the median seconds of every run, and the number of rounds.

    The first round says how long a round takes, and is not counted. In every round the order is
    another one.
    """
    if not runs:
        return {}, 0
    order, shuffled = list(runs), random.Random(0)
    with _without_garbage_collection():
        started = clock()
        first = {name: _turn(run, 0.0, effort, clock) for name, run in runs.items()}
        rounds = effort.rounds(clock() - started)
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(rounds):
            shuffled.shuffle(order)
            for name in order:
                seconds[name] += _turn(runs[name], first[name][-1], effort, clock)
    return {name: statistics.median(times) for name, times in seconds.items()}, rounds


def _turn(run: Run, expected: float, effort: Effort, clock: Callable[[], float]) -> list[float]:
    """Return the seconds of some calls in a row; of one, where a call is long."""
    if expected >= _SHORT:
        return [_timed(run, clock)]
    warm_until = clock() + effort.settle
    while _timed(run, clock) < _SHORT and clock() < warm_until:
        pass
    return [_timed(run, clock) for _ in range(effort.calls)]


def _timed(run: Run, clock: Callable[[], float]) -> float:
    started = clock()
    answer = run()
    seconds = clock() - started
    del answer  # its memory goes back outside of the time
    return seconds


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
