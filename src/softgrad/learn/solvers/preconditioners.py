"""What stands in for the Hessian: close enough to solve with, and cheap to invert.

Each takes a gradient [K, D+1] to a direction [K, D+1], and is symmetric and positive.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from softgrad.arrays import Array
from softgrad.learn.affine import gram, is_sparse, pulled, with_ones
from softgrad.learn.curvature import Chunk, Curvature
from softgrad.learn.solvers.factor import inverse_half

__all__ = ["ClassBlocks", "Diagonal", "Kronecker"]

_COUPLED = 1024
"""The most classes whose K × K matrix is decomposed; of more, each is on its own."""

_UNCERTAIN = 1e-2
"""Rows whose curvature is a smaller share of the largest give a class's block their diagonal alone.

Without it columns that only such rows have would have no curvature, and a step in them no end.
"""


@dataclass(frozen=True, eq=False)
class Kronecker:
    """C ⊗ G + λ: how classes differ, times how columns do.

    G is the Gram matrix of rows weighted by Σ_k p_k(1 − p_k), C the mean of diag p − p pᵀ with the
    same total. At theta = 0 that is the Hessian; Böhning's bound (1992) is ½(I − 1/K) ⊗ G there.
    One decomposition of each inverts the sum with the penalty, which the intercept does not have.
    """

    Q: Array | None  # [K, K]; None for the unit matrix
    V: Array  # [D+1, D+1]
    scale: Array  # [K, D+1]

    @classmethod
    def of(cls, curvature: Curvature) -> Kronecker:
        """Measure C and G on as many rows as they need, evenly spread."""
        f = curvature.objective
        K, D1 = f.classes, f.X.shape[1] + 1
        thinned = Curvature(f.thinned(16 * (min(K, _COUPLED) + D1)), curvature.theta)

        def part(chunk: Chunk) -> tuple[Array, Array]:
            v, A = chunk.variances, with_ones(chunk.X)
            C = v.sum(axis=0) if K > _COUPLED else -(chunk.p.T * chunk.weights) @ chunk.p
            return C, gram(A, v.sum(axis=1))

        shape = (K, K) if K <= _COUPLED else (K,)
        C, G = thinned.summed(part, shape, (D1, D1), row_bytes=2 * 8 * D1)
        c, Q = _spectrum(C)
        mu, V = _relative_spectrum(G, f.ridge * f.penalised)
        eigenvalues = c[:, None] * mu + (1 - mu)
        least = 1e-14 * eigenvalues.max()
        return cls(Q, V, np.where(eigenvalues > least, 1 / np.maximum(eigenvalues, least), 0.0))

    def __call__(self, gradient: Array) -> Array:
        turned = gradient if self.Q is None else self.Q.T @ gradient
        turned = (turned @ self.V * self.scale) @ self.V.T
        return _centred(turned if self.Q is None else self.Q @ turned)


@dataclass(frozen=True, eq=False)
class ClassBlocks:
    """The Hessian's blocks on the diagonal: every class by itself."""

    halves: Array  # [K, D+1, D+1]: the inverse of each block's Cholesky factor

    @classmethod
    def of(cls, curvature: Curvature) -> ClassBlocks:
        f = curvature.objective
        K, D1 = f.classes, f.X.shape[1] + 1
        d = np.arange(D1)

        def part(chunk: Chunk) -> tuple[Array]:
            A, variances, blocks = with_ones(chunk.X), chunk.variances, np.empty((K, D1, D1))
            least = _UNCERTAIN * variances.max(axis=0)
            for block, v, u in zip(blocks, variances.T, least, strict=True):
                rows = np.flatnonzero(v > u)
                half = A[rows]
                half *= np.sqrt(v[rows])[:, None]  # in place: fresh memory costs as much again
                np.matmul(half.T, half, out=block)
            A *= A
            blocks[:, d, d] += np.where(variances > least, 0, variances).T @ A
            return (blocks,)

        (blocks,) = curvature.summed(part, (K, D1, D1), row_bytes=2 * 8 * D1)
        blocks += np.diag(f.ridge * f.penalised)
        return cls(np.stack([inverse_half(A) for A in blocks]))

    def __call__(self, gradient: Array) -> Array:
        half = self.halves @ gradient[:, :, None]
        return _centred((self.halves.transpose(0, 2, 1) @ half)[:, :, 0])


@dataclass(frozen=True, eq=False)
class Diagonal:
    """The Hessian's own diagonal, for columns that are too many for a square matrix."""

    scale: Array  # [K, D+1]

    @classmethod
    def of(cls, curvature: Curvature) -> Diagonal:
        f = curvature.objective

        def part(chunk: Chunk) -> tuple[Array]:
            X = chunk.X.astype(np.float64)  # float32 holds no square of 1e20
            squares = X.multiply(X) if is_sparse(X) else X**2
            return (pulled(chunk.variances, squares),)

        row_bytes = 2 * 8 * (1 if is_sparse(f.X) else f.X.shape[1])
        (diagonal,) = curvature.summed(part, curvature.theta.shape, row_bytes=row_bytes)
        diagonal += f.ridge * f.penalised
        return cls(1 / np.where(diagonal > 0, diagonal, 1.0))

    def __call__(self, gradient: Array) -> Array:
        return _centred(gradient * self.scale)


def _centred(direction: Array) -> Array:
    """Take out what all classes have in common: no gradient has it, and no direction needs it."""
    return direction - direction.mean(axis=0)


def _spectrum(C: Array) -> tuple[Array, Array | None]:
    """Return eigenvalues with sum 1 and eigenvectors of the classes' matrix, or of its diagonal."""
    Q = None
    if C.ndim == 2:
        # Its rows sum to 0; so found, the diagonal has all its digits.
        C[np.diag_indices_from(C)] = 0
        C[np.diag_indices_from(C)] = -C.sum(axis=1)
        c, Q = np.linalg.eigh(C)
    else:
        c = C
    total = max(float(c.sum()), np.finfo(float).tiny)
    return np.maximum(c / total, 0), Q


def _relative_spectrum(G: Array, penalty: Array) -> tuple[Array, Array]:
    """Return mu in [0, 1] and V with Vᵀ (G + penalty) V = I and Vᵀ G V = diag mu."""
    R = inverse_half(G + np.diag(penalty))
    mu, U = np.linalg.eigh(R @ G @ R.T)
    return np.clip(mu, 0, 1), R.T @ U
