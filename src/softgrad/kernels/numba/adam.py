"""Adam's step, in one visit of a parameter's numbers: array operations make twelve of it."""

from __future__ import annotations

import numpy as np

from softgrad.arrays import Array
from softgrad.kernels.numba.calls import flat, share
from softgrad.kernels.numba.instructions import address, get, put
from softgrad.kernels.numba.shapes import compiled

__all__ = ["adam_change"]


def adam_change(gradient: Array, m: Array, v: Array, settings: tuple[float, ...]) -> Array:
    """Return the change of a parameter, and bring m and v up to date in place.

    All are alike, float32 or float64 in C order; what is rounded, and where, is as in
    `softgrad.nn.Adam`. The settings are β₁, 1 − β₁, β₂, 1 − β₂, 1 − β₁ᵗ, 1 − β₂ᵗ, −η and ε.
    """
    change, numbers = np.empty_like(gradient), tuple(map(gradient.dtype.type, settings))
    arrays = tuple(map(flat, (gradient, m, v, change)))

    def work(first: int, last: int) -> None:
        _adam(*arrays, numbers, first, last)

    share(work, gradient.size, 1)
    return change


@compiled("adam")
def _adam(gradient, m, v, change, settings, first, last):
    beta1, rest1, beta2, rest2, m_share, v_share, rate, eps = settings
    for i in range(first, last):
        g = get(address(gradient), i)
        m_i = beta1 * get(address(m), i) + rest1 * g
        v_i = beta2 * get(address(v), i) + rest2 * (g * g)
        put(address(m), i, m_i)
        put(address(v), i, v_i)
        put(address(change), i, rate * (m_i / m_share) / (np.sqrt(v_i / v_share) + eps))
