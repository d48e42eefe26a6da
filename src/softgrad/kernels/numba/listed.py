"""The classes of a row that are listed with a target: k ids and masses for each row.

Their logits are taken before the target overwrites them; they count in the row's sums, and their
entries of the gradient are written last, each with its own target.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import overload

from softgrad.kernels.numba.centred import (
    centred_exp,
    difference,
    inverse_of_sum,
    scaled_by,
    times,
)
from softgrad.kernels.numba.instructions import (
    PIECE,
    either,
    get,
    inlined,
    put,
    scalar,
    scratch,
    typed,
)
from softgrad.kernels.numba.lanes import LANES, entry, fill, share, width

__all__ = ["add_listed", "fix", "pick"]


@inlined
def pick(picked, source, ids, k, f, count, spread):
    """Take the logits of the listed classes, before they are overwritten."""
    for q in range(k):
        for i in range(count):
            k_q = either(get(f, i) != 0, get(ids, i * k + q), 0)
            put(picked, i * k + q, get(entry(source, k_q, i, spread), 0))


@inlined
def add_listed(picked, masses, k, count, m, beta, T, others, distance, spread):
    """Add Σ t, Σ t of those that are not at the maximum, and Σ t·β(m − x) over the listed classes
    to the float64 lanes of each row."""
    x, mass = scratch(LANES, m), scratch(LANES, 0.0)
    fill(x, typed(0.0, get(m, 0)))
    fill(mass, 0.0)
    for q in range(k):
        for i in range(count):
            put(x, i, get(picked, i * k + q))
            put(mass, i, float(get(masses, i * k + q)))
        for j in range(width(spread)):
            t = get(mass, j)
            put(T, j, get(T, j) + t)
            put(others, j, get(others, j) + either(get(x, j) == get(m, j), 0.0, t))
            term = either(t == 0.0, 0.0, t * gap(get(x, j), get(m, j), beta))
            put(distance, j, get(distance, j) + term)
    share(T, spread)
    share(others, spread)


@scalar
def gap(x, m, beta):
    """Return β(m − x), not negative."""
    d, e = difference(x, m, beta)
    return either(np.isinf(d), -float(d), -(float(d) + float(e)))


def fix(target, ids, masses, picked, k, f, z, T, beta, m, r, rest, count, spread):
    """Write the entries of the listed classes.

    What classes have besides is the `rest`: targets t, and their sum over all but the maximum; it
    is None where that is nothing.
    """
    raise NotImplementedError("compiled code only")


@overload(fix, **PIECE)
def _fix(target, ids, masses, picked, k, f, z, T, beta, m, r, rest, count, spread):
    if isinstance(target, types.NoneType):
        return lambda target, ids, masses, picked, k, f, z, T, beta, m, r, rest, count, spread: None

    def gradient(target, ids, masses, picked, k, f, z, T, beta, m, r, rest, count, spread):
        x, g = scratch(LANES, m), scratch(LANES, m)
        t, others = scratch(LANES, 0.0), scratch(LANES, 0.0)
        fill(x, typed(0.0, get(m, 0)))
        fill(t, 0.0)
        fill(others, 0.0)
        for q in range(k):
            for i in range(count):
                put(x, i, get(picked, i * k + q))
                put(t, i, float(get(masses, i * k + q)))
                put(others, i, 0.0)
                if k > 1:
                    share_out(ids, masses, i * k, k, q, t, others, i)
                if get(f, i) != 0.0:
                    add_rest(rest, get(ids, i * k + q), t, others, i, spread)
            for j in range(width(spread)):
                inverse, lost = inverse_of_sum(get(r, j))
                p = scaled_by(inverse, lost, float(centred_exp(get(x, j), get(m, j), beta)))
                top = (get(x, j) == get(m, j)) & (get(r, j) < 1.0)
                at_top = get(others, j) - get(T, j) * scaled_by(inverse, lost, get(r, j))
                slope = either(top, at_top, get(T, j) * p - get(t, j))
                slope = times(get(f, j), beta) * (slope + get(z, j) * p)
                put(g, j, typed(slope, get(m, 0)))
            for i in range(count):
                if get(f, i) != 0.0:
                    put(entry(target, get(ids, i * k + q), i, spread), 0, get(g, i))

    return gradient


def add_rest(rest, k, t, others, lane, spread):
    """Add what class k and all others have besides the masses of listed classes to a lane."""
    raise NotImplementedError("compiled code only")


@overload(add_rest, **PIECE)
def _add_rest(rest, k, t, others, lane, spread):
    if isinstance(rest, types.NoneType):
        return lambda rest, k, t, others, lane, spread: None

    def add(rest, k, t, others, lane, spread):
        targets, beside = rest
        put(t, lane, get(t, lane) + float(get(entry(targets, k, lane, spread), 0)))
        put(others, lane, get(others, lane) + get(beside, lane))

    return add


@inlined
def share_out(ids, masses, begin, k, q, t, others, lane):
    """Put the mass of the q-th id, which may stand several times, and of all others into a lane."""
    own, rest = 0.0, 0.0
    for other in range(k):
        mass = float(get(masses, begin + other))
        same = get(ids, begin + other) == get(ids, begin + q)
        own += either(same, mass, 0.0)
        rest += either(same, 0.0, mass)
    put(t, lane, own)
    put(others, lane, rest)
