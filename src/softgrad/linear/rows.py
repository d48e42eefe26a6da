"""What the linear maps do with one row: sums that keep their axis, centring, small matrices."""

from __future__ import annotations

from typing import NamedTuple

from softgrad.arithmetic import FirstMax, accurate_sum, at_max, first_max
from softgrad.arrays import Array, indices, namespace

__all__ = ["Peak", "centred", "eye", "mass", "minus_share", "total", "weighted", "without"]


class Peak(NamedTuple):
    """What is known of weights that sum to one before they are there."""

    top: FirstMax
    others: Array  # [..., 1], the sum of all but the first maximum

    @classmethod
    def of(cls, q: Array, known: Peak | None) -> Peak:
        """Return what is known of weights q [..., K], or look for it."""
        if known is not None:
            return known
        top = first_max(q)
        return cls(top, total(without(top, q)))


def total(x: Array) -> Array:
    """Sum over the last axis and keep it: [..., K] to [..., 1]."""
    return accurate_sum(x)[..., None]


def mass(q: Array, known: Peak | None = None) -> Array | float:
    """Sum weights over the last axis; 1 for a row without any, which divides nothing by zero."""
    if known is not None:
        return 1.0
    xp = namespace(q)
    q_total = total(q)
    return xp.where(q_total == 0, xp.ones_like(q_total), q_total)


def weighted(q: Array, v: Array) -> Array:
    """Multiply, with 0·anything = 0: what has no weight has no say, were it infinite or NaN."""
    xp = namespace(q, v)
    return xp.where(q == 0, xp.zeros_like(q), q * v)


def centred(q: Array, v: Array, known: Peak | None = None) -> Array:
    """Return v minus its entry at the largest q."""
    return v - at_max(first_max(q) if known is None else known.top, v)


def minus_share(y: Array, p: Array, peak: Peak, y_total: Array, y_others: Array) -> Array:
    """Return y − p·Σy [..., K], for the sum of y and the sum of all but its entry at p's peak."""
    # There y − p·Σy = y·(1 − p) − p·(Σy − y), and both differences are sums of their own.
    at_peak = y * peak.others - p * y_others
    return namespace(y).where(peak.top.here, at_peak, y - p * y_total)


def without(top: FirstMax, x: Array) -> Array:
    """Put 0 where the first maximum stands."""
    xp = namespace(x)
    return xp.where(top.here, xp.zeros_like(x), x)


def eye(x: Array, rows: slice = slice(None)) -> Array:
    """Return rows of the K×K mask of the diagonal beside x [..., K]."""  # [R, K]
    index = indices(x)
    return index[rows, None] == index[None, :]
