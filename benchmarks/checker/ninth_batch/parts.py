"""What the ninth batch is written with, besides the eighth's parts."""

from __future__ import annotations

from typing import Any

import numpy as np

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
    "added_rows",
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
    "with_fancy_indices",
    "without_inner",
]


def positive(x: Array) -> Any:
    """Return ones where x is positive, in its dtype."""
    return (x > 0).astype(x.dtype)


def without_inner(p: Array, d: Array) -> Any:
    """Pull back through softmax without the inner product."""
    return p * d


def added_rows(C: Array, x: Array, d_words: Array) -> Any:
    """Return what embeddings get of the words x [N, n], each of which may occur again."""
    dC = np.zeros_like(C)
    for row, tokens in enumerate(x):
        for place, token in enumerate(tokens):
            dC[token] += d_words[row, place]
    return dC


def with_fancy_indices(C: Array, x: Array, d_words: Array) -> Any:
    """Add to dC[x], where a word that occurs twice gets what came last."""
    dC = np.zeros_like(C)
    dC[x] += d_words
    return dC
