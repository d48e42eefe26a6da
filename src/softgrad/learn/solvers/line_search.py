"""Backtracking along a direction of descent, which is all that a convex function needs."""

from __future__ import annotations

import numpy as np

from softgrad.arrays import Array
from softgrad.learn.objective import Objective
from softgrad.learn.solvers.iterate import Point

__all__ = ["rounding", "search"]

_SUFFICIENT = 1e-4
"""The share of the slope's promise that a step has to keep (Armijo, 1966)."""


def rounding(objective: Objective, value: float) -> float:
    """Return how large a change of the value may be rounding alone."""
    return 8 * objective.precision * abs(value)


def search(objective: Objective, point: Point, direction: Array) -> Point | None:
    """Return a lower point along the direction, the whole step first; None if there is none.

    Changes that may be rounding are no reason to go back: close to the optimum the gradient is
    still right where the value has no digits left.
    """
    slope = float(np.vdot(point.gradient, direction))
    slack = rounding(objective, point.value)
    t = 1.0
    while t > 1e-12 and slope < 0:
        found = Point.of(objective, point.theta + t * direction)
        change = found.value - point.value
        if change <= _SUFFICIENT * t * slope + slack:
            return found
        # The parabola through what is known has its minimum here; NaN halves the step.
        lowest = -slope * t * t / (2 * (change - t * slope))
        t = min(max(lowest, 0.1 * t), 0.5 * t) if np.isfinite(lowest) else 0.5 * t
    return None
