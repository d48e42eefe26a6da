"""An engine: arrays on a tape of nodes, each of which knows how its gradient goes back.

What is wrong here is met in engines that were typed from a book, and in issues on such.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.ninth_batch.parts import (
    drawn,
    ids,
    log_softmax,
    matrix,
    one_hot,
    overridden,
    positive,
    relu,
    softmax,
    through,
)
from benchmarks.checker.subject import Array, Rng, Shape, Subject

__all__ = ["SUBJECTS"]


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
        "mean-forgotten": ("scale", {
            "of_loss": lambda self, z, y, d: d * (softmax(z) - one_hot(y, z))}),
        "normalised-over-rows": ("axis wrong-variable", {
            "of_loss": lambda self, z, y, d: d * (softmax(z, 0) - one_hot(y, z)) / len(z)}),
    }),
)  # fmt: skip

SUBJECTS = (TAPE,)
"""What is checked."""
