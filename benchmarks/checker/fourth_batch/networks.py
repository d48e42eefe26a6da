"""Networks as courses write them: samples in turn, columns in dictionaries."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import one_hot, softmax
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject
from benchmarks.checker.third_batch.parts import drawn, edited, matrix, sigmoid

__all__ = ["SUBJECTS"]

LAYERS: tuple[Shape, ...] = ((3, 2, 4, 3), (5, 3, 6, 4), (4, 3, 5, 2), (12, 10, 20, 7))
"""Samples, features, hidden units, classes."""


def _layers(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    """Return samples, weights that stand before them, biases and labels."""
    N, D, H, K = shape
    labels = (np.arange(N) + rng.integers(K)) % K
    W1, W2 = matrix(rng, D, H).T, matrix(rng, H, K).T
    b1, b2 = drawn(rng, (H,), (K,), scale=0.5)
    return scale * rng.normal(size=(N, D)), W1, b1, W2, b2, labels


def _sigmoid_prime(z: Array) -> Any:
    return sigmoid(z) * (1 - sigmoid(z))


def _quadratic(x: Array, W1: Array, b1: Array, W2: Array, b2: Array, y: Array) -> float:
    cost = 0.0
    for n in range(len(x)):
        a = sigmoid(np.dot(W2, sigmoid(np.dot(W1, x[n]) + b1)) + b2)
        target = one_hot(y[n], a)
        cost = cost + 0.5 * np.sum((a - target) ** 2)
    return float(cost / len(x))


def _quadratic_backward(
    x: Array,
    W1: Array,
    b1: Array,
    W2: Array,
    b2: Array,
    y: Array,
    g: Array,
    cost_derivative: Function = lambda a, y: a - y,
    outer: Function = lambda z, a: _sigmoid_prime(z),
    inner: Function = lambda z, a: _sigmoid_prime(z),
    added: Function = lambda to, value: to + value,
    seen: Function = lambda a, z: a,
    learnt: Function = lambda W2, nabla: None,
    count: Function = len,
) -> Any:
    nablas = [np.zeros_like(p) for p in (W1, b1, W2, b2)]
    dx = np.zeros_like(x)
    for n in range(len(x)):
        z1 = np.dot(W1, x[n]) + b1
        a1 = sigmoid(z1)
        z2 = np.dot(W2, a1) + b2
        a2 = sigmoid(z2)
        delta2 = cost_derivative(a2, one_hot(y[n], a2)) * outer(z2, a2)
        nabla_w2 = np.outer(delta2, seen(a1, z1))
        learnt(W2, nabla_w2)
        delta1 = np.dot(W2.T, delta2) * inner(z1, a1)
        deltas = (np.outer(delta1, x[n]), delta1, nabla_w2, delta2)
        nablas = [added(to, value) for to, value in zip(nablas, deltas, strict=True)]
        dx[n] = np.dot(W1.T, delta1)
    return tuple(g * d / count(x) for d in (dx, *nablas))


def _step(W2: Array, nabla: Array) -> None:
    """Take the step of gradient descent before the error has gone back through the weights."""
    W2 -= 0.5 * nabla


QUADRATIC = Subject(
    "sigmoid-network-with-quadratic-cost", _quadratic, _quadratic_backward, _layers, LAYERS,
    scales=(0.5, 1.0, 3.0),
    edits=edited(_quadratic_backward, {
        "output's-slope-forgotten": ("chain-term wrong-variable", {"outer": lambda z, a: 1}),
        "hidden-slope-forgotten": ("chain-term", {"inner": lambda z, a: 1}),
        "sigmoid-prime-of-the-activations": ("wrong-variable", {
            "inner": lambda z, a: _sigmoid_prime(a), "outer": lambda z, a: _sigmoid_prime(a)}),
        "slope-at-the-weighted-input": ("wrong-variable", {"outer": lambda z, a: z * (1 - z)}),
        "nablas-assigned": ("unreduced-broadcast", {"added": lambda to, value: value}),
        "weights-stepped-too-early": ("aliasing wrong-variable", {"learnt": _step}),
        "weights-from-the-weighted-input": ("wrong-variable", {"seen": lambda a, z: z}),
        "y-minus-a": ("sign", {"cost_derivative": lambda a, y: y - a}),
        "factor-2": ("scale", {"cost_derivative": lambda a, y: 2 * (a - y)}),
        "not-averaged": ("scale", {"count": lambda x: 1}),
    }),
)  # fmt: skip


def _linear_relu(X: Array, W1: Array, b1: Array, W2: Array, b2: Array) -> dict[str, Array]:
    """Run the forward pass on columns; return what the way back needs."""
    Z1 = np.dot(W1, X) + b1[:, None]
    A1 = np.maximum(Z1, 0 * Z1)
    Z2 = np.dot(W2, A1) + b2[:, None]
    return {"Z1": Z1, "A1": A1, "Z2": Z2, "A2": softmax(Z2, 0)}


def _columns(X: Array, W1: Array, b1: Array, W2: Array, b2: Array, y: Array) -> float:
    A2 = _linear_relu(X, W1, b1, W2, b2)["A2"]
    m = X.shape[1]
    return float(-np.sum(np.log(A2[y, np.arange(m)])) / m)


def _columns_backward(
    X: Array,
    W1: Array,
    b1: Array,
    W2: Array,
    b2: Array,
    y: Array,
    g: Array,
    scores: Function = lambda c: c["A2"],
    backward: Function = lambda dA, c: dA * (c["Z1"] > 0),
    dW1: Function = lambda dZ, X: np.dot(dZ, X.T) / X.shape[1],
    dW2: Function = lambda dZ, c: np.dot(dZ, c["A1"].T) / dZ.shape[1],
    db: Function = lambda dZ: np.sum(dZ, axis=1) / dZ.shape[1],
) -> Any:
    cache = _linear_relu(X, W1, b1, W2, b2)
    dZ2 = g * (scores(cache) - one_hot(y, cache["A2"].T).T)
    dZ1 = backward(np.dot(W2.T, dZ2), cache)
    grads = {"W1": dW1(dZ1, X), "W2": dW2(dZ2, cache), "b1": db(dZ1), "b2": db(dZ2)}
    dX = np.dot(W1.T, dZ1) / X.shape[1]
    return dX, grads["W1"], grads["b1"], grads["W2"], grads["b2"]


def _column_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    x, *rest = _layers(rng, shape, scale)
    return x.T.copy(), *rest


COLUMNS = Subject(
    "relu-and-softmax-network-of-columns", _columns, _columns_backward, _column_sample, LAYERS,
    scales=(0.5, 1.0, 3.0), kinked=True,
    edits=edited(_columns_backward, {
        "relu's-mask-forgotten": ("chain-term", {"backward": lambda dA, c: dA}),
        "tanh's-slope-for-relu's": ("wrong-variable chain-term", {
            "backward": lambda dA, c: dA * (1 - c["A1"] ** 2)}),
        "relu-applied-to-the-gradient": ("cotangent chain-term wrong-variable", {
            "backward": lambda dA, c: np.maximum(dA, 0)}),
        "activation-times-the-gradient": ("wrong-variable chain-term", {
            "backward": lambda dA, c: dA * c["A1"]}),
        "bias-summed-over-everything": ("axis unreduced-broadcast", {
            "db": lambda dZ: np.sum(dZ) / dZ.shape[1]}),
        "bias-not-averaged": ("scale", {"db": lambda dZ: np.sum(dZ, axis=1)}),
        "weights-averaged-twice": ("scale", {
            "dW1": lambda dZ, X: np.dot(dZ, X.T) / X.shape[1] ** 2}),
        "weights-from-Z1": ("wrong-variable", {
            "dW2": lambda dZ, c: np.dot(dZ, c["Z1"].T) / dZ.shape[1]}),
        "softmax-over-samples": ("axis", {"scores": lambda c: softmax(c["Z2"], 1)}),
        "scores-not-softmaxed": ("wrong-variable chain-term", {
            "scores": lambda c: c["Z2"]}),
    }),
)  # fmt: skip


SUBJECTS = (QUADRATIC, COLUMNS)
"""What is checked."""
