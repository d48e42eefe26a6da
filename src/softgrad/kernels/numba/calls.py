"""How rows come to a kernel: as flat memory, a range of rows for each thread."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from softgrad.arithmetic import two_inverse
from softgrad.arrays import Array, compute_dtype, dtype_name, namespace
from softgrad.kernels.threads import LEAST_PIECE, over_rows

__all__ = [
    "Kernel",
    "beta_of",
    "empty_like",
    "flat",
    "memory_of",
    "number_of",
    "room_for",
    "run_rows",
    "share",
]

Kernel = Callable[..., None]

WORDS = {"float16": np.int16, "bfloat16": np.uint16}
"""How kernels tell numbers of half precision apart, which are words of 16 bits to them."""


def run_rows(kernel: Kernel, sources: tuple[Array, ...], target: Array | None, args: Any) -> None:
    """Let the threads take the rows."""
    classes = sources[0].shape[-1]
    rows, written = tuple(map(flat, sources)), None if target is None else flat(target)

    def work(first: int, last: int) -> None:
        kernel(rows, written, first, last, classes, args)

    share(work, prod(sources[0].shape[:-1]), classes)


def share(work: Callable[[int, int], object], rows: int, row_size: int) -> None:
    """Let the threads take the rows, once the kernel is compiled: helpers are not interrupted."""
    if rows * row_size <= LEAST_PIECE:  # not worth waking one
        work(0, rows)
        return
    work(0, 0)
    over_rows(work, rows, row_size)


def room_for(out: Array | None, sources: tuple[Array, ...], dtype: Any = None) -> Array:
    """Return where a result is to go: to `out`, unless that would spoil what is yet to be read.

    Else it goes to new memory, of the dtype that is computed in where none is given.
    """
    like = sources[0]
    if out is not None:
        memory, first = memory_of(out), memory_of(like)
        spoilt = sources[1:] if memory.ctypes.data == first.ctypes.data else sources
        if not any(np.may_share_memory(memory, memory_of(x)) for x in spoilt):
            return out
    return empty_like(like, like.shape, dtype)


def empty_like(like: Array, shape: tuple[int, ...], dtype: Any = None) -> Array:
    dtype = compute_dtype(like) if dtype is None else dtype
    if isinstance(like, np.ndarray):
        return np.empty(shape, dtype)
    return like.new_empty(shape, dtype=dtype)


def flat(x: Array) -> np.ndarray[Any, Any]:
    """Return the memory of an array in C order as a flat NumPy array."""
    memory = memory_of(x)
    numbers = memory.reshape(-1) if memory.flags.c_contiguous else np.ravel(memory)
    return numbers if numbers.flags.writeable else np.asarray(_Unlocked(numbers))


class _Unlocked:
    """Memory that is only read, under the type of what may be written: one kernel serves both."""

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self.array = array  # which keeps the memory alive
        interface = array.__array_interface__
        self.__array_interface__ = interface | {"data": (interface["data"][0], False)}


def memory_of(x: Array) -> np.ndarray[Any, Any]:
    """Return an array as a NumPy array that shares its memory; half precision as `WORDS`."""
    word = WORDS.get(dtype_name(x))
    if not isinstance(x, np.ndarray):
        x = x.detach() if x.requires_grad else x
        x = (x if word is None else x.view(namespace(x).int16)).numpy()
    return x if word is None else x.view(word)


def number_of(x: Array) -> Any:
    """Return NumPy's type of the numbers that an array is computed in."""
    return np.float64 if dtype_name(x) == "float64" else np.float32


def beta_of(x: Array, temperature: float) -> Any:
    """Return 1/T as a sum of two numbers that x is computed in, or None for 1."""
    if temperature == 1.0:
        return None
    number = number_of(x)
    return tuple(map(number, two_inverse(temperature, np.dtype(number).name)))
