"""Softmax and log-sum-exp as objects, and softmax at temperatures that follow a schedule.

What is wrong here is met in neural networks from scratch (activation classes that loop over
samples), in engines of automatic differentiation that a course has its students write, and in
issues titled "the backward pass of Softmax is wrong".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import softmax, total
from benchmarks.checker.sixth_batch.parts import (
    drawn,
    edited,
    like_sigmoid,
    overridden,
    softmax_back,
    through,
)
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject, edit

__all__ = ["SUBJECTS"]


class Softmax:
    """A layer that keeps its output, and pulls every sample back by its own Jacobian."""

    def forward(self, inputs: Array) -> Any:
        self.inputs = inputs
        exps = np.exp(inputs - np.max(inputs, axis=1, keepdims=True))
        self.output = exps / np.sum(exps, axis=1, keepdims=True)
        return self.output

    def backward(self, dvalues: Array) -> Any:
        dinputs = np.empty_like(dvalues)
        for i, (output, d) in enumerate(zip(self.output, dvalues, strict=True)):
            dinputs[i] = self.pulled(output, d)
        return dinputs

    def pulled(self, output: Array, d: Array) -> Any:
        return self.jacobian(output) @ d

    def jacobian(self, output: Array) -> Any:
        column = output.reshape(-1, 1)
        return np.diagflat(column) - column @ column.T


LAYER = Subject(
    "softmax-layer-object", lambda x: Softmax().forward(x), through(Softmax),
    lambda rng, shape, scale: drawn(rng, shape, scale=scale),
    ((2, 3), (3, 5), (5, 4), (4, 17), (9, 60)), scales=(0.1, 1.0, 5.0),
    also_right={"all samples at once": lambda x, g: softmax_back(softmax(x), g)},
    edits=overridden(Softmax, {
        # A flat row has no transpose: the outer product becomes the row's squared length.
        "row-not-made-a-column": ("projection-term", {
            "jacobian": lambda self, output: np.diagflat(output) - np.dot(output, output.T)}),
        # Of 40 functions called softmax_prime, d_softmax and the like, 18.
        "like-sigmoid": ("diagonal-only", {
            "backward": lambda self, d: like_sigmoid(self.output, d)}),
        # The derivative of columns, in a layer of rows.
        "like-sigmoid-of-columns": ("axis diagonal-only", {
            "backward": lambda self, d: like_sigmoid(softmax(self.inputs, 0), d)}),
        # A vector was wanted: the Jacobian is multiplied by ones, or one column is kept.
        "jacobian-times-ones": ("zero projection-term", {
            "pulled": lambda self, output, d: d * np.sum(self.jacobian(output), axis=1)}),
        "first-column-of-the-jacobian": ("unnamed", {
            "pulled": lambda self, output, d: d * self.jacobian(output)[:, 0]}),
        # Layers "whose loss has done it already".
        "passed-on": ("identity", {"backward": lambda self, d: d}),
        "no-derivative": ("zero", {"backward": lambda self, d: 0 * d}),
        # An engine's class: the sum is of squares, not of products with the upstream.
        "squares-for-products": ("projection-term unnamed", {
            "pulled": lambda self, output, d: d * (output - np.sum(output**2))}),
        "inner-product-of-the-whole-batch": ("projection-term axis", {
            "backward": lambda self, d: self.output * (d - np.sum(self.output * d))}),
        "inner-product-forgotten": ("projection-term", {
            "backward": lambda self, d: self.output * d}),
    }),
)  # fmt: skip


class LogSumExp:
    """An operation of an engine: it reduces the last two axes of [A, B, C]."""

    axes = (1, 2)

    def forward(self, Z: Array) -> Any:
        self.Z = Z
        self.top = Z.max(axis=self.axes, keepdims=True)
        self.lse = np.log(np.exp(Z - self.top).sum(axis=self.axes)) + self.top[:, 0, 0]
        return self.lse

    def backward(self, out_grad: Array) -> Any:
        return self.expanded(out_grad) * self.weights()

    def expanded(self, out_grad: Array) -> Any:
        return out_grad.reshape(-1, 1, 1)

    def weights(self) -> Any:
        return np.exp(self.Z - self.expanded(self.lse))


LOG_SUM = Subject(
    "log-sum-exp-of-two-axes", lambda Z: LogSumExp().forward(Z), through(LogSumExp),
    lambda rng, shape, scale: drawn(rng, shape, scale=scale),
    ((3, 2, 3), (4, 3, 4), (3, 5, 3), (4, 9, 4), (6, 20, 6)), scales=(0.1, 1.0, 5.0),
    also_right={"softmax of the flattened axes": lambda Z, g: (
        softmax(Z.reshape(len(Z), -1)) * g[:, None]).reshape(Z.shape)},
    edits=overridden(LogSumExp, {
        # Homework: exp(Z − max) is returned without its sum, or the maximum has a path as well.
        "not-divided-by-the-sum": ("chain-term", {"weights": lambda self: np.exp(
            self.Z - self.top)}),
        "maximum-differentiated-too": ("chain-term subset", {
            "weights": lambda self: np.exp(self.Z - self.expanded(self.lse))
            + (self.top == self.Z)}),
        "normalised-along-the-last-axis": ("axis", {"weights": lambda self: softmax(self.Z)}),
        # The axis that was reduced is put back at the wrong place; equal lengths hide it.
        "upstream-along-the-last-axis": ("cotangent axis", {
            "backward": lambda self, g: g * self.weights()}),
        "sum-of-the-upstream": ("cotangent", {
            "backward": lambda self, g: np.sum(g) * self.weights()}),
        "log-softmax's-gradient": ("wrong-variable", {
            "backward": lambda self, g: self.expanded(g) * (1 - self.weights())}),
    }),
)  # fmt: skip


def _temperature(s: Array, z: Array) -> Any:
    """Return the temperature of every step."""
    return (0.5 + 0.5 * s).astype(z.dtype)[:, None]


def _scheduled(z: Array, s: Array) -> Any:
    """Return softmax of row n at the temperature of its step s[n]."""
    return softmax(z / _temperature(s, z))


def _scheduled_backward(
    z: Array,
    s: Array,
    g: Array,
    p: Function = _scheduled,
    r: Function = softmax_back,
    h: Function = lambda d, t: d / t,
    u: Function = lambda t: t,
) -> Any:
    return h(r(p(z, s), g), u(_temperature(s, z)))


def _scheduled_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    return scale * rng.normal(size=shape), np.arange(shape[0]) % 5 + 1


def _divided_inside(z: Array, s: Array, g: Array) -> Any:
    """Divide the first of two terms alone: brackets are missing."""
    p = _scheduled(z, s)
    return p * (g / _temperature(s, z) - total(p * g))


SCHEDULED = Subject(
    "softmax-over-a-temperature-schedule", _scheduled, _scheduled_backward, _scheduled_sample,
    ((3, 3), (4, 5), (5, 3), (6, 17), (9, 60)), scales=(0.1, 1.0, 5.0),
    also_right={"tempered upstream": lambda z, s, g: softmax_back(
        _scheduled(z, s), g / _temperature(s, z))},
    edits=(*edited(_scheduled_backward, {
        "temperature-forgotten": ("scale chain-term", {"h": lambda d, t: d}),
        "temperature-multiplied": ("scale", {"h": lambda d, t: d * t}),
        "first-step's-temperature": ("scale wrong-variable", {
            "u": lambda t: t[:1]}),
        "temperature-forgotten-in-p": ("wrong-variable", {"p": lambda z, s: softmax(z)}),
        "like-sigmoid": ("diagonal-only", {"r": like_sigmoid}),
    }), edit("divided-before-the-difference", "projection-term", _divided_inside)),
)  # fmt: skip

SUBJECTS = (LAYER, LOG_SUM, SCHEDULED)
"""What is checked."""
