"""Sums and maxima as XLA computes them fast: the same contracts as in `softgrad.arithmetic`.

XLA keeps rounding errors that are computed on purpose, unless constants are among the terms.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from softgrad.arithmetic import FirstMax, two_sum
from softgrad.arrays import Array, indices

__all__ = ["accurate_sum", "first_max", "log1p"]


def _sum(x: Array) -> Array:
    """Sum over the last axis [..., K], in one reduction that carries its rounding errors."""
    x = lax.optimization_barrier(x)  # sums of constants would be folded for seconds
    zero = jnp.zeros((), x.dtype)
    terms, start = (x, jnp.zeros_like(x)), (zero, zero)
    high, low = lax.reduce(terms, start, _add, (x.ndim - 1,))
    return jnp.where(jnp.isfinite(low), high + low, high)  # an overflow has no error term


def _sum_dot(primals: Any, tangents: Any) -> tuple[Array, Array]:
    """Sum tangents plainly: JAX knows the transpose of that."""
    (x,), (x_dot,) = primals, tangents
    return accurate_sum(x), jnp.sum(x_dot, axis=-1)


def _add(a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
    high, error = two_sum(a[0], b[0])
    return high, a[1] + b[1] + error


def first_max(x: Array) -> FirstMax:
    """Find the first maximum of every row; in a row with NaN no entry is it."""
    value = jnp.max(x, axis=-1, keepdims=True)
    index, classes = indices(x), x.shape[-1]
    # XLA's argmax is many times slower than these two reductions.
    first = jnp.min(jnp.where(x == value, index, classes), axis=-1, keepdims=True)
    return FirstMax(value, index == first)


def log1p(x: Array) -> Array:
    """Return log(1 + x) for x ≥ 0, with the rounding error of 1 + x made good."""
    # XLA reassociates sums with constants, so that it must not see that this is one.
    w, e = two_sum(lax.optimization_barrier(jnp.ones_like(x)), x)
    return jnp.where(jnp.isfinite(w), jnp.log(w) + e / w, jnp.log(w))


accurate_sum = jax.custom_jvp(_sum)
accurate_sum.defjvp(_sum_dot)
