"""What the fifth batch is written with, besides the third's parts."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.second_batch.parts import swapped
from benchmarks.checker.subject import Array, Rng, Shape
from benchmarks.checker.third_batch.parts import drawn, edited, einsum, matrix, sigmoid

__all__ = [
    "drawn",
    "edited",
    "einsum",
    "ids",
    "matrix",
    "one",
    "sigmoid",
    "softmax_back",
    "swapped",
]


def ids(rng: Rng, count: int, K: int) -> Array:
    """Return labels that differ from row to row, and between the two ends."""
    return np.asarray((np.arange(count) + rng.integers(K)) % K)


def labelled(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    """Return logits, and a label for every row."""
    return scale * rng.normal(size=shape), ids(rng, *shape)


def one(*_: Any) -> int:
    """Return 1 in place of a factor."""
    return 1


def softmax_back(p: Array, g: Array) -> Any:
    """Pull a cotangent back through softmax along the last axis."""
    return p * (g - np.sum(p * g, axis=-1, keepdims=True))
