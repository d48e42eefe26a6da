"""L-BFGS in a metric close to the Hessian, which is measured anew from time to time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple, TypeAlias

import numpy as np

from softgrad.arrays import Array
from softgrad.learn.curvature import Curvature
from softgrad.learn.objective import Objective
from softgrad.learn.solvers.gap import GapEstimate
from softgrad.learn.solvers.iterate import Iterate, Memory, Point
from softgrad.learn.solvers.line_search import search
from softgrad.learn.solvers.preconditioners import Diagonal, Kronecker

__all__ = ["lbfgs"]

_EVERY = 20
"""Steps between two measures of the metric; the first ones are soon out of date."""

_PAIR_BYTES = 2**27
"""What the pairs of steps and changes may take: 4 to 10 of them, the metric does the work."""

_MOST_COLUMNS = 2048
"""Whose Gram matrix is decomposed."""


Pair: TypeAlias = tuple[Array, Array, float]
"""A step, how the gradient changed over it, and their product."""


def lbfgs(objective: Objective, point: Point, memory: Memory) -> Iterator[Iterate]:
    """Yield L-BFGS steps; the gap is that of `GapEstimate`."""
    dtype = objective.X.dtype
    most = int(np.clip(_PAIR_BYTES // (2 * dtype.itemsize * point.theta.size), 4, 10))
    known = _recalled(memory) if memory else _Known([], GapEstimate([point.value]), point.theta, 0)
    pairs, gap, measured_at, steps = known
    pairs = deque(pairs, maxlen=most)
    metric = _metric(objective, measured_at)
    while True:
        direction = -_product(point.gradient, pairs, metric)
        found = search(objective, point, direction)
        if found is None:
            if not pairs:
                return
            pairs.clear()  # they may be rounding: begin anew from here
            measured_at = point.theta
            metric = _metric(objective, measured_at)
            continue
        decrement = -0.5 * float(np.vdot(point.gradient, direction))
        step, change = found.theta - point.theta, found.gradient - point.gradient
        bent = float(np.vdot(step, change))
        if bent > 64 * objective.precision * float(np.vdot(change, metric(change))):
            pairs.append((step.astype(dtype), change.astype(dtype), bent))
        point, steps = found, steps + 1
        due = steps == 5 or steps % _EVERY == 0
        if due:
            measured_at = point.theta
        left = gap.after(decrement, point.value)
        yield Iterate(point, left, _Known(pairs, gap, measured_at, steps).memory())
        if due:
            metric = _metric(objective, measured_at)


class _Known(NamedTuple):
    """What L-BFGS knows after so many steps."""

    pairs: Collection[Pair]
    gap: GapEstimate
    measured_at: Array
    """Where the metric was measured; to measure it there again gives the same bits."""

    steps: int

    def memory(self) -> Memory:
        """Return it as arrays, of which those of the size of theta are no copies."""
        arrays = {
            "measured_at": self.measured_at,
            "steps": np.asarray(self.steps),
            "values": np.asarray(self.gap.values),
            "decrements": np.asarray(self.gap.decrements),
            "bent": np.array([bent for *_, bent in self.pairs]),
        }
        for i, (step, change, _) in enumerate(self.pairs):
            arrays |= {f"step.{i}": step, f"change.{i}": change}
        return arrays


def _recalled(memory: Memory) -> _Known:
    """Return what `_Known.memory` wrote down."""
    bent = enumerate(memory["bent"].tolist())
    pairs = [(memory[f"step.{i}"], memory[f"change.{i}"], product) for i, product in bent]
    gap = GapEstimate(memory["values"].tolist(), memory["decrements"].tolist())
    return _Known(pairs, gap, memory["measured_at"], int(memory["steps"]))


def _metric(objective: Objective, theta: Array) -> Callable[[Array], Array]:
    curvature = Curvature(objective, theta)
    few = objective.X.shape[1] < _MOST_COLUMNS
    return Kronecker.of(curvature) if few else Diagonal.of(curvature)


def _product(
    gradient: Array,
    pairs: deque[Pair],
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
