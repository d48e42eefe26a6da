"""How rows come to a kernel: programs of some rows each, whose shape depends on the classes.

So the bits of a row do not depend on how many there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd, prod
from typing import Any, NamedTuple

import numpy as np
import torch

from softgrad.arithmetic import two_inverse
from softgrad.arrays import Array

__all__ = [
    "OPTIONS",
    "Rows",
    "Shape",
    "as_rows",
    "beta_of",
    "in_two_parts",
    "launch",
    "listed_at_a_time",
    "room_for",
]

WHOLE = 16384
"""The most classes of a row that a program holds at once: 32 numbers for each of 512 threads."""

TILE = 8192
"""Classes of a longer row that are visited at a time."""

LONG = ("softmax", "logsumexp", "cross_entropy")
"""The kernels whose registers hold so many: what works on a second tile has no room for them."""

LEAST = 1024
"""Numbers of a program at least, of several short rows."""

MOST = 8
"""Numbers that are read at once: 16 bytes in half precision."""

PAIRS = 512
"""The most pairs of classes with a target that a program compares at a time."""

OPTIONS = {"enable_fp_fusion": False}
"""How kernels are compiled: an fma that nobody wrote would give β(x − m) another error."""


class Shape(NamedTuple):
    """The shape of a program's tile."""

    R: int
    """Rows."""

    B: int
    """Classes."""

    whole: bool
    """Whether these are all classes."""

    @classmethod
    def of(cls, K: int, most: int) -> Shape:
        """Return the shape for rows of K classes, of which a program holds so many at most."""
        if most < K:
            return cls(1, TILE, False)
        B = max(2, 1 << (K - 1).bit_length())
        return cls(max(1, LEAST // B), B, True)

    @property
    def warps(self) -> int:
        """Return warps such that a thread has 16 numbers, or 32 of the longest rows."""
        return min(16, max(4, self.R * self.B // 512))


def most_held(kernel: Any, constants: Mapping[str, Any]) -> int:
    """Return the most classes of a row that a program of a kernel holds at once."""
    bent = constants.get("CAPPED") or constants.get("SMOOTHED")
    return WHOLE if kernel.__name__ in LONG and not bent else min(WHOLE, TILE)


def listed_at_a_time(k: int, K: int) -> int:
    """Return how many of each row's k classes with a target a program sees at a time."""
    R, Q = Shape.of(K, WHOLE).R, 1
    while k > Q and R * (2 * Q) ** 2 <= PAIRS:
        Q *= 2
    return Q


class Rows(NamedTuple):
    """An array as rows [N, K] whose classes stand beside each other."""

    array: Array
    stride: int
    """From one row to the next."""


def as_rows(x: Array) -> Rows:
    """Return an array [..., K] as rows: as it is where one stride takes from each to the next."""
    K = x.shape[-1]
    x = x.detach()
    rows = x if x.ndim == 2 else x.reshape(prod(x.shape[:-1]), K)
    if rows.shape[0] and K > 1 and rows.stride(1) != 1:
        rows = rows.contiguous()
    return Rows(rows, rows.stride(0))


def room_for(
    out: Array | None, sources: tuple[Array, ...], dtype: Any, *, shorter: bool = False
) -> Array:
    """Return where a result is to go: to `out`, unless that would spoil what is yet to be read.

    The first source may be overwritten entry by entry; by `shorter` numbers at the begin of its own
    rows, where the kernel reads a tile in all threads before it writes there.
    """
    first, *others = sources
    if out is not None and (out.is_contiguous() or (out.ndim == 2 and out.stride(1) == 1)):
        spoilt = others if _in_place(out, first, shorter) else sources
        if not any(_overlap(out, x) for x in spoilt):
            return out
    return first.new_empty(first.shape, dtype=dtype)


def _in_place(out: Array, x: Array, shorter: bool) -> bool:
    """Tell whether every row of the result begins where that of x does, and ends no later."""
    out_size, size = out.element_size(), x.element_size()
    if out_size > size or (out_size < size and not shorter):
        return False
    pitches = [[n * a.element_size() for n in a.stride()[:-1]] for a in (out, x)]
    return out.data_ptr() == x.data_ptr() and pitches[0] == pitches[1]


def _overlap(a: Array, b: Array) -> bool:
    (a_first, a_end), (b_first, b_end) = _extent(a), _extent(b)
    return a_first < b_end and b_first < a_end


def _extent(x: Array) -> tuple[int, int]:
    """Return the addresses between which an array stands."""
    if not x.numel():
        return 0, 0
    last = sum((n - 1) * stride for n, stride in zip(x.shape, x.stride(), strict=True))
    return x.data_ptr(), x.data_ptr() + (last + 1) * x.element_size()


def beta_of(temperature: float) -> tuple[float, float]:
    """Return 1/T as a sum of two float32 numbers."""
    return two_inverse(temperature, "float32")


def in_two_parts(v: float) -> tuple[float, float]:
    """Return a number as a sum of two float32 numbers."""
    high = float(np.float32(v))
    return high, v - high


def launch(kernel: Any, rows: Rows, *arguments: Any, **constants: Any) -> None:
    """Run a kernel over rows; its constants R, B and WHOLE are the shape of a program.

    STEP is what the length of the rows and all strides are multiples of, up to `MOST`: Triton
    itself only sees multiples of 16.
    """
    N, K = rows.array.shape
    if not N * K:
        return
    shape = Shape.of(K, most_held(kernel, constants))
    named = zip(kernel.arg_names, (*rows, *arguments), strict=False)
    strides = [number for name, number in named if name.endswith("stride")]
    if "WHOLE" in kernel.arg_names:
        constants["WHOLE"] = shape.whole
    with torch.cuda.device_of(rows.array):
        kernel[(-(-N // shape.R),)](
            *rows,
            *arguments,
            R=shape.R,
            B=shape.B,
            STEP=gcd(MOST, K, *strides),
            num_warps=shape.warps,
            **OPTIONS,
            **constants,
        )
