"""What subjects are written with: sums that keep their axis, softmax, one-hot rows, samples."""

from __future__ import annotations

import numpy as np

from benchmarks.checker.subject import Array, Rng, Shape

__all__ = ["log_softmax", "logits", "mean", "numbers", "one_hot", "softmax", "total"]


def total(x: Array, axis: int | None = -1) -> Array:
    """Return the sum along an axis, which stays as one of length 1."""
    return np.asarray(x.sum(axis=axis, keepdims=True))


def mean(x: Array, axis: int = -1) -> Array:
    """Return the mean along an axis, which stays as one of length 1."""
    return np.asarray(x.mean(axis=axis, keepdims=True))


def softmax(z: Array, axis: int = -1) -> Array:
    """Return exp(z) over its sum."""
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return np.asarray(e / total(e, axis))


def log_softmax(z: Array, axis: int = -1) -> Array:
    """Return the logarithm of softmax."""
    centred = z - z.max(axis=axis, keepdims=True)
    return np.asarray(centred - np.log(total(np.exp(centred), axis)))


def one_hot(labels: Array, like: Array) -> Array:
    """Return rows of zeros with a one at each label, in the shape and dtype of `like`."""
    return (labels[..., None] == np.arange(like.shape[-1])).astype(like.dtype)


def logits(rng: Rng, shape: Shape, scale: float) -> tuple[Array]:
    """Return one array of normal numbers."""
    return (scale * rng.normal(size=shape),)


def numbers(rng: Rng, *shapes: Shape) -> tuple[Array, ...]:
    """Return arrays of normal numbers."""
    return tuple(rng.normal(size=shape) for shape in shapes)
