"""Softmax regression with samples in columns.

What is wrong here is met in notebooks of courses.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.fifth_batch.parts import (
    edited,
    ids,
    matrix,
    one,
)
from benchmarks.checker.numerics import softmax
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]


REG = 0.3


def _columns(W: Array, b: Array, X: Array, y: Array) -> Any:
    """Return the loss of softmax regression on columns [D, m], with half the squared weights."""
    p = softmax(W @ X + b[:, None], 0)
    return -np.sum(np.log(p[y, np.arange(len(y))])) / len(y) + REG / 2 * np.sum(W * W)


def _columns_backward(
    W: Array,
    b: Array,
    X: Array,
    y: Array,
    g: Array,
    at: Function = lambda z: softmax(z, 0),
    count: Function = lambda X: X.shape[1],
    db: Function = lambda dZ: np.sum(dZ, axis=1),
    decay: Function = lambda W, m: REG * W,
    decayed_bias: Function = lambda b: 0,
) -> Any:
    dZ = at(W @ X + b[:, None])
    dZ[y, np.arange(len(y))] -= 1
    m = count(X)
    bias = g * (db(dZ) / m + decayed_bias(b))
    return g * (dZ @ X.T / m + decay(W, X.shape[1])), bias, g * (W.T @ dZ) / m


_SAVED: dict[Any, Array] = {}
"""The probabilities that a forward has left, by its logits."""


def _saved(z: Array) -> Array:
    return _SAVED.setdefault((z.dtype, z.astype(np.float64).tobytes()), softmax(z, 0))


def _columns_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    D, m, K = shape
    X = scale * rng.normal(size=(D, m))
    return matrix(rng, D, K).T, rng.normal(size=K), X, ids(rng, m, K)


REGRESSION = Subject(
    "softmax-regression-of-columns", _columns, _columns_backward, _columns_sample,
    ((2, 3, 4), (5, 4, 3), (3, 5, 4), (6, 7, 5), (20, 12, 10)), scales=(0.3, 1.0, 3.0),
    edits=edited(_columns_backward, {
        # Features and samples confused, where samples are columns.
        "divided-by-features": ("scale chain-term", {"count": lambda X: X.shape[0]}),
        "not-averaged": ("scale chain-term", {"count": one}),
        "softmax-over-samples": ("axis", {"at": lambda z: softmax(z, 1)}),
        "bias-summed-over-classes-too": ("axis unreduced-broadcast", {
            "db": lambda dZ: np.full_like(dZ[:, 0], np.sum(dZ))}),
        "bias-kept-per-sample": ("unreduced-broadcast", {"db": lambda dZ: dZ}),
        "decay-forgotten": ("chain-term", {"decay": lambda W, m: 0}),
        "decay-subtracted": ("chain-term sign", {"decay": lambda W, m: -REG * W}),
        # What the forward has saved is changed in place, and the next call finds it so.
        "saved-probabilities-changed": ("aliasing", {"at": _saved}),
        "bias-decayed-too": ("chain-term", {"decayed_bias": lambda b: REG * b}),
    }),
)  # fmt: skip

SUBJECTS = (REGRESSION,)
"""What is checked."""
