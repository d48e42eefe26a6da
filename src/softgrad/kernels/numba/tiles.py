"""What heads need of a tile of logits [n, k]: sums of columns, and rows that go on in other tiles.

A row that is cut into tiles is visited twice: first each tile says its maximum and the sum of the
others; once the maximum and the sum of the whole row are known, tiles become its gradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from softgrad.arrays import Array
from softgrad.kernels.numba.calls import beta_of, flat, memory_of, run_rows, share
from softgrad.kernels.numba.centred import centred_exp, row_max, sum_of_others
from softgrad.kernels.numba.instructions import (
    address,
    either,
    get,
    put,
    scratch,
    step,
    typed,
    zero_of,
)
from softgrad.kernels.numba.lanes import LANES, fill, load, store
from softgrad.kernels.numba.shapes import compiled, kernel

__all__ = ["column_sums", "maxima_and_others", "scaled_exponentials"]

_STRIP = 1024
"""Columns that are summed at a time: their sums stay in the first cache."""


def column_sums(z: Array) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return Σ over rows of z [n, K] as high + low, float64 [K] each."""
    n, K = z.shape
    high, low, numbers = np.zeros(K), np.zeros(K), flat(z)
    add = _column_sums if numbers.dtype == np.float32 else _column_sums_twice

    def work(first: int, last: int) -> None:
        add(numbers, high, low, n, K, first * _STRIP, min(last * _STRIP, K))

    share(work, -(-K // _STRIP), n * _STRIP)
    return high, low


def maxima_and_others(z: Array, temperature: float) -> tuple[Any, Any]:
    """Return the maximum m of every row [n], and r = Σ exp((z − m)/T) − 1 in float64 [n].

    r is NaN where the maximum is infinite, or there is a NaN.
    """
    m, r = np.empty(z.shape[0], memory_of(z).dtype), np.empty(z.shape[0])
    run_rows(_maxima_and_others, (z,), None, (m, r, beta_of(z, temperature)))
    return m, r


def scaled_exponentials(z: Array, m: Array, slope: Array, temperature: float) -> None:
    """Turn z [n, k] into slope·exp((z − m)/T), 0 where the slope is, for m and slope [n]."""
    args = (flat(m), flat(slope), beta_of(z, temperature))
    run_rows(_scaled_exponentials, (z,), z, args)


@compiled("column_sums")
def _column_sums(z, high, low, n, K, first, last):
    """Add in float64 what is float32: two rows at a visit of the sums."""
    sums = address(high)
    for i in range(0, n - 1, 2):
        a, b = step(address(z), i * K), step(address(z), (i + 1) * K)
        for j in range(first, last):
            put(sums, j, get(sums, j) + (float(get(a, j)) + float(get(b, j))))
    if n % 2:
        a = step(address(z), (n - 1) * K)
        for j in range(first, last):
            put(sums, j, get(sums, j) + float(get(a, j)))


@compiled("column_sums_twice")
def _column_sums_twice(z, high, low, n, K, first, last):
    """Add float64 with twice its precision."""
    sums, errors = address(high), address(low)
    for i in range(n):
        row = step(address(z), i * K)
        for j in range(first, last):
            a, b = get(sums, j), get(row, j)
            s = a + b
            b_part = s - a
            put(errors, j, get(errors, j) + ((a - (s - b_part)) + (b - b_part)))
            put(sums, j, s)


@kernel(missing=-np.inf)
def _maxima_and_others(sources, target, total, spread, rows, args):
    (source,), (maxima, others, beta) = sources, args
    (first, count), zero = rows, zero_of(source[0])
    m, r = scratch(LANES, zero), scratch(LANES, 0.0)
    row_max(source, total, m, spread)
    sum_of_others(source, None, total, m, beta, r, spread)
    for i in range(count):
        put(address(maxima), first + i, get(m, i))
        put(address(others), first + i, get(r, i))


@kernel(missing=-np.inf)
def _scaled_exponentials(sources, target, total, spread, rows, args):
    (source,), (maxima, slopes, beta) = sources, args
    (first, count), zero = rows, zero_of(source[0])
    block, m, slope = scratch(LANES, zero), scratch(LANES, zero), scratch(LANES, zero)
    fill(m, zero)
    fill(slope, zero)
    for i in range(count):
        put(m, i, get(address(maxima), first + i))
        put(slope, i, get(address(slopes), first + i))
    if spread:
        fill(m, get(m, 0))
        fill(slope, get(slope, 0))
    for at in range(0, total, LANES):
        load(block, source, at)
        for j in range(LANES):
            a = get(slope, j)
            E = centred_exp(get(block, j), get(m, j), beta)
            put(block, j, either(a == typed(0.0, zero), typed(0.0, zero), a * E))
        store(block, target, at)
