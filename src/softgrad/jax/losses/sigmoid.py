"""Cross-entropies of sigmoid, elementwise, as optax names them."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax.scipy.special import logsumexp

from softgrad.arrays import Array, compute_dtype
from softgrad.jax.losses.arguments import floating, times_log
from softgrad.maps import log_sigmoid

__all__ = ["sigmoid_binary_cross_entropy", "sigmoid_focal_loss"]


def sigmoid_binary_cross_entropy(logits: Any, labels: Any) -> Array:
    """Return −t·log σ(x) − (1 − t)·log σ(−x), as optax's function of this name does.

    Parameters
    ----------
    logits : array, floating-point
    labels : array that broadcasts with `logits`
        From 0 to 1.

    Returns
    -------
    array
        Of the shape that both broadcast to, in the dtype of `logits`.

    Derivative
    ----------
    In `logits` (1 − t)·σ(x) − t·σ(−x), in `labels` −x; in every mode, and to any order.

    Numerics
    --------
    Nothing is subtracted for labels 0 and 1, and infinite logits are right
    (tests/test_jax_losses.py).

    Examples
    --------
    >>> print(sigmoid_binary_cross_entropy(jnp.array([40.0, -40.0]), jnp.array([1.0, 1.0])))
    [4.2483...e-18 4.00000...e+01]
    """
    x, t, dtype = _pair(logits, labels)
    return _cross_entropy(x, t).astype(dtype)


def sigmoid_focal_loss(logits: Any, labels: Any, *, alpha: Any = None, gamma: Any = 2.0) -> Array:
    """Return the cross-entropy times (1 − p_t)^γ, as `optax.sigmoid_focal_loss` does.

    p_t is the probability of the label; with `alpha`, a loss is weighted by α·t + (1 − α)·(1 − t).

    Examples
    --------
    >>> sigmoid_focal_loss(jnp.array([2.0, -1.0]), jnp.array([1.0, 0.0])).round(4)
    Array([0.0018, 0.0227], dtype=float32)
    """
    x, t, dtype = _pair(logits, labels)
    both = jnp.stack([log_sigmoid(x), log_sigmoid(-x)], axis=-1)
    log_others = logsumexp(both, axis=-1, b=jnp.stack([1 - t, t], axis=-1))  # log(1 − p_t)
    loss = _cross_entropy(x, t) * jnp.exp(gamma * log_others)
    if alpha is not None:
        loss = (alpha * t + (1 - alpha) * (1 - t)) * loss
    return loss.astype(dtype)


def _pair(logits: Any, labels: Any) -> tuple[Array, Array, Any]:
    """Return both in the dtype that is computed in, and the dtype of the result."""
    x, t = floating("logits", logits), jnp.asarray(labels)
    shape, dtype = jnp.broadcast_shapes(x.shape, t.shape), compute_dtype(x)
    x, t = (jnp.broadcast_to(v, shape).astype(d) for v, d in ((x, x.dtype), (t, dtype)))
    return x.astype(dtype), t, x.dtype


def _cross_entropy(x: Array, t: Array) -> Array:
    return 0 - times_log(t, log_sigmoid(x)) - times_log(1 - t, log_sigmoid(-x))
