"""Newton's method whose system is solved by conjugate gradients, as well as is worth it.

There is no trust region: the function is convex, so that the conjugate gradients never meet
negative curvature, and one line search serves all solvers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from softgrad.arrays import Array
from softgrad.learn.curvature import Curvature
from softgrad.learn.objective import Objective
from softgrad.learn.solvers.iterate import Iterate, Memory, Point
from softgrad.learn.solvers.line_search import search
from softgrad.learn.solvers.preconditioners import ClassBlocks

__all__ = ["newton_cg"]

_MOST_PRODUCTS = 250


def newton_cg(objective: Objective, point: Point, _: Memory) -> Iterator[Iterate]:
    """Yield truncated Newton steps; the gap is half the squared Newton decrement.

    The part of it that the truncation leaves out is judged by the preconditioner: a poor one, which
    ends the conjugate gradients too soon, makes it large.
    """
    while True:
        curvature = Curvature(objective, point.theta)
        inverse = ClassBlocks.of(curvature)
        # Far away a rough direction will do; the share falls with the gap, so that the last steps
        # converge faster than any line (Dembo, Eisenstat & Steihaug, 1982).
        gap = max(0.0, 0.5 * float(np.vdot(point.gradient, inverse(point.gradient))))
        share = min(0.3, math.sqrt(gap / point.value)) if point.value > 0 else 0.3
        direction, left = conjugate_gradients(curvature.product, inverse, -point.gradient, share)
        gap = -0.5 * float(np.vdot(point.gradient, direction)) + 0.5 * left
        found = search(objective, point, direction)
        if found is None:
            return
        point = found
        yield Iterate(point, gap)


def conjugate_gradients(
    product: Callable[[Array], Array],
    inverse: Callable[[Array], Array],
    b: Array,
    share: float,
) -> tuple[Array, float]:
    """Return x with H x = b but for a share of b in the preconditioner's norm, and what is left.

    That is the residual's square in the same norm.
    """
    x, r = np.zeros_like(b), b.copy()
    z = inverse(r)
    direction, size = z, float(np.vdot(r, z))
    target = share**2 * size
    for _ in range(_MOST_PRODUCTS):
        if size <= target:
            break
        H_direction = product(direction)
        bent = float(np.vdot(direction, H_direction))
        if not bent > 0:  # rounding alone
            break
        x += size / bent * direction
        r -= size / bent * H_direction
        z = inverse(r)
        size, before = float(np.vdot(r, z)), size
        direction = z + size / before * direction
    return x, size
