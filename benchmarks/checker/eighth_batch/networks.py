"""Networks as they are first written: numbered variables in rows, and lists filled by a sample.

What is wrong here is met in functions named backward_propagation and backprop, and in lines beside
dZ2 = A2 - Y, of which the first ten that were read held five slips.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.eighth_batch.parts import (
    drawn,
    edited,
    ids,
    matrix,
    one_hot,
    overridden,
    relu,
    sigmoid,
    softmax,
    softmax_back,
    through,
)
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

KEPT, DECAY = 0.75, 0.4


def _layers(
    X: Array, W1: Array, b1: Array, W2: Array, b2: Array, W3: Array, b3: Array, D1: Array
) -> Any:
    """Return what every layer holds; D1 tells which hidden units dropout leaves."""
    A1 = relu(X @ W1 + b1)
    D1 = D1.astype(X.dtype) / KEPT
    Z2 = (A1 * D1) @ W2 + b2
    A2 = sigmoid(Z2)
    return A1, D1, Z2, A2, softmax(A2 @ W3 + b3)


def _dropped(*arguments: Any) -> Any:
    """Return the mean cross entropy, and the squares of the weights by DECAY / 2m."""
    *arrays, Y = arguments
    _, W1, _, W2, _, W3, *_ = arrays
    A3 = _layers(*arrays)[-1]
    squares = np.sum(W1**2) + np.sum(W2**2) + np.sum(W3**2)
    return -np.sum(Y * np.log(A3)) / len(Y) + DECAY * squares / (2 * len(Y))


def _dropped_backward(
    X: Array,
    W1: Array,
    b1: Array,
    W2: Array,
    b2: Array,
    W3: Array,
    b3: Array,
    mask: Array,
    Y: Array,
    g: Array,
    error: Function = lambda A3, Y: A3 - Y,
    count: Function = len,
    bias: Function = lambda dZ, m: np.sum(dZ, axis=0, keepdims=True) / m,
    decay: Function = lambda W, m: DECAY * W / m,
    dropout: Function = lambda dA1, D1: dA1 * D1,
    kept: Function = lambda A1, D1: A1 * D1,
    relu_slope: Function = lambda A1: (A1 > 0).astype(A1.dtype),
    sigmoid_slope: Function = lambda Z2, A2: A2 * (1 - A2),
    below: Function = lambda dZ2: dZ2,
) -> Any:
    A1, D1, Z2, A2, A3 = _layers(X, W1, b1, W2, b2, W3, b3, mask)
    m = count(Y)
    dZ3 = g * error(A3, Y)
    dW3, db3 = A2.T @ dZ3 / m + g * decay(W3, m), bias(dZ3, m)
    dZ2 = (dZ3 @ W3.T) * sigmoid_slope(Z2, A2)
    dW2, db2 = kept(A1, D1).T @ dZ2 / m + g * decay(W2, m), bias(dZ2, m)
    dZ1 = dropout(below(dZ2) @ W2.T, D1) * relu_slope(A1)
    dW1, db1 = X.T @ dZ1 / m + g * decay(W1, m), bias(dZ1, m)
    return dZ1 @ W1.T / m, dW1, db1, dW2, db2, dW3, db3


def _dropped_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, H, G, K = shape
    X, b1, b2, b3 = drawn(rng, (N, D), (1, H), (1, G), (1, K), scale=scale)
    mask = (np.arange(N)[:, None] + np.arange(H)) % 4 != 0
    Y = np.eye(K, dtype=int)[ids(rng, N, K)]
    weights = matrix(rng, D, H), b1, matrix(rng, H, G), b2, matrix(rng, G, K), b3
    return X, *weights, mask.astype(int), Y


DROPPED = Subject(
    "three-layers-with-dropout-and-decay", _dropped, _dropped_backward, _dropped_sample,
    ((3, 2, 4, 3, 5), (5, 3, 4, 6, 4), (4, 5, 7, 5, 3), (8, 6, 9, 7, 5), (20, 10, 12, 8, 9)),
    scales=(0.3, 1.0, 2.0), kinked=True,
    edits=edited(_dropped_backward, {
        # Four of twenty functions: np.sum has no axis, and the bias gets a number.
        "biases-by-one-sum": ("axis unreduced-broadcast", {
            "bias": lambda dZ, m: np.sum(dZ) / m}),
        # The same, where an array of the bias's shape is filled with it.
        "biases-filled-with-one-sum": ("axis", {
            "bias": lambda dZ, m: np.full_like(dZ[:1], np.sum(dZ) / m)}),
        # Met beside dW / m.
        "biases-not-averaged": ("scale", {
            "bias": lambda dZ, m: np.sum(dZ, axis=0, keepdims=True)}),
        "biases-averaged-twice": ("scale", {
            "bias": lambda dZ, m: np.mean(dZ, axis=0, keepdims=True) / m}),
        # A batch's size that is read off the classes: y.shape[-1].
        "as-many-samples-as-classes": ("scale", {"count": lambda Y: Y.shape[1]}),
        "decay-not-averaged": ("chain-term", {"decay": lambda W, m: DECAY * W}),
        "decay-with-a-2": ("chain-term", {"decay": lambda W, m: 2 * DECAY * W / m}),
        "decay-forgotten": ("chain-term", {"decay": lambda W, m: 0 * W}),
        "dropout-passed-over": ("chain-term", {"dropout": lambda dA1, D1: dA1}),
        "dropout's-scale-forgotten": ("scale chain-term", {
            "dropout": lambda dA1, D1: dA1 * (D1 > 0).astype(dA1.dtype)}),
        "weights-by-units-before-dropout": ("wrong-variable chain-term", {
            "kept": lambda A1, D1: A1}),
        "sigmoid-of-the-sigmoid": ("wrong-variable", {
            "sigmoid_slope": lambda Z2, A2: sigmoid(A2) * (1 - sigmoid(A2))}),
        "sigmoid's-slope-by-its-input": ("wrong-variable", {
            "sigmoid_slope": lambda Z2, A2: Z2 * (1 - Z2)}),
        "relu's-slope-forgotten": ("chain-term", {"relu_slope": lambda A1: 1}),
        # The error of both together, and softmax's slope as well.
        "error-times-a-sigmoid's-slope": ("wrong-variable chain-term diagonal-only", {
            "error": lambda A3, Y: (A3 - Y) * A3 * (1 - A3)}),
        "error-through-softmax-again": ("wrong-variable chain-term", {
            "error": lambda A3, Y: softmax_back(A3, A3 - Y)}),
        "label-minus-output": ("sign", {"error": lambda A3, Y: Y - A3}),
    }),
)  # fmt: skip


class Network:
    """Sigmoid layers and a softmax; the gradients of all samples are added up in lists."""

    def forward(self, X: Array, *arrays: Any) -> Any:
        *parameters, y = arrays
        self.X, self.y = X, y
        self.weights, self.biases = parameters[0::2], parameters[1::2]
        cost = 0 * X[0, 0]
        for x, label in zip(X, y, strict=True):
            cost = cost - np.log(self.feedforward(x)[1][-1][label, 0])
        return cost / len(X)

    def feedforward(self, x: Array) -> tuple[list[Array], list[Array]]:
        zs, activations = [], [x[:, None]]
        for w, b in zip(self.weights, self.biases, strict=True):
            zs.append(w @ activations[-1] + b)
            last = len(zs) == len(self.weights)
            activations.append(softmax(zs[-1], 0) if last else sigmoid(zs[-1]))
        return zs, activations

    def backward(self, g: Array) -> Any:
        nabla_w = [np.zeros_like(w) for w in self.weights]
        nabla_b = [np.zeros_like(b) for b in self.biases]
        dX = np.zeros_like(self.X)
        for n, (x, label) in enumerate(zip(self.X, self.y, strict=True)):
            delta_w, delta_b, dx = self.backprop(x, label)
            nabla_w = [self.gathered(nw, dw) for nw, dw in zip(nabla_w, delta_w, strict=True)]
            nabla_b = [self.gathered(nb, db) for nb, db in zip(nabla_b, delta_b, strict=True)]
            dX[n] = dx[:, 0]
        pairs = zip(nabla_w, nabla_b, strict=True)
        rate = g / self.count()
        return rate * dX, *(rate * nabla for pair in pairs for nabla in pair)

    def backprop(self, x: Array, label: int) -> Any:
        nabla_w = [np.zeros_like(w) for w in self.weights]
        nabla_b = [np.zeros_like(b) for b in self.biases]
        zs, activations = self.feedforward(x)
        delta = self.cost_derivative(zs[-1], activations[-1], label)
        nabla_b[-1], nabla_w[-1] = delta, delta @ activations[-2].T
        for layer in range(2, self.reached()):
            slope = self.prime(zs[-layer], activations[-layer])
            delta = (self.weights[-layer + 1].T @ delta) * slope
            nabla_b[-layer] = delta
            nabla_w[-layer] = delta @ self.incoming(activations, layer).T
        return nabla_w, nabla_b, self.weights[0].T @ nabla_b[0]

    def cost_derivative(self, z: Array, a: Array, label: int) -> Any:
        return a - self.target(a, label)

    def target(self, a: Array, label: int) -> Any:
        return one_hot(np.array([label]), a.T).T

    def prime(self, z: Array, a: Array) -> Any:
        return sigmoid(z) * (1 - sigmoid(z))

    def incoming(self, activations: list[Array], layer: int) -> Array:
        return activations[-layer - 1]

    def reached(self) -> int:
        return len(self.weights) + 1

    def gathered(self, nabla: Array, delta: Array) -> Array:
        return nabla + delta

    def count(self) -> int:
        return len(self.X)


def _network_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, H, K = shape
    X, b1, b2, b3 = drawn(rng, (N, D), (H, 1), (H, 1), (K, 1), scale=scale)
    w1, w2, w3 = matrix(rng, D, H).T, matrix(rng, H, H).T, matrix(rng, H, K).T
    return X, w1, b1, w2, b2, w3, b3, ids(rng, N, K)


LISTS = Subject(
    "network-in-lists-sample-by-sample", lambda *inputs: Network().forward(*inputs),
    through(Network), _network_sample,
    ((2, 3, 4, 5), (3, 2, 4, 3), (4, 5, 3, 4), (6, 7, 8, 5), (12, 10, 9, 6)),
    scales=(0.3, 1.0, 3.0),
    edits=overridden(Network, {
        # The quadratic cost's delta, kept when the output became a softmax.
        "delta-of-the-quadratic-cost": ("wrong-variable chain-term diagonal-only", {
            "cost_derivative": lambda self, z, a, label: (
                (a - self.target(a, label)) * a * (1 - a))}),
        "delta-times-a-sigmoid's-slope-at-z": ("wrong-variable chain-term", {
            "cost_derivative": lambda self, z, a, label: (
                (a - self.target(a, label)) * sigmoid(z) * (1 - sigmoid(z)))}),
        "prime-of-the-activation": ("wrong-variable", {
            "prime": lambda self, z, a: sigmoid(a) * (1 - sigmoid(a))}),
        "prime-forgotten": ("chain-term", {"prime": lambda self, z, a: 1}),
        # A minus sign and an index that begins at 1.
        "layer's-own-output-for-its-input": ("wrong-variable", {
            "incoming": lambda self, activations, layer: (
                activations[-layer] if layer == 2 else activations[-layer - 1])}),
        "loop-that-ends-a-layer-early": ("zero", {
            "reached": lambda self: len(self.weights)}),
        "last-sample's-gradient": ("unreduced-broadcast", {
            "gathered": lambda self, nabla, delta: delta}),
        "not-averaged": ("scale", {"count": lambda self: 1}),
    }),
)  # fmt: skip

SUBJECTS = (DROPPED, LISTS)
"""What is checked."""
