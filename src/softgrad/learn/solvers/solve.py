"""The one loop that stops solvers, and certifies where they stopped."""

from __future__ import annotations

from collections.abc import Callable

from softgrad.arrays import Array
from softgrad.learn.checkpoint import Checkpoint
from softgrad.learn.objective import Objective
from softgrad.learn.solvers.certificate import balanced, certified_gap, least_gap
from softgrad.learn.solvers.choice import SOLVERS
from softgrad.learn.solvers.iterate import Point, Settings, Solution, Step
from softgrad.learn.solvers.line_search import rounding
from softgrad.learn.solvers.standing import Standing

__all__ = ["solve"]

_FAR = 1000
"""Times a rounding error of f: what an estimate of rounded gradients may be at the optimum."""

_BALANCES = 3
"""Steps in the intercepts alone, at most, for the bound's sake."""


def solve(
    name: str,
    objective: Objective,
    start: Array,
    settings: Settings,
    watch: Callable[[Step], bool] = lambda step: False,
    checkpoint: Checkpoint | None = None,
) -> Solution:
    """Run a solver until its estimate of f − f* is at most tol·f, and bound what is left.

    `watch` hears of every step, and says whether to stop.

    Where nothing more is gained it ends as well. It has converged then if the estimate, which is
    made of rounded gradients itself, is not far above a rounding error of f. With a checkpoint it
    begins where that one was written.
    """
    kept = None if checkpoint is None else checkpoint.read()
    now = Standing.at(objective, start) if kept is None else Standing.recalled(objective, *kept)
    iterates = SOLVERS[name](objective, now.point, now.memory)
    while not now.ended(settings):
        iterate = next(iterates, None)
        if iterate is None:
            break
        now = now.after(objective, iterate)
        if watch(now.steps[-1]) or objective.all_right(now.point.value):
            break  # what ends a run ends it again, gone on from an earlier checkpoint
        if checkpoint is not None and checkpoint.due():
            checkpoint.write(*now.state())
    enough = settings.tol * now.point.value
    if now.done < settings.max_iter:
        enough = max(enough, _FAR * rounding(objective, now.point.value))
    point = _balanced_enough(objective, now.point, settings.tol)
    bound = max(certified_gap(objective, point), 0.0)
    done, converged = max(now.done, 1), min(now.gap, bound) <= enough
    return Solution(point.theta, point.value, done, now.gap, bound, converged, now.steps)


def _balanced_enough(objective: Objective, point: Point, tol: float) -> Point:
    """Return a point whose intercepts do not spoil the bound."""
    for _ in range(_BALANCES):
        bound = certified_gap(objective, point)
        if bound <= max(tol * point.value, 2 * least_gap(objective, point)):
            break
        point = balanced(objective, point)
    return point
