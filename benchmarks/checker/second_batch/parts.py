"""What the second batch is written with: backwards whose parts can be replaced."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from benchmarks.checker.subject import Array, Edit, Function, Rng, Shape, edit

__all__ = ["drawn", "edited", "matrix", "sigmoid", "swapped"]


def edited(
    backward: Function, mistakes: Mapping[str, tuple[str, Mapping[str, Function]]]
) -> tuple[Edit, ...]:
    """Return an edit for every mistake: its names, and the parts that it replaces."""
    return tuple(
        edit(name, accepted, partial(backward, **parts))
        for name, (accepted, parts) in mistakes.items()
    )


def drawn(rng: Rng, *shapes: Shape, scale: float = 1.0) -> tuple[Array, ...]:
    """Return arrays of normal numbers of a scale."""
    return tuple(scale * rng.normal(size=shape) for shape in shapes)


def matrix(rng: Rng, rows: int, columns: int) -> Array:
    """Return a weight matrix that keeps the size of what it is applied to."""
    return rng.normal(size=(rows, columns)) / np.sqrt(rows)


def sigmoid(x: Array) -> Array:
    """Return 1/(1 + exp(−x)), which does not overflow."""
    return np.asarray(0.5 + 0.5 * np.tanh(x / 2))


def swapped(x: Array) -> Array:
    """Return matrices transposed."""
    return np.swapaxes(x, -1, -2)
