"""Linear softmax classifiers: in loops, and as layers with a loss at the end."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import one_hot, softmax
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject
from benchmarks.checker.third_batch.parts import drawn, edited, matrix

__all__ = ["SUBJECTS"]

REG = 0.3


def _naive(W: Array, X: Array, y: Array) -> float:
    """Return the loss of softmax regression, a sample at a time, with L2 on the weights."""
    loss = 0.0
    num_train = X.shape[0]
    for i in range(num_train):
        scores = X[i].dot(W)
        scores = scores - np.max(scores)
        loss = loss + np.log(np.sum(np.exp(scores))) - scores[y[i]]
    return float(loss / num_train + REG * np.sum(W * W))


def _added(to: Array, value: Array) -> Array:
    return to + value


def _naive_backward(
    W: Array,
    X: Array,
    y: Array,
    g: Array,
    coefficient: Function = lambda p, j, label: p[j] - (j == label),
    into_W: Function = _added,
    into_X: Function = _added,
    decay: Function = lambda W, N: 2 * REG * W,
    count: Function = len,
    label: Function = lambda y, K: y,
) -> Any:
    dW, dX = np.zeros_like(W), np.zeros_like(X)
    for i in range(X.shape[0]):
        p = softmax(X[i].dot(W))
        for j in range(W.shape[1]):
            c = coefficient(p, j, label(y[i], W.shape[1]))
            dW[:, j] = into_W(dW[:, j], c * X[i])
            dX[i] = into_X(dX[i], c * W[:, j])
    return g * (dW / count(X) + decay(W, len(X))), g * dX / count(X)


def _naive_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    N, D, K = shape
    y = (np.arange(N) + rng.integers(K)) % K
    return matrix(rng, D, K), scale * rng.normal(size=(N, D)), y


NAIVE = Subject(
    "softmax-regression-in-loops", _naive, _naive_backward, _naive_sample,
    ((3, 2, 4), (4, 5, 3), (5, 3, 4), (7, 6, 11), (12, 8, 20)), scales=(0.3, 1.0, 3.0),
    edits=edited(_naive_backward, {
        "label-not-subtracted": ("chain-term subset", {"coefficient": lambda p, j, y: p[j]}),
        "label's-column-alone": ("diagonal-only subset chain-term", {
            "coefficient": lambda p, j, y: (p[j] - 1) * (j == y)}),
        "label-added": ("sign chain-term subset", {
            "coefficient": lambda p, j, y: p[j] + (j == y)}),
        "weights-assigned": ("unreduced-broadcast", {"into_W": lambda to, value: value}),
        "samples-assigned": ("unreduced-broadcast", {"into_X": lambda to, value: value}),
        "decay-without-2": ("chain-term", {"decay": lambda W, N: REG * W}),
        "decay-averaged": ("chain-term", {"decay": lambda W, N: 2 * REG * W / N}),
        "decay-forgotten": ("chain-term", {"decay": lambda W, N: 0}),
        "not-averaged": ("scale chain-term", {"count": lambda X: 1}),
        "labels-from-one": ("subset axis", {"label": lambda y, K: (y - 1) % K}),
    }),
)  # fmt: skip


def _softmax(x: Array) -> Any:
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def _with_loss(x: Array, W: Array, b: Array, t: Array) -> float:
    y = _softmax(np.dot(x, W) + b)
    return float(-np.sum(np.log(y[np.arange(len(t)), t])) / len(t))


def _with_loss_backward(
    x: Array,
    W: Array,
    b: Array,
    t: Array,
    g: Array,
    last: Function = lambda y, t: y - t,
    batch_size: Function = len,
    dout: Function = lambda g: g,
    at: Function = _softmax,
    dW: Function = lambda x, d: np.dot(x.T, d),
    db: Function = lambda d: np.sum(d, axis=0),
) -> Any:
    y = at(np.dot(x, W) + b)
    d = dout(g) * last(y, one_hot(t, y)) / batch_size(y)
    return np.dot(d, W.T), dW(x, d), db(d)


_GRADIENTS: dict[Any, Array] = {}
"""What layers keep between two calls."""


def _accumulated(x: Array, d: Array) -> Array:
    """Add to the gradient of the call before."""
    dW = np.dot(x.T, d)
    key = (dW.shape, dW.dtype)
    _GRADIENTS[key] = _GRADIENTS.get(key, np.ones_like(dW)) + dW
    return _GRADIENTS[key]


def _labelled(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    N, D, K = shape
    t = (np.arange(N) + rng.integers(K)) % K
    return *drawn(rng, (N, D), scale=scale), matrix(rng, D, K), 0.5 * rng.normal(size=K), t


WITH_LOSS = Subject(
    "affine-and-softmax-with-loss", _with_loss, _with_loss_backward, _labelled,
    ((3, 2, 4), (4, 5, 3), (5, 3, 4), (7, 6, 20), (20, 10, 30)), scales=(0.3, 1.0, 3.0),
    edits=edited(_with_loss_backward, {
        "dout-ignored": ("cotangent", {"dout": lambda g: 1}),
        "batch-size-forgotten": ("scale", {"batch_size": lambda y: 1}),
        "divided-by-t-size": ("scale", {"batch_size": np.size}),
        "through-the-diagonal": ("diagonal-only subset chain-term", {
            "last": lambda y, t: -t * (1 - y)}),
        "loss's-gradient-alone": ("wrong-variable chain-term identity", {
            "last": lambda y, t: -t / y}),
        "t-minus-y": ("sign", {"last": lambda y, t: t - y}),
        "softmax-down-the-batch": ("axis", {"at": lambda z: softmax(z, 0)}),
        "dW-never-zeroed": ("aliasing", {"dW": _accumulated}),
        "dW-transposed": ("axis", {"dW": lambda x, d: np.dot(d.T, x)}),
        "db-not-summed": ("unreduced-broadcast", {"db": lambda d: d}),
        "db-averaged": ("scale", {"db": lambda d: np.mean(d, axis=0)}),
    }),
)  # fmt: skip

SUBJECTS = (NAIVE, WITH_LOSS)
"""What is checked."""
