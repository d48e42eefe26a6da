"""Fenchel–Young losses, as optax names them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from softgrad.arrays import Array
from softgrad.jax.losses.arguments import floating
from softgrad.losses import FenchelYoung
from softgrad.maps import sparsemax

__all__ = ["make_fenchel_young_loss", "multiclass_sparsemax_loss", "sparsemax_loss"]

_of_each = FenchelYoung(map=sparsemax, reduction="none")


def sparsemax_loss(logits: Any, labels: Any) -> Array:
    """Return the loss of two classes whose map is a clipped line, as `optax.sparsemax_loss` does.

    Parameters
    ----------
    logits : array, floating-point
    labels : array that broadcasts with `logits`
        0 or 1.

    Examples
    --------
    >>> sparsemax_loss(jnp.array([2.0, 0.0, -2.0]), jnp.array([1, 1, 1]))
    Array([0.  , 0.25, 2.  ], dtype=float32)
    """
    x = floating("logits", logits)
    x = jnp.where(jnp.asarray(labels) != 0, -x, x)
    inside = (jnp.clip(x, -1, 1) + 1) ** 2 / 4
    return jnp.where(x >= 1, x, inside)  # at 1 the slope of the clipped one would be halved


def multiclass_sparsemax_loss(scores: Any, labels: Any) -> Array:
    """Return the Fenchel–Young loss of sparsemax of every row, as optax's function does.

    Parameters
    ----------
    scores : array [..., K], floating-point
    labels : integer array [...]

    Derivative
    ----------
    In `scores` sparsemax(x) − t, to second order.

    Examples
    --------
    >>> multiclass_sparsemax_loss(jnp.array([[1.0, 0.8, -1.0]]), jnp.array([0])).round(4)
    Array([0.16], dtype=float32)
    """
    return _of_each(floating("scores", scores), jnp.asarray(labels))


def make_fenchel_young_loss(max_fun: Callable[..., Any]) -> Callable[..., Any]:
    """Return the loss max_fun(x) − ⟨t, x⟩ of rows x and t, as optax's function of this name does.

    `max_fun` takes one row [K] to a number: `softgrad.logsumexp`, or any other.

    Examples
    --------
    >>> import softgrad as sg
    >>> loss = make_fenchel_young_loss(sg.logsumexp)
    >>> loss(jnp.array([2.0, 1.0, 0.0]), jnp.array([1.0, 0.0, 0.0])).round(4)
    Array(0.4076, dtype=float32)
    """
    of_rows = jnp.vectorize(max_fun, signature="(n)->()")
    dot = jnp.vectorize(jnp.vdot, signature="(n),(n)->()")

    def fenchel_young_loss(scores: Any, targets: Any, *args: Any, **kwargs: Any) -> Array:
        return of_rows(scores, *args, **kwargs) - dot(targets, scores)

    return fenchel_young_loss
