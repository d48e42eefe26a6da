"""exp(d + e) for a difference d of at most 0 and its rounding error e.

exp = 2ⁿ·(1 + r + r²q(r)) with n = round(d·log₂e) and r = d − n·log 2, log 2 in two parts (Cody &
Waite, 1980) and q the minimax polynomial of relative error 0.05 u (float32) or 0.03 u (float64) on
|r| ≤ 0.347. The error is at most 0.6 ulp for e = 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from softgrad.kernels.numba.instructions import (
    SCALAR,
    either,
    fma,
    inlined,
    power_of_two,
    scalar,
)

__all__ = ["exp_of_difference", "two_diff"]

_FLOAT32 = {
    "least": np.float32(-110.0),  # exp is 0 there: 2^-158
    "log2e": np.float32(1.44269504088896340736),
    "magic": np.float32(1.5 * 2.0**23),
    "high": np.float32(0.693145751953125),
    "low": np.float32(1.4286068203094173e-06),
    "unscale": np.float32(2.0**-64),
    "one": np.float32(1.0),
    "zero": np.float32(0.0),
    "q": tuple(
        np.float32(c)
        for c in (
            0.4999999403953552,
            0.1666651964187622,
            0.04166839271783829,
            0.0083687799051404,
            0.0013814476551488042,
        )
    ),
}
_FLOAT64 = {
    "least": -760.0,  # 2^-1096
    "log2e": 1.44269504088896340736,
    "magic": 1.5 * 2.0**52,
    "high": 0.693147180559663,
    "low": 2.8235290563031577e-13,
    "unscale": 2.0**-512,
    "one": 1.0,
    "zero": 0.0,
    "q": (
        0.5000000000000011,
        0.1666666666666641,
        0.0416666666665292,
        0.008333333333495608,
        0.0013888888943919828,
        0.00019841269504791644,
        2.4801492765825257e-05,
        2.755758732712731e-06,
        2.763037752464695e-07,
        2.499996766955748e-08,
    ),
}


@scalar
def two_diff(x, m):
    """Return d = fl(x − m) and its error e; e is NaN where d is infinite."""
    d = x - m
    back = d - x
    return d, (x - (d - back)) - (m + back)


def exp_of_difference(d: float, e: float) -> float:
    """Return exp(d + e) for what `two_diff` returns with x ≤ m; 0 for −∞."""
    raise NotImplementedError("compiled code only")


@overload(exp_of_difference, **SCALAR)
def _exp_of_difference(d: Any, e: Any) -> Any:
    constants = _constants(d)
    log2e, magic, one = constants["log2e"], constants["magic"], constants["one"]
    minus_high, minus_low = -constants["high"], -constants["low"]
    unscale, polynomial = constants["unscale"], _polynomial(constants["q"])
    least, zero = constants["least"], constants["zero"]

    def formula(d: float, e: float) -> float:
        far = d < least
        d, e = either(far, least, d), either(far, zero, e)
        t = fma(d, log2e, magic)
        n = t - magic
        first = fma(n, minus_high, d)  # exact
        rest = fma(n, minus_low, e)
        r = first + rest
        square = r * r
        p = one + (first + fma(square, polynomial(r, square), rest))  # the small terms first
        return p * power_of_two(t) * unscale

    return formula


def _constants(x: Any) -> dict[str, Any]:
    return _FLOAT32 if x == types.float32 else _FLOAT64


def _polynomial(coefficients: tuple[Any, ...]) -> Any:
    """Return the compiled polynomial in r with these coefficients, lowest first, given r and r².

    Its even and its odd part are two chains that need not wait for each other.
    """
    even, odd = _horner(coefficients[::2]), _horner(coefficients[1::2])

    def polynomial(r: float, square: float) -> float:
        return fma(odd(square), r, even(square))

    return inlined(polynomial)


def _horner(coefficients: tuple[Any, ...]) -> Any:
    """Return the compiled polynomial with these coefficients, lowest first."""
    if len(coefficients) == 2:
        c0, c1 = coefficients

        def polynomial(x: float) -> float:
            return fma(c1, x, c0)

    elif len(coefficients) == 3:
        c0, c1, c2 = coefficients

        def polynomial(x: float) -> float:
            return fma(fma(c2, x, c1), x, c0)

    else:
        c0, c1, c2, c3, c4 = coefficients

        def polynomial(x: float) -> float:
            return fma(fma(fma(fma(c4, x, c3), x, c2), x, c1), x, c0)

    return inlined(polynomial)
