"""Where the first maximum of a row stands: the entry that Jacobians centre their products on."""

from __future__ import annotations

import numpy as np

from softgrad.kernels.numba.instructions import either, get, inlined, put, scratch, typed, zero_of
from softgrad.kernels.numba.lanes import (
    LANES,
    all_max,
    all_sum,
    block_at,
    fill,
    flush,
    is_full,
    load,
    lost_in,
)
from softgrad.kernels.numba.prefetch import ask_for

__all__ = ["NOWHERE", "entry_at", "first_max_and_sum"]

NOWHERE = np.int32(2**31 - 1)


@inlined
def first_max_and_sum(source, companion, target, total, top, mass, spread):
    """Find the first maximum of each lane's row, and put the row's sum into float64 lanes.

    Meanwhile the rows of `companion` and `target` are asked for, which the next passes need.

    The int32 lanes `top` get the number of the block with the maximum. If the row is spread, that
    goes to the lane with the maximum alone, and NOWHERE to the others.
    """
    zero = zero_of(source[0])
    block, best, part = scratch(LANES, zero), scratch(LANES, zero), scratch(LANES, zero)
    low = lost_in(mass, zero)
    fill(best, typed(-np.inf, zero))
    fill(top, np.int32(0))
    fill(part, zero)
    fill(mass, 0.0)
    number = np.int32(0)
    for at in range(0, total, LANES):
        load(block, source, at)
        if spread:
            ask_for(companion, at)
            ask_for(target, at)
        for j in range(LANES):
            x, b = get(block, j), get(best, j)
            put(top, j, either(x > b, number, get(top, j)))
            put(best, j, either(x > b, x, b))
            put(part, j, get(part, j) + x)
        number = np.int32(number + np.int32(1))
        if is_full(at):
            flush(part, mass, low)
    flush(part, mass, low)
    all_sum(mass, low, spread)
    if spread:
        keep_first(best, top)


@inlined
def keep_first(best, top):
    """Put NOWHERE into all lanes of `top` but that of the first among the largest."""
    own = scratch(LANES, get(best, 0))
    for j in range(LANES):
        put(own, j, get(best, j))
    all_max(best, True)
    for j in range(LANES):
        put(top, j, either(get(own, j) == get(best, j), get(top, j), NOWHERE))
    block = NOWHERE
    for j in range(LANES):
        block = either(get(top, j) < block, get(top, j), block)
    lane = NOWHERE
    for j in range(LANES):
        here = either(get(top, j) == block, np.int32(j), NOWHERE)
        lane = either(here < lane, here, lane)
    for j in range(LANES):
        put(top, j, either(lane == j, block, NOWHERE))


@inlined
def entry_at(source, top, entry, spread):
    """Put the entry of each row where its first maximum is into all of the row's lanes."""
    if spread:
        block, lane = NOWHERE, np.int32(0)
        for j in range(LANES):
            block = either(get(top, j) < block, get(top, j), block)
            lane = either(get(top, j) != NOWHERE, np.int32(j), lane)
        fill(entry, get(block_at(source, np.int64(block) * LANES), np.int64(lane)))
    else:
        for j in range(LANES):
            put(entry, j, get(source[0], np.int64(get(top, j)) * LANES + j))
