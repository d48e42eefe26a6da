"""log(1 + r) for an r from 0 to 1, in float32 and float64.

From r = ½ on it is log 2 + log(1 + f) with f = (r − 1)/2, so that |f| ≤ ½ in
log(1 + f) = f − (f²/2 − s(f²/2 + s²P(s²))), s = f/(2 + f), where P is a polynomial of
relative error 0.005 u (Chebyshev interpolation of artanh's series). The error is at most 0.9 ulp.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from softgrad.kernels.numba.instructions import PIECE, SCALAR, fma

__all__ = ["log1p_of_fraction"]

_FLOAT32 = tuple(
    np.float32(c)
    for c in (0.6666666865348816, 0.4000031352043152, 0.28532543778419495, 0.237513422966)
)
_FLOAT64 = (
    0.6666666666666666,
    0.4000000000000794,
    0.28571428567275936,
    0.2222222304835159,
    0.18181737626302938,
    0.15388867805613718,
    0.13209708242059462,
    0.13609030262858499,
)


def log1p_of_fraction(r: float) -> float:
    """Return log(1 + r)."""
    raise NotImplementedError("compiled code only")


@overload(log1p_of_fraction, **SCALAR)
def _log1p_of_fraction(r: Any) -> Any:
    number: Any = np.float32 if r == types.float32 else np.float64
    zero, half, one, two = number(0.0), number(0.5), number(1.0), number(2.0)
    log2 = number(0.6931471805599453)
    log2_low = number(-1.9046542121259336e-09 if number is np.float32 else 2.3190468138462996e-17)
    polynomial = _polynomial_float32 if number is np.float32 else _polynomial_float64

    def formula(r: float) -> float:
        f = (r - one) * half if r >= half else r  # exact
        h = f * f * half
        s = f / (two + f)
        z = s * s
        correction = fma(s, fma(z, polynomial(z), h), log2_low if r >= half else zero)
        return (log2 if r >= half else zero) + (f - (h - correction))

    return formula


def _polynomial_float32(z: float) -> float:
    raise NotImplementedError("compiled code only")


def _polynomial_float64(z: float) -> float:
    raise NotImplementedError("compiled code only")


@overload(_polynomial_float32, **PIECE)
def _of_degree_3(z: Any) -> Any:
    c0, c1, c2, c3 = _FLOAT32
    return lambda z: fma(fma(fma(c3, z, c2), z, c1), z, c0)


@overload(_polynomial_float64, **PIECE)
def _of_degree_7(z: Any) -> Any:
    c0, c1, c2, c3, c4, c5, c6, c7 = _FLOAT64

    def polynomial(z: float) -> float:
        high = fma(fma(fma(c7, z, c6), z, c5), z, c4)
        return fma(fma(fma(fma(high, z, c3), z, c2), z, c1), z, c0)

    return polynomial
