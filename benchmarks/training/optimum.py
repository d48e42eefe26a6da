"""How long training takes to a given distance from the optimum, beside scikit-learn's solvers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from benchmarks.training.problems import PROBLEMS
from benchmarks.training.watched import Clock, TooSlowError, Watch, fit_peer, fit_softgrad
from softgrad import SoftmaxClassifier
from softgrad.bench.goals import FasterThan
from softgrad.bench.measurement import Measured, Measurement, Role
from softgrad.bench.timing import Effort, medians

__all__ = ["measure"]

_SURE = 1e-4
"""The share of the gap to which the minimum must be known."""

Fit = Callable[[Watch], None]


def measure(
    name: str, clock: Clock = time.perf_counter, seconds: float = 45.0, patience: float = 120.0
) -> Measured:
    """Time every way to the gap: medians of runs that take turns.

    The goal is for what ``solver="auto"`` takes, which is the first way.
    """
    problem = PROBLEMS[name]
    X, y = problem.data()
    best = SoftmaxClassifier(tol=_SURE * problem.gap).fit(X, y).objective_
    watch = partial(Watch, best, problem.gap, clock)
    ways: dict[str, tuple[Role, Fit]] = {}
    for solver in problem.ours:
        ways[f"softgrad {solver}"] = "ours", partial(fit_softgrad, solver, X, y)
    for solver in problem.peers:
        ways[f"scikit-learn {solver}"] = "peer", partial(fit_peer, solver, X, y)
    found = [_tried(way, role, fit, watch(patience)) for way, (role, fit) in ways.items()]
    runs = {m.way: _run(ways[m.way][1], watch) for m in found if not m.problem}
    effort = Effort(seconds=seconds, least=2, most=15, settle=0.02, calls=1)
    times, rounds = medians(runs, effort, clock)
    timed = [replace(m, seconds=times.get(m.way)) for m in found]
    judged = [m for m in timed if m.role == "peer" or m is timed[0]]
    verdicts = tuple(FasterThan(problem.faster).judge(judged))
    return Measured(name, f"{problem.shape}, to {problem.gap:.0e}", rounds, tuple(timed), verdicts)


def _tried(way: str, role: Role, fit: Fit, watch: Watch) -> Measurement:
    """Fit once, untimed, and tell how near it came."""
    library = "softgrad" if role == "ours" else "scikit-learn"
    try:
        fit(watch)
    except TooSlowError as error:
        return Measurement(way, role, library, problem=str(error))
    gap = watch.values[-1] / watch.best - 1
    problem = "" if gap <= watch.gap else f"stopped {gap:.0e} above the minimum"
    return Measurement(way, role, library, work=len(watch.values), error=gap, problem=problem)


def _run(fit: Fit, watch: Callable[[], Watch]) -> Callable[[], tuple[()]]:
    def run() -> tuple[()]:
        fit(watch())
        return ()

    return run
