"""Rows X [n, D], dense or CSR, under theta [K, D+1]: weights, and the intercept as last column."""

from __future__ import annotations

from typing import Any

import numpy as np

from softgrad.arrays import Array

__all__ = ["complements", "gram", "is_sparse", "logits", "pulled", "with_ones"]


def is_sparse(X: Any) -> bool:
    """Tell a matrix of SciPy's from an array, and from rows in a file."""
    return hasattr(X, "tocsr")


def logits(X: Any, theta: Array) -> Array:
    """Return X Wᵀ + b in X's dtype."""  # [n, K]
    theta = theta.astype(X.dtype, copy=False)
    z: Array = X @ theta[:, :-1].T
    z += theta[:, -1]
    return np.ascontiguousarray(z)


def pulled(z_bar: Array, X: Any) -> Array:
    """Return what z_bar [n, K] is in theta: z_barᵀ X, and the sums of its columns."""  # [K, D+1]
    theta_bar = np.empty((z_bar.shape[1], X.shape[1] + 1))
    theta_bar[:, :-1] = z_bar.T @ X
    theta_bar[:, -1] = z_bar.sum(axis=0, dtype=np.float64)
    return theta_bar


def with_ones(X: Any) -> Array:
    """Return the rows as dense float64, with the intercept's 1 behind each."""  # [n, D+1]
    A = np.ones((X.shape[0], X.shape[1] + 1))
    A[:, :-1] = X.toarray() if is_sparse(X) else X
    return A


def gram(A: Array, weights: Array) -> Array:
    """Return Aᵀ diag(weights) A for A [n, D+1] and weights that are not negative."""
    half = A * np.sqrt(weights)[:, None]
    return half.T @ half  # NumPy sees the symmetry, and has the BLAS compute half of it


def complements(p: Array) -> Array:
    """Return 1 − p of probabilities [n, K] in float64, with all digits where p is close to 1."""
    rest = 1 - p.astype(np.float64)
    rows, top = np.arange(len(p)), p.argmax(axis=1)
    others = p.astype(np.float64)
    others[rows, top] = 0
    rest[rows, top] = others.sum(axis=1)
    return rest
