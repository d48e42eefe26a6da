"""Small networks: layers, activations and a loss, with their caches."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.checker.numerics import one_hot, softmax
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject
from benchmarks.checker.third_batch.parts import drawn, edited, matrix, sigmoid

__all__ = ["SUBJECTS"]

LAYERS: tuple[Shape, ...] = ((3, 2, 4, 3), (5, 4, 6, 3), (4, 3, 5, 4), (12, 10, 20, 10))
"""Rows, features, hidden units, classes."""
DECAY = 0.2


def _weights(rng: Rng, D: int, H: int, K: int) -> tuple[Array, ...]:
    W1, W2 = matrix(rng, D, H), matrix(rng, H, K)
    return W1, 0.5 * rng.normal(size=H), W2, 0.5 * rng.normal(size=K)


def _classified(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    N, D, H, K = shape
    x = scale * rng.normal(size=(N, D))
    return x, *_weights(rng, D, H, K), rng.permutation(np.arange(N) % K)


def _relu_net(x: Array, W1: Array, b1: Array, W2: Array, b2: Array, y: Array) -> float:
    num_examples = x.shape[0]
    hidden = np.maximum(0, np.dot(x, W1) + b1)
    scores = np.dot(hidden, W2) + b2
    exp_scores = np.exp(scores)
    probs = exp_scores / np.sum(exp_scores, axis=1, keepdims=True)
    correct = -np.log(probs[range(num_examples), y])
    data_loss = np.sum(correct) / num_examples
    return float(data_loss + 0.5 * DECAY * np.sum(W1 * W1) + 0.5 * DECAY * np.sum(W2 * W2))


def _relu_net_backward(
    x: Array,
    W1: Array,
    b1: Array,
    W2: Array,
    b2: Array,
    y: Array,
    g: Array,
    scored: Function = lambda p, t: p - t,
    count: Function = len,
    masked: Function = lambda d, hidden: d * (hidden > 0),
    decayed: Function = lambda W1, W2: (DECAY * W1, DECAY * W2),
    bias: Function = lambda d: d.sum(axis=0),
    W2_bar: Function = lambda x, hidden, d: hidden.T @ d,
    hidden_bar: Function = lambda d, W2: d @ W2.T,
) -> Any:
    hidden = np.maximum(x @ W1 + b1, 0)
    dscores = scored(softmax(hidden @ W2 + b2), one_hot(y, b2)) / count(x)
    dhidden = masked(hidden_bar(dscores, W2), hidden)
    decay1, decay2 = decayed(W1, W2)
    dW1, dW2 = x.T @ dhidden + decay1, W2_bar(x, hidden, dscores) + decay2
    return tuple(g * d for d in (dhidden @ W1.T, dW1, bias(dhidden), dW2, bias(dscores)))


RELU_NET = Subject(
    "two-layer-relu-classifier", _relu_net, _relu_net_backward, _classified, LAYERS,
    scales=(0.5, 1.0, 3.0), kinked=True,
    edits=edited(_relu_net_backward, {
        "relu's-mask-forgotten": ("chain-term", {"masked": lambda d, h: d}),
        "relu-of-the-gradient": ("chain-term wrong-variable cotangent", {
            "masked": lambda d, h: np.maximum(d, 0)}),
        "relu's-mask-reversed": ("subset chain-term", {"masked": lambda d, h: d * (h <= 0)}),
        "decay-forgotten": ("chain-term", {"decayed": lambda W1, W2: (0, 0)}),
        "decay-doubled": ("chain-term", {
            "decayed": lambda W1, W2: (2 * DECAY * W1, 2 * DECAY * W2)}),
        "not-averaged": ("scale chain-term", {"count": lambda x: 1}),
        "label-not-subtracted": ("chain-term subset", {"scored": lambda p, t: p}),
        "softmax's-diagonal-too": ("wrong-variable chain-term", {
            "scored": lambda p, t: (p - t) * p * (1 - p)}),
        "bias-averaged": ("scale", {"bias": lambda d: d.mean(axis=0)}),
        "bias-of-the-last-row": ("unreduced-broadcast", {"bias": lambda d: d[-1]}),
        "bias-not-summed": ("unreduced-broadcast", {"bias": lambda d: d}),
    }),
)  # fmt: skip


def _tanh_forward(X: Array, params: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
    """Return the predictions of a network with one tanh layer, and what the way back needs."""
    Z1 = X @ params["W1"] + params["b1"]
    A1 = np.tanh(Z1)
    Z2 = A1 @ params["W2"] + params["b2"]
    A2 = 1 / (1 + np.exp(-Z2))
    return A2, {"Z1": Z1, "A1": A1, "Z2": Z2, "A2": A2}


def _named(*parameters: Array) -> dict[str, Array]:
    return dict(zip(("W1", "b1", "W2", "b2"), parameters, strict=True))


def _tanh_net(X: Array, W1: Array, b1: Array, W2: Array, b2: Array) -> Array:
    return _tanh_forward(X, _named(W1, b1, W2, b2))[0]


def _tanh_net_backward(
    X: Array,
    W1: Array,
    b1: Array,
    W2: Array,
    b2: Array,
    g: Array,
    outer: Function = lambda c: c["A2"] * (1 - c["A2"]),
    inner: Function = lambda c: 1 - c["A1"] ** 2,
    dW2: Function = lambda c, dZ2: c["A1"].T @ dZ2,
    db1: Function = lambda dZ1: np.sum(dZ1, axis=0),
    dA1: Function = lambda dZ2, W2, c: dZ2 @ W2.T,
) -> Any:
    _, cache = _tanh_forward(X, _named(W1, b1, W2, b2))
    dZ2 = g * outer(cache)
    dZ1 = dA1(dZ2, W2, cache) * inner(cache)
    return dZ1 @ W1.T, X.T @ dZ1, db1(dZ1), dW2(cache, dZ2), dZ2.sum(axis=0)


def _network(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, H, K = shape
    return scale * rng.normal(size=(N, D)), *_weights(rng, D, H, K)


TANH_NET = Subject(
    "tanh-sigmoid-network-with-cache", _tanh_net, _tanh_net_backward, _network, LAYERS,
    scales=(0.5, 1.0, 3.0),
    edits=edited(_tanh_net_backward, {
        "sigmoid's-slope-forgotten": ("chain-term", {"outer": lambda c: 1}),
        "sigmoid's-slope-at-the-input": ("wrong-variable", {
            "outer": lambda c: c["Z2"] * (1 - c["Z2"])}),
        "sigmoid's-slope-at-the-output": ("wrong-variable", {
            "outer": lambda c: (s := sigmoid(c["A2"])) * (1 - s)}),
        "tanh's-slope-forgotten": ("chain-term", {"inner": lambda c: 1}),
        "tanh's-slope-at-the-input": ("wrong-variable", {"inner": lambda c: 1 - c["Z1"] ** 2}),
        "tanh's-slope-of-a-sigmoid": ("wrong-variable chain-term", {
            "inner": lambda c: c["A1"] * (1 - c["A1"])}),
        "weights-from-the-preactivation": ("wrong-variable", {
            "dW2": lambda c, dZ2: c["Z1"].T @ dZ2}),
        "bias-averaged": ("scale", {"db1": lambda dZ1: dZ1.mean(axis=0)}),
        "bias-over-features": ("axis unreduced-broadcast", {
            "db1": lambda dZ1: np.sum(dZ1, axis=1, keepdims=True)}),
        "sigmoid's-slope-again": ("chain-term", {
            "dA1": lambda dZ2, W2, c: (dZ2 * c["A2"] * (1 - c["A2"])) @ W2.T}),
    }),
)  # fmt: skip

ROOT = math.sqrt(2 / math.pi)


class _Gelu:
    """A layer with its state."""

    def forward(self, x: Array) -> Any:
        self.x = x
        self.t = np.tanh(ROOT * (x + 0.044715 * x**3))
        return 0.5 * x * (1 + self.t)

    def slope(self) -> Any:
        x, t = self.x, self.t
        return 0.5 * (1 + t) + 0.5 * x * (1 - t**2) * ROOT * (1 + 3 * 0.044715 * x**2)


def _block(x: Array, W1: Array, b1: Array, W2: Array, b2: Array) -> Any:
    return x + _Gelu().forward(x @ W1 + b1) @ W2 + b2


def _block_backward(
    x: Array,
    W1: Array,
    b1: Array,
    W2: Array,
    b2: Array,
    g: Array,
    slope: Function = lambda gelu: gelu.slope(),
    skip: Function = lambda g: g,
) -> Any:
    gelu = _Gelu()
    a = gelu.forward(x @ W1 + b1)
    d = g @ W2.T * slope(gelu)
    return d @ W1.T + skip(g), x.T @ d, d.sum(axis=0), a.T @ g, g.sum(axis=0)


def _blocks(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, H = shape
    return *drawn(rng, (N, D), scale=scale), *_weights(rng, D, H, D)


BLOCK = Subject(
    "residual-gelu-feed-forward", _block, _block_backward, _blocks,
    ((3, 2, 4), (5, 4, 7), (4, 3, 5), (7, 5, 20), (20, 10, 40)), scales=(0.5, 1.0, 3.0),
    edits=edited(_block_backward, {
        "residual-forgotten": ("chain-term", {"skip": lambda g: 0}),
        "residual-doubled": ("chain-term", {"skip": lambda g: 2 * g}),
        "residual-in-reverse-order": ("axis cotangent", {"skip": lambda g: g[::-1]}),
        "gelu's-slope-forgotten": ("chain-term", {"slope": lambda gelu: 1}),
        "gelu's-outer-part-alone": ("chain-term", {"slope": lambda gelu: 0.5 * (1 + gelu.t)}),
        "gelu's-tanh-slope-without-inner": ("chain-term", {
            "slope": lambda gelu: 0.5 * (1 + gelu.t) + 0.5 * gelu.x * (1 - gelu.t**2)}),
        "relu's-slope": ("chain-term wrong-variable", {"slope": lambda gelu: gelu.x > 0}),
    }),
)  # fmt: skip

SUBJECTS = (RELU_NET, TANH_NET, BLOCK)
"""What is checked."""
