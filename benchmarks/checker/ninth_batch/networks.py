"""First networks: neuron by neuron, on a tape of nodes, and as two bare matrices.

What is wrong here is met in networks whose neurons hold a delta, in engines that were typed from a
book, and in homework with two matrices.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.checker.ninth_batch.parts import (
    drawn,
    edited,
    ids,
    log_softmax,
    matrix,
    one,
    one_hot,
    overridden,
    positive,
    relu,
    sigmoid,
    softmax,
    through,
)
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]


def _fed(row: Array, neurons: Array) -> Any:
    """Return the weighted inputs of a layer; a neuron's last weight is its bias."""
    return np.stack([np.sum(weights[:-1] * row) + weights[-1] for weights in neurons])


def _outputs(row: Array, hidden: Array, output: Array) -> list[Array]:
    """Return what goes into and comes out of both layers."""
    z = _fed(row, hidden)
    h = sigmoid(z)
    return [z, h, softmax(_fed(h, output))]


def _neurons(X: Array, hidden: Array, output: Array, y: Array) -> Any:
    """Return the summed cross entropy of a layer of sigmoids and a softmax."""
    loss = 0 * X[0, 0]
    for row, label in zip(X, y, strict=True):
        loss = loss - np.log(_outputs(row, hidden, output)[-1][label])
    return loss


def _neurons_backward(
    X: Array,
    hidden: Array,
    output: Array,
    y: Array,
    g: Array,
    own_delta: Function = lambda out, expected: out - expected,
    expected: Function = lambda label, K: np.arange(K) == label,
    transfer: Function = lambda z, h: h * (1 - h),
    error: Function = lambda so_far, part: so_far + part,
    reached: Function = lambda count: range(count),
    bias: Function = lambda delta: delta,
    gathered: Function = lambda so_far, part: so_far + part,
    stepped: Function = lambda neurons, deltas, inputs: None,
    rate: Function = lambda X: 1,
) -> Any:
    dX, d_hidden, d_output = np.zeros_like(X), np.zeros_like(hidden), np.zeros_like(output)
    for n, (row, label) in enumerate(zip(X, y, strict=True)):
        z, h, out = _outputs(row, hidden, output)
        wanted = expected(label, len(out)).astype(out.dtype)
        deltas = [own_delta(out[k], wanted[k]) for k in range(len(out))]
        stepped(output, deltas, h)
        hidden_deltas = [0 * h[0] for _ in h]
        for j in reached(len(h)):
            total = 0 * h[0]
            for k, delta in enumerate(deltas):
                total = error(total, output[k, j] * delta)
            hidden_deltas[j] = total * transfer(z[j], h[j])
        for inputs, own, grads in ((h, deltas, d_output), (row, hidden_deltas, d_hidden)):
            for k, delta in enumerate(own):
                grads[k, :-1] = gathered(grads[k, :-1], delta * inputs)
                grads[k, -1] = gathered(grads[k, -1], bias(delta))
        for j, delta in enumerate(hidden_deltas):
            dX[n] += delta * hidden[j, :-1]
    return tuple(g / rate(X) * grads for grads in (dX, d_hidden, d_output))


def _neurons_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, H, K = shape
    (X,) = drawn(rng, (N, D), scale=scale)
    return X, matrix(rng, D + 1, H).T, matrix(rng, H + 1, K).T, ids(rng, N, K)


def _train(neurons: Array, deltas: list[Any], inputs: Array) -> None:
    """Step while the deltas of the layer below are still to be made."""
    for k, delta in enumerate(deltas):
        neurons[k, :-1] -= 0.5 * delta * inputs
        neurons[k, -1] -= 0.5 * delta


NEURONS = Subject(
    "network-of-neurons-in-loops", _neurons, _neurons_backward, _neurons_sample,
    ((2, 3, 4, 5), (3, 2, 4, 3), (4, 5, 3, 4), (5, 6, 4, 3), (8, 7, 6, 5)), scales=(0.3, 1.0, 2.0),
    edits=edited(_neurons_backward, {
        # The squared error's delta, of a tutorial whose outputs were sigmoids.
        "every-delta-times-o(1-o)": ("wrong-variable chain-term diagonal-only", {
            "own_delta": lambda out, expected: (out - expected) * out * (1 - out)}),
        "expected-less-output": ("sign", {"own_delta": lambda out, expected: expected - out}),
        "labels-counted-from-one": ("subset wrong-variable axis", {
            "expected": lambda label, K: np.arange(K) == label - 1}),
        "last-neuron's-error": ("unreduced-broadcast chain-term", {
            "error": lambda so_far, part: part}),
        "transfer-of-the-output": ("wrong-variable", {
            "transfer": lambda z, h: sigmoid(h) * (1 - sigmoid(h))}),
        "transfer-by-the-weighted-input": ("wrong-variable", {
            "transfer": lambda z, h: z * (1 - z)}),
        "transfer-forgotten": ("chain-term", {"transfer": lambda z, h: 1}),
        "first-neuron-passed-over": ("subset", {"reached": lambda count: range(1, count)}),
        "biases-not-learnt": ("subset zero", {"bias": lambda delta: 0 * delta}),
        "last-row's-gradient": ("unreduced-broadcast", {"gathered": lambda so_far, part: part}),
        "output-layer-trained-first": ("aliasing wrong-variable", {"stepped": _train}),
        "averaged": ("scale", {"rate": len}),
    }),
)  # fmt: skip


class Node:
    """An array, what it was made of, and how its gradient goes back there."""

    def __init__(self, data: Any, parents: tuple[Node, ...] = (), pull: Any = None) -> None:
        self.data, self.parents, self.pull = data, parents, pull
        self.grad: Any = None


class Tape:
    """A hidden layer, one beside which its input is added, and the mean cross entropy."""

    def forward(self, *arrays: Any) -> Any:
        *values, y = arrays
        self.nodes: list[Node] = []
        self.leaves = [self.noted(value) for value in values]
        X, W1, b1, W2, b2, W3 = self.leaves
        h = self.relu(self.add_bias(self.matmul(X, W1), b1))
        h = self.add(self.relu(self.add_bias(self.matmul(h, W2), b2)), h)
        self.loss = self.cross_entropy(self.matmul(h, W3), y)
        return self.loss.data

    def backward(self, g: Array) -> Any:
        self.loss.grad = self.seed(g)
        for node in self.order():
            if node.grad is not None and node.pull is not None:
                for parent, grad in zip(node.parents, node.pull(node.grad), strict=True):
                    parent.grad = self.gathered(parent.grad, grad)
        return tuple(leaf.grad for leaf in self.leaves)

    def noted(self, *fields: Any) -> Node:
        self.nodes.append(Node(*fields))
        return self.nodes[-1]

    def matmul(self, a: Node, b: Node) -> Node:
        return self.noted(a.data @ b.data, (a, b), lambda d: (d @ b.data.T, a.data.T @ d))

    def add(self, a: Node, b: Node) -> Node:
        return self.noted(a.data + b.data, (a, b), lambda d: (d, d))

    def add_bias(self, a: Node, b: Node) -> Node:
        return self.noted(a.data + b.data, (a, b), lambda d: (d, self.unbroadcast(d)))

    def relu(self, a: Node) -> Node:
        y = relu(a.data)
        return self.noted(y, (a,), lambda d: (d * self.mask(a.data, y, d),))

    def cross_entropy(self, z: Node, y: Array) -> Node:
        loss = -np.mean(log_softmax(z.data)[np.arange(len(y)), y])
        return self.noted(loss, (z,), lambda d: (self.of_loss(z.data, y, d),))

    def of_loss(self, z: Array, y: Array, d: Array) -> Any:
        return d * (softmax(z) - one_hot(y, z)) / len(z)

    def mask(self, x: Array, y: Array, d: Array) -> Any:
        return positive(x)

    def unbroadcast(self, d: Array) -> Any:
        return np.sum(d, axis=0)

    def seed(self, g: Array) -> Any:
        return g

    def order(self) -> list[Node]:
        return self.nodes[::-1]

    def gathered(self, so_far: Any, grad: Array) -> Any:
        return grad if so_far is None else so_far + grad


def _by_distance(tape: Tape) -> list[Node]:
    """Visit what is nearest to the loss first: a node may come before all of its uses."""
    found = [tape.loss]
    for node in found:
        found += [parent for parent in node.parents if parent not in found]
    return found


def _tape_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, H, K = shape
    X, b1, b2 = drawn(rng, (N, D), (H,), (H,), scale=scale)
    weights = matrix(rng, D, H), 0.7 + b1, matrix(rng, H, H), 0.7 + b2, matrix(rng, H, K)
    return X, *weights, ids(rng, N, K)


TAPE = Subject(
    "tape-of-nodes-with-a-shortcut", lambda *inputs: Tape().forward(*inputs), through(Tape),
    _tape_sample, ((2, 3, 4, 5), (3, 2, 5, 4), (5, 4, 3, 4), (6, 5, 7, 3), (16, 8, 12, 10)),
    scales=(0.3, 1.0, 2.0), kinked=True,
    edits=overridden(Tape, {
        # A book's engine, in all of ten copies: neither what arrives nor the mean is heard of.
        "loss-passes-p-less-t-alone": ("cotangent", {
            "of_loss": lambda self, z, y, d: softmax(z) - one_hot(y, z)}),
        "seeded-with-one": ("cotangent", {"seed": lambda self, g: 0 * g + 1}),
        "grad-assigned": ("unreduced-broadcast chain-term", {
            "gathered": lambda self, so_far, grad: grad}),
        "visited-before-all-uses": ("unreduced-broadcast chain-term", {"order": _by_distance}),
        "bias-per-row": ("unreduced-broadcast", {"unbroadcast": lambda self, d: d}),
        "bias-one-sum": ("axis unreduced-broadcast", {
            "unbroadcast": lambda self, d: np.sum(d)}),
        "bias-averaged": ("scale", {"unbroadcast": lambda self, d: np.mean(d, axis=0)}),
        # y >= 0 holds everywhere.
        "mask-of-what-comes-out": ("chain-term", {
            "mask": lambda self, x, y, d: (y >= 0).astype(y.dtype)}),
        "mask-by-the-gradient": ("cotangent wrong-variable", {
            "mask": lambda self, x, y, d: positive(d)}),
        "value-for-its-mask": ("wrong-variable chain-term", {
            "mask": lambda self, x, y, d: y}),
        "mean-forgotten": ("scale", {
            "of_loss": lambda self, z, y, d: d * (softmax(z) - one_hot(y, z))}),
        "averaged-over-entries": ("scale", {
            "of_loss": lambda self, z, y, d: d * (softmax(z) - one_hot(y, z)) / z.size}),
        "normalised-over-rows": ("axis wrong-variable", {
            "of_loss": lambda self, z, y, d: d * (softmax(z, 0) - one_hot(y, z)) / len(z)}),
    }),
)  # fmt: skip


def _hidden(X: Array, W1: Array) -> Any:
    return relu(X @ W1)


def _matrices(X: Array, W1: Array, W2: Array, y: Array) -> Any:
    """Return the mean softmax loss of ReLU(X W₁) W₂."""
    return -np.mean(log_softmax(_hidden(X, W1) @ W2)[np.arange(len(y)), y])


def _matrices_backward(
    X: Array,
    W1: Array,
    W2: Array,
    y: Array,
    g: Array,
    hidden: Function = lambda X, W1: _hidden(X, W1),
    normalised: Function = softmax,
    targets: Function = one_hot,
    mask: Function = lambda Z1, d: positive(Z1) * d,
    count: Function = lambda X, Z2: len(X),
    stepped: Function = lambda W2, step: None,
    base: float = 1.0,
) -> Any:
    Z1 = _hidden(X, W1)
    Z2 = Z1 @ W2
    G2 = g * (normalised(Z2) - targets(y, Z2)) / base
    m = count(X, Z2)
    dW2 = hidden(X, W1).T @ G2 / m
    stepped(W2, dW2)
    G1 = mask(Z1, G2 @ W2.T)
    return G1 @ W1.T / m, X.T @ G1 / m, dW2


def _in_place(W2: Array, step: Array) -> None:
    W2 -= 0.5 * step


def _matrices_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, H, K = shape
    (X,) = drawn(rng, (N, D), scale=scale)
    return X, matrix(rng, D, H), matrix(rng, H, K), ids(rng, N, K)


MATRICES = Subject(
    "two-bare-matrices-of-an-epoch", _matrices, _matrices_backward, _matrices_sample,
    ((3, 2, 4, 5), (5, 3, 4, 3), (4, 5, 6, 3), (8, 6, 7, 5), (24, 10, 12, 8)),
    scales=(0.3, 1.0, 3.0), kinked=True,
    edits=edited(_matrices_backward, {
        "hidden-before-relu": ("wrong-variable", {"hidden": lambda X, W1: X @ W1}),
        "mask-of-the-gradient": ("cotangent wrong-variable", {
            "mask": lambda Z1, d: relu(d)}),
        # A copy whose positive entries were to be set to one, in a line that is commented out.
        "hidden-values-for-the-mask": ("wrong-variable chain-term", {
            "mask": lambda Z1, d: Z1 * d}),
        "mask-forgotten": ("chain-term", {"mask": lambda Z1, d: d}),
        "second-matrix-stepped-first": ("aliasing wrong-variable", {"stepped": _in_place}),
        "scores-not-exponentiated": ("wrong-variable", {"normalised": lambda Z: Z}),
        "one-sum-for-all-rows": ("axis wrong-variable", {
            "normalised": lambda Z: softmax(Z.reshape(-1)).reshape(Z.shape)}),
        "identity's-rows-for-labels": ("subset wrong-variable axis", {
            "targets": lambda y, Z: np.eye(*Z.shape, dtype=Z.dtype)}),
        "labels-forgotten": ("subset chain-term", {"targets": lambda y, Z: 0 * Z}),
        "not-averaged": ("scale", {"count": one}),
        "averaged-over-classes": ("scale", {"count": lambda X, Z2: Z2.shape[1]}),
        "logarithm-of-base-two": ("scale", {"base": math.log(2)}),
    }),
)  # fmt: skip


SUBJECTS = (NEURONS, TAPE, MATRICES)
"""What is checked."""
