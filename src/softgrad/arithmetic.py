"""Sums and products that keep their rounding errors, and the arg-max that rows are centred on.

Array-API elementwise operations only, so that the bits of a row depend on nothing but that row.
Sources: Knuth (1969) for TwoSum, Dekker (1971) for TwoProduct, Ogita, Rump & Oishi (2005).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from importlib import import_module
from math import prod
from types import ModuleType
from typing import NamedTuple

import array_api_compat
import numpy as np

from softgrad.arrays import Array, index_dtype, indices, namespace, wider_dtype

__all__ = [
    "FirstMax",
    "Made",
    "accurate_sum",
    "at_max",
    "exp",
    "first_max",
    "is_fused",
    "log1p",
    "total",
    "two_diff",
    "two_inverse",
    "two_product",
    "two_sum",
]


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """Return s = fl(a + b) and the error e with a + b = s + e, exactly."""
    s = a + b
    b_part = s - a
    return s, (a - (s - b_part)) + (b - b_part)


def two_diff(a: Array, b: Array) -> tuple[Array, Array]:
    """Return d = fl(a − b) and the error e with a − b = d + e; e = 0 where d is not finite."""
    xp = namespace(a, b)
    d, e = two_sum(a, -b)
    return d, xp.where(xp.isfinite(d), e, xp.zeros_like(e))


def two_product(a: Array, b: float) -> tuple[Array, Array]:
    """Return p = fl(a·b) and the error e with a·b = p + e, for a number b that `a`'s dtype holds.

    The error is exact unless it underflows; it is 0 where splitting `a` overflows.
    """
    xp = namespace(a)
    mantissa_bits = 24 if a.dtype == xp.float32 else 53
    splitter = 2.0 ** ((mantissa_bits + 1) // 2) + 1.0
    b_array = xp.zeros_like(a) + b
    p = a * b
    a_high, a_low = _split(a, splitter)
    b_high, b_low = _split(b_array, splitter)
    e = a_low * b_low - (((p - a_high * b_high) - a_low * b_high) - a_high * b_low)
    return p, xp.where(xp.isfinite(e), e, xp.zeros_like(e))


def _split(a: Array, splitter: float) -> tuple[Array, Array]:
    """Split a into two numbers of half its mantissa each."""
    scaled = a * splitter
    high = scaled - (scaled - a)
    return high, a - high


class Made(NamedTuple):
    """How an array was made: entry by entry, by f(*arrays) of arrays [..., K] and [..., 1]."""

    f: Callable[..., Array]
    arrays: tuple[Array, ...]


def accurate_sum(x: Array, made: Made | None = None) -> Array:
    """Sum over the last axis with twice the working precision: [..., K] to [...].

    A tree of TwoSums: the error is one rounding of the result plus O(u² log K) of Σ|x|. A library
    that fuses formulas would sooner make x once more, as it was `made`, than keep it.
    """
    xp, own = namespace(x), _own(x)
    if x.shape[-1] == 0:
        return xp.sum(x, axis=-1)
    if own is not None:
        sums: Array = own.accurate_sum(x, made)
        return sums
    high, low = x, xp.zeros_like(x)
    while high.shape[-1] > 1:
        if high.shape[-1] % 2:
            zero = xp.zeros_like(high[..., :1])
            high, low = xp.concat([high, zero], axis=-1), xp.concat([low, zero], axis=-1)
        half = high.shape[-1] // 2
        high, error = two_sum(high[..., :half], high[..., half:])
        low = low[..., :half] + low[..., half:] + error
    total = high + low
    return xp.where(xp.isfinite(low), total, high)[..., 0]  # an overflow has no error term


def two_inverse(t: float, dtype: str) -> tuple[float, float]:
    """Return 1/t as a sum of two numbers of a dtype."""
    inverse = 1 / Fraction(t)
    high = float(np.dtype(dtype).type(float(inverse)))
    return high, float(inverse - Fraction(high))


def total(x: Array, examples: int = 0) -> Array:
    """Sum all entries, those of each example where so many axes in front count examples.

    It is done in float64 for float32 where there is one, else as accurately.
    """
    xp, wide = namespace(x), wider_dtype(x)
    batch = tuple(x.shape[:examples])
    flat = xp.reshape(x, (*batch, prod(x.shape[examples:])))
    if wide is None:
        return accurate_sum(flat)
    return xp.astype(xp.sum(flat, axis=-1, dtype=wide), x.dtype)


def exp(d: Array, e: Array | float = 0.0) -> Array:
    """Return exp(d + e) for an e below d's last bit.

    Libraries' float32 exp is off by up to 2.5 ulp, so it is taken in float64 where there is one.
    """
    xp, wide = namespace(d), wider_dtype(d)
    if wide is None:
        E = xp.exp(d)
        # E·e would underflow before E does; and far below, e < −1 would make 0 a −0.
        return xp.where(E == 0, E, E * (1 + e))
    total = xp.astype(d, wide) + (e if isinstance(e, float) else xp.astype(e, wide))
    return xp.astype(xp.exp(total), d.dtype)


def log1p(x: Array) -> Array:
    """Return log(1 + x), taken in float64 for float32 where there is one."""
    xp, wide, own = namespace(x), wider_dtype(x), _own(x)
    if own is not None:
        return own.log1p(x)
    return xp.log1p(x) if wide is None else xp.astype(xp.log1p(xp.astype(x, wide)), x.dtype)


class FirstMax(NamedTuple):
    """The maximum of each row and where it stands first."""

    value: Array  # [..., 1]
    here: Array  # [..., K], True at one entry a row
    position: Array  # [..., 1]


def first_max(x: Array) -> FirstMax:
    """Find the first maximum of every row; NaN counts as the largest."""
    xp = namespace(x)
    if x.shape[-1] == 0:
        value = xp.sum(x, axis=-1, keepdims=True) - xp.inf  # zeros on x's device
        return FirstMax(value, x == x, xp.astype(value, index_dtype(x)))
    own = _own(x)
    if own is not None:
        found: FirstMax = own.first_max(x)
        return found
    position = xp.argmax(x, axis=-1, keepdims=True)  # [..., 1]
    return FirstMax(xp.max(x, axis=-1, keepdims=True), indices(x) == position, position)


def at_max(top: FirstMax, x: Array) -> Array:
    """Return the entry of rows x [..., K] where the maximum stands: [..., 1]."""
    xp, own = namespace(x), _own(x)
    if own is not None:
        return own.entry(x, top.position)
    return xp.sum(xp.where(top.here, x, xp.zeros_like(x)), axis=-1, keepdims=True)


def is_fused(x: Array) -> bool:
    """Tell whether x's library compiles formulas whole, so that passes over the rows cost most."""
    return _own(x) is not None


def _own(x: Array) -> ModuleType | None:
    """Return how a library does the same that would be slow as one operation after the other."""
    if not array_api_compat.is_jax_array(x):
        return None
    return import_module("softgrad.frameworks.jax.arithmetic")
