"""Layers as objects: a book's activation and loss, a tutorial's output layer, and searched cells.

What is wrong here is met in classes that were typed anew from a book or a tutorial, with a word
changed here and there, and in questions on them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.eighth_batch.parts import (
    drawn,
    edited,
    ids,
    like_sigmoid,
    matrix,
    one_hot,
    overridden,
    relu,
    softmax,
    softmax_back,
    through,
    total,
)
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]


class Objects:
    """Dense, ReLU, dense, softmax and its loss; a Jacobian for every sample."""

    def forward(self, X: Array, W1: Array, b1: Array, W2: Array, b2: Array, y: Array) -> Any:
        self.X, self.W1, self.W2, self.y = X, W1, W2, y
        self.hidden = X @ W1 + b1
        self.active = relu(self.hidden)
        self.scores = self.active @ W2 + b2
        self.output = softmax(self.scores)
        return np.mean(-np.log(self.output[np.arange(len(y)), y]))

    def backward(self, g: Array) -> Any:
        dvalues = g * self.loss_dinputs(self.output, one_hot(self.y, self.output))
        dscores = self.activation_dinputs(dvalues)
        dactive, dW2, db2 = self.dense(dscores, self.active, self.W2)
        dhidden = self.relu_dinputs(dactive)
        dX, dW1, db1 = self.dense(dhidden, self.X, self.W1)
        return dX, dW1, db1, dW2, db2

    def loss_dinputs(self, output: Array, y_true: Array) -> Any:
        return -y_true / output / len(output)

    def activation_dinputs(self, dvalues: Array) -> Any:
        dinputs = np.empty_like(dvalues)
        for index, (single, single_dvalues) in enumerate(zip(self.output, dvalues, strict=True)):
            dinputs[index] = self.times(self.jacobian(single), single_dvalues)
        return dinputs

    def jacobian(self, single: Array) -> Any:
        column = single.reshape(-1, 1)
        return np.diagflat(column) - column @ column.T

    def times(self, jacobian: Array, dvalues: Array) -> Any:
        return jacobian @ dvalues

    def relu_dinputs(self, dvalues: Array) -> Any:
        dinputs = dvalues.copy()
        dinputs[self.hidden <= 0] = 0
        return dinputs

    def dense(self, dvalues: Array, inputs: Array, weights: Array) -> Any:
        return dvalues @ weights.T, inputs.T @ dvalues, np.sum(dvalues, axis=0, keepdims=True)


def _of_the_flat_batch(self: Objects, dvalues: Array) -> Any:
    """Make one Jacobian of all outputs."""
    column = self.output.reshape(-1, 1)
    jacobian = np.diagflat(column) - column @ column.T
    return (jacobian @ dvalues.reshape(-1)).reshape(dvalues.shape)


def _where_positive(self: Objects, dvalues: Array) -> Any:
    dinputs = dvalues.copy()
    dinputs[dvalues <= 0] = 0
    return dinputs


def _objects_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, H, K = shape
    X, b1, b2 = drawn(rng, (N, D), (1, H), (1, K), scale=scale)
    return X, matrix(rng, D, H), b1, matrix(rng, H, K), b2, ids(rng, N, K)


OBJECTS = Subject(
    "activation-and-loss-objects", lambda *inputs: Objects().forward(*inputs), through(Objects),
    _objects_sample, ((3, 2, 4, 5), (5, 3, 4, 3), (4, 5, 6, 3), (7, 6, 8, 5), (20, 10, 12, 9)),
    scales=(0.3, 1.0, 2.0), kinked=True,
    also_right={"activation and loss at once": through(type("AtOnce", (Objects,), {
        "activation_dinputs": lambda self, d: softmax_back(self.output, d)}))},
    edits=overridden(Objects, {
        # The row is not made a column, and its product with itself is a number.
        "row-times-row": ("projection-term", {
            "jacobian": lambda self, s: np.diagflat(s) - s @ s.T}),
        "product-added": ("projection-term sign", {
            "jacobian": lambda self, s: np.diagflat(s) + np.outer(s, s)}),
        "diagonal-of-one-minus-s": ("projection-term chain-term", {
            "jacobian": lambda self, s: np.diagflat(s * (1 - s)) - np.outer(s, s)}),
        "one-jacobian-for-the-batch": ("projection-term axis", {
            "activation_dinputs": _of_the_flat_batch}),
        "jacobian's-diagonal": ("diagonal-only", {
            "times": lambda self, jacobian, dvalues: np.diag(jacobian) * dvalues}),
        "jacobian's-columns-summed": ("zero projection-term", {
            "times": lambda self, jacobian, dvalues: jacobian.sum(axis=0) * dvalues}),
        "jacobian-of-the-scores": ("wrong-variable", {
            "activation_dinputs": lambda self, d: softmax_back(self.scores, d)}),
        # The combined class's line, used with the two classes.
        "loss-for-both": ("wrong-variable", {
            "loss_dinputs": lambda self, output, y_true: (output - y_true) / len(output)}),
        "activation-that-leaves-it-to-the-loss": ("identity chain-term", {
            "activation_dinputs": lambda self, d: d}),
        "loss's-sign": ("sign", {
            "loss_dinputs": lambda self, output, y_true: y_true / output / len(output)}),
        "divided-by-the-number-of-classes": ("scale", {
            "loss_dinputs": lambda self, output, y_true: -y_true / output / len(output[0])}),
        "zero-where-the-gradient-is-negative": ("cotangent wrong-variable", {
            "relu_dinputs": _where_positive}),
        "biases-without-an-axis": ("axis unreduced-broadcast", {
            "dense": lambda self, d, inputs, weights: (
                d @ weights.T, inputs.T @ d, np.sum(d, keepdims=True))}),
    }),
)  # fmt: skip


def _output_layer(image: Array, weights: Array, biases: Array) -> Any:
    """Return softmax of a linear map of one flattened image."""
    return softmax(image.reshape(-1) @ weights + biases)


def _own_slopes(t: Array, S: Any, i: int) -> Any:
    d_out_d_t = -t[i] * t / S**2
    d_out_d_t[i] = t[i] * (S - t[i]) / S**2
    return d_out_d_t


def _output_layer_backward(
    image: Array,
    weights: Array,
    biases: Array,
    d_L_d_out: Array,
    slopes: Function = _own_slopes,
    gathered: Function = lambda so_far, d: so_far + d,
    reached: Function = lambda count: range(count),
    stepped: Function = lambda weights, d_L_d_w: None,
    shaped: Function = lambda flat, shape: flat.reshape(shape),
) -> Any:
    inputs = image.reshape(-1)
    totals = inputs @ weights + biases
    t_exp = np.exp(totals - totals.max())
    S = np.sum(t_exp)
    d_L_d_t = np.zeros_like(totals)
    for i in reached(len(d_L_d_out)):
        if d_L_d_out[i] == 0:
            continue
        d_L_d_t = gathered(d_L_d_t, d_L_d_out[i] * slopes(t_exp, S, i))
    d_L_d_w = inputs[:, None] @ d_L_d_t[None]
    stepped(weights, d_L_d_w)
    return shaped(weights @ d_L_d_t, image.shape), d_L_d_w, d_L_d_t


def _without_own_line(t: Array, S: Any, i: int) -> Any:
    return -t[i] * t / S**2


def _with_plus(t: Array, S: Any, i: int) -> Any:
    d_out_d_t = t[i] * t / S**2
    d_out_d_t[i] = t[i] * (S - t[i]) / S**2
    return d_out_d_t


def _own_line_alone(t: Array, S: Any, i: int) -> Any:
    d_out_d_t = np.zeros_like(t)
    d_out_d_t[i] = t[i] * (S - t[i]) / S**2
    return d_out_d_t


def _numerator_alone(t: Array, S: Any, i: int) -> Any:
    """Forget that the sum changes, too."""
    d_out_d_t = np.zeros_like(t)
    d_out_d_t[i] = t[i] / S
    return d_out_d_t


def _step(weights: Array, d_L_d_w: Array) -> None:
    """Train before the gradient of the input is asked for."""
    weights -= 0.5 * d_L_d_w


def _output_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    H, W, C, K = shape
    image, biases = drawn(rng, (H, W, C), (K,), scale=scale)
    return image, matrix(rng, H * W * C, K), biases


OUTPUT = Subject(
    "output-layer-of-one-image", _output_layer, _output_layer_backward, _output_sample,
    ((2, 2, 1, 3), (2, 3, 2, 4), (3, 2, 1, 5), (4, 3, 2, 6), (5, 4, 3, 10)),
    scales=(0.3, 1.0, 3.0),
    also_right={"by the product": lambda image, weights, biases, g: (
        (weights @ (d := softmax_back(_output_layer(image, weights, biases), g))).reshape(
            image.shape), np.outer(image, d), d)},
    edits=edited(_output_layer_backward, {
        # The tutorial returns within the loop: right where one number arrives, and zeros.
        "returned-within-the-loop": ("cotangent unreduced-broadcast", {
            "reached": lambda count: range(1)}),
        "last-class-kept": ("cotangent unreduced-broadcast", {
            "gathered": lambda so_far, d: d}),
        "own-class's-line-forgotten": ("chain-term projection-term", {
            "slopes": _without_own_line}),
        "minus-forgotten": ("projection-term sign", {"slopes": _with_plus}),
        "own-class-alone": ("diagonal-only", {"slopes": _own_line_alone}),
        "sum-held-constant": ("projection-term chain-term", {"slopes": _numerator_alone}),
        "sum-not-squared": ("scale chain-term", {
            "slopes": lambda t, S, i: S * _own_slopes(t, S, i)}),
        "trained-before-the-input's-gradient": ("aliasing wrong-variable", {"stepped": _step}),
        "left-flat": ("axis unreduced-broadcast", {"shaped": lambda flat, shape: flat}),
        "shaped-in-another-order": ("axis", {
            "shaped": lambda flat, shape: flat.reshape(shape, order="F")}),
    }),
)  # fmt: skip


class Nodes:
    """Softmax with a temperature, node by node: exp, sum, division."""

    temperature = 1.5

    def forward(self, x: Array) -> Any:
        self.e = np.exp((x - x.max(axis=-1, keepdims=True)) / self.temperature)
        self.S = total(self.e)
        return self.e / self.S

    def backward(self, g: Array) -> Any:
        by_division, dS = g / self.S, self.of_sum(g)
        de = self.both(by_division, self.spread(dS))
        return self.of_scale(self.of_exp(de))

    def of_sum(self, g: Array) -> Any:
        return self.unbroadcast(-g * self.e / self.S**2)

    def unbroadcast(self, d: Array) -> Any:
        return total(d)

    def spread(self, dS: Array) -> Any:
        return dS + 0 * self.e

    def both(self, by_division: Array, by_sum: Array) -> Any:
        return by_division + by_sum

    def of_exp(self, de: Array) -> Any:
        return de * self.e

    def of_scale(self, d: Array) -> Any:
        return d / self.temperature


NODES = Subject(
    "softmax-of-three-nodes", lambda x: Nodes().forward(x), through(Nodes),
    lambda rng, shape, scale: drawn(rng, shape, scale=scale),
    ((3, 4), (2, 3, 5), (5, 3), (6, 20), (4, 5, 12)), scales=(0.1, 1.0, 5.0),
    edits=overridden(Nodes, {
        # An engine's grad = in place of grad +=: what is used twice keeps one of the two.
        "second-use-overwrites-the-first": ("chain-term unreduced-broadcast projection-term", {
            "both": lambda self, by_division, by_sum: by_sum}),
        "first-use-alone": ("projection-term chain-term unreduced-broadcast", {
            "both": lambda self, by_division, by_sum: by_division}),
        # Shapes agree without the sum, and what comes out is a sigmoid's slope.
        "broadcast-not-summed": ("diagonal-only unreduced-broadcast projection-term", {
            "unbroadcast": lambda self, d: d}),
        "broadcast-averaged": ("projection-term chain-term", {
            "unbroadcast": lambda self, d: d.mean(axis=-1, keepdims=True)}),
        "broadcast-summed-over-everything": ("projection-term axis", {
            "unbroadcast": lambda self, d: np.sum(d)}),
        "quotient-rule's-square-forgotten": ("projection-term chain-term", {
            "of_sum": lambda self, g: total(-g * self.e / self.S)}),
        "quotient-rule's-minus-forgotten": ("projection-term sign chain-term", {
            "of_sum": lambda self, g: total(g * self.e / self.S**2)}),
        "exp's-slope-forgotten": ("chain-term", {"of_exp": lambda self, de: de}),
        "temperature-forgotten": ("scale", {"of_scale": lambda self, d: d}),
        "temperature-multiplied": ("scale", {
            "of_scale": lambda self, d: d * self.temperature}),
    }),
)  # fmt: skip


def _operations(x: Array) -> tuple[Any, ...]:
    """Return what the candidates of a cell make of the input: as it is, tanh, ReLU, a square."""
    return x, np.tanh(x), relu(x), x * x


def _searched(alpha: Array, x: Array) -> Any:
    """Return the candidates weighted by softmax of an architecture's parameters [4]."""
    return sum(p * made for p, made in zip(softmax(alpha), _operations(x), strict=True))


def _searched_backward(
    alpha: Array,
    x: Array,
    g: Array,
    rule: Function = softmax_back,
    of_weight: Function = lambda g, made: np.sum(g * made),
    weights: Function = lambda p: p,
    tanh_slope: Function = lambda x, y: 1 - y**2,
    square_slope: Function = lambda x: 2 * x,
) -> Any:
    p, made = softmax(alpha), _operations(x)
    dp = np.stack([of_weight(g, y) for y in made]).astype(x.dtype)
    slopes = 1 + 0 * x, tanh_slope(x, made[1]), (x > 0).astype(x.dtype), square_slope(x)
    dx = sum(w * slope for w, slope in zip(weights(p), slopes, strict=True))
    return rule(p, dp), g * dx


SEARCHED = Subject(
    "cell-of-weighted-operations", _searched, _searched_backward,
    lambda rng, shape, scale: (rng.normal(size=4), *drawn(rng, shape, scale=scale)),
    ((3, 2), (4, 3), (3, 5), (8, 6), (20, 10)), scales=(0.3, 1.0, 2.0), kinked=True,
    edits=edited(_searched_backward, {
        "like-sigmoid": ("diagonal-only", {"rule": like_sigmoid}),
        "softmax-passed-over": ("identity chain-term", {"rule": lambda p, dp: dp}),
        "inner-product-forgotten": ("projection-term", {"rule": lambda p, dp: p * dp}),
        "weights-averaged-over-the-batch": ("scale", {
            "of_weight": lambda g, made: np.mean(g * made)}),
        "weights-by-what-arrives-alone": ("chain-term wrong-variable", {
            "of_weight": lambda g, made: np.sum(g)}),
        "input-without-the-weights": ("chain-term", {"weights": lambda p: 0 * p + 1}),
        # The best candidate is what is kept when the search is over.
        "input-by-the-best-candidate": ("chain-term wrong-variable", {
            "weights": lambda p: p * (p == p.max())}),
        "tanh's-slope-by-its-input": ("wrong-variable", {"tanh_slope": lambda x, y: 1 - x**2}),
        "square's-2-forgotten": ("chain-term scale", {"square_slope": lambda x: x}),
    }),
)  # fmt: skip

SUBJECTS = (OBJECTS, OUTPUT, NODES, SEARCHED)
"""What is checked."""
