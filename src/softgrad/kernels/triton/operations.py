"""The operations that have kernels, on rows x [..., K] of CUDA tensors.

They are those of `softgrad.kernels.numba.operations`, by the same names and to the same contracts.
Numbers are float32, or of half precision, which is computed in float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from softgrad.arrays import Array
from softgrad.kernels.triton import cross_entropy as losses
from softgrad.kernels.triton import products
from softgrad.kernels.triton import softmax as maps
from softgrad.kernels.triton.launch import (
    as_rows,
    beta_of,
    in_two_parts,
    launch,
    listed_at_a_time,
    room_for,
)

__all__ = [
    "cross_entropy",
    "cross_entropy_dense",
    "diagonal_minus_outer",
    "diagonal_minus_outer_tangent",
    "identity_minus_outer",
    "identity_minus_outer_transpose",
    "log_softmax",
    "logsumexp",
    "softmax",
    "softmax_product",
]

DOES_ALL = True
"""Cross-entropy with a soft cap is one kernel."""


def softmax(x: Array, temperature: float = 1.0, out: Array | None = None) -> Array:
    """Return softmax(x/T)."""
    return _map(maps.softmax, (x,), out, temperature)


def softmax_product(
    x: Array, v: Array, temperature: float = 1.0, out: Array | None = None
) -> Array:
    """Return (diag(p) − p pᵀ) v for p = softmax(x/T)."""
    return _map(maps.softmax_product, (x, v), out, temperature)


def log_softmax(x: Array, temperature: float = 1.0, out: Array | None = None) -> Array:
    """Return log softmax(x/T)."""
    return _map(maps.log_softmax, (x,), out, temperature)


def logsumexp(x: Array) -> Array:
    """Return log Σ exp(x): [...]."""
    rows, values = as_rows(x), x.new_empty(x.shape[:-1], dtype=torch.float32)
    launch(maps.logsumexp, rows, values, *rows.array.shape)
    return values if x.shape[-1] else values.fill_(-torch.inf)


def diagonal_minus_outer(q: Array, v: Array, out: Array | None = None) -> Array:
    """Return (diag(q) − q qᵀ/(1ᵀq)) v."""
    return _map(products.diagonal_minus_outer, (q, v), out)


def diagonal_minus_outer_tangent(
    q: Array, q_dot: Array, v: Array, out: Array | None = None
) -> Array:
    """Return the rate of change of (diag(q) − q qᵀ/(1ᵀq)) v as q moves along q_dot."""
    return _map(products.diagonal_minus_outer_tangent, (q, q_dot, v), out)


def identity_minus_outer(p: Array, v: Array, out: Array | None = None) -> Array:
    """Return (I − 1 pᵀ) v."""
    return _map(products.identity_minus_outer, (p, v), out)


def identity_minus_outer_transpose(p: Array, y_bar: Array, out: Array | None = None) -> Array:
    """Return (I − p 1ᵀ) y_bar."""
    return _map(products.identity_minus_outer_transpose, (p, y_bar), out)


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
    soft_cap: float | None = None,
    smoothing: float = 0.0,
    class_weights: Array | None = None,
) -> tuple[Array, Array | None]:
    """Return factor times loss [...], and its gradient where that is wanted.

    `ids` and `masses` are [..., k]: the classes of each row that have a target, and the target t,
    which is 1 where masses are None. A smoothing ε of labels makes it (1 − ε)·t, and gives ε/K to
    all classes, times their weights [K] where they have some.
    """
    k, share = ids.shape[-1], smoothing / max(1, x.shape[-1])
    if smoothing:  # a label's own target has its share in it
        own = 1 - smoothing + share
        masses = torch.full_like(ids, own, dtype=torch.float32) if masses is None else masses * own
    ids = ids.contiguous()
    masses = None if masses is None else masses.contiguous()
    fixed = x.new_empty(ids.shape if with_gradient else (0,), dtype=torch.float32)
    class_weights = None if class_weights is None else class_weights.contiguous()
    targets = (ids, masses, fixed, k, class_weights, share)
    constants = {
        "Q": listed_at_a_time(k, x.shape[-1]),
        "ONES": masses is None,
        "SMOOTHED": smoothing != 0,
        "WEIGHTED": class_weights is not None,
    }
    kernel, sources = losses.cross_entropy, (x,)
    settings = (z_loss, temperature, soft_cap)
    return _loss(kernel, sources, targets, factor, settings, with_gradient, out, constants)


def cross_entropy_dense(
    x: Array,
    t: Array,
    factor: Array,
    *,
    z_loss: float,
    temperature: float,
    with_gradient: bool,
    out: Array | None = None,
    soft_cap: float | None = None,
    smoothing: float = 0.0,
    class_weights: Array | None = None,
) -> tuple[Array, Array | None]:
    """Return factor times loss [...] for targets t [..., K], and its gradient where wanted.

    The targets may have any dtype, and become c·((1 − ε)·t + ε/K) for a smoothing ε and class
    weights c [K].
    """
    class_weights = None if class_weights is None else class_weights.contiguous()
    targets = (*as_rows(t), class_weights, 1 - smoothing, smoothing / max(1, x.shape[-1]))
    flags = {"SMOOTHED": smoothing != 0, "WEIGHTED": class_weights is not None}
    kernel, settings = losses.cross_entropy_dense, (z_loss, temperature, soft_cap)
    return _loss(kernel, (x, t), targets, factor, settings, with_gradient, out, flags)


def _loss(
    kernel: Any,
    sources: tuple[Array, ...],
    targets: tuple[Any, ...],
    factor: Array,
    settings: tuple[float, float, float | None],
    with_gradient: bool,
    out: Array | None,
    constants: Mapping[str, int],
) -> tuple[Array, Array | None]:
    x, (z_loss, temperature, soft_cap) = sources[0], settings
    rows, values = as_rows(x), x.new_empty(x.shape[:-1], dtype=torch.float32)
    gradient = room_for(out, sources, x.dtype, shorter=True) if with_gradient else None
    target = rows if gradient is None else as_rows(gradient)
    launch(
        kernel,
        rows,
        *target,
        *targets,
        factor.contiguous(),
        values,
        *rows.array.shape,
        *in_two_parts(z_loss),
        *beta_of(temperature),
        1.0 if soft_cap is None else soft_cap,
        TEMPERED=temperature != 1.0,
        CAPPED=soft_cap is not None,
        GRADIENT=with_gradient,
        ALIASED=target.array.dtype != x.dtype,
        **constants,
    )
    return values, gradient


def _map(
    kernel: Any, sources: tuple[Array, ...], out: Array | None, temperature: float | None = None
) -> Array:
    """Write a function of rows to `out` where that is free, or to float32 of its own."""
    out = room_for(out, sources, torch.float32)
    first, *others = (as_rows(x) for x in sources)
    betas = () if temperature is None else beta_of(temperature)
    flags = {} if temperature is None else {"TEMPERED": temperature != 1.0}
    arguments = [part for rows in (*others, as_rows(out)) for part in rows]
    launch(kernel, first, *arguments, *first.array.shape, *betas, **flags)
    return out
