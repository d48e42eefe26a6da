"""log(1 + r) for r ≥ 0 in float64, without a branch: rows beside each other share one instruction.

1 + r = 2^k·(1 + n), and log(1 + n) = 2·artanh(z) with z = n/(2 + n). For r < 1, k is 0 and n is r
itself: no digit of a small r is lost, and nothing cancels against k·log 2. From there on 1 + n lies
in [√½, √2). The error is at most 1.5 ulp.
"""

from __future__ import annotations

from softgrad.kernels.numba.instructions import either, exponent_of, fma, scalar

__all__ = ["log1p"]

LOG2_HIGH, LOG2_LOW = 0.693147180559663, 2.8235290563031577e-13

C0, C1, C2, C3 = 0.6666666666666666, 0.3999999999999952, 0.28571428571601754, 0.22222222198029423
C4, C5, C6, C7 = 0.1818181991105781, 0.15384543492459804, 0.13335188956487942, 0.1173413997606651
C8, C9, C10 = 0.10846306424937481, 0.07487095323377484, 0.1564015228346988
"""(2·artanh(z) − 2z)/z³ as a polynomial in z² ≤ 1/9, of relative error 0.001 u in the logarithm."""


@scalar
def log1p(r):
    """Return log(1 + r)."""
    s = 1.0 + r
    k, scale = exponent_of(s)
    lost = either(s > 2.0**60, 0.0, r - (s - 1.0))  # what 1 + r rounded off
    k = either(r < 1.0, 0.0, k)
    n = either(r < 1.0, r, (s * scale - 1.0) + lost * scale)
    t = 2.0 + n
    z = n / t
    z_low = (fma(-z, t, n) - z * (n - (t - 2.0))) / t  # what the division and 2 + n rounded off
    w = z * z
    high = fma(fma(fma(fma(fma(w, C10, C9), w, C8), w, C7), w, C6), w, C5)
    tail = fma(fma(fma(fma(fma(high, w, C4), w, C3), w, C2), w, C1), w, C0)
    log_n = fma(z * w, tail, 2.0 * z_low) + 2.0 * z
    return fma(k, LOG2_HIGH, fma(k, LOG2_LOW, log_n))
