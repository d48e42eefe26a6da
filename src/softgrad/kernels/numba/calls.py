"""How rows come to a kernel: as flat memory, a range of rows for each thread."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from softgrad.arithmetic import two_inverse
from softgrad.arrays import Array, dtype_name, namespace
from softgrad.kernels.threads import over_rows

__all__ = ["Kernel", "beta_of", "empty_like", "flat", "memory_of", "room_for", "run_rows"]

Kernel = Callable[..., None]


def run_rows(kernel: Kernel, sources: tuple[Array, ...], target: Array | None, args: Any) -> None:
    """Let the threads take the rows."""
    classes = sources[0].shape[-1]
    rows, written = tuple(map(flat, sources)), None if target is None else flat(target)

    def work(first: int, last: int) -> None:
        kernel(rows, written, first, last, classes, args)

    over_rows(work, prod(sources[0].shape[:-1]), classes)


def room_for(out: Array | None, sources: tuple[Array, ...]) -> Array:
    """Return where a result is to go: to `out`, unless that would spoil what is yet to be read."""
    like = sources[0]
    if out is not None:
        memory, first = memory_of(out), memory_of(like)
        spoilt = sources[1:] if memory.ctypes.data == first.ctypes.data else sources
        if not any(np.may_share_memory(memory, memory_of(x)) for x in spoilt):
            return out
    return empty_like(like, like.shape)


def empty_like(like: Array, shape: tuple[int, ...]) -> Array:
    return namespace(like).empty(shape, dtype=like.dtype)


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
    """Return an array as a NumPy array that shares its memory."""
    return x if isinstance(x, np.ndarray) else x.detach().numpy()


def beta_of(x: Array, temperature: float) -> Any:
    """Return 1/T as a sum of two numbers of x's dtype, or None for 1."""
    if temperature == 1.0:
        return None
    dtype = dtype_name(x)
    return tuple(map(np.dtype(dtype).type, two_inverse(temperature, dtype)))
