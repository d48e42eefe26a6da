"""Rows of logits centred on their maximum: the passes that softmax and the losses share.

As in the reference, the terms of the maximum are kept apart: r = Σ E over the others, so that what
follows sees r itself and never 1 + r − 1.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import overload

from softgrad.kernels.numba.exponential import exp_of_difference, two_diff
from softgrad.kernels.numba.instructions import (
    SCALAR,
    either,
    fma,
    get,
    inlined,
    put,
    scalar,
    scratch,
    typed,
)
from softgrad.kernels.numba.lanes import (
    LANES,
    all_max,
    all_sum,
    fill,
    flush,
    load,
    lost_in,
    store,
)

__all__ = [
    "centred_exp",
    "difference",
    "in_two_parts",
    "inverse_of_sum",
    "row_max",
    "scaled_by",
    "sum_of_others",
    "times",
]


@inlined
def row_max(source, total, best, spread):
    """Put the maximum of each lane's row into `best`; NaN is skipped, and found later."""
    block = scratch(LANES, best)
    fill(best, typed(-np.inf, get(best, 0)))
    for at in range(0, total, LANES):
        load(block, source, at)
        for j in range(LANES):
            x, b = get(block, j), get(best, j)
            put(best, j, x if x > b else b)
    all_max(best, spread)


@inlined
def sum_of_others(source, target, total, m, beta, r, spread):
    """Put r = Σ E − 1 into float64 lanes: the sum over all entries but one maximum.

    E goes to `target`, unless that is None. A row with NaN or an infinite maximum has r = NaN.
    Every block goes to the accumulators at once: sums of numbers that are alike round one way, and
    Σp and Σg would show it.
    """
    block, part, ties = scratch(LANES, m), scratch(LANES, m), scratch(LANES, m)
    zero, one = typed(0.0, get(m, 0)), typed(1.0, get(m, 0))
    maxima, low = scratch(LANES, 0.0), lost_in(r, zero)
    fill(r, 0.0)
    fill(maxima, 0.0)
    fill(ties, zero)
    for at in range(0, total, LANES):
        load(block, source, at)
        for j in range(LANES):
            x, top = get(block, j), get(m, j)
            E = centred_exp(x, top, beta)
            put(block, j, E)
            put(part, j, either(x == top, zero, E))
            put(ties, j, get(ties, j) + either(x == top, one, zero))
        store(block, target, at)
        flush(part, r, low)
    all_sum(r, low, spread)
    flush(ties, maxima, None)
    all_sum(maxima, None, spread)
    for j in range(LANES):
        others = get(r, j) + (get(maxima, j) - 1.0)  # all maxima but one
        put(r, j, either(np.isinf(get(m, j)), np.nan, others))


@scalar
def inverse_of_sum(r):
    """Return 1/(1 + r) as the float64 numbers high + low."""
    S = 1.0 + r
    lost = either(S > 2.0**60, 0.0, r - (S - 1.0))
    q = 1.0 / S
    return q, q * (fma(-q, S, 1.0) - q * lost)


@scalar
def in_two_parts(high, low, like):
    """Return high + low in the dtype of another number: what it rounds to, and what that leaves.

    What multiplies every entry of a row is kept so: its own rounding would move their sum.
    """
    rounded = typed(high, like)
    rest = (high - float(rounded)) + low
    return rounded, typed(either(np.isfinite(rest), rest, 0.0), like)


@scalar
def scaled_by(high, low, E):
    """Return (high + low)·E, rounded nearly once."""
    return fma(high, E, low * E)


@scalar
def centred_exp(x, m, beta):
    """Return E = exp(β(x − m))."""
    d, e = difference(x, m, beta)
    return exp_of_difference(d, e)


def difference(x, m, beta):
    """Return β(x − m) as d + e; β is None for 1, or two numbers that add up to it."""
    raise NotImplementedError("compiled code only")


@overload(difference, **SCALAR)
def _difference(x, m, beta):
    if isinstance(beta, types.NoneType):
        return lambda x, m, beta: two_diff(x, m)

    def scaled(x, m, beta):
        high, low = beta
        d, e = two_diff(x, m)
        product = d * high
        return product, fma(d, high, -product) + fma(d, low, e * high)

    return scaled


def times(x, beta):
    """Return βx."""
    raise NotImplementedError("compiled code only")


@overload(times, **SCALAR)
def _times(x, beta):
    if isinstance(beta, types.NoneType):
        return lambda x, beta: x
    return lambda x, beta: x * beta[0] + x * beta[1]
