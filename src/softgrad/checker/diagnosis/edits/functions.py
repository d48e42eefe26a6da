"""Functions that stand for one another by mistake: of logits, of scores, of hidden layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from softgrad.checker.subject import Vector

__all__ = ["Function", "functions", "softmax"]

Function = Callable[[Vector], Vector]


def functions(x: Vector) -> Iterator[tuple[str, Function]]:
    """Yield activations that an array may have gone through, and what to call the result."""
    yield "the sigmoid of {}", lambda x: 0.5 + 0.5 * np.tanh(x / 2)
    yield "the tanh of {}", np.tanh
    for axis, length in enumerate(x.shape):
        if length > 1:
            yield f"the softmax of {{}} along axis {axis}", partial(softmax, axis=axis)


def softmax(x: Vector, axis: int | tuple[int, ...]) -> Vector:
    """Return softmax along an axis, or over several; a row of −∞ alone is 0."""
    e = np.exp(x - np.maximum(x.max(axis=axis, keepdims=True), -1e300))
    return np.asarray(e / np.maximum(e.sum(axis=axis, keepdims=True), 1e-300))
