"""Networks whose samples are columns: the layout of a course, and of a well-known video.

What is wrong here is met in functions named L_model_backward, softmax_backward, back_prop and
backward_prop, and in a Q&A thread that asks what softmax_backward should return.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.seventh_batch.parts import (
    drawn,
    edited,
    ids,
    matrix,
    one_hot_columns,
    relu,
    softmax_columns,
)
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]


def _forward_pass(X: Array, parameters: dict[str, Array]) -> tuple[Any, list[tuple[Array, Array]]]:
    """Return softmax of the last of three layers, and every layer's input and weighted input."""
    caches, A = [], X
    for layer, activation in ((1, np.tanh), (2, relu), (3, softmax_columns)):
        Z = parameters[f"W{layer}"] @ A + parameters[f"b{layer}"]
        caches.append((A, Z))
        A = activation(Z)
    return A, caches


def _parameters(*arrays: Array) -> dict[str, Array]:
    return dict(zip(("W1", "b1", "W2", "b2", "W3", "b3"), arrays, strict=True))


def _model(X: Array, *rest: Any) -> Any:
    """Return the mean cross entropy of a network of three layers."""
    *arrays, y = rest
    AL, _ = _forward_pass(X, _parameters(*arrays))
    return -np.sum(one_hot_columns(y, AL) * np.log(AL)) / X.shape[1]


def _softmax_backward(dA: Array, A: Array, Y: Array) -> Any:
    return A * (dA - np.sum(A * dA, axis=0, keepdims=True))


def _linear_backward(dZ: Array, A_prev: Array, W: Array) -> tuple[Any, Any, Any]:
    m = A_prev.shape[1]
    return dZ @ A_prev.T / m, np.sum(dZ, axis=1, keepdims=True) / m, W.T @ dZ


def _model_backward(
    *arguments: Any,
    loss: Function = lambda Y, A: -Y / A,
    out: Function = _softmax_backward,
    relu_backward: Function = lambda dA, Z: dA * (Z > 0).astype(dA.dtype),
    tanh_backward: Function = lambda dA, Z: dA * (1 - np.tanh(Z) ** 2),
    linear: Function = _linear_backward,
) -> Any:
    X, *arrays, y, g = arguments
    parameters = _parameters(*arrays)
    AL, caches = _forward_pass(X, parameters)
    Y, grads = one_hot_columns(y, AL), {}
    dA = g * loss(Y, AL)
    for layer in (3, 2, 1):
        A_prev, Z = caches[layer - 1]
        if layer == 3:
            dZ = out(dA, AL, Y)
        else:
            dZ = relu_backward(dA, Z) if layer == 2 else tanh_backward(dA, Z)
        W = parameters[f"W{layer}"]
        grads[f"W{layer}"], grads[f"b{layer}"], dA = linear(dZ, A_prev, W)
    return dA / X.shape[1], *(grads[name] for name in parameters)


def _averaged_again(dZ: Array, A_prev: Array, W: Array) -> Any:
    dW, db, dA = _linear_backward(dZ, A_prev, W)
    return dW, db, dA / A_prev.shape[1]


def _flat_biases(dZ: Array, A_prev: Array, W: Array) -> Any:
    dW, db, dA = _linear_backward(dZ, A_prev, W)
    return dW, db[:, 0], dA


def _model_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    D, H, G, K, m = shape
    X, b1, b2, b3 = drawn(rng, (D, m), (H, 1), (G, 1), (K, 1), scale=scale)
    W1, W2, W3 = matrix(rng, D, H).T, matrix(rng, H, G).T, matrix(rng, G, K).T
    return X, W1, b1, W2, b2, W3, b3, ids(rng, m, K)


MODEL = Subject(
    "deep-model-of-columns-with-caches", _model, _model_backward, _model_sample,
    ((2, 3, 4, 3, 5), (3, 4, 5, 4, 6), (5, 4, 3, 5, 4), (6, 8, 7, 5, 9), (12, 10, 9, 8, 20)),
    scales=(0.3, 0.7, 1.0), kinked=True,
    edits=edited(_model_backward, {
        # Half of the functions of this name.
        "like-sigmoid": ("diagonal-only", {"out": lambda dA, A, Y: dA * A * (1 - A)}),
        # Named softmax_backward, and made for the loss: right while nothing is behind the loss.
        "output-minus-label-whatever-arrives": ("cotangent", {"out": lambda dA, A, Y: A - Y}),
        "output-subtracted-from-upstream": ("cotangent", {"out": lambda dA, A, Y: dA - A}),
        "softmax-passed-over": ("identity chain-term", {"out": lambda dA, A, Y: dA}),
        # The thread's: the activation is taken of the gradient.
        "softmax-of-the-upstream": ("cotangent", {
            "out": lambda dA, A, Y: _softmax_backward(dA, softmax_columns(dA), Y)}),
        # The course's loss has two classes.
        "two-class-loss": ("wrong-variable chain-term", {
            "loss": lambda Y, A: -Y / A + (1 - Y) / (1 - A)}),
        "loss-that-knows-of-softmax": ("wrong-variable", {"loss": lambda Y, A: A - Y}),
        "batch-size-at-every-layer": ("scale", {"linear": _averaged_again}),
        "weights-not-averaged": ("scale", {"linear": lambda dZ, A_prev, W: (
            dZ @ A_prev.T, np.sum(dZ, axis=1, keepdims=True) / A_prev.shape[1], W.T @ dZ)}),
        "biases-without-keepdims": ("unreduced-broadcast axis", {"linear": _flat_biases}),
        # The gradient is a copy of dA, and so is what is compared with 0.
        "relu-of-the-gradient": ("cotangent wrong-variable", {
            "relu_backward": lambda dA, Z: relu(dA)}),
        "tanh's-slope-by-the-weighted-input": ("wrong-variable", {
            "tanh_backward": lambda dA, Z: dA * (1 - Z**2)}),
    }),
)  # fmt: skip

LEAK, TRAINING_SET = 0.1, 1000


def _leaky(Z: Array) -> Any:
    return np.where(Z > 0, Z, LEAK * Z)


def _leaky_slope(Z: Array, A: Array) -> Any:
    return np.where(Z > 0, 1 + 0 * Z, LEAK + 0 * Z)


def _digits(X: Array, W1: Array, b1: Array, W2: Array, b2: Array, Y: Array) -> Any:
    """Return the mean cross entropy of a network of two layers."""
    A2 = softmax_columns(W2 @ _leaky(W1 @ X + b1) + b2)
    return -np.mean(np.log(A2[Y, np.arange(Y.size)]))


def _digits_backward(
    X: Array,
    W1: Array,
    b1: Array,
    W2: Array,
    b2: Array,
    Y: Array,
    g: Array,
    error: Function = lambda A2, one_hot_Y: A2 - one_hot_Y,
    count: Function = lambda one_hot_Y: one_hot_Y.shape[1],
    db: Function = lambda dZ, m: np.sum(dZ, axis=1, keepdims=True) / m,
    slope: Function = _leaky_slope,
    hidden: Function = lambda Z1, A1: A1,
    learnt: Function = lambda W2, dW2: None,
) -> Any:
    Z1 = W1 @ X + b1
    A1 = _leaky(Z1)
    A2 = softmax_columns(W2 @ A1 + b2)
    one_hot_Y = one_hot_columns(Y, A2)
    m = count(one_hot_Y)
    dZ2 = g * error(A2, one_hot_Y)
    dW2, db2 = dZ2 @ hidden(Z1, A1).T / m, db(dZ2, m)
    learnt(W2, dW2)
    dZ1 = (W2.T @ dZ2) * slope(Z1, A1)
    return W1.T @ dZ1 / m, dZ1 @ X.T / m, db(dZ1, m), dW2, db2


def _step(W2: Array, dW2: Array) -> None:
    """Take the step of the second layer first."""
    W2 -= 0.5 * dW2


def _digits_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    D, H, K, m = shape
    X, b1, b2 = drawn(rng, (D, m), (H, 1), (K, 1), scale=scale)
    return X, matrix(rng, D, H).T, b1, matrix(rng, H, K).T, b2, ids(rng, m, K)


DIGITS = Subject(
    "digits-network-of-columns", _digits, _digits_backward, _digits_sample,
    ((2, 4, 3, 5), (3, 5, 4, 6), (5, 3, 4, 7), (9, 8, 5, 12), (20, 10, 10, 30)),
    scales=(0.3, 1.0, 2.0), kinked=True,
    edits=edited(_digits_backward, {
        # The video's, and five of ten repositories that follow it: one number for all biases.
        "biases-summed-over-everything": ("axis unreduced-broadcast", {
            "db": lambda dZ, m: np.sum(dZ) / m}),
        "biases-averaged-twice": ("scale", {
            "db": lambda dZ, m: np.mean(dZ, axis=1, keepdims=True) / m}),
        "averaged-over-the-training-set": ("scale", {"count": lambda one_hot_Y: TRAINING_SET}),
        # The one-hot labels were transposed, their count was not.
        "averaged-over-classes": ("scale", {"count": lambda one_hot_Y: one_hot_Y.shape[0]}),
        "slope-forgotten": ("chain-term", {"slope": lambda Z, A: 1}),
        "slope-is-the-function": ("wrong-variable chain-term", {"slope": lambda Z, A: _leaky(Z)}),
        "slope-of-sigmoid": ("wrong-variable chain-term", {"slope": lambda Z, A: A * (1 - A)}),
        "weighted-inputs-for-activations": ("wrong-variable", {"hidden": lambda Z1, A1: Z1}),
        "softmax's-slope-once-more": ("diagonal-only chain-term", {
            "error": lambda A2, t: (A2 - t) * A2 * (1 - A2)}),
        "label-minus-output": ("sign", {"error": lambda A2, t: t - A2}),
        "second-layer-stepped-first": ("aliasing wrong-variable", {"learnt": _step}),
    }),
)  # fmt: skip

SUBJECTS = (MODEL, DIGITS)
"""What is checked."""
