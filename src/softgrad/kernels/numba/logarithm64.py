"""log(1 + r) for r ≥ 0 in float64, without a branch: rows beside each other share one instruction.

1 + r = 2^k·(1 + n) with 1 + n in [√½, √2), and log(1 + n) = 2·artanh(z), z = n/(2 + n). For k = 0
that n is r itself, so that no digit of a small r is lost. The error is at most 1.5 ulp.
"""

from __future__ import annotations

from softgrad.kernels.numba.instructions import either, exponent_of, fma, inlined

__all__ = ["log1p"]

LOG2_HIGH, LOG2_LOW = 0.693147180559663, 2.8235290563031577e-13

C0, C1, C2, C3 = 0.6666666666666666, 0.40000000000000885, 0.28571428570799784, 0.22222222392581262
C4, C5, C6, C7 = 0.18181795547497948, 0.15386244738881708, 0.13268638335555463, 0.1308803520312611
"""(2·artanh(z) − 2z)/z³ as a polynomial in z², of relative error 0.0003 u in the logarithm."""


@inlined
def log1p(r):
    """Return log(1 + r)."""
    s = 1.0 + r
    k, scale = exponent_of(s)
    lost = either(s > 2.0**60, 0.0, r - (s - 1.0))  # what 1 + r rounded off
    n = either(k == 0.0, r, (s * scale - 1.0) + lost * scale)
    z = n / (2.0 + n)
    w = z * z
    high = fma(fma(fma(w, C7, C6), w, C5), w, C4)
    tail = fma(fma(fma(fma(high, w, C3), w, C2), w, C1), w, C0)
    log_n = fma(z * w, tail, 2.0 * z)
    return fma(k, LOG2_HIGH, fma(k, LOG2_LOW, log_n))
