"""How far f is from its minimum at most: the gap to the dual, at probabilities that it allows.

The derivation stands in docs/design.md, "The free intercept has no part in the bound".
"""

from __future__ import annotations

import numpy as np

from softgrad.arrays import Array
from softgrad.learn.curvature import Chunk, Curvature
from softgrad.learn.objective import Objective
from softgrad.learn.solvers.factor import factor, solved
from softgrad.learn.solvers.iterate import Point
from softgrad.learn.solvers.line_search import search

__all__ = ["balanced", "certified_gap", "least_gap"]

_MOST_CLASSES = 1024
"""Whose K × K matrix is solved with; of more, each is on its own."""


def least_gap(objective: Objective, point: Point) -> float:
    """Return ‖∂f/∂W‖²/2λ: the bound, were the intercepts at their best."""
    if objective.ridge == 0:
        return np.inf
    return float(np.sum(point.gradient[:, :-1] ** 2)) / (2 * objective.ridge)


def certified_gap(objective: Objective, point: Point) -> float:
    """Return what f − f* is at most at a point, but for rounding; infinite without a penalty."""
    ridge, (theta, value, gradient) = objective.ridge, point
    if ridge == 0:
        return np.inf
    W, b = theta[:, :-1], theta[:, -1]
    a, W_bar = gradient[:, -1], gradient[:, :-1]
    sums, masses = objective.class_sums
    t = max(0.0, float(np.max(a / masses)))
    t = t / (1 + t)
    if t == 0:
        return least_gap(objective, point)
    r = np.maximum(masses - a * (1 - t) / t, 0.0)
    A = W_bar - ridge * W
    E = np.outer(r / r.sum(), sums.sum(axis=0)) - (A + sums)
    entropy = value - 0.5 * ridge * np.sum(W**2) - np.vdot(A, W) - np.vdot(a, b)
    mixed = t * (entropy + np.sum(r * np.log(np.where(r > 0, r, 1.0))) - np.vdot(E, W))
    return float(np.sum((W_bar + t * E) ** 2) / (2 * ridge) + np.vdot(a, b) + mixed)


def balanced(objective: Objective, point: Point) -> Point:
    """Return a point whose intercepts are better: a Newton step in them alone."""
    K, direction = objective.classes, np.zeros_like(point.theta)
    a, coupled = point.gradient[:, -1], K <= _MOST_CLASSES

    def part(chunk: Chunk) -> tuple[Array]:
        p, weights, variances = chunk.p, chunk.weights, chunk.variances
        return (-(p.T * weights) @ p if coupled else variances.sum(axis=0),)

    (H,) = Curvature(objective, point.theta).summed(part, (K, K) if coupled else (K,))
    if coupled:
        H[np.diag_indices(K)] = 0  # rows sum to 0; so found, the diagonal has all its digits
        H[np.diag_indices(K)] = -H.sum(axis=1)
        direction[:-1, -1] = -solved(factor(H[:-1, :-1]), a[:-1])
    else:
        direction[:, -1] = -a / np.maximum(H, np.finfo(float).tiny)
    direction[:, -1] -= direction[:, -1].mean()
    return search(objective, point, direction) or point
