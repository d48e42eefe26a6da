"""What the eighth batch is written with, besides the seventh's parts."""

from __future__ import annotations

from benchmarks.checker.numerics import log_softmax, mean, one_hot, softmax, total
from benchmarks.checker.seventh_batch.parts import (
    Context,
    applied,
    drawn,
    edited,
    einsum,
    ids,
    like_sigmoid,
    matrix,
    one,
    overridden,
    redefined,
    relu,
    sigmoid,
    softmax_back,
    swapped,
    through,
)

__all__ = [
    "Context",
    "applied",
    "drawn",
    "edited",
    "einsum",
    "ids",
    "like_sigmoid",
    "log_softmax",
    "matrix",
    "mean",
    "one",
    "one_hot",
    "overridden",
    "redefined",
    "relu",
    "sigmoid",
    "softmax",
    "softmax_back",
    "swapped",
    "through",
    "total",
]
