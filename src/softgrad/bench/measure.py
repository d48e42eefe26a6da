"""Measure a case: the gate first, then the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from softgrad.bench.exact import TOLERANCE, errors
from softgrad.bench.measurement import Measured, Measurement
from softgrad.bench.timing import Effort, medians
from softgrad.bench.work import Case, Run, UnavailableError, Way

__all__ = ["measure"]


def measure(case: Case, effort: Effort, clock: Callable[[], float] = time.perf_counter) -> Measured:
    """Compare every way with the exact answer, then time those that are right.

    Where one of softgrad's own is wrong, nothing is timed: a ratio to it would say nothing.
    """
    runs: dict[str, Run] = {}
    measurements = [_examine(way, runs) for way in case.ways]
    refused = any(m.wrong and m.role == "ours" for m in measurements)
    seconds, rounds = medians({} if refused else runs, effort, clock)
    timed = tuple(replace(m, seconds=seconds.get(m.way)) for m in measurements)
    verdicts = tuple(verdict for goal in case.goals for verdict in goal.judge(timed))
    return Measured(case.suite, case.shape, rounds, timed, verdicts)


def _examine(way: Way, runs: dict[str, Run]) -> Measurement:
    """Take a way once; add it to the runs if its answer is right."""
    result = Measurement(way.name, way.role, way.library, way.floor, way.work)
    try:
        run = way.prepare()
        answer = run()
        found = None if way.exact is None else errors(answer, way.exact())
    except (UnavailableError, ImportError) as error:
        return replace(result, problem=f"not available: {error}")
    except Exception as error:  # what a peer raises says something of the peer alone
        problem = f"{type(error).__name__}: {error}"
        return replace(result, problem=_one_line(problem), wrong=True)
    if found is None:
        runs[way.name] = run
        return result
    result = replace(result, error=found.largest, confident_error=found.confident)
    if found.passes(way.role):
        runs[way.name] = run
        return result
    return replace(result, problem=f"wrong by more than {TOLERANCE:g}, not timed", wrong=True)


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 200 else line[:199] + "…"
