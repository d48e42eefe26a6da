"""The one loop that stops solvers, and certifies where they stopped."""

from __future__ import annotations

from collections.abc import Callable

from softgrad.arrays import Array
from softgrad.learn.objective import Objective
from softgrad.learn.solvers.certificate import balanced, certified_gap, least_gap
from softgrad.learn.solvers.choice import SOLVERS
from softgrad.learn.solvers.iterate import Point, Settings, Solution, Step
from softgrad.learn.solvers.line_search import rounding

__all__ = ["solve"]

_PATIENCE = 8
"""Steps in a row that may bring nothing that is more than rounding."""

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
) -> Solution:
    """Run a solver until its estimate of f − f* is at most tol·f, and bound what is left.

    `watch` hears of every step, and says whether to stop.

    Where nothing more is gained it ends as well. It has converged then if the estimate, which is
    made of rounded gradients itself, is not far above a rounding error of f.
    """
    point = Point.of(objective, start - start.mean(axis=0))
    best, idle, done, gap = point.value, 0, 0, 0.0
    for iterate in SOLVERS[name](objective, point):
        (point, gap), done = iterate, done + 1
        if point.value < best - rounding(objective, best):
            best, idle = point.value, 0
        else:
            idle += 1
        stop = watch(Step(done, point.value, gap))
        stop |= idle == _PATIENCE or done == settings.max_iter
        if stop or gap <= settings.tol * point.value:
            break
        if objective.all_right(point.value):
            break
    enough = settings.tol * point.value
    if done < settings.max_iter:
        enough = max(enough, _FAR * rounding(objective, point.value))
    point = _balanced_enough(objective, point, settings.tol)
    bound = max(certified_gap(objective, point), 0.0)
    return Solution(point.theta, point.value, max(done, 1), gap, bound, gap <= enough)


def _balanced_enough(objective: Objective, point: Point, tol: float) -> Point:
    """Return a point whose intercepts do not spoil the bound."""
    for _ in range(_BALANCES):
        bound = certified_gap(objective, point)
        if bound <= max(tol * point.value, 2 * least_gap(objective, point)):
            break
        point = balanced(objective, point)
    return point
