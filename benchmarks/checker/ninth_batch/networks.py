"""First networks: neuron by neuron, as two bare matrices, and with numbered layers.

What is wrong here is met in networks whose neurons hold a delta, in homework with two matrices, and
in ten copies of a tutorial, nine of which step by a sum where their loss is a mean.
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
    positive,
    relu,
    sigmoid,
    softmax,
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
        hidden_deltas = []
        for j in range(len(h)):
            total = 0 * h[0]
            for k, delta in enumerate(deltas):
                total = error(total, output[k, j] * delta)
            hidden_deltas.append(total * transfer(z[j], h[j]))
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
        "biases-not-learnt": ("subset zero", {"bias": lambda delta: 0 * delta}),
        "last-row's-gradient": ("unreduced-broadcast", {"gathered": lambda so_far, part: part}),
        "output-layer-trained-first": ("aliasing wrong-variable", {"stepped": _train}),
        "averaged": ("scale", {"rate": len}),
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
        "labels-forgotten": ("subset chain-term", {"targets": lambda y, Z: 0 * Z}),
        "not-averaged": ("scale", {"count": one}),
        "logarithm-of-base-two": ("scale", {"base": math.log(2)}),
    }),
)  # fmt: skip


DECAY = 0.4


def _two_layers(X: Array, W1: Array, b1: Array, W2: Array, b2: Array) -> Any:
    a1 = np.tanh(X @ W1 + b1)
    return a1, softmax(a1 @ W2 + b2)


def _moons(X: Array, W1: Array, b1: Array, W2: Array, b2: Array, y: Array) -> Any:
    """Return the summed cross entropy and half the decayed squares, both over the batch's size."""
    probs = _two_layers(X, W1, b1, W2, b2)[-1]
    squares = np.sum(W1**2) + np.sum(W2**2)
    return (DECAY / 2 * squares - np.sum(np.log(probs[np.arange(len(y)), y]))) / len(y)


def _moons_backward(
    X: Array,
    W1: Array,
    b1: Array,
    W2: Array,
    b2: Array,
    y: Array,
    g: Array,
    delta: Function = lambda probs, y: probs - one_hot(y, probs),
    slope: Function = lambda a1: 1 - a1**2,
    decay: Function = lambda W: DECAY * W,
    decay_b: Function = lambda b: 0 * b,
    of_b1: Function = lambda delta2, delta3: np.sum(delta2, axis=0),
    of_W2: Function = lambda X, W1, b1, a1: a1,
    count: Function = len,
    hidden_count: Function = lambda y: 1,
) -> Any:
    a1, probs = _two_layers(X, W1, b1, W2, b2)
    delta3 = g * delta(probs, y)
    delta2 = (delta3 @ W2.T) * slope(a1)
    dW2 = of_W2(X, W1, b1, a1).T @ delta3 + g * decay(W2)
    db2 = np.sum(delta3, axis=0) + g * decay_b(b2)
    dW1 = (X.T @ delta2 + g * decay(W1)) * hidden_count(y)
    db1 = of_b1(delta2, delta3) + g * decay_b(b1)
    return tuple(d / count(y) for d in (delta2 @ W1.T, dW1, db1, dW2, db2))


def _moons_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, H, K = shape
    X, b1, b2 = drawn(rng, (N, D), (H,), (K,), scale=scale)
    return X, matrix(rng, D, H), b1, matrix(rng, H, K), b2, ids(rng, N, K)


MOONS = Subject(
    "tanh-network-with-a-decayed-average", _moons, _moons_backward, _moons_sample,
    ((3, 2, 4, 5), (5, 3, 4, 2), (4, 5, 6, 3), (8, 6, 7, 5), (24, 10, 12, 8)),
    scales=(0.3, 1.0, 2.0),
    edits=edited(_moons_backward, {
        # The tutorial's own: the printed loss is averaged, and what is stepped by is not.
        "averaged-in-the-loss-alone": ("scale", {"count": one}),
        "hidden-weights-not-averaged": ("scale", {"hidden_count": len}),
        "decay-forgotten": ("chain-term", {"decay": lambda W: 0 * W}),
        "decay-with-a-2": ("chain-term", {"decay": lambda W: 2 * DECAY * W}),
        "biases-decayed-too": ("chain-term", {"decay_b": lambda b: DECAY * b}),
        "sigmoid's-slope-for-tanh's": ("chain-term wrong-variable", {
            "slope": lambda a1: a1 * (1 - a1)}),
        "slope-of-what-tanh-returned": ("wrong-variable", {
            "slope": lambda a1: 1 - np.tanh(a1) ** 2}),
        "slope-not-squared": ("chain-term wrong-variable", {"slope": lambda a1: 1 - a1}),
        # Met as it stands: dZ2 where dZ1 belongs, and no axis.
        "first-bias-by-the-second-error": ("wrong-variable axis", {
            "of_b1": lambda delta2, delta3: np.sum(delta3)}),
        "weighted-input-for-the-activation": ("wrong-variable", {
            "of_W2": lambda X, W1, b1, a1: X @ W1 + b1}),
        "error-times-its-slope": ("wrong-variable chain-term diagonal-only", {
            "delta": lambda probs, y: (probs - one_hot(y, probs)) * probs * (1 - probs)}),
        "label-minus-output": ("sign chain-term", {
            "delta": lambda probs, y: one_hot(y, probs) - probs}),
    }),
)  # fmt: skip

SUBJECTS = (NEURONS, MATRICES, MOONS)
"""What is checked."""
