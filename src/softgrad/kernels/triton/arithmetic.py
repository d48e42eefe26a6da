"""Numbers that keep their rounding errors, and the exponential and logarithm that rows are made of.

Nothing here is the GPU's own approximation: `exp` there multiplies by log₂e first, which costs a
digit for every power of ten of the argument. Multiplications and additions must not be contracted
to an fma that is not written here, or the error of a product would belong to another product:
kernels are compiled with `enable_fp_fusion=False`.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = [
    "UNIT",
    "capped",
    "exp_of_difference",
    "in_two_parts",
    "inverse_of_sum",
    "log1p",
    "scaled_by",
    "two_diff",
]


UNIT = tl.constexpr(5.421010862427522e-20)
"""2⁻⁶⁴: exponentials are counted in these, so that none is too small to be a normal number."""


@triton.jit
def two_diff(x, m):
    """Return d = fl(x − m) and its error e, for x ≤ m; e is NaN where d is infinite.

    Of x and −m the lesser is the longer, and a sum's error takes two operations where it is known
    which of the terms that is (Dekker, 1971).
    """
    d = x - m
    long, short = tl.minimum(x, -m), tl.maximum(x, -m)
    return d, short - (d - long)


@triton.jit
def exp_of_difference(d, e):
    """Return exp(d + e)/UNIT for d ≤ 0, and 0 below −110. The error is 0.6 ulp.

    exp = 2ⁿ·(1 + r + r²q(r)) with n = round(d·log₂e) and r = d − n·log 2, log 2 in two parts (Cody
    & Waite, 1980) and q the minimax polynomial of relative error 0.05 u on |r| ≤ 0.347.
    """
    t = tl.fma(d, 1.44269504088896340736, 12582976.0)  # 1.5·2²³ + 64 + n: the low bits are 64 + n
    n = t - 12582976.0
    first = tl.fma(n, -0.693145751953125, d)  # exact
    rest = tl.fma(n, -1.4286068203094173e-06, e)
    r = first + rest
    square = r * r
    even = tl.fma(0.0013814476551488042, square, 0.04166839271783829)
    even = tl.fma(even, square, 0.4999999403953552)
    odd = tl.fma(0.0083687799051404, square, 0.1666651964187622)
    q = tl.fma(odd, r, even)
    p = 1.0 + (first + tl.fma(square, q, rest))  # the small terms first
    bits = (t.to(tl.int32, bitcast=True) << 23) + (127 << 23)  # of 2ⁿ⁺⁶⁴
    return tl.where(d < -110.0, 0.0, p * bits.to(tl.float32, bitcast=True))


@triton.jit
def log1p(r):
    """Return log(1 + r) for float64 r ≥ 0: log(s) is off by as much as s − 1 is off from r."""
    s = 1.0 + r
    return tl.where(s == 1.0, r, tl.log(s) * (r / tl.where(s == 1.0, 1.0, s - 1.0)))


@triton.jit
def inverse_of_sum(r):
    """Return UNIT/(1 + r) as high + low, both float32."""
    return in_two_parts((1.0 / (1.0 + r)) * UNIT)


@triton.jit
def scaled_by(high, low, E):
    """Return (high + low)·E, rounded nearly once."""
    return tl.fma(high, E, low * E)


@triton.jit
def in_two_parts(v):
    """Return float64 v as high + low, both float32.

    What multiplies every entry of a row is kept so: its own rounding would move their sum.
    """
    high = v.to(tl.float32)
    rest = v - high.to(tl.float64)
    return high, tl.where(tl.abs(high) < float("inf"), rest, 0.0).to(tl.float32)


@triton.jit
def capped(x, cap):
    """Return c·tanh(x/c) and its slope, to a few u·c and to a few u.

    `/` of float32 would be the GPU's own, which is off by two u and underflows for a large c.
    """
    a = -2.0 * tl.abs(tl.div_rn(x, tl.zeros_like(x) + cap))
    E = exp_of_difference(a, tl.zeros_like(a)) * UNIT
    one = tl.where(a == a, 1.0, a)
    y = cap * tl.div_rn(one - E, one + E)
    return tl.where(x < 0, -y, y), tl.div_rn(4.0 * E, (one + E) * (one + E))
