"""Products of the softmax family's Jacobians with rows, by the formulas of `softgrad.linear`.

Every v is centred on its entry at the first maximum of q, so that the dominant term is exactly zero
and nothing cancels on a saturated row. Where a weight is 0, what it multiplies has no say.
"""

from __future__ import annotations

import numpy as np

from softgrad.kernels.numba.first_max import entry_at, first_max_and_sum
from softgrad.kernels.numba.instructions import (
    fma,
    get,
    inlined,
    put,
    scratch,
    typed,
    weighted,
    zero_of,
)
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
from softgrad.kernels.numba.prefetch import ask_for_next
from softgrad.kernels.numba.shapes import kernel

__all__ = [
    "diagonal_minus_outer",
    "diagonal_minus_outer_tangent",
    "identity_minus_outer",
    "identity_minus_outer_transpose",
    "weigh_centred",
]


@kernel(missing=0.0)
def diagonal_minus_outer(sources, target, total, spread, rows, args):
    """q·(w − ⟨q, w⟩/Σq) for the sources q and v, with w = v − v_k; to v's memory or any other."""
    q, v = sources
    weigh_centred(q, v, target, total, spread, q)


@kernel(missing=0.0)
def diagonal_minus_outer_tangent(sources, target, total, spread, rows, args):
    """q_dot·w − q·⟨q_dot, w⟩/Σq for the sources q, q_dot and v, with ⟨q, w⟩ = 0."""
    q, q_dot, v = sources
    zero = zero_of(q[0])
    a, a_dot, b = scratch(LANES, zero), scratch(LANES, zero), scratch(LANES, zero)
    centre, mean, mean_dot = scratch(LANES, zero), scratch(LANES, zero), scratch(LANES, zero)
    mass, top = scratch(LANES, 0.0), scratch(LANES, np.int32(0))
    position = first_max_and_sum(q, v, target, total, top, mass, spread)
    entry_at(v, top, position, centre, spread)
    fill(mean, zero)
    mean_of(q, v, total, centre, mean, mass, mean, spread)
    mean_of(q_dot, v, total, centre, mean, mass, mean_dot, spread)
    for at in range(0, total, LANES):
        load(a, q, at)
        load(a_dot, q_dot, at)
        load(b, v, at)
        for j in range(LANES):
            w = (get(b, j) - get(centre, j)) - get(mean, j)
            put(b, j, weighted(get(a_dot, j), w) - get(a, j) * get(mean_dot, j))
        store(b, target, at)


@kernel(missing=0.0)
def identity_minus_outer(sources, target, total, spread, rows, args):
    """w − ⟨p, w⟩ for the sources p and v, with w = v − v_k."""
    p, v = sources
    zero = zero_of(p[0])
    b, centre, mean = scratch(LANES, zero), scratch(LANES, zero), scratch(LANES, zero)
    mass, top = scratch(LANES, 0.0), scratch(LANES, np.int32(0))
    position = first_max_and_sum(p, v, target, total, top, mass, spread)
    entry_at(v, top, position, centre, spread)
    fill(mean, zero)
    fill(mass, 1.0)
    mean_of(p, v, total, centre, mean, mass, mean, spread)
    for at in range(0, total, LANES):
        load(b, v, at)
        for j in range(LANES):
            put(b, j, (get(b, j) - get(centre, j)) - get(mean, j))
        store(b, target, at)


@kernel(missing=0.0)
def identity_minus_outer_transpose(sources, target, total, spread, rows, args):
    """y_bar − p·Σy_bar for the sources p and y_bar.

    At the largest p it is y·(1 − p) − p·(Σy − y), both differences summed directly.
    """
    p, y_bar = sources
    zero = zero_of(p[0])
    a, b = scratch(LANES, zero), scratch(LANES, zero)
    p_k, y_k = scratch(LANES, zero), scratch(LANES, zero)
    p_rest, y_rest, y_all = scratch(LANES, 0.0), scratch(LANES, 0.0), scratch(LANES, zero)
    at_top, mass, top = scratch(LANES, zero), scratch(LANES, 0.0), scratch(LANES, np.int32(0))
    position = first_max_and_sum(p, y_bar, target, total, top, mass, spread)
    entry_at(p, top, position, p_k, spread)
    entry_at(y_bar, top, position, y_k, spread)
    sum_without(p, total, top, p_rest, spread)
    sum_without(y_bar, total, top, y_rest, spread)
    for j in range(LANES):
        put(y_all, j, typed(get(y_rest, j) + get(y_k, j), zero))
        y, rest = get(y_k, j), typed(get(p_rest, j), zero)
        put(at_top, j, y * rest - get(p_k, j) * typed(get(y_rest, j), zero))
    number = np.int32(0)
    for at in range(0, total, LANES):
        load(a, p, at)
        load(b, y_bar, at)
        for j in range(LANES):
            elsewhere = get(b, j) - get(a, j) * get(y_all, j)
            put(b, j, get(at_top, j) if get(top, j) == number else elsewhere)
        store(b, target, at)
        number = np.int32(number + np.int32(1))


@inlined
def weigh_centred(q, v, target, total, spread, ahead):
    """Put q·(w − ⟨q, w⟩/Σq) into the target, which may be q; ask for the next row of `ahead`."""
    zero = zero_of(q[0])
    a, b = scratch(LANES, zero), scratch(LANES, zero)
    centre, mean, mass = scratch(LANES, zero), scratch(LANES, zero), scratch(LANES, 0.0)
    top = scratch(LANES, np.int32(0))
    position = first_max_and_sum(q, v, target, total, top, mass, spread)
    entry_at(v, top, position, centre, spread)
    fill(mean, zero)
    mean_of(q, v, total, centre, mean, mass, mean, spread)
    for at in range(0, total, LANES):
        load(a, q, at)
        load(b, v, at)
        if spread:
            ask_for_next(ahead, total, at)
        for j in range(LANES):
            w = (get(b, j) - get(centre, j)) - get(mean, j)
            put(b, j, weighted(get(a, j), w))
        store(b, target, at)


@inlined
def mean_of(q, v, total, centre, shift, mass, mean, spread):
    """Put Σ q·(v − centre − shift) / mass into the lanes of `mean`, which may be `shift`.

    A mass of 0 divides nothing, as 1 does.
    """
    zero = zero_of(q[0])
    a, b, part = scratch(LANES, zero), scratch(LANES, zero), scratch(LANES, zero)
    high = scratch(LANES, 0.0)
    low = lost_in(high, zero)
    fill(part, zero)
    fill(high, 0.0)
    for at in range(0, total, LANES):
        load(a, q, at)
        load(b, v, at)
        for j in range(LANES):
            weight, w = get(a, j), (get(b, j) - get(centre, j)) - get(shift, j)
            put(part, j, fma(weight, weight if weight == 0 else w, get(part, j)))
        if is_full(at):
            flush(part, high, low)
    flush(part, high, low)
    all_sum(high, low, spread)
    for j in range(LANES):
        divisor = 1.0 if get(mass, j) == 0 else get(mass, j)
        put(mean, j, typed(get(high, j) / divisor, zero))


@inlined
def sum_without(source, total, top, rest, spread):
    """Put the sum over all entries but the first maximum into float64 lanes.

    Every block goes to the accumulators at once: the terms may cancel.
    """
    zero = zero_of(source[0])
    block, low = scratch(LANES, zero), lost_in(rest, zero)
    fill(rest, 0.0)
    number = np.int32(0)
    for at in range(0, total, LANES):
        load(block, source, at)
        for j in range(LANES):
            put(block, j, zero if get(top, j) == number else get(block, j))
        flush(block, rest, low)
        number = np.int32(number + np.int32(1))
    all_sum(rest, low, spread)
