"""Goals: what a measured case should reach, and whether it does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from softgrad.bench.measurement import Measurement, Verdict, best, named

__all__ = ["FasterThan", "Goal", "LinearCost", "WithinFloor"]


class Goal(ABC):
    """A bound on a ratio of the times of one case."""

    @abstractmethod
    def judge(self, measurements: Sequence[Measurement]) -> list[Verdict]:
        """Return a verdict for each of our ways that the goal is for."""


@dataclass(frozen=True)
class FasterThan(Goal):
    """Our way is `factor` times as fast as the fastest peer."""

    factor: float
    library: str = ""
    """The library that peers must come from; any, if empty."""

    def judge(self, measurements: Sequence[Measurement]) -> list[Verdict]:
        peers = [m for m in measurements if m.role == "peer"]
        peer = best(m for m in peers if m.library == (self.library or m.library))
        name = peer.way if peer else "the best peer"
        if self.library not in ("", name):  # not the best of all
            name = f"{name}, the best of {self.library}"
        goal = f"≥ {self.factor:g} × as fast as {name}"
        verdicts = []
        for ours in _ours(measurements):
            ratio = None if peer is None else peer.over(ours)
            holds = None if ratio is None else ratio >= self.factor
            verdicts.append(Verdict(ours.way, goal, ratio, holds))
        return verdicts


@dataclass(frozen=True)
class WithinFloor(Goal):
    """Our way takes at most `factor` times as long as its floor."""

    factor: float

    def judge(self, measurements: Sequence[Measurement]) -> list[Verdict]:
        verdicts = []
        for ours in _ours(measurements):
            ratio = ours.over(named(measurements, ours.floor))
            holds = None if ratio is None else ratio <= self.factor
            verdicts.append(Verdict(ours.way, f"≤ {self.factor:g} × {ours.floor}", ratio, holds))
        return verdicts


@dataclass(frozen=True)
class LinearCost(Goal):
    """A unit of work takes the same time in all of our ways, within a factor."""

    factor: float

    def judge(self, measurements: Sequence[Measurement]) -> list[Verdict]:
        ours = _ours(measurements)
        costs = [m.seconds / m.work for m in ours if m.seconds is not None]
        ratio = max(costs) / min(costs) if len(costs) == len(ours) > 1 else None
        holds = None if ratio is None else ratio <= self.factor
        goal = f"cost of a unit of work the same within {self.factor:g} ×"
        return [Verdict("softgrad", goal, ratio, holds)]


def _ours(measurements: Sequence[Measurement]) -> list[Measurement]:
    return [m for m in measurements if m.role == "ours"]
