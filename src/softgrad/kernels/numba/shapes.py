"""The two shapes of a loop over rows: one long row in all lanes, or 64 short rows in 64 lanes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numba import config, njit, types
from numba.extending import overload

from softgrad.kernels.numba.cache import KernelCache
from softgrad.kernels.numba.instructions import (
    PIECE,
    address,
    either,
    get_word,
    inlined,
    is_half,
    put_alone,
    scratch,
    step,
    typed,
    zero_of,
)
from softgrad.kernels.numba.lanes import LANES, copy, fill

__all__ = ["MOST_SHORT", "kernel"]

MOST_SHORT = 64
"""The most classes of a row that is short."""

TILE = LANES * MOST_SHORT

Body = Callable[..., None]


def kernel(missing: float | tuple[float, ...]) -> Callable[[Body], Body]:
    """Compile the formula of one row for rows of both shapes.

    ``body(sources, target, total, spread, rows, args)`` sees blocks of lanes from which it loads
    and to which it stores, `total` numbers each: those of one row, spread over the lanes and padded
    with what is `missing` (one number, or one a source), or those of 64 rows. ``rows`` is the first
    row's number and how many there are. The target may be the first source, or None. One of half
    precision is a float32 block to the body, which may keep there what it works on: it is rounded
    once, at the end.

    The result is called as ``f(sources, target, first, last, classes, args)`` with a tuple of flat
    arrays of whole rows (or of a single one, which then stands beside every row), a flat array or
    None, and the range of rows to work on.
    """
    padding = missing if isinstance(missing, tuple) else (missing,)

    def compile_for_rows(body: Body) -> Body:
        name, body = body.__name__, inlined(body)

        @compiled(f"{name}-long")
        def long(sources, target, first, last, classes, args):
            tails, room = blocks_like(sources, LANES), room_for_row(target, classes)
            for row in range(first, last):
                at = row * classes
                rows = open_rows(sources, tails, at, classes, padding)
                target_row = open_target(target, room, at, classes, padding[0])
                body(rows, target_row, classes, True, (row, 1), args)
                close_target(target, room, at, classes)

        @compiled(f"{name}-short")
        def short(sources, target, first, last, classes, args):
            tiles, target_tile = blocks_like(sources, TILE), block_like(target, TILE)
            for row in range(first, last, LANES):
                at, rows = row * classes, min(LANES, last - row)
                turned = turn_rows(sources, tiles, at, rows, classes)
                body(turned, tile(target_tile), classes * LANES, False, (row, rows), args)
                turn_back(target_tile, target, at, rows, classes)

        def run(*arguments: Any) -> None:
            (short if arguments[4] <= MOST_SHORT else long)(*arguments)

        return run

    return compile_for_rows


def compiled(name: str) -> Callable[[Callable[..., None]], Any]:
    """Compile a function at its first call, to run without the interpreter's lock; keep it."""
    if config.DISABLE_JIT:
        raise NotImplementedError("NUMBA_DISABLE_JIT is set")

    def compile_lazily(function: Callable[..., None]) -> Any:
        dispatcher = njit(nogil=True, error_model="numpy")(function)
        dispatcher._cache = KernelCache(name)
        dispatcher._compile_for_args = _interruptible(dispatcher._compile_for_args)
        return dispatcher

    return compile_lazily


def _interruptible(function: Callable[..., Any]) -> Callable[..., Any]:
    """Run in a thread of its own: LLVM takes seconds, in which it cannot be interrupted."""

    def call(*args: Any) -> Any:
        try:
            executor = ThreadPoolExecutor(1, "softgrad-compiler")
            future = executor.submit(function, *args)
        except RuntimeError:  # no more threads, or the interpreter is about to end
            return function(*args)
        executor.shutdown(wait=False)
        return future.result()

    return call


# A long row: its whole blocks where they are, and a padded copy of the rest.


def open_row(array, tail, at, classes, missing):
    """Return the blocks of the row that begins at `at`; None of None."""
    raise NotImplementedError("compiled code only")


@overload(open_row, **PIECE)
def _open_row(array: Any, tail: Any, at: Any, classes: Any, missing: Any) -> Any:
    if isinstance(array, types.NoneType):
        return lambda array, tail, at, classes, missing: None

    def blocks(array, tail, at, classes, missing):
        pointer = step(address(array), either(array.size > classes, at, 0))
        whole = classes // LANES * LANES
        fill(tail, typed(missing, zero_of(tail)))
        copy(tail, step(pointer, whole), classes - whole)
        return pointer, tail, whole

    return blocks


def close_row(blocks, classes):
    """Copy the tail to the row that it belongs to."""
    raise NotImplementedError("compiled code only")


@overload(close_row, **PIECE)
def _close_row(blocks: Any, classes: Any) -> Any:
    if isinstance(blocks, types.NoneType):
        return lambda blocks, classes: None

    def close(blocks, classes):
        pointer, tail, whole = blocks
        copy(step(pointer, whole), tail, classes - whole)

    return close


# The target of a long row: like any other row, or a float32 row that is rounded at the end.


def room_for_row(array, classes):
    """Return memory beside the target's own: for a tail, or for a whole row of half precision."""
    raise NotImplementedError("compiled code only")


@overload(room_for_row, **PIECE)
def _room_for_row(array: Any, classes: Any) -> Any:
    if isinstance(array, types.NoneType):
        return lambda array, classes: None
    if is_half(array):
        return lambda array, classes: np.empty(-(-classes // LANES) * LANES, np.float32)
    return lambda array, classes: scratch(LANES, array)


def open_target(array, room, at, classes, missing):
    """Return the blocks of the row that begins at `at`; None of None."""
    raise NotImplementedError("compiled code only")


@overload(open_target, **PIECE)
def _open_target(array: Any, room: Any, at: Any, classes: Any, missing: Any) -> Any:
    if not isinstance(array, types.NoneType) and is_half(array):
        return lambda array, room, at, classes, missing: (address(room), address(room), -1)
    return lambda array, room, at, classes, missing: open_row(array, room, at, classes, missing)


def close_target(array, room, at, classes):
    """Bring what stands in the room to the row that begins at `at`."""
    raise NotImplementedError("compiled code only")


@overload(close_target, **PIECE)
def _close_target(array: Any, room: Any, at: Any, classes: Any) -> Any:
    if isinstance(array, types.NoneType):
        return lambda array, room, at, classes: None

    if is_half(array):

        def write(array, room, at, classes):
            copy(step(address(array), at), address(room), classes)

    else:

        def write(array, room, at, classes):
            whole = classes // LANES * LANES
            copy(step(address(array), at + whole), room, classes - whole)

    return write


# Short rows: 64 of them transposed into a tile [classes, 64].


@inlined
def turn(array, tile, at, rows, classes):
    """Fill a tile with rows [rows, classes] and return its blocks; idle lanes repeat row 0."""
    stride = classes if array.size > classes else 0
    source = step(address(array), at if stride else 0)
    for i in range(LANES):
        row = step(source, i * stride if i < rows else 0)
        for k in range(classes):
            put_alone(tile, k * LANES + i, get_word(row, k))
    return tile, tile, -1


def tile(memory):
    """Return the blocks of a tile; None of None."""
    raise NotImplementedError("compiled code only")


@overload(tile, **PIECE)
def _tile(memory: Any) -> Any:
    if isinstance(memory, types.NoneType):
        return lambda memory: None
    return lambda memory: (memory, memory, -1)


def turn_back(tile, array, at, rows, classes):
    """Undo `turn`."""
    raise NotImplementedError("compiled code only")


@overload(turn_back, **PIECE)
def _turn_back(tile: Any, array: Any, at: Any, rows: Any, classes: Any) -> Any:
    if isinstance(array, types.NoneType):
        return lambda tile, array, at, rows, classes: None

    if is_half(array):

        def write(tile, array, at, rows, classes):
            words = scratch(TILE, array)
            copy(words, tile, classes * LANES)
            turn_words_back(words, array, at, rows, classes)

    else:

        def write(tile, array, at, rows, classes):
            turn_words_back(tile, array, at, rows, classes)

    return write


@inlined
def turn_words_back(tile, array, at, rows, classes):
    """Write a tile of numbers as they are stored."""
    target = step(address(array), at)
    for i in range(rows):
        row = step(target, i * classes)
        for k in range(classes):
            put_alone(row, k, get_word(tile, k * LANES + i))


# The same for a tuple of arrays, whose dtypes may differ.


def block_like(array, size):
    """Return memory for `size` numbers that an array is computed in; None of None."""
    raise NotImplementedError("compiled code only")


@overload(block_like, prefer_literal=True, **PIECE)
def _block_like(array: Any, size: Any) -> Any:
    if isinstance(array, types.NoneType):
        return lambda array, size: None
    return lambda array, size: scratch(size, zero_of(address(array)))


def blocks_like(arrays, size):
    """Return memory for `size` numbers like each array's."""
    raise NotImplementedError("compiled code only")


@overload(blocks_like, prefer_literal=True, **PIECE)
def _blocks_like(arrays: Any, size: Any) -> Any:
    if not len(arrays):
        return lambda arrays, size: ()
    return lambda arrays, size: (scratch(size, arrays[0]), *blocks_like(arrays[1:], size))


def open_rows(arrays, tails, at, classes, missing):
    """Open a row of each array."""
    raise NotImplementedError("compiled code only")


@overload(open_rows, **PIECE)
def _open_rows(arrays: Any, tails: Any, at: Any, classes: Any, missing: Any) -> Any:
    if not len(arrays):
        return lambda arrays, tails, at, classes, missing: ()
    if len(missing) == 1:  # for all that are left
        return lambda arrays, tails, at, classes, missing: (
            open_row(arrays[0], tails[0], at, classes, missing[0]),
            *open_rows(arrays[1:], tails[1:], at, classes, missing),
        )
    return lambda arrays, tails, at, classes, missing: (
        open_row(arrays[0], tails[0], at, classes, missing[0]),
        *open_rows(arrays[1:], tails[1:], at, classes, missing[1:]),
    )


def turn_rows(arrays, tiles, at, rows, classes):
    """Turn rows of each array."""
    raise NotImplementedError("compiled code only")


@overload(turn_rows, **PIECE)
def _turn_rows(arrays: Any, tiles: Any, at: Any, rows: Any, classes: Any) -> Any:
    if not len(arrays):
        return lambda arrays, tiles, at, rows, classes: ()
    return lambda arrays, tiles, at, rows, classes: (
        turn(arrays[0], tiles[0], at, rows, classes),
        *turn_rows(arrays[1:], tiles[1:], at, rows, classes),
    )
