"""Softmax and its relatives: slopes in two loops, one more below, powers, and two outputs.

What is wrong here is met in functions named softmax_prime, softmax_deriv, dsoftmax, grad_softmax
and backward_softmax, and in losses that return the probabilities as well.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.ninth_batch.parts import (
    Context,
    applied,
    drawn,
    edited,
    ids,
    like_sigmoid,
    log_softmax,
    one,
    one_hot,
    redefined,
    softmax,
    softmax_back,
    total,
    without_inner,
)
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]


def _logits(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    return drawn(rng, shape, scale=scale)


def _in_loops(
    x: Array,
    g: Array,
    point: Function = lambda x, g: softmax(x),
    own: Function = lambda x, s, i: s[i] * (1 - s[i]),
    other: Function = lambda x, s, i, j: -s[i] * s[j],
    gathered: Function = lambda so_far, part: so_far + part,
    upstream: Function = lambda g, j: g[j],
) -> Any:
    """Pull back row by row, by the slope of every output at every input."""
    gradient = np.zeros_like(x)
    for n, row in enumerate(x):
        s = point(row, g[n])
        for i in range(len(row)):
            for j in range(len(row)):
                slope = own(row, s, i) if i == j else other(row, s, i, j)
                gradient[n, i] = gathered(gradient[n, i], upstream(g[n], j) * slope)
    return gradient


LOOPS = Subject(
    "softmax-slopes-in-two-loops", softmax, _in_loops, _logits,
    ((2, 3), (3, 4), (4, 5), (3, 9), (6, 14)), scales=(0.1, 1.0, 4.0),
    also_right={"at once": lambda x, g: softmax_back(softmax(x), g)},
    edits=edited(_in_loops, {
        # A question's own lines: the sum over outputs is written over.
        "last-output's-slope": ("cotangent unreduced-broadcast", {
            "gathered": lambda so_far, part: part}),
        "inputs-for-outputs": ("wrong-variable projection-term", {
            "own": lambda x, s, i: s[i] * (1 - x[i]),
            "other": lambda x, s, i, j: -s[i] * x[j]}),
        "diagonal-of-the-inputs": ("wrong-variable", {
            "own": lambda x, s, i: x[i] - s[i] * s[i]}),
        "slope-of-its-own-alone": ("diagonal-only", {"other": lambda x, s, i, j: 0 * s[i]}),
        "ones-for-slopes": ("identity", {
            "own": lambda x, s, i: 1, "other": lambda x, s, i, j: 0}),
        "minus-forgotten": ("projection-term sign", {"other": lambda x, s, i, j: s[i] * s[j]}),
        "squares-forgotten": ("projection-term chain-term", {"own": lambda x, s, i: s[i]}),
        "nothing-arrives": ("zero cotangent projection-term", {"upstream": one}),
        "softmax-of-what-arrives": ("cotangent wrong-variable", {
            "point": lambda x, g: softmax(g)}),
        "softmax-of-softmax": ("wrong-variable", {
            "point": lambda x, g: softmax(softmax(x))}),
    }),
)  # fmt: skip


class OffByOne:
    """Softmax with one more in its denominator, so that a row may be all but zeros."""

    @classmethod
    def forward(cls, ctx: Context, x: Array) -> Any:
        m = np.maximum(x.max(axis=-1, keepdims=True), 0 * x[..., :1])
        e = np.exp(x - m)
        y = e / (np.exp(-m) + total(e))
        ctx.save_for_backward(x, e, y)
        return y

    @classmethod
    def backward(cls, ctx: Context, grad_output: Array) -> Any:
        x, e, y = ctx.saved
        y = cls.kept(x, e, y)
        return cls.rule(y, grad_output, cls.inner(y, grad_output))

    @staticmethod
    def kept(x: Array, e: Array, y: Array) -> Any:
        return y

    @staticmethod
    def inner(y: Array, g: Array) -> Any:
        return total(y * g)

    @staticmethod
    def rule(y: Array, g: Array, inner: Array) -> Any:
        return y * (g - inner)


OFF_BY_ONE = Subject(
    "softmax-with-one-more-below", lambda x: OffByOne.forward(Context(), x), applied(OffByOne),
    _logits, ((3, 4), (2, 3, 5), (5, 3), (6, 20), (4, 5, 12)), scales=(0.1, 1.0, 4.0),
    edits=redefined(OffByOne, {
        # What is right for softmax, computed anew in the backward.
        "softmax-for-the-output": ("wrong-variable", {"kept": lambda x, e, y: softmax(x)}),
        "exponentials-for-the-output": ("wrong-variable chain-term", {
            "kept": lambda x, e, y: e}),
        "inner-product-of-the-normalised": ("projection-term", {
            "inner": lambda y, g: total(y * g) / total(y)}),
        "inner-product-forgotten": ("projection-term", {"inner": lambda y, g: 0 * g}),
        "inner-product-along-the-rows": ("projection-term axis", {
            "inner": lambda y, g: total(y * g, -2)}),
        "inner-product-averaged": ("projection-term", {
            "inner": lambda y, g: np.mean(y * g, axis=-1, keepdims=True)}),
        "like-sigmoid": ("diagonal-only", {"rule": lambda y, g, inner: like_sigmoid(y, g)}),
        "output-added": ("cotangent", {"rule": lambda y, g, inner: y * g + y}),
    }),
)  # fmt: skip


def _powers(w: Array, a: Array) -> Any:
    """Return positive weights to a learnt power, normalised."""
    return softmax(a * np.log(w))


def _powers_backward(
    w: Array,
    a: Array,
    g: Array,
    rule: Function = softmax_back,
    of_weight: Function = lambda d, a, w: a * d / w,
    of_power: Function = lambda d, w, s, a: np.sum(d * np.log(w), keepdims=True)[0],
) -> Any:
    s = _powers(w, a)
    d = rule(s, g)
    answer = of_power(d, w, s, a)
    return of_weight(d, a, w), answer


def _powers_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    return 0.5 + np.exp(scale * rng.normal(size=shape)), np.array([1.7])


POWERS = Subject(
    "weights-to-a-learnt-power", _powers, _powers_backward, _powers_sample,
    ((3, 4), (5, 3), (4, 7), (6, 20), (12, 30)), scales=(0.3, 1.0, 2.0), extremes=(),
    edits=edited(_powers_backward, {
        "like-sigmoid": ("diagonal-only", {"rule": like_sigmoid}),
        "sum-held-constant": ("projection-term", {"rule": without_inner}),
        "sum-over-everything": ("projection-term axis", {
            "rule": lambda s, g: s * (g - np.sum(s * g))}),
        "logarithm's-slope-forgotten": ("chain-term", {"of_weight": lambda d, a, w: a * d}),
        "power-forgotten": ("scale chain-term", {"of_weight": lambda d, a, w: d / w}),
        "power-by-the-outputs'-logarithms": ("wrong-variable scale chain-term", {
            "of_power": lambda d, w, s, a: np.sum(d * np.log(s), keepdims=True)[0]}),
        "power-of-every-row": ("unreduced-broadcast", {
            "of_power": lambda d, w, s, a: np.sum(d * np.log(w), axis=1)}),
        "power-averaged-over-rows": ("scale", {
            "of_power": lambda d, w, s, a: np.sum(d * np.log(w), keepdims=True)[0] / len(w)}),
        "power-none": ("severed", {"of_power": lambda d, w, s, a: None}),
    }),
)  # fmt: skip


def _both(z: Array, y: Array) -> tuple[Any, Any]:
    """Return the mean cross entropy, and the probabilities."""
    return -np.mean(log_softmax(z)[np.arange(len(y)), y]), softmax(z)


def _both_backward(
    z: Array,
    y: Array,
    g: tuple[Array, Array],
    of_loss: Function = lambda p, t: (p - t) / len(p),
    of_output: Function = softmax_back,
    joined: Function = lambda p, by_loss, by_output: by_loss + by_output,
    upstream: Function = lambda g_loss: g_loss,
) -> Any:
    g_loss, g_p = g
    p = softmax(z)
    by_loss = upstream(g_loss) * of_loss(p, one_hot(y, p))
    return joined(p, by_loss, of_output(p, g_p))


def _through_probabilities(z: Array, y: Array, g: tuple[Array, Array]) -> Any:
    """Add what arrives at the probabilities before softmax's rule."""
    g_loss, g_p = g
    p = softmax(z)
    return softmax_back(p, g_p - g_loss * one_hot(y, p) / p / len(p))


BOTH = Subject(
    "loss-that-returns-its-probabilities", _both, _both_backward,
    lambda rng, shape, scale: (*drawn(rng, shape, scale=scale), ids(rng, *shape)),
    ((3, 4), (5, 3), (4, 7), (8, 20), (16, 40)), scales=(0.1, 1.0, 4.0),
    also_right={"through the probabilities": _through_probabilities},
    edits=edited(_both_backward, {
        # Of two outputs the second's gradient is not read: four of five functions.
        "probabilities'-gradient-ignored": ("cotangent chain-term", {
            "of_output": lambda p, g: 0 * g}),
        "probabilities'-gradient-passed-over": ("chain-term identity", {
            "of_output": lambda p, g: g}),
        "probabilities-like-sigmoids": ("diagonal-only", {"of_output": like_sigmoid}),
        "inner-product-forgotten": ("projection-term", {"of_output": without_inner}),
        "loss-through-softmax-again": ("wrong-variable", {
            "joined": lambda p, by_loss, by_output: softmax_back(p, by_loss) + by_output}),
        "loss-ignored": ("cotangent chain-term", {
            "joined": lambda p, by_loss, by_output: by_output}),
        "loss's-upstream-forgotten": ("cotangent", {"upstream": one}),
        "loss-not-averaged": ("scale chain-term", {"of_loss": lambda p, t: p - t}),
        "label-not-subtracted": ("subset chain-term", {"of_loss": lambda p, t: p / len(p)}),
        "loss's-gradient-at-the-probabilities": ("wrong-variable chain-term identity", {
            "of_loss": lambda p, t: -t / p / len(p)}),
    }),
)  # fmt: skip

SUBJECTS = (LOOPS, OFF_BY_ONE, POWERS, BOTH)
"""What is checked."""
