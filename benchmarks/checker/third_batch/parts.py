"""What the third batch is written with, besides the second's parts."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.second_batch.parts import drawn, edited, matrix, sigmoid
from benchmarks.checker.subject import Array, Rng, Shape

__all__ = ["drawn", "edited", "einsum", "labelled", "matrix", "probabilities", "sigmoid"]


def einsum(subscripts: str, *arrays: Array) -> Array:
    """Return NumPy's einsum, which knows no bfloat16."""
    if arrays[0].dtype.kind == "V":
        wide = np.einsum(subscripts, *(a.astype(np.float32) for a in arrays))
        return np.asarray(wide.astype(arrays[0].dtype))
    return np.asarray(np.einsum(subscripts, *arrays))


def labelled(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    """Return logits, and a label for every row."""
    return scale * rng.normal(size=shape), rng.integers(shape[-1], size=shape[:-1])


def probabilities(rng: Rng, shape: Shape, scale: float = 1.0) -> Array:
    """Return rows of positive numbers that sum to one."""
    e = np.exp(scale * rng.normal(size=shape))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))
