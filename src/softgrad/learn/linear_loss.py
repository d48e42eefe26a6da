"""Σ wᵢ CE(W xᵢ + b, yᵢ) over rows, and its gradients; the logits of a chunk are all there are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from softgrad.arrays import Array
from softgrad.heads import LinearCrossEntropy
from softgrad.heads.layer import Gradients
from softgrad.heads.plan import cuts
from softgrad.learn.affine import is_sparse
from softgrad.losses import CrossEntropy

__all__ = ["MEMORY", "in_chunks", "linear_loss", "linear_loss_value"]

MEMORY = 64 * 2**20
"""The bytes that buffers may take."""

_cross_entropy = CrossEntropy(reduction="sum")
_head = LinearCrossEntropy(reduction="sum", memory=MEMORY)


def linear_loss(
    X: Any, W: Array, b: Array, y: Array, weights: Array, *, impl: Any, with_x: bool
) -> tuple[float, Gradients]:
    """Return the loss of a mini-batch X [n, D], dense or CSR, and gradients in W's dtype.

    The head is for so many classes that whole rows of logits are too much: where they are not, its
    checks take longer than its products.
    """
    if is_sparse(X) or _row_bytes(len(W)) * len(y) <= MEMORY:
        options = {"impl": impl, "dtype": W.dtype, "with_x": with_x, "memory": MEMORY}
        return in_chunks(X, W, b, y, weights, **options)
    options = {"row_weights": weights, "impl": impl, "frozen": () if with_x else ("x",)}
    loss, bars = _head.value_and_gradient(X, W, y, b, **options)
    return float(loss), bars


def linear_loss_value(X: Any, W: Array, b: Array, y: Array, weights: Array, *, impl: Any) -> float:
    """Return the loss alone."""
    if not is_sparse(X) and _row_bytes(len(W)) * len(y) > MEMORY:
        return float(_head.value(X, W, y, b, row_weights=weights, impl=impl))
    loss = 0.0
    for rows in cuts(len(y), max(1, MEMORY // _row_bytes(len(W)))):
        z = np.ascontiguousarray(X[rows] @ W.T) + b  # [n, K]
        loss += float(_cross_entropy(z, y[rows], row_weights=weights[rows], impl=impl))
    return loss


def in_chunks(
    X: Any,
    W: Array,
    b: Array,
    y: Array,
    weights: Array,
    *,
    impl: Any,
    memory: int,
    dtype: DTypeLike = np.float64,
    with_x: bool = False,
) -> tuple[float, Gradients]:
    """Return the loss, and its gradients as sums in some dtype; X [n, D] may be CSR."""
    loss, W_bar, b_bar = 0.0, np.zeros(W.shape, dtype), np.zeros(b.shape)
    x_bar = np.empty(X.shape, dtype) if with_x else None
    for rows in cuts(len(y), max(1, memory // _row_bytes(len(W)))):
        x = X[rows]
        z = np.ascontiguousarray(x @ W.T)  # [n, K]
        z += b
        options = {"row_weights": weights[rows], "impl": impl, "out": z}
        part, z_bar = _cross_entropy.value_and_gradient(z, y[rows], **options)
        loss += float(part)
        W_bar += z_bar.T @ x
        b_bar += z_bar.sum(axis=0, dtype=np.float64)
        if x_bar is not None:
            np.matmul(z_bar, W, out=x_bar[rows])
    return loss, Gradients(x_bar, W_bar, b_bar.astype(dtype, copy=False))


def _row_bytes(K: int) -> int:
    """Return what the logits of a row, and what formulas make of them, may take."""
    return 4 * 8 * K
