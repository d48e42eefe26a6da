"""sparsemax and entmax15 of rows [N, K], without sorting.

With d = z − τ, z the row centred on its maximum, τ solves f(τ) = 1 for f = Σ [d]₊ or √Σ [d]₊². Both
are convex and fall, so that Newton's method from τ = −1 rises to the solution and never passes it,
and either the excess f − 1 or the slope of f halves in every step: there are few.
"""

from __future__ import annotations

import math

import numpy as np

from softgrad.kernels.numba.centred import row_max
from softgrad.kernels.numba.instructions import get, inlined, put, scratch, typed, zero_of
from softgrad.kernels.numba.lanes import (
    LANES,
    all_sum,
    fill,
    flush,
    is_full,
    load,
    lost_in,
    store,
)
from softgrad.kernels.numba.shapes import kernel

__all__ = ["entmax15", "sparsemax"]


@kernel(missing=-np.inf)
def sparsemax(sources, target, total, spread, rows, args):
    """p = [x − m − τ]₊ for the source x."""
    (source,) = sources
    project(source, target, total, spread, 1.0, itself, one_of, linear_step)


@kernel(missing=-np.inf)
def entmax15(sources, target, total, spread, rows, args):
    """p = [(x − m)/2 − τ]₊² for the source x."""
    (source,) = sources
    project(source, target, total, spread, 0.5, square, itself, quadratic_step)


@inlined
def itself(d):
    """Return d."""
    return d


@inlined
def one_of(d):
    """Return 1 on the support, and 0 off it."""
    return typed(0.0, d) if d <= 0 else typed(1.0, d)


@inlined
def square(d):
    """Return d²."""
    return d * d


@inlined
def linear_step(of_d, count):
    """Return (f − 1)/−f′ for f = Σ [d]₊."""
    return (of_d - 1.0) / count


@inlined
def quadratic_step(of_square, of_d):
    """Return (f − 1)/−f′ for f = (Σ [d]₊²)^½."""
    f = math.sqrt(of_square)
    return (f - 1.0) * f / of_d


@inlined
def project(source, target, total, spread, scale, power, slope, newton_step):
    """Write power([scale·(x − m) − τ]₊); a row with NaN or an infinite maximum is NaN."""
    zero = zero_of(source[0])
    block, m, tau = scratch(LANES, zero), scratch(LANES, zero), scratch(LANES, zero)
    f, minus_slope, rise = scratch(LANES, 0.0), scratch(LANES, 0.0), scratch(LANES, 0.0)
    row_max(source, total, m, spread)
    fill(tau, typed(-1.0, zero))
    moved = 1
    while moved > 0:
        sum_over_support(source, total, m, tau, scale, power, f, spread)
        sum_over_support(source, total, m, tau, scale, slope, minus_slope, spread)
        moved = 0
        for j in range(LANES):
            put(rise, j, newton_step(get(f, j), get(minus_slope, j)))
            old, new = get(tau, j), typed(get(tau, j) + get(rise, j), zero)
            moved += 1 if new > old else 0
            put(tau, j, new if new > old else old)
    for j in range(LANES):
        put(tau, j, typed(get(tau, j) + get(rise, j), zero))  # rounding may have passed it
    for at in range(0, total, LANES):
        load(block, source, at)
        for j in range(LANES):
            put(block, j, power(above(get(block, j), get(m, j), get(tau, j), scale)))
        store(block, target, at)


@inlined
def sum_over_support(source, total, m, tau, scale, term, high, spread):
    """Put Σ term([scale·(x − m) − τ]₊) into float64 lanes."""
    zero = zero_of(source[0])
    block, part, low = scratch(LANES, zero), scratch(LANES, zero), lost_in(high, zero)
    fill(part, zero)
    fill(high, 0.0)
    for at in range(0, total, LANES):
        load(block, source, at)
        for j in range(LANES):
            d = above(get(block, j), get(m, j), get(tau, j), scale)
            put(part, j, get(part, j) + term(d))
        if is_full(at):
            flush(part, high, low)
    flush(part, high, low)
    all_sum(high, low, spread)


@inlined
def above(x, m, tau, scale):
    """Return the distance above the threshold, 0 from there down; NaN stays NaN."""
    d = (x - m) * typed(scale, x) - tau
    return typed(0.0, x) if d <= 0 else d
