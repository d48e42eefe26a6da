"""The threshold τ at which rows of the entmax family sum to one: Σ_j [z_j − τ]₊^(1/(α−1)) = 1.

Rows are centred, max z = 0, so that −1 ≤ τ < 0 and entries at or below −1 are never in the support.
Exact for α = 2 (Held, Wolfe & Crowder, 1974) and α = 1.5 (Peters, Niculae & Martins, 2019), by
bisection to the last bit of τ for any other α.
"""

from __future__ import annotations

import math

from softgrad.arithmetic import accurate_sum
from softgrad.arrays import Array, indices, namespace

__all__ = ["threshold"]


def threshold(z: Array, alpha: float) -> Array:
    """Return τ [..., 1] for centred rows z [..., K]."""
    xp = namespace(z)
    if z.shape[-1] == 0:
        return xp.sum(z, axis=-1, keepdims=True)  # zeros on z's device
    z = xp.where(z < -1, xp.zeros_like(z) - 1, z)
    if alpha == 2.0:
        return _linear(z)
    return _quadratic(z) if alpha == 1.5 else _bisected(z, 1 / (alpha - 1))


def _linear(z: Array) -> Array:
    """Solve Σ_{j ∈ support} (z_j − τ) = 1."""
    ordered, size, sums = _sorted_prefixes(z)
    support = _prefix(ordered, 1 + size * ordered > sums)
    return (_sum(support, ordered) - 1) / _count(support, ordered)


def _quadratic(z: Array) -> Array:
    """Solve Σ_{j ∈ support} (z_j − τ)² = 1 by its quadratic formula."""
    xp = namespace(z)
    ordered, size, sums = _sorted_prefixes(z)
    mean = sums / size
    spread = xp.cumulative_sum(ordered * ordered, axis=-1) - sums * mean
    support = _prefix(ordered, mean - _root((1 - spread) / size) < ordered)
    count = _count(support, ordered)
    mean = _sum(support, ordered) / count  # once more, now with accurate sums
    deviation = ordered - mean
    return mean - _root((1 - _sum(support, deviation * deviation)) / count)


def _bisected(z: Array, power: float) -> Array:
    """Halve the interval [−1, −K^(−1/power)] until it is narrower than τ's last bit."""
    xp, classes = namespace(z), z.shape[-1]
    low = xp.zeros_like(z[..., :1]) - 1
    high = low * classes ** (-1 / power)
    mantissa_bits, most_negative_exponent = (24, 149) if z.dtype == xp.float32 else (53, 1074)
    leading_zeros = min(math.log2(classes) / power, most_negative_exponent)
    for _ in range(mantissa_bits + 1 + math.ceil(leading_zeros)):
        middle = (low + high) / 2
        above = z > middle
        terms = xp.where(above, z - middle, xp.zeros_like(z)) ** power
        too_low = accurate_sum(terms)[..., None] >= 1
        low, high = xp.where(too_low, middle, low), xp.where(too_low, high, middle)
    # One Newton step from the solution: automatic differentiation sees how τ moves with z.
    above = z > low
    distance = xp.where(above, z - low, xp.ones_like(z))
    excess = _sum(above, distance**power) - 1
    return low + excess / (power * _sum(above, distance ** (power - 1)))


def _sorted_prefixes(z: Array) -> tuple[Array, Array, Array]:
    """Return z in descending order, and the length and the sum of every prefix."""
    xp = namespace(z)
    ordered = xp.sort(z, axis=-1, descending=True)
    size = xp.astype(indices(z) + 1, z.dtype)
    return ordered, size, xp.cumulative_sum(ordered, axis=-1)


def _prefix(ordered: Array, holds: Array) -> Array:
    """Return the mask of the longest prefix at whose end a condition holds."""
    xp = namespace(ordered)
    last = xp.max(xp.where(holds, indices(ordered), 0 * indices(ordered)), axis=-1, keepdims=True)
    return indices(ordered) <= last


def _sum(support: Array, x: Array) -> Array:
    xp = namespace(x)
    return accurate_sum(xp.where(support, x, xp.zeros_like(x)))[..., None]


def _count(support: Array, x: Array) -> Array:
    xp = namespace(x)
    return xp.sum(xp.astype(support, x.dtype), axis=-1, keepdims=True)


def _root(x: Array) -> Array:
    """Return the square root, and 0 where rounding made its argument negative."""
    xp = namespace(x)
    return xp.sqrt(xp.where(x < 0, xp.zeros_like(x), x))
