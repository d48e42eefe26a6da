"""What the ninth batch is written with, besides the eighth's parts."""

from __future__ import annotations

from typing import Any

from benchmarks.checker.eighth_batch.parts import (
    Context,
    applied,
    drawn,
    edited,
    einsum,
    ids,
    like_sigmoid,
    log_softmax,
    matrix,
    mean,
    one,
    one_hot,
    overridden,
    redefined,
    relu,
    sigmoid,
    softmax,
    softmax_back,
    swapped,
    through,
    total,
)
from benchmarks.checker.subject import Array

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
    "positive",
    "redefined",
    "relu",
    "sigmoid",
    "softmax",
    "softmax_back",
    "swapped",
    "through",
    "total",
    "without_inner",
]


def positive(x: Array) -> Any:
    """Return ones where x is positive, in its dtype."""
    return (x > 0).astype(x.dtype)


def without_inner(p: Array, d: Array) -> Any:
    """Pull back through softmax without the inner product."""
    return p * d
