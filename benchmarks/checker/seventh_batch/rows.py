"""Networks whose samples are rows: with penalties on the weights, and layers that keep their input.

What is wrong here is met in solutions of a course on networks for images, in a book's classes that
were typed anew, and in repositories of first networks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import one_hot, softmax
from benchmarks.checker.seventh_batch.parts import (
    drawn,
    edited,
    ids,
    like_sigmoid,
    matrix,
    overridden,
    relu,
    softmax_back,
    through,
)
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

REG = 0.3


def _spiral(X: Array, W1: Array, b1: Array, W2: Array, b2: Array, y: Array) -> Any:
    """Return the mean cross entropy, and REG times the squares of the weights."""
    probs = softmax(relu(X @ W1 + b1) @ W2 + b2)
    data_loss = -np.sum(np.log(probs[np.arange(len(X)), y])) / len(X)
    return data_loss + REG * (np.sum(W1 * W1) + np.sum(W2 * W2))


def _minus_one_at_labels(probs: Array, y: Array) -> Any:
    dscores = probs.copy()
    dscores[np.arange(len(y)), y] -= 1
    return dscores


def _spiral_backward(
    X: Array,
    W1: Array,
    b1: Array,
    W2: Array,
    b2: Array,
    y: Array,
    g: Array,
    scores: Function = _minus_one_at_labels,
    decay: Function = lambda W, N: 2 * REG * W,
    decay_b: Function = lambda b: 0,
    masked: Function = lambda dhidden, a: dhidden * (a > 0).astype(dhidden.dtype),
    hidden_of: Function = lambda z, a: a,
    dW: Function = lambda inputs, d: inputs.T @ d,
    db: Function = lambda d: np.sum(d, axis=0),
) -> Any:
    N, grads = len(X), {}
    z1 = X @ W1 + b1
    hidden = relu(z1)
    dscores = scores(softmax(hidden @ W2 + b2), y) / N
    grads["W2"] = dW(hidden_of(z1, hidden), dscores) + decay(W2, N)
    grads["b2"] = db(dscores) + decay_b(b2)
    dhidden = masked(dscores @ W2.T, hidden)
    grads["W1"] = dW(X, dhidden) + decay(W1, N)
    grads["b1"] = db(dhidden) + decay_b(b1)
    return g * (dhidden @ W1.T), *(g * grads[name] for name in ("W1", "b1", "W2", "b2"))


def _label_columns(probs: Array, y: Array) -> Any:
    """Subtract one in every column that is the label of a sample."""
    dscores = probs.copy()
    dscores[:, y] -= 1
    return dscores


def _spiral_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, H, K = shape
    X, b1, b2 = drawn(rng, (N, D), (H,), (K,), scale=scale)
    return X, matrix(rng, D, H), b1, matrix(rng, H, K), b2, ids(rng, N, K)


SPIRAL = Subject(
    "spiral-network-with-decay", _spiral, _spiral_backward, _spiral_sample,
    ((3, 2, 4, 5), (5, 3, 6, 4), (4, 5, 3, 7), (9, 6, 8, 5), (30, 12, 10, 9)),
    scales=(0.3, 1.0, 2.0), kinked=True,
    edits=edited(_spiral_backward, {
        # Solutions of the course: the penalty's 2, its place before the mean, its sum.
        "decay-without-its-2": ("chain-term", {"decay": lambda W, N: REG * W}),
        "decay-averaged-too": ("chain-term", {"decay": lambda W, N: 2 * REG * W / N}),
        "decay-of-the-summed-weights": ("chain-term wrong-variable", {
            "decay": lambda W, N: 2 * REG * np.sum(W)}),
        "decay-forgotten": ("chain-term", {"decay": lambda W, N: 0}),
        "biases-decayed-too": ("chain-term", {"decay_b": lambda b: 2 * REG * b}),
        "mean-once-more": ("scale chain-term", {
            "dW": lambda inputs, d: inputs.T @ d / len(inputs)}),
        "label-not-subtracted": ("subset chain-term", {"scores": lambda probs, y: probs}),
        "all-labels-in-every-row": ("subset wrong-variable", {"scores": _label_columns}),
        "relu's-mask-forgotten": ("chain-term", {"masked": lambda d, a: d}),
        "relu's-mask-by-the-gradient": ("wrong-variable subset", {
            "masked": lambda d, a: d * (d > 0).astype(d.dtype)}),
        "hidden-before-relu": ("wrong-variable", {"hidden_of": lambda z, a: z}),
    }),
)  # fmt: skip


class Layers:
    """Dense, tanh, dense, softmax, and the loss of probabilities; each has its own backward."""

    def forward(self, x: Array, W1: Array, b1: Array, W2: Array, b2: Array, y: Array) -> Any:
        self.x, self.W1, self.W2 = x, W1, W2
        self.a = np.tanh(x @ W1 + b1)
        self.scores = self.a @ W2 + b2
        self.output = softmax(self.scores)
        self.y_true = one_hot(y, self.output)
        return np.mean(-np.log(np.sum(self.output * self.y_true, axis=1)))

    def backward(self, g: Array) -> Any:
        d = self.softmax_gradient(g * self.loss_gradient(self.output, self.y_true), self.output)
        dW2, db2, d = self.dense_gradient(d, self.a, self.W2)
        dW1, db1, dx = self.dense_gradient(self.tanh_gradient(d), self.x, self.W1)
        return dx, dW1, db1, dW2, db2

    def loss_gradient(self, p: Array, t: Array) -> Any:
        return -t / p / len(p)

    def softmax_gradient(self, d: Array, p: Array) -> Any:
        return softmax_back(p, d)

    def tanh_gradient(self, d: Array) -> Any:
        return d * (1 - self.a**2)

    def dense_gradient(self, d: Array, inputs: Array, weights: Array) -> Any:
        return inputs.T @ d, np.sum(d, axis=0), d @ weights.T


def _stepped(self: Layers, d: Array, inputs: Array, weights: Array) -> Any:
    """Train the layer in its backward, and pass on by the new weights."""
    dW, db = inputs.T @ d, np.sum(d, axis=0)
    weights -= 0.5 * dW
    return dW, db, d @ weights.T


LAYERS = Subject(
    "layers-with-a-loss-of-probabilities", lambda *inputs: Layers().forward(*inputs),
    through(Layers), _spiral_sample,
    ((3, 2, 4, 5), (5, 4, 3, 6), (4, 3, 5, 3), (8, 7, 6, 5), (30, 10, 12, 10)),
    scales=(0.3, 1.0, 2.0),
    also_right={"softmax and loss at once": through(type("AtOnce", (Layers,), {
        "loss_gradient": lambda self, p, t: (p - t) / len(p),
        "softmax_gradient": lambda self, d, p: d}))},
    edits=overridden(Layers, {
        # Five of ten functions named cross_entropy_derivative; then softmax's rule comes as well.
        "loss-that-knows-of-softmax": ("wrong-variable", {
            "loss_gradient": lambda self, p, t: (p - t) / len(p)}),
        "loss-of-two-classes": ("wrong-variable chain-term", {
            "loss_gradient": lambda self, p, t: (p - t) / (p * (1 - p)) / len(p)}),
        "loss-not-averaged": ("scale", {"loss_gradient": lambda self, p, t: -t / p}),
        "loss-averaged-over-all-entries": ("scale", {
            "loss_gradient": lambda self, p, t: -t / p / p.size}),
        "loss's-minus-forgotten": ("sign", {
            "loss_gradient": lambda self, p, t: t / p / len(p)}),
        "like-sigmoid": ("diagonal-only", {
            "softmax_gradient": lambda self, d, p: like_sigmoid(p, d)}),
        # One library's softmax_prime.
        "squares-for-products": ("projection-term", {
            "softmax_gradient": lambda self, d, p: d * (
                p - np.sum(p * p, axis=1, keepdims=True))}),
        "inner-product-of-the-whole-batch": ("projection-term axis", {
            "softmax_gradient": lambda self, d, p: p * (d - np.sum(d * p))}),
        "tanh-of-tanh": ("wrong-variable", {
            "tanh_gradient": lambda self, d: d * (1 - np.tanh(self.a) ** 2)}),
        "trained-in-the-backward": ("aliasing wrong-variable", {"dense_gradient": _stepped}),
    }),
)  # fmt: skip

SUBJECTS = (SPIRAL, LAYERS)
"""What is checked."""
