"""optax's arguments, laid out: any class axes become the last one."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import jax.numpy as jnp

from softgrad.arrays import Array, as_integer, compute_dtype, describe
from softgrad.errors import mismatch

__all__ = ["Axes", "Rows", "floating", "rows_of", "times_log"]

Axes = int | tuple[int, ...] | None


class Rows(NamedTuple):
    """Logits and what stands beside them, in the dtype that is computed in."""

    logits: Array  # [..., K]
    labels: Array | None  # [..., K]
    where: Array | None  # [..., K]
    dtype: Any
    """The dtype of the result."""


def floating(name: str, x: Any) -> Array:
    """Return an array of floats, or raise TypeError."""
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(mismatch(name, "floating-point", describe(x)))
    return x


def rows_of(logits: Any, labels: Any, axis: Axes, where: Any) -> Rows:
    """Move the class axes last and make one of them; None stands for all axes."""
    logits = floating("logits", logits)
    if labels is not None:
        labels = jnp.asarray(labels)
        logits = jnp.broadcast_to(logits, jnp.broadcast_shapes(logits.shape, labels.shape))
    axes = _axes(axis, logits.ndim)
    if where is not None:
        where = jnp.asarray(where)
        if where.ndim != logits.ndim:  # one flag a row
            where = jnp.expand_dims(where, axes)
    x, dtype = _classes_last(logits, axes), compute_dtype(logits)
    t, mask = (
        v if v is None else _classes_last(jnp.broadcast_to(v, logits.shape), axes)
        for v in (labels, where)
    )
    return Rows(x.astype(dtype), t if t is None else t.astype(dtype), mask, logits.dtype)


def times_log(t: Array, log_p: Array) -> Array:
    """Return t·log p with 0·log 0 = 0, which has derivatives in both."""
    is_nothing = (t == 0) & jnp.isneginf(log_p)
    return t * jnp.where(is_nothing, 0, log_p)


def _axes(axis: Axes, ndim: int) -> tuple[int, ...]:
    given = range(ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = [as_integer("axis", a) for a in given]
    if not all(-ndim <= a < ndim for a in axes):
        raise ValueError(mismatch("axis", f"within {ndim} axes", axis))
    axes = [a % ndim for a in axes]
    if len(set(axes)) < len(axes):
        raise ValueError(mismatch("axis", "without an axis that stands twice", axis))
    return tuple(axes)


def _classes_last(x: Array, axes: tuple[int, ...]) -> Array:
    batch = tuple(a for a in range(x.ndim) if a not in axes)
    classes = prod(x.shape[a] for a in axes)
    return x.transpose(*batch, *axes).reshape(*(x.shape[a] for a in batch), classes)
