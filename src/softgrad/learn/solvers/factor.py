"""Cholesky factors of matrices that are positive but for rounding.

They are NumPy's, as the products are. SciPy has a BLAS of its own, whose threads go on looking for
work for some milliseconds after a call and take the cores from those of the next product: on two
cores a fit of the digits took three and a half times as long.
"""

from __future__ import annotations

import numpy as np

from softgrad.arrays import Array

__all__ = ["factor", "inverse_half", "solved"]


def factor(A: Array) -> Array:
    """Return a lower L with L Lᵀ = A, after as little as helps was added to the diagonal.

    What is 0 on the diagonal becomes 1: nothing depends on it. A relative change of the diagonal
    is the same in all units of the columns.
    """
    diagonal = np.diagonal(A)
    empty = diagonal <= 0
    for jitter in (0.0, 1e-14, 1e-12, 1e-10, 1e-8, 1e-6):
        shifted = A.copy()
        shifted[np.diag_indices_from(A)] = np.where(empty, 1.0, diagonal * (1 + jitter))
        try:
            return np.linalg.cholesky(shifted)
        except np.linalg.LinAlgError:
            continue
    # Not a Gram matrix, or one that overflowed: its diagonal alone is better than nothing.
    return np.diag(np.sqrt(np.where(empty, 1.0, diagonal)))


def inverse_half(A: Array) -> Array:
    """Return R with R A Rᵀ = 1; it is scaled first, so that columns may have any units."""
    diagonal = np.diagonal(A)
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    return np.linalg.inv(factor(A / np.outer(scale, scale))) / scale


def solved(L: Array, b: Array) -> Array:
    """Return A⁻¹ b for A = L Lᵀ and a vector b, which wakes no thread."""
    from scipy.linalg import cho_solve

    x: Array = cho_solve((L, True), b, check_finite=False)
    return x
