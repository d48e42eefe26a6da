"""Time ways of doing the same thing, after checking that they do the same."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["Case", "Timing", "measure"]


@dataclass(frozen=True)
class Case:
    """One piece of work, and the ways to do it; each returns an array to compare."""

    name: str
    ways: Mapping[str, Callable[[], np.ndarray]]
    exact: Callable[[], np.ndarray]
    """The answer in float64."""


@dataclass(frozen=True)
class Timing:
    """The median time of one way, and its largest error relative to the largest entry."""

    case: str
    way: str
    seconds: float
    error: float


def measure(case: Case, rounds: int = 15, tolerance: float = 1e-4) -> list[Timing]:
    """Return the timings of all ways, which take turns so that noise meets them alike.

    Raises
    ------
    AssertionError
        A way is wrong: it is not timed.
    """
    exact = case.exact()
    errors = {}
    for way, run in case.ways.items():
        errors[way] = float(np.abs(run() - exact).max() / np.abs(exact).max())
        assert errors[way] <= tolerance, f"{case.name}: {way} is off by {errors[way]:.1e}"
    seconds: dict[str, list[float]] = {way: [] for way in case.ways}
    for _ in range(rounds):
        for way, run in case.ways.items():
            started = time.perf_counter()
            run()
            seconds[way].append(time.perf_counter() - started)
    return [
        Timing(case.name, way, statistics.median(times), errors[way])
        for way, times in seconds.items()
    ]
