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
    goes to the lane with the maximum alone, and NOWHERE to the others; what is returned then is the
    position of the maximum.
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
            if not spread:
                put(top, j, either(x > b, number, get(top, j)))
            put(best, j, either(x > b, x, b))
            put(part, j, get(part, j) + x)
        number = np.int32(number + np.int32(1))
        if is_full(at):
            flush(part, mass, low)
    flush(part, mass, low)
    all_sum(mass, low, spread)
    position = 0
    if spread:
        all_max(best, True)
        position = first_of(source, total, best)
        fill(top, NOWHERE)
        put(top, position % LANES, np.int32(position // LANES))
    return position


@inlined
def first_of(source, total, wanted):
    """Return where a spread row first is what the lanes of `wanted` are; 0 if that is nowhere."""
    block, position = scratch(LANES, wanted), 0
    for at in range(0, total, LANES):
        load(block, source, at)
        lane = np.int32(LANES)
        for j in range(LANES):
            here = either(get(block, j) == get(wanted, j), np.int32(j), np.int32(LANES))
            lane = either(here < lane, here, lane)
        if lane < LANES:
            position = at + int(lane)
            break
    return position


@inlined
def entry_at(source, top, position, entry, spread):
    """Put the entry of each row where its first maximum is into all of the row's lanes."""
    if spread:
        fill(entry, get(block_at(source, position // LANES * LANES), position % LANES))
    else:
        for j in range(LANES):
            put(entry, j, get(source[0], np.int64(get(top, j)) * LANES + j))
