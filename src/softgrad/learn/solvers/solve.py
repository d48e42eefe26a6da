"""The one loop that stops solvers, and certifies where they stopped."""

from __future__ import annotations

import numpy as np

from softgrad.arrays import Array
from softgrad.learn.objective import Objective
from softgrad.learn.solvers.certificate import balanced, certified_gap, least_gap
from softgrad.learn.solvers.choice import SOLVERS
from softgrad.learn.solvers.iterate import Point, Settings, Solution
from softgrad.learn.solvers.line_search import rounding

__all__ = ["solve"]

_PATIENCE = 8
"""Steps in a row that may bring nothing that is more than rounding."""

_BALANCES = 3
"""Steps in the intercepts alone, at most, for the bound's sake."""


def solve(name: str, objective: Objective, start: Array, settings: Settings) -> Solution:
    """Run a solver until its estimate of f − f* is at most tol·f, and bound what is left.

    It has converged as well where rounding hides what is still to gain.
    """
    point = Point.of(objective, start - start.mean(axis=0))
    best, idle, done, gap = point.value, 0, 0, np.inf
    for iterate in SOLVERS[name](objective, point):
        (point, gap), done = iterate, done + 1
        if point.value < best - rounding(objective, best):
            best, idle = point.value, 0
        else:
            idle += 1
        converged = gap <= settings.tol * point.value or idle == _PATIENCE
        if converged or done == settings.max_iter:
            break
    else:  # the solver found no lower point: there is none that rounding would show
        converged = True
    point = _balanced_enough(objective, point, settings.tol)
    bound = max(certified_gap(objective, point), 0.0)
    return Solution(point.theta, point.value, max(done, 1), gap, bound, converged)


def _balanced_enough(objective: Objective, point: Point, tol: float) -> Point:
    """Return a point whose intercepts do not spoil the bound."""
    for _ in range(_BALANCES):
        bound = certified_gap(objective, point)
        if bound <= max(tol * point.value, 2 * least_gap(objective, point)):
            break
        point = balanced(objective, point)
    return point
