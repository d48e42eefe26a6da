"""Newton's method with the whole Hessian, for few classes and columns."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from softgrad.arrays import Array
from softgrad.learn.affine import gram, with_ones
from softgrad.learn.curvature import Chunk, Curvature
from softgrad.learn.objective import Objective
from softgrad.learn.solvers.factor import factor, solved
from softgrad.learn.solvers.iterate import Iterate, Memory, Point
from softgrad.learn.solvers.line_search import search

__all__ = ["newton", "reduced_hessian"]


def newton(objective: Objective, point: Point, _: Memory) -> Iterator[Iterate]:
    """Yield damped Newton steps; the gap is half the squared Newton decrement."""
    while True:
        direction = np.zeros_like(point.theta)
        L = factor(reduced_hessian(Curvature(objective, point.theta)))
        step = solved(L, point.gradient[:-1].ravel())
        direction[:-1] = -step.reshape(len(direction) - 1, -1)
        direction -= direction.mean(axis=0)
        gap = -0.5 * float(np.vdot(point.gradient, direction))
        found = search(objective, point, direction)
        if found is None:
            return
        point = found
        yield Iterate(point, gap)


def reduced_hessian(curvature: Curvature) -> Array:
    """Return the Hessian as a function of all classes but the last, which stays 0.

    Softmax does not see what all classes have in common, and the penalty is least where they have
    nothing in common, so that ½λ‖W − mean‖² is the penalty of what matters. The result is
    [(K−1)(D+1), (K−1)(D+1)]. Its blocks are Xᵀ diag(w p_k(1 − p_k)) X on the diagonal and
    −Xᵀ diag(w p_k p_l) X beside it: the latter are one product Zᵀ Z, half of which a BLAS computes,
    with Z = √w p ⊗ x of every row.
    """
    f = curvature.objective
    K, D1 = f.classes - 1, f.X.shape[1] + 1

    def part(chunk: Chunk) -> tuple[Array]:
        A, p = with_ones(chunk.X), chunk.p[:, :K]
        Z = (np.sqrt(chunk.weights)[:, None] * p)[:, :, None] * A[:, None, :]  # [n, K−1, D+1]
        Z = Z.reshape(len(A), K * D1)
        H = -(Z.T @ Z).reshape(K, D1, K, D1)
        for k, v in enumerate(chunk.variances[:, :K].T):
            H[k, :, k, :] = gram(A, v)
        return (H,)

    (H,) = curvature.summed(part, (K, D1, K, D1), row_bytes=2 * 8 * K * D1)
    penalty = f.ridge * f.penalised
    d = np.arange(D1)
    H[:, d, :, d] += penalty[:, None, None] * (np.eye(K) - 1 / f.classes)
    return H.reshape(K * D1, K * D1)
