"""Blocks of 64 lanes: the one shape that every loop over rows has.

A row of many classes is spread over the lanes, 64 classes in a block. Rows of few classes are
transposed first: 64 rows stand in the 64 lanes, and a block is one class of all of them. A formula
is written once for both, lane by lane; `all_sum` and `all_max` bring the lanes of a row together
where it is spread. The order of every sum is fixed here, so that the bits of a row depend on
nothing but the row.

Loops over lanes have a constant length and no branches: the compiler makes vector code of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from softgrad.kernels.numba.instructions import (
    PIECE,
    computed_in,
    either,
    get,
    inlined,
    place,
    put,
    read,
    scratch,
    step,
    typed,
    write,
)

__all__ = [
    "LANES",
    "all_max",
    "all_sum",
    "block_at",
    "copy",
    "entry",
    "fill",
    "flush",
    "is_full",
    "load",
    "lost_in",
    "share",
    "store",
    "width",
]

LANES = 64

word = ir.IntType(64)

HALVES = (32, 16, 8, 4, 2, 1)
"""How many pairs of lanes are added at each step, until one is left."""

FLUSH = 4
"""Blocks after which partial sums go to the accumulators of twice the precision. More would show:
on a ramp all lanes round alike, and nothing averages out."""


@inlined
def width(spread):
    """Return how many lanes differ in what a whole row has: a spread row is alone."""
    return 1 if spread else LANES


@inlined
def share(lanes, spread):
    """Give what a spread row has to all of its lanes."""
    if spread:
        fill(lanes, get(lanes, 0))


# Loops that copy are emitted as they are, for there are many: Numba takes longer to analyse a loop
# in Python than LLVM to compile it.


@intrinsic
def fill(context: Any, lanes: Any, value: Any) -> Any:
    """Put a value into every lane."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        with cgutils.for_range(builder, word(LANES)) as loop:
            write(builder, lanes, args[0], loop.index, args[1])
        return context.get_dummy_value()

    return types.none(lanes, computed_in(lanes)), generate


@intrinsic
def copy(context: Any, target: Any, source: Any, count: Any) -> Any:
    """Write `count` numbers behind a pointer to where another points."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        emit_copy(builder, target, args[0], source, *args[1:])
        return context.get_dummy_value()

    return types.none(target, source, types.int64), generate


@intrinsic
def block_at(context: Any, blocks: Any, at: Any) -> Any:
    """Return the pointer to the block that begins at `at`: the last, padded one stands apart."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return emit_block_at(builder, *args)

    return blocks[0](blocks, types.int64), generate


@intrinsic
def load(context: Any, lanes: Any, blocks: Any, at: Any) -> Any:
    """Fill the lanes with the block that begins at `at`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        block = emit_block_at(builder, *args[1:])
        emit_copy(builder, lanes, args[0], blocks[0], block, word(LANES))
        return context.get_dummy_value()

    return types.none(lanes, blocks, types.int64), generate


@intrinsic
def store(context: Any, lanes: Any, blocks: Any, at: Any) -> Any:
    """Write the block that begins at `at`; nothing if blocks is None."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if blocks != types.none:
            block = emit_block_at(builder, *args[1:])
            emit_copy(builder, blocks[0], block, lanes, args[0], word(LANES))
        return context.get_dummy_value()

    return types.none(lanes, blocks, types.int64), generate


def emit_copy(builder: Any, kind: Any, target: Any, of: Any, source: Any, count: Any) -> None:
    with cgutils.for_range(builder, count) as loop:
        write(builder, kind, target, loop.index, read(builder, of, source, loop.index))


def emit_block_at(builder: Any, blocks: Any, at: Any) -> Any:
    pointer, tail, whole = (builder.extract_value(blocks, i) for i in range(3))
    return builder.select(builder.icmp_signed("==", at, whole), tail, place(builder, pointer, at))


@inlined
def entry(blocks, k, lane, spread):
    """Return the pointer to the entry of class k, in the lane's row where rows are not spread."""
    at = k // LANES * LANES if spread else k * LANES
    return step(block_at(blocks, at), k - at if spread else lane)


@inlined
def is_full(at):
    """Tell whether it is time to flush, after the block that begins at `at`."""
    return at // LANES % FLUSH == FLUSH - 1


def lost_in(high, like):
    """Return cleared lanes for what sums in `high` round off; None where float64 holds enough.

    So it does for float32 terms, and not for float64.
    """
    raise NotImplementedError("compiled code only")


@overload(lost_in, **PIECE)
def _lost_in(high, like):
    if like == types.float32:
        return lambda high, like: None

    def cleared(high, like):
        low = scratch(LANES, 0.0)
        fill(low, 0.0)
        return low

    return cleared


def flush(part, high, low):
    """Add partial sums to high + low, and clear them."""
    raise NotImplementedError("compiled code only")


@overload(flush, **PIECE)
def _flush(part, high, low):
    if isinstance(low, types.NoneType):

        def add(part, high, low):
            for j in range(LANES):
                put(high, j, get(high, j) + get(part, j))
            fill(part, typed(0.0, get(part, 0)))

    else:

        def add(part, high, low):
            for j in range(LANES):
                s, error = two_sum(get(high, j), get(part, j))
                put(low, j, get(low, j) + error)
                put(high, j, s)
            fill(part, 0.0)

    return add


@inlined
def two_sum(a, b):
    """Return fl(a + b) and its error."""
    s = a + b
    b_part = s - a
    return s, (a - (s - b_part)) + (b - b_part)


def all_sum(high, low, spread):
    """Add low to high in every lane; first bring the lanes of a row together, if it is spread."""
    raise NotImplementedError("compiled code only")


@overload(all_sum, **PIECE)
def _all_sum(high, low, spread):
    if isinstance(low, types.NoneType):

        def add(high, low, spread):
            if spread:
                for width in HALVES:
                    for j in range(width):
                        put(high, j, get(high, j) + get(high, j + width))
                fill(high, get(high, 0))

    else:

        def add(high, low, spread):
            if spread:
                for width in HALVES:
                    for j in range(width):
                        s, error = two_sum(get(high, j), get(high, j + width))
                        put(low, j, get(low, j) + get(low, j + width) + error)
                        put(high, j, s)
                fill(high, get(high, 0))
                fill(low, get(low, 0))
            for j in range(LANES):
                error = get(low, j)  # not finite after an overflow, which has no rounding error
                put(high, j, get(high, j) + either(np.isfinite(error), error, 0.0))

    return add


@inlined
def all_max(lanes, spread):
    """Put the largest of a row's lanes into all of them, if it is spread; NaN is skipped."""
    if spread:
        for width in HALVES:
            for j in range(width):
                a, b = get(lanes, j), get(lanes, j + width)
                put(lanes, j, either(b > a, b, a))
        fill(lanes, get(lanes, 0))
