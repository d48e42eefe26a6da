"""The compiled operations on rows x [..., K], NumPy arrays or PyTorch tensors on the CPU.

Rows are in C order, in float32 or float64, or in half precision, which is computed in float32. A
result goes to `out`, which may be the first argument's own memory and may be of half precision, or
to a new array in the dtype that is computed in; the gradient of a loss to one in x's own.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from softgrad.arrays import Array
from softgrad.kernels.numba import cross_entropy as losses
from softgrad.kernels.numba import entmax, products
from softgrad.kernels.numba import sigmoid as sigmoids
from softgrad.kernels.numba import softmax as maps
from softgrad.kernels.numba.calls import (
    Kernel,
    beta_of,
    empty_like,
    flat,
    memory_of,
    number_of,
    room_for,
    run_rows,
    share,
)

__all__ = [
    "binary_cross_entropy",
    "cross_entropy",
    "cross_entropy_dense",
    "cross_entropy_of_labels",
    "diagonal_minus_outer",
    "diagonal_minus_outer_tangent",
    "entmax15",
    "identity_minus_outer",
    "identity_minus_outer_transpose",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "sigmoid",
    "softmax",
    "softmax_product",
    "sparsemax",
]

DOES_ALL = False
"""Cross-entropy with a soft cap takes array operations beside its kernel."""


def softmax(x: Array, temperature: float = 1.0, out: Array | None = None) -> Array:
    """Return softmax(x/T)."""
    return _map(maps.softmax, (x,), out, (beta_of(x, temperature),))


def softmax_product(
    x: Array, v: Array, temperature: float = 1.0, out: Array | None = None
) -> Array:
    """Return (diag(p) − p pᵀ) v for p = softmax(x/T), in one visit of each row."""
    return _map(maps.softmax_product, (x, v), out, (beta_of(x, temperature),))


def log_softmax(x: Array, temperature: float = 1.0, out: Array | None = None) -> Array:
    """Return log softmax(x/T)."""
    return _map(maps.log_softmax, (x,), out, (beta_of(x, temperature),))


def logsumexp(x: Array) -> Array:
    """Return log Σ exp(x): [...]."""
    values = empty_like(x, x.shape[:-1])
    run_rows(maps.logsumexp, (x,), None, (flat(values), None))
    return values


def diagonal_minus_outer(q: Array, v: Array, out: Array | None = None) -> Array:
    """Return (diag(q) − q qᵀ/(1ᵀq)) v."""
    return _map(products.diagonal_minus_outer, (q, v), out, ())


def diagonal_minus_outer_tangent(
    q: Array, q_dot: Array, v: Array, out: Array | None = None
) -> Array:
    """Return the rate of change of (diag(q) − q qᵀ/(1ᵀq)) v as q moves along q_dot."""
    return _map(products.diagonal_minus_outer_tangent, (q, q_dot, v), out, ())


def identity_minus_outer(p: Array, v: Array, out: Array | None = None) -> Array:
    """Return (I − 1 pᵀ) v."""
    return _map(products.identity_minus_outer, (p, v), out, ())


def identity_minus_outer_transpose(p: Array, y_bar: Array, out: Array | None = None) -> Array:
    """Return (I − p 1ᵀ) y_bar."""
    return _map(products.identity_minus_outer_transpose, (p, y_bar), out, ())


def sparsemax(x: Array, out: Array | None = None) -> Array:
    """Return sparsemax(x)."""
    return _map(entmax.sparsemax, (x,), out, ())


def entmax15(x: Array, out: Array | None = None) -> Array:
    """Return 1.5-entmax(x)."""
    return _map(entmax.entmax15, (x,), out, ())


def sigmoid(x: Array, out: Array | None = None) -> tuple[Array, Array]:
    """Return σ(x) and its slope."""
    return _elementwise(sigmoids.sigmoid, (x,), out, ())


def log_sigmoid(x: Array, out: Array | None = None) -> tuple[Array, Array]:
    """Return log σ(x) and its slope."""
    return _elementwise(sigmoids.log_sigmoid, (x,), out, ())


def binary_cross_entropy(
    x: Array, t: Array, factor: Array, pos_weight: float, out: Array | None = None
) -> tuple[Array, Array]:
    """Return factor times loss of every element, and its gradient."""
    values = empty_like(x, x.shape)
    gradient = room_for(out, (x, t, factor), x.dtype)
    arrays = tuple(map(flat, (x, t, factor)))
    targets, args = (flat(values), flat(gradient)), (float(pos_weight),)
    _run_elementwise(sigmoids.binary_cross_entropy, arrays, targets, args)
    return values, gradient


def cross_entropy(
    x: Array,
    ids: Array,
    masses: Array | None,
    factor: Array,
    *,
    z_loss: float,
    temperature: float,
    with_gradient: bool,
    out: Array | None = None,
    smoothing: float = 0.0,
    class_weights: Array | None = None,
) -> tuple[Array, Array | None]:
    """Return factor times loss [...], and its gradient where that is wanted.

    `ids` and `masses` are [..., k]: the classes of each row that have a target, and the target t,
    which is 1 where masses are None. A smoothing ε makes it (1 − ε)·t, and gives ε/K to all
    classes, times their weights [K] where they have some.
    """
    k, K, number = ids.shape[-1], x.shape[-1], number_of(x)
    picked = np.empty(prod(ids.shape), number)
    masses = np.ones(picked.shape, number) if masses is None else flat(masses)
    kernel, sources = losses.cross_entropy, [x]
    if smoothing:
        t = np.full(K, smoothing / K, number)
        sources.append(t if class_weights is None else t * memory_of(class_weights))
        kernel, masses = losses.cross_entropy_smoothed, (1 - smoothing) * masses
    args = (flat(ids).astype(np.int64, copy=False), masses, picked, k)
    return _loss(kernel, tuple(sources), args, factor, z_loss, temperature, with_gradient, out)


def cross_entropy_of_labels(
    x: Array, labels: Any, factor: float, gradient: Array | None
) -> np.ndarray[Any, Any]:
    """Return factor times loss [N] for labels [N] in NumPy, and write its gradient if it is wanted.

    It is `cross_entropy` with one label and one factor for all rows, without a wait before small
    ones.
    """
    number = number_of(x)
    ones, factors = np.ones(labels.size, number), np.full(labels.size, factor, number)
    picked, values = np.empty((2, labels.size), number)
    args = (labels, ones, picked, 1, factors, values, 0.0, None)
    run_rows(losses.cross_entropy, (x,), gradient, args)
    return values


def cross_entropy_dense(
    x: Array,
    t: Array,
    factor: Array,
    *,
    z_loss: float,
    temperature: float,
    with_gradient: bool,
    out: Array | None = None,
) -> tuple[Array, Array | None]:
    """Return factor times loss [...] for targets t [..., K], and its gradient where wanted."""
    kernel = losses.cross_entropy_dense
    return _loss(kernel, (x, t), (), factor, z_loss, temperature, with_gradient, out)


def _loss(
    kernel: Kernel,
    sources: tuple[Array, ...],
    args: tuple[Any, ...],
    factor: Array,
    z_loss: float,
    temperature: float,
    with_gradient: bool,
    out: Array | None,
) -> tuple[Array, Array | None]:
    x = sources[0]
    values = empty_like(x, x.shape[:-1])
    gradient = room_for(out, sources, x.dtype) if with_gradient else None
    rest = (flat(factor), flat(values), float(z_loss), beta_of(x, temperature))
    run_rows(kernel, sources, gradient, (*args, *rest))
    return values, gradient


def _map(kernel: Kernel, sources: tuple[Array, ...], out: Array | None, args: Any) -> Array:
    out = room_for(out, sources)
    run_rows(kernel, sources, out, args)
    return out


def _elementwise(
    kernel: Kernel, sources: tuple[Array, ...], out: Array | None, args: Any
) -> tuple[Array, Array]:
    """Return the value, in `out` where that is free, and the slope."""
    value, slope = room_for(out, sources), empty_like(sources[0], sources[0].shape)
    _run_elementwise(kernel, tuple(map(flat, sources)), (flat(value), flat(slope)), args)
    return value, slope


def _run_elementwise(kernel: Kernel, sources: Any, targets: Any, args: Any) -> None:
    """Let the threads take the elements."""
    share(lambda first, last: kernel(sources, targets, first, last, args), sources[0].size, 1)
