"""Sums and maxima as XLA computes them fast: the same contracts as in `softgrad.arithmetic`.

XLA keeps rounding errors that are computed on purpose, unless constants are among the terms. What
it reduces entry by entry is slow, and so is an array of N × K that it keeps in between: new memory
costs more than arithmetic. So rows are folded, and what is summed is made in the loop that sums it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from softgrad.arithmetic import FirstMax, Made, two_sum
from softgrad.arrays import Array, indices

__all__ = ["accurate_sum", "entry", "first_max", "log1p"]

_PARTS = (8, 7, 6, 5, 4)
"""A row is folded into 8 parts, or into so many that each of them has whole vectors; XLA's loops
over a few parts are vector code, over sixteen they are not always."""

_VECTOR, _SHORT = 8, 32
"""The entries of a vector, and of rows that are not folded any more."""

Pair: TypeAlias = tuple[Array, Array]


def accurate_sum(x: Array, made: Made | None = None) -> Array:
    """Sum over the last axis [..., K], in reductions that carry their rounding errors."""
    f, arrays = made or Made(_itself, (x,))
    sums: Array = _sum(f, arrays)
    return sums


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _sum(f: Callable[..., Array], arrays: tuple[Array, ...]) -> Array:
    arrays = lax.optimization_barrier(arrays)  # sums of constants would be folded for seconds

    def with_error(*parts: Array) -> Pair:
        high = f(*parts)
        return high, jnp.zeros_like(high)

    high, low = _folded(with_error, arrays, (0, 0), _add)
    return jnp.where(jnp.isfinite(low), high + low, high)  # an overflow has no error term


@partial(_sum.defjvp)
def _sum_dot(f: Callable[..., Array], primals: Any, tangents: Any) -> Pair:
    """Sum tangents plainly: JAX knows the transpose of that."""
    dots = jax.jvp(f, *primals, *tangents)[1]
    return _sum(f, *primals), jnp.sum(dots, axis=-1)


def _add(a: Pair, b: Pair) -> Pair:
    high, error = two_sum(a[0], b[0])
    return high, a[1] + b[1] + error


def first_max(x: Array) -> FirstMax:
    """Find the first maximum of every row; in a row with NaN the entry may be any."""
    value, position = (part[..., None] for part in _first(x))
    return FirstMax(value, indices(x) == position, position)


@partial(jax.custom_jvp)
def _first(x: Array) -> Pair:
    """Return the maximum of rows [..., K] and its position: XLA's argmax is many times slower."""
    index = jnp.broadcast_to(indices(x), x.shape)
    value, position = _folded(lambda *parts: parts, (x, index), (-jnp.inf, x.shape[-1]), _larger)
    return value, position


@partial(_first.defjvp)
def _first_dot(primals: Any, tangents: Any) -> tuple[Pair, Pair]:
    (x,), (x_dot,) = primals, tangents
    value, position = _first(x)
    still = np.zeros(position.shape, jax.dtypes.float0)
    return (value, position), (entry(x_dot, position[..., None])[..., 0], still)


def _larger(a: Pair, b: Pair) -> Pair:
    value = jnp.maximum(a[0], b[0])  # NaN if either is
    first = jnp.where(b[0] == value, jnp.minimum(a[1], b[1]), a[1])
    return value, jnp.where(a[0] == value, first, b[1])


def entry(x: Array, position: Array) -> Array:
    """Return the entry of every row [..., K] at a position [..., 1]."""
    return jnp.take_along_axis(x, position, axis=-1, mode="clip")


def log1p(x: Array) -> Array:
    """Return log(1 + x) for x ≥ 0, with the rounding error of 1 + x made good."""
    # XLA reassociates sums with constants, so that it must not see that this is one.
    w, e = two_sum(lax.optimization_barrier(jnp.ones_like(x)), x)
    return jnp.where(jnp.isfinite(w), jnp.log(w) + e / w, jnp.log(w))


def _folded(
    f: Callable[..., Pair], arrays: tuple[Array, ...], starts: tuple[float, ...], combine: Any
) -> Pair:
    """Combine the terms f(*arrays) [..., K] to [...], for arrays [..., K] and [..., 1]."""
    K, last = max(x.shape[-1] for x in arrays), arrays[0].ndim - 1
    number = next((n for n in _PARTS if K % (n * _VECTOR) == 0), _PARTS[0])
    part = K // number if K > _SHORT else 0
    terms = f(*(_cut(x, part * number, K) for x in arrays))  # [..., fewer than the parts, or all]
    first = tuple(jnp.asarray(s, t.dtype) for s, t in zip(starts, terms, strict=True))
    if not part:
        high, low = lax.reduce(terms, first, combine, (last,))
        return high, low
    parts = f(*(_in_parts(x, number, part) for x in arrays))  # [..., 8, K/8]
    folded = lax.reduce(parts, first, combine, (last,))
    joined = [jnp.concatenate(both, axis=-1) for both in zip(folded, terms, strict=True)]
    return _folded(lambda *pair: pair, tuple(joined), starts, combine)


def _cut(x: Array, start: int, stop: int) -> Array:
    """Cut entries out of rows [..., K]; an array [..., 1] is beside all of them."""
    return x if x.shape[-1] == 1 else x[..., start:stop]


def _in_parts(x: Array, number: int, length: int) -> Array:
    """Cut the begin of rows [..., K] into parts of a length: [..., number, length]."""
    if x.shape[-1] == 1:
        return x[..., None, :]
    return x[..., : number * length].reshape(*x.shape[:-1], number, length)


def _itself(x: Array) -> Array:
    return x
