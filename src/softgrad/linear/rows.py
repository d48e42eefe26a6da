"""What the linear maps do with one row: sums that keep their axis, centring, small matrices."""

from __future__ import annotations

from softgrad.arithmetic import FirstMax, accurate_sum, first_max
from softgrad.arrays import Array, indices, namespace

__all__ = ["centred", "eye", "mass", "total", "weighted", "without"]


def total(x: Array) -> Array:
    """Sum over the last axis and keep it: [..., K] to [..., 1]."""
    return accurate_sum(x)[..., None]


def mass(q: Array) -> Array:
    """Sum weights over the last axis; 1 for a row without any, which divides nothing by zero."""
    xp = namespace(q)
    q_total = total(q)
    return xp.where(q_total == 0, xp.ones_like(q_total), q_total)


def weighted(q: Array, v: Array) -> Array:
    """Multiply, with 0·anything = 0: what has no weight has no say, were it infinite or NaN."""
    xp = namespace(q, v)
    return xp.where(q == 0, xp.zeros_like(q), q * v)


def centred(q: Array, v: Array) -> Array:
    """Return v minus its entry at the largest q."""
    xp = namespace(q, v)
    anchor = xp.sum(xp.where(first_max(q).here, v, xp.zeros_like(v)), axis=-1, keepdims=True)
    return v - anchor


def without(top: FirstMax, x: Array) -> Array:
    """Put 0 where the first maximum stands."""
    xp = namespace(x)
    return xp.where(top.here, xp.zeros_like(x), x)


def eye(x: Array) -> Array:
    """Return the K×K mask of the diagonal beside x [..., K]."""  # [K, K]
    index = indices(x)
    return index[:, None] == index[None, :]
