"""Cross-entropy of rows of logits: loss and gradient in one visit of each row.

A row's target t has the mass T = Σ t. Its loss is f(T·L − Σ t_j (d_j + e_j)) with L = log1p(r),
plus f·ζ·logsumexp² for a z-loss. Its gradient is f(T·p_j − t_j) + 2fζ·logsumexp·p_j, times β.
Where the maximum holds more than half of the probability, r < 1, its entry is
f(Σ_{j≠k} t_j − T·r/S) instead: two numbers close to each other are never subtracted.

All kernels take as args: factors f [N], losses [N] to write, ζ and β last. A row with the factor 0
counts nothing, and nothing of it is looked at but its logits, whatever they are. The target takes
the gradient; it is None where only the loss is wanted.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import overload

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
    PIECE,
    address,
    either,
    fma,
    get,
    inlined,
    put,
    scratch,
    step,
    typed,
    zero_of,
)
from softgrad.kernels.numba.lanes import (
    LANES,
    all_sum,
    copy,
    fill,
    flush,
    is_full,
    load,
    lost_in,
    share,
    store,
    width,
)
from softgrad.kernels.numba.listed import add_listed, fix, pick
from softgrad.kernels.numba.logarithm64 import log1p
from softgrad.kernels.numba.prefetch import ask_for_next
from softgrad.kernels.numba.shapes import kernel

__all__ = ["cross_entropy", "cross_entropy_dense", "cross_entropy_smoothed"]


@kernel(missing=-np.inf)
def cross_entropy(sources, target, total, spread, rows, args):
    """Targets are k class indices a row with a mass each; k = 1 for labels.

    args: ids [N·k] int64, masses [N·k], picked [N·k] to work in, k, factors, losses, ζ, β.
    """
    (source,), (ids, masses, picked, k, factors, losses, zeta, beta) = sources, args
    (first, count), zero = rows, zero_of(source[0])
    ids, masses = step(address(ids), first * k), step(address(masses), first * k)
    picked = step(address(picked), first * k)
    m, r, f = scratch(LANES, zero), scratch(LANES, 0.0), scratch(LANES, 0.0)
    T, others, distance = scratch(LANES, 0.0), scratch(LANES, 0.0), scratch(LANES, 0.0)
    load_factors(f, factors, rows, spread)
    pick(picked, source, ids, k, f, count, spread)
    row_max(source, total, m, spread)
    fill(T, 0.0)
    fill(others, 0.0)
    fill(distance, 0.0)
    add_listed(picked, masses, k, count, m, beta, T, others, distance, spread)
    sum_of_others(source, target, total, m, beta, r, spread)
    slope, z = (scratch(LANES, zero), scratch(LANES, zero)), scratch(LANES, 0.0)
    finish(m, r, T, distance, f, zeta, beta, slope, z, losses, rows, spread)
    scale(source, target, total, slope, spread)
    fix(target, ids, masses, picked, k, f, z, T, beta, m, r, None, count, spread)


@kernel(missing=(-np.inf, 0.0))
def cross_entropy_dense(sources, target, total, spread, rows, args):
    """Targets t are the second source, [N, K], or [K] for every row.

    args: factors, losses, ζ, β.
    """
    (source, t), (factors, losses, zeta, beta) = sources, args
    zero = zero_of(source[0])
    m, r, f = scratch(LANES, zero), scratch(LANES, 0.0), scratch(LANES, 0.0)
    T, others, distance = scratch(LANES, 0.0), scratch(LANES, 0.0), scratch(LANES, 0.0)
    load_factors(f, factors, rows, spread)
    row_max(source, total, m, spread)
    sums_of_targets(source, t, total, m, beta, T, others, distance, spread)
    sum_of_others(source, target, total, m, beta, r, spread)
    slope, z = (scratch(LANES, zero), scratch(LANES, zero)), scratch(LANES, 0.0)
    finish(m, r, T, distance, f, zeta, beta, slope, z, losses, rows, spread)
    scale_dense(t, target, total, m, r, f, z, T, others, slope, beta)


@kernel(missing=(-np.inf, 0.0))
def cross_entropy_smoothed(sources, target, total, spread, rows, args):
    """Targets are the second source, [K] for every row, and k class indices a row with more mass.

    args: those of `cross_entropy`.
    """
    (source, t), (ids, masses, picked, k, factors, losses, zeta, beta) = sources, args
    (first, count), zero = rows, zero_of(source[0])
    ids, masses = step(address(ids), first * k), step(address(masses), first * k)
    picked = step(address(picked), first * k)
    m, r, f = scratch(LANES, zero), scratch(LANES, 0.0), scratch(LANES, 0.0)
    T, others, distance = scratch(LANES, 0.0), scratch(LANES, 0.0), scratch(LANES, 0.0)
    beside = scratch(LANES, 0.0)
    load_factors(f, factors, rows, spread)
    pick(picked, source, ids, k, f, count, spread)
    row_max(source, total, m, spread)
    sums_of_targets(source, t, total, m, beta, T, others, distance, spread)
    copy(beside, others, LANES)
    add_listed(picked, masses, k, count, m, beta, T, others, distance, spread)
    sum_of_others(source, target, total, m, beta, r, spread)
    slope, z = (scratch(LANES, zero), scratch(LANES, zero)), scratch(LANES, 0.0)
    finish(m, r, T, distance, f, zeta, beta, slope, z, losses, rows, spread)
    scale_dense(t, target, total, m, r, f, z, T, others, slope, beta)
    fix(target, ids, masses, picked, k, f, z, T, beta, m, r, (t, beside), count, spread)


@inlined
def load_factors(f, factors, rows, spread):
    """Put the factor of each lane's row into float64 lanes; idle lanes have none."""
    first, count = rows
    fill(f, 0.0)
    for i in range(count):
        put(f, i, float(get(address(factors), first + i)))
    share(f, spread)


@inlined
def finish(m, r, T, distance, f, zeta, beta, slope, z, losses, rows, spread):
    """Write the losses; put what multiplies every E of the gradient into `slope`, in two parts, and
    into `z` the part of that which is the z-loss's."""
    (first, count), (high, low) = rows, slope
    values, zero = scratch(LANES, 0.0), typed(0.0, get(m, 0))
    for i in range(width(spread)):
        logarithm, (inverse, lost) = log1p(get(r, i)), inverse_of_sum(get(r, i))
        logsumexp = either(zeta == 0.0, 0.0, times(float(get(m, i)), beta) + logarithm)
        pull = 2.0 * zeta * logsumexp
        value = get(T, i) * logarithm + get(distance, i) + zeta * logsumexp * logsumexp
        counts = get(f, i) != 0.0
        put(values, i, either(counts, get(f, i) * value, 0.0))
        put(z, i, pull)
        a = times(get(f, i), beta) * (get(T, i) + pull)
        product = a * inverse
        factor, rest = in_two_parts(product, fma(a, inverse, -product) + a * lost, zero)
        put(high, i, either(counts, factor, zero))
        put(low, i, either(counts, rest, zero))
    for i in range(count):
        put(address(losses), first + i, typed(get(values, i), zero))
    share(high, spread)
    share(low, spread)
    share(z, spread)


def scale(source, target, total, slope, spread):
    """Turn every E into its slope times E; ask for the next row meanwhile."""
    raise NotImplementedError("compiled code only")


@overload(scale, **PIECE)
def _scale(source, target, total, slope, spread):
    if isinstance(target, types.NoneType):
        return lambda source, target, total, slope, spread: None

    def gradient(source, target, total, slope, spread):
        high, low = slope
        block, zero = scratch(LANES, high), typed(0.0, get(high, 0))
        for at in range(0, total, LANES):
            load(block, target, at)
            if spread:
                ask_for_next(source, total, at)
            for j in range(LANES):
                g = scaled_by(get(high, j), get(low, j), get(block, j))
                put(block, j, either(get(high, j) == zero, zero, g))
            store(block, target, at)

    return gradient


@inlined
def sums_of_targets(source, t, total, m, beta, mass, others, distance, spread):
    """Put Σ t, Σ t over all entries but the maximum, and Σ t·β(m − x) into float64 lanes."""
    block, weights, zero = scratch(LANES, m), scratch(LANES, m), typed(0.0, get(m, 0))
    part_top, part_other, part_gap = scratch(LANES, m), scratch(LANES, m), scratch(LANES, m)
    low_top, low_other, low_gap = (
        lost_in(mass, zero),
        lost_in(others, zero),
        lost_in(distance, zero),
    )
    fill(mass, 0.0)
    fill(others, 0.0)
    fill(distance, 0.0)
    fill(part_top, zero)
    fill(part_other, zero)
    fill(part_gap, zero)
    for at in range(0, total, LANES):
        load(block, source, at)
        load(weights, t, at)
        for j in range(LANES):
            x, top = get(block, j), get(m, j)
            w = get(weights, j)
            d, e = difference(x, top, beta)
            distance_j = -d if np.isinf(d) else -(d + e)
            put(part_top, j, get(part_top, j) + (w if x == top else zero))
            put(part_other, j, get(part_other, j) + (zero if x == top else w))
            put(part_gap, j, get(part_gap, j) + (zero if w == 0 else w * distance_j))
        if is_full(at):
            flush(part_top, mass, low_top)
            flush(part_other, others, low_other)
            flush(part_gap, distance, low_gap)
    flush(part_top, mass, low_top)
    flush(part_other, others, low_other)
    flush(part_gap, distance, low_gap)
    all_sum(mass, low_top, spread)
    all_sum(others, low_other, spread)
    all_sum(distance, low_gap, spread)
    for j in range(LANES):
        put(mass, j, get(mass, j) + get(others, j))


def scale_dense(t, target, total, m, r, f, z, T, others, slope, beta):
    """Turn every E into slope·E − f·t, and write the maximum of a row with r < 1 apart."""
    raise NotImplementedError("compiled code only")


@overload(scale_dense, **PIECE)
def _scale_dense(t, target, total, m, r, f, z, T, others, slope, beta):
    if isinstance(target, types.NoneType):
        return lambda t, target, total, m, r, f, z, T, others, slope, beta: None

    def gradient(t, target, total, m, r, f, z, T, others, slope, beta):
        (high, low), zero, one = slope, typed(0.0, get(m, 0)), typed(1.0, get(m, 0))
        block, weights = scratch(LANES, m), scratch(LANES, m)
        weight, at_top = scratch(LANES, m), scratch(LANES, m)
        for j in range(LANES):
            inverse, rest = inverse_of_sum(get(r, j))
            top = get(z, j) - get(T, j) * get(r, j)
            top = get(others, j) + scaled_by(inverse, rest, top)
            put(at_top, j, typed(times(get(f, j), beta) * top, zero))
            put(weight, j, typed(times(get(f, j), beta), zero))
        for at in range(0, total, LANES):
            load(weights, t, at)
            load(block, target, at)
            for j in range(LANES):
                E = get(block, j)
                g = scaled_by(get(high, j), get(low, j), E) - get(weight, j) * get(weights, j)
                top = (one == E) & (get(r, j) < 1.0)  # no other E is 1, or r were 1 at least
                g = either(top, get(at_top, j), g)
                put(block, j, either(get(weight, j) == zero, zero, g))
            store(block, target, at)

    return gradient
