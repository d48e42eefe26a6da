"""The temperature T at which softmax(z / T) fits rows best: one number, so Newton in one dimension.

The loss is convex in 1/T, hence falls and then rises in t = log T. With g = p − y and J the
derivative of softmax, both at z/T, its derivatives in s = 1/T are ⟨g, z⟩ and ⟨z, J z⟩.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from softgrad.arrays import Array
from softgrad.losses import CrossEntropy

__all__ = ["BOUNDS", "Slopes", "best_temperature", "slopes"]

BOUNDS = (1 / 64, 64.0)
"""Where T is looked for: rows that are all right want T = 0, useless logits an infinite one."""

_TOLERANCE = 1e-10
_STEPS = 100


class Slopes(NamedTuple):
    """The loss's first and second derivative in log T, times the weights' sum."""

    first: float
    second: float


def slopes(z: Array, y: Array, weights: Array, T: float) -> Slopes:
    """Return what rows of logits [n, K] add to the derivatives at T."""
    z = z.astype(np.float64)
    loss = CrossEntropy(reduction="sum")
    _, g = loss.value_and_gradient(z / T, y, row_weights=weights)
    bent = loss.hessian(z / T, y, row_weights=weights).mv(z)
    # In t: ds/dt = −s and d²s/dt² = s.
    slope, curvature = float(np.vdot(g, z)) / T, float(np.vdot(z, bent)) / T**2
    return Slopes(-slope, curvature + slope)


def best_temperature(slopes_at: Callable[[float], Slopes]) -> float:
    """Return T where the loss is least, or the bound beyond which it still falls."""
    low, high = map(math.log, BOUNDS)
    t, here = 0.0, slopes_at(1.0)
    bound = BOUNDS[0] if here.first > 0 else BOUNDS[1]
    if here.first != 0 and slopes_at(bound).first * here.first >= 0:
        return bound
    for _ in range(_STEPS):
        low, high = (t, high) if here.first < 0 else (low, t)
        step = -here.first / here.second if here.second > 0 else math.inf
        if here.first == 0 or abs(step) <= _TOLERANCE:
            break
        # A step out of what is left, or where the loss is not convex in t, is a bisection.
        t = t + step if low < t + step < high else (low + high) / 2
        here = slopes_at(math.exp(t))
    return math.exp(t)
