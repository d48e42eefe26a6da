"""L-BFGS in a metric close to the Hessian, which is measured anew from time to time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import numpy as np

from softgrad.arrays import Array
from softgrad.learn.curvature import Curvature
from softgrad.learn.objective import Objective
from softgrad.learn.solvers.gap import GapEstimate
from softgrad.learn.solvers.iterate import Iterate, Point
from softgrad.learn.solvers.line_search import search
from softgrad.learn.solvers.preconditioners import Diagonal, Kronecker

__all__ = ["lbfgs"]

_EVERY = 20
"""Steps between two measures of the metric; the first ones are soon out of date."""

_PAIR_BYTES = 2**27
"""What the pairs of steps and changes may take: 4 to 10 of them, the metric does the work."""

_MOST_COLUMNS = 2048
"""Whose Gram matrix is decomposed."""


def lbfgs(objective: Objective, point: Point) -> Iterator[Iterate]:
    """Yield L-BFGS steps; the gap is that of `GapEstimate`."""
    dtype = objective.X.dtype
    most = int(np.clip(_PAIR_BYTES // (2 * dtype.itemsize * point.theta.size), 4, 10))
    pairs: deque[tuple[Array, Array, float]] = deque(maxlen=most)
    gap = GapEstimate(point.value)
    metric, steps = _metric(objective, point), 0
    while True:
        direction = -_product(point.gradient, pairs, metric)
        found = search(objective, point, direction)
        if found is None:
            if not pairs:
                return
            pairs.clear()  # they may be rounding: begin anew from here
            metric = _metric(objective, point)
            continue
        decrement = -0.5 * float(np.vdot(point.gradient, direction))
        step, change = found.theta - point.theta, found.gradient - point.gradient
        bent = float(np.vdot(step, change))
        if bent > 64 * objective.precision * float(np.vdot(change, metric(change))):
            pairs.append((step.astype(dtype), change.astype(dtype), bent))
        point, steps = found, steps + 1
        yield Iterate(point, gap.after(decrement, point.value))
        if steps == 5 or steps % _EVERY == 0:
            metric = _metric(objective, point)


def _metric(objective: Objective, point: Point) -> Callable[[Array], Array]:
    curvature = Curvature(objective, point.theta)
    few = objective.X.shape[1] < _MOST_COLUMNS
    return Kronecker.of(curvature) if few else Diagonal.of(curvature)


def _product(
    gradient: Array,
    pairs: deque[tuple[Array, Array, float]],
    metric: Callable[[Array], Array],
) -> Array:
    """Return the inverse Hessian that the pairs and the metric tell of, times the gradient.

    Nocedal, 1980: the pairs are what is known of it, the metric stands for all else.
    """
    q, shares = gradient.copy(), []
    for step, change, bent in reversed(pairs):
        shares.append(float(np.vdot(step, q)) / bent)
        q -= shares[-1] * change
    q = metric(q)
    if pairs:
        _, change, bent = pairs[-1]
        q *= bent / float(np.vdot(change, metric(change)))
    for (step, change, bent), share in zip(pairs, reversed(shares), strict=True):
        q += (share - float(np.vdot(change, q)) / bent) * step
    return q
