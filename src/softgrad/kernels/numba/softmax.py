"""softmax with its product, log_softmax and logsumexp of rows [N, K]; the last of args is β."""

from __future__ import annotations

import math

import numpy as np

from softgrad.kernels.numba.centred import (
    difference,
    in_two_parts,
    inverse_of_sum,
    row_max,
    scaled_by,
    sum_of_others,
    times,
)
from softgrad.kernels.numba.instructions import (
    address,
    either,
    get,
    inlined,
    put,
    scratch,
    step,
    typed,
    zero_of,
)
from softgrad.kernels.numba.lanes import LANES, entry, fill, load, store, width
from softgrad.kernels.numba.prefetch import ask_for_next
from softgrad.kernels.numba.products import weigh_centred
from softgrad.kernels.numba.shapes import kernel

__all__ = ["log_softmax", "logsumexp", "softmax", "softmax_product"]


@kernel(missing=-np.inf)
def softmax(sources, target, total, spread, rows, args):
    """p = E/S, with S = 1 + r."""
    (source,), (beta,) = sources, args
    probabilities(source, target, total, beta, spread)


@kernel(missing=(-np.inf, 0.0))
def softmax_product(sources, target, total, spread, rows, args):
    """(diag(p) − p pᵀ) v for the sources x and v, with p = softmax(βx) in the target meanwhile."""
    (source, v), (beta,) = sources, args
    probabilities(source, target, total, beta, spread)
    weigh_centred(target, v, target, total, spread, source)


@inlined
def probabilities(source, target, total, beta, spread):
    """Put p into the target."""
    zero = zero_of(source[0])
    block, m, r = scratch(LANES, zero), scratch(LANES, zero), scratch(LANES, 0.0)
    high, low = scratch(LANES, zero), scratch(LANES, zero)
    row_max(source, total, m, spread)
    sum_of_others(source, target, total, m, beta, r, spread)
    for j in range(LANES):
        inverse, lost = inverse_of_sum(get(r, j))
        factor, rest = in_two_parts(inverse, lost, zero)
        put(high, j, factor)
        put(low, j, rest)
    for at in range(0, total, LANES):
        load(block, target, at)
        if spread:
            ask_for_next(source, total, at)
        for j in range(LANES):
            put(block, j, scaled_by(get(high, j), get(low, j), get(block, j)))
        store(block, target, at)


@kernel(missing=-np.inf)
def log_softmax(sources, target, total, spread, rows, args):
    """log p = (d − log1p(r)) + e; an entry of −∞ stays what it is, except in a row of NaN."""
    (source,), (beta,) = sources, args
    zero = zero_of(source[0])
    block, m, r = scratch(LANES, zero), scratch(LANES, zero), scratch(LANES, 0.0)
    logarithm = scratch(LANES, zero)
    row_max(source, total, m, spread)
    sum_of_others(source, None, total, m, beta, r, spread)
    if spread:
        fill(logarithm, typed(math.log1p(get(r, 0)), zero))
    else:
        for j in range(LANES):
            put(logarithm, j, typed(math.log1p(get(r, j)), zero))
    for at in range(0, total, LANES):
        load(block, source, at)
        for j in range(LANES):
            d, e = difference(get(block, j), get(m, j), beta)
            y = (d - get(logarithm, j)) + e
            infinite = d == typed(-np.inf, zero) and get(logarithm, j) == get(logarithm, j)
            put(block, j, d if infinite else y)
        store(block, target, at)


@kernel(missing=-np.inf)
def logsumexp(sources, target, total, spread, rows, args):
    """βm + log1p(r), to args[0]; an infinite maximum is the answer, if no NaN is beside it."""
    (source,), (out, beta) = sources, args
    (first, count), zero = rows, zero_of(source[0])
    m, r = scratch(LANES, zero), scratch(LANES, 0.0)
    row_max(source, total, m, spread)
    sum_of_others(source, None, total, m, beta, r, spread)
    for i in range(count):
        top = times(get(m, i), beta)
        value = typed(top + math.log1p(get(r, i)), zero)
        if np.isinf(top):
            value = typed(top, zero)
            for k in range(total // width(spread)):
                x = get(entry(source, k, i, spread), 0)
                value = either(x == x, value, x)
        put(step(address(out), first), i, value)
