"""Networks as people write them: lists of layers, softmax inside and at the end.

What is wrong here is met in repositories of first networks, in notebooks of courses, and in Q&A
threads that begin with "my loss does not go down".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.checker.fifth_batch.parts import drawn, edited, ids, matrix, one, softmax_back
from benchmarks.checker.numerics import one_hot, softmax
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]


def _deep(
    x: Array, W1: Array, b1: Array, W2: Array, b2: Array, W3: Array, b3: Array, y: Array
) -> Any:
    """Return the mean cross entropy of two tanh layers and a softmax layer."""
    a = x
    for W, b in ((W1, b1), (W2, b2)):
        a = np.tanh(a @ W + b)
    p = softmax(a @ W3 + b3)
    return -np.mean(np.log(p[np.arange(len(y)), y]))


def _tanh_back(dA: Array, z: Array, a: Array) -> Any:
    return dA * (1 - a**2)


def _deep_backward(
    *arguments: Any,
    slope: Function = _tanh_back,
    output: Function = lambda p, t: p - t,
    count: Function = len,
    db: Function = lambda delta: np.sum(delta, axis=0),
    behind: Function = lambda activations, layer: activations[layer],
    through: Function = lambda delta, W: delta @ W.T,
    learnt: Function = lambda W, dW: None,
) -> Any:
    x, W1, b1, W2, b2, W3, b3, y, g = arguments
    weights: Sequence[Array] = (W1, W2, W3)
    activations, zs = [x], []
    for W, b in zip(weights, (b1, b2, b3), strict=True):
        zs.append(activations[-1] @ W + b)
        activations.append(np.tanh(zs[-1]))
    p = softmax(zs[-1])
    delta = g * output(p, one_hot(y, p)) / count(p)
    grads: list[Any] = []
    for layer in (2, 1, 0):
        grads[:0] = (behind(activations, layer).T @ delta, db(delta))
        learnt(weights[layer], grads[0])
        delta = through(delta, weights[layer])
        if layer:
            delta = slope(delta, zs[layer - 1], activations[layer])
    return delta, *grads


def _step(W: Array, dW: Array) -> None:
    """Take the step of gradient descent before the error goes through the weights."""
    W -= 0.5 * dW


def _deep_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    N, H, K = shape
    x, b1, b2, b3 = drawn(rng, (N, H), (H,), (H,), (K,), scale=scale)
    W1, W2, W3 = matrix(rng, H, H), matrix(rng, H, H), matrix(rng, H, K)
    return x, W1, b1, W2, b2, W3, b3, ids(rng, N, K)


DEEP = Subject(
    "tanh-network-in-lists", _deep, _deep_backward, _deep_sample,
    ((3, 2, 4), (4, 5, 3), (5, 3, 4), (7, 6, 5), (12, 10, 8)), scales=(0.3, 0.7, 1.0),
    edits=edited(_deep_backward, {
        # The slope is written for activations and gets weighted inputs, or the reverse.
        "slope-of-the-weighted-input": ("wrong-variable", {
            "slope": lambda dA, z, a: dA * (1 - z**2)}),
        "tanh-twice-in-the-slope": ("wrong-variable", {
            "slope": lambda dA, z, a: dA * (1 - np.tanh(a) ** 2)}),
        "slope-of-the-upstream": ("cotangent", {
            "slope": lambda dA, z, a: 1 - np.tanh(dA) ** 2}),
        "slope-forgotten": ("chain-term", {"slope": lambda dA, z, a: dA}),
        # Off by one in a list of activations; equal widths hide it.
        "activations-of-the-layer-after": ("wrong-variable", {
            "behind": lambda a, layer: a[layer + (0 < layer < 2)]}),
        "weights-stepped-too-early": ("aliasing wrong-variable", {"learnt": _step}),
        "weights-not-transposed": ("axis", {
            "through": lambda d, W: d @ (W if W.shape[0] == W.shape[1] else W.T)}),
        "softmax's-slope-once-more": ("diagonal-only chain-term", {
            "output": lambda p, t: (p - t) * p * (1 - p)}),
        "not-averaged": ("scale", {"count": one}),
        "averaged-over-classes": ("scale", {"count": lambda p: p.shape[1]}),
        "target-minus-output": ("sign", {"output": lambda p, t: t - p}),
        "biases-summed-over-everything": ("axis unreduced-broadcast", {
            "db": lambda d: np.full_like(d[0], np.sum(d))}),
    }),
)  # fmt: skip


def _hidden(x: Array, W1: Array, b1: Array, W2: Array, b2: Array) -> Any:
    """Return a linear read-out of a softmax layer."""
    return softmax(x @ W1 + b1) @ W2 + b2


def _hidden_backward(
    x: Array,
    W1: Array,
    b1: Array,
    W2: Array,
    b2: Array,
    g: Array,
    rule: Function = lambda a, dA, z: softmax_back(a, dA),
    db: Function = lambda d: np.sum(d, axis=0),
) -> Any:
    z = x @ W1 + b1
    a = softmax(z)
    dZ = rule(a, g @ W2.T, z)
    return dZ @ W1.T, x.T @ dZ, db(dZ), a.T @ g, db(g)


def _mean_jacobian(a: Array, dA: Array, z: Array) -> Any:
    """Average the Jacobians of the batch, since one matrix is wanted."""
    jacobians = [np.diag(row) - np.outer(row, row) for row in a]
    return dA @ np.mean(np.stack(jacobians), axis=0)


def _last_jacobian(a: Array, dA: Array, z: Array) -> Any:
    """Overwrite the Jacobian in a loop over samples."""
    return dA @ (np.diag(a[-1]) - np.outer(a[-1], a[-1]))


def _in_a_batch(a: Array, dA: Array, z: Array) -> Any:
    """Multiply by the Jacobian of the flattened batch."""
    s = a.reshape(-1)
    return ((np.diag(s) - np.outer(s, s)) @ dA.reshape(-1)).reshape(dA.shape)


def _hidden_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    N, D, H, K = shape
    x, b1, b2 = drawn(rng, (N, D), (H,), (K,), scale=scale)
    return x, matrix(rng, D, H), b1, matrix(rng, H, K), b2


HIDDEN = Subject(
    "softmax-as-hidden-layer", _hidden, _hidden_backward, _hidden_sample,
    ((3, 2, 4, 5), (2, 4, 3, 5), (4, 3, 5, 2), (5, 8, 12, 6), (20, 10, 16, 10)),
    scales=(0.3, 1.0, 2.0),
    also_right={"sample by sample": lambda x, W1, b1, W2, b2, g: _hidden_backward(
        x, W1, b1, W2, b2, g, rule=lambda a, dA, z: np.stack([
            softmax_back(row, d) for row, d in zip(a, dA, strict=True)]))},
    edits=edited(_hidden_backward, {
        "like-sigmoid": ("diagonal-only", {"rule": lambda a, dA, z: dA * a * (1 - a)}),
        "like-sigmoid-of-the-weighted-input": ("diagonal-only wrong-variable", {
            "rule": lambda a, dA, z: dA * z * (1 - z)}),
        "like-sigmoid-of-softmax-of-softmax": ("diagonal-only wrong-variable", {
            "rule": lambda a, dA, z: dA * softmax(a) * (1 - softmax(a))}),
        # One derivative for all layers, which returns 1 or its argument for softmax.
        "derivative-is-1": ("identity chain-term", {"rule": lambda a, dA, z: dA}),
        "derivative-is-the-output": ("projection-term", {"rule": lambda a, dA, z: dA * a}),
        "derivative-is-the-input": ("wrong-variable projection-term", {
            "rule": lambda a, dA, z: dA * z}),
        # Jacobians [K, K] of a batch, made to fit.
        "jacobians-averaged": ("wrong-variable axis", {"rule": _mean_jacobian}),
        "jacobian-of-the-last-sample": ("wrong-variable unreduced-broadcast", {
            "rule": _last_jacobian}),
        "batch-flattened": ("projection-term axis", {"rule": _in_a_batch}),
        "jacobian's-rows-summed": ("zero projection-term", {
            "rule": lambda a, dA, z: dA * (a - a * np.sum(a, axis=1, keepdims=True))}),
        "biases-kept-per-sample": ("unreduced-broadcast", {"db": lambda d: d}),
    }),
)  # fmt: skip


def _squared(x: Array, W: Array, b: Array, y: Array) -> Any:
    """Return half the squared error of softmax outputs, averaged over samples."""
    p = softmax(x @ W + b)
    return np.sum((p - one_hot(y, p)) ** 2) / 2 / len(x)


def _squared_backward(
    x: Array,
    W: Array,
    b: Array,
    y: Array,
    g: Array,
    delta: Function = lambda p, t, z: softmax_back(p, p - t),
    count: Function = len,
) -> Any:
    z = x @ W + b
    p = softmax(z)
    d = g * delta(p, one_hot(y, p), z) / count(p)
    return d @ W.T, x.T @ d, np.sum(d, axis=0)


def _squared_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    N, D, K = shape
    x, b = drawn(rng, (N, D), (K,), scale=scale)
    return x, matrix(rng, D, K), b, ids(rng, N, K)


SQUARED = Subject(
    "softmax-outputs-with-squared-error", _squared, _squared_backward, _squared_sample,
    ((3, 2, 4), (4, 5, 3), (5, 3, 4), (7, 6, 11), (20, 10, 30)), scales=(0.3, 1.0, 3.0),
    edits=edited(_squared_backward, {
        # The rule of sigmoid outputs and the rule of cross entropy, applied to neither.
        "like-sigmoid": ("diagonal-only", {"delta": lambda p, t, z: (p - t) * p * (1 - p)}),
        "like-sigmoid-of-the-weighted-input": ("diagonal-only wrong-variable", {
            "delta": lambda p, t, z: (p - t) * z * (1 - z)}),
        "cross-entropy's-delta": ("chain-term identity wrong-variable", {
            "delta": lambda p, t, z: p - t}),
        "output-times-error": ("projection-term", {"delta": lambda p, t, z: p * (p - t)}),
        "error-reversed": ("sign", {"delta": lambda p, t, z: softmax_back(p, t - p)}),
        "factor-2": ("scale", {"delta": lambda p, t, z: 2 * softmax_back(p, p - t)}),
        "averaged-over-classes-too": ("scale", {"count": np.size}),
        "not-averaged": ("scale", {"count": one}),
    }),
)  # fmt: skip

SUBJECTS = (DEEP, HIDDEN, SQUARED)
"""What is checked."""
