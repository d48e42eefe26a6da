"""Cross entropy row by row, and three losses beside it.

What is wrong here is met in functions with a backward of their own, in an issue on a fused head
that multiplied every row by the first row's upstream, and in layers for losses from papers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import log_softmax, one_hot, softmax, total
from benchmarks.checker.seventh_batch.parts import (
    Context,
    applied,
    drawn,
    edited,
    ids,
    like_sigmoid,
    one,
    redefined,
    sigmoid,
    softmax_back,
)
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

IGNORED = -100


def _class_weights(like: Array) -> Any:
    """Return a weight for every class."""
    return (0.5 + np.arange(like.shape[1]) % 3).astype(like.dtype)


class CrossEntropyFunction:
    """The weighted loss of every row [N]; rows with an ignored label have none."""

    @staticmethod
    def forward(ctx: Context, logits: Array, labels: Array) -> Any:
        logp = log_softmax(logits)
        kept = labels != IGNORED
        safe = np.where(kept, labels, 0)
        scale = np.where(kept, _class_weights(logits)[safe], 0 * logits[:, 0])
        ctx.save_for_backward(logp, safe, scale)
        return -scale * logp[np.arange(len(safe)), safe]

    @staticmethod
    def backward(ctx: Context, grad_output: Array) -> Any:
        logp, safe, scale = ctx.saved
        grad = np.exp(logp)
        grad[np.arange(len(safe)), safe] -= 1
        return grad * (scale * grad_output)[:, None]


def _answering(rule: Function) -> Function:
    """Return a backward by a rule for p, the one-hot labels, the rows' weights and upstreams."""

    def backward(ctx: Context, grad_output: Array) -> Any:
        logp, safe, scale = ctx.saved
        return rule(np.exp(logp), one_hot(safe, logp), scale[:, None], grad_output[:, None])

    return backward


def _of_log_probabilities(ctx: Context, grad_output: Array) -> Any:
    """Forget that logarithms were saved."""
    logp, safe, scale = ctx.saved
    return (logp - one_hot(safe, logp)) * (scale * grad_output)[:, None]


def _per_row_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, K = shape
    labels = ids(rng, N, K)
    labels[1] = IGNORED
    return *drawn(rng, shape, scale=scale), labels


PER_ROW = Subject(
    "cross-entropy-function-per-row", lambda z, y: CrossEntropyFunction.forward(Context(), z, y),
    applied(CrossEntropyFunction), _per_row_sample,
    ((3, 4), (5, 3), (4, 7), (9, 20), (20, 100)), scales=(0.1, 1.0, 5.0),
    also_right={"by one-hot labels": applied(type("ByOneHot", (CrossEntropyFunction,), {
        "backward": staticmethod(_answering(lambda p, t, w, g: (p - t) * w * g))}))},
    edits=redefined(CrossEntropyFunction, {
        # A fused head's issue, for losses that are not reduced.
        "first-row's-upstream": ("cotangent", {
            "backward": _answering(lambda p, t, w, g: (p - t) * w * g[0])}),
        # Met in functions that were made for a loss at the end, where it is 1.
        "upstream-forgotten": ("cotangent", {
            "backward": _answering(lambda p, t, w, g: (p - t) * w)}),
        "ignored-rows-learnt": ("subset", {
            "backward": _answering(lambda p, t, w, g: (p - t) * np.where(w > 0, w, 1 + w) * g)}),
        "weights-forgotten": ("chain-term scale", {
            "backward": _answering(lambda p, t, w, g: (p - t) * (w > 0).astype(p.dtype) * g)}),
        "weights-along-classes": ("axis wrong-variable", {
            "backward": _answering(lambda p, t, w, g: (
                (p - t) * _class_weights(p) * (w > 0).astype(p.dtype) * g))}),
        "averaged-over-rows": ("scale", {
            "backward": _answering(lambda p, t, w, g: (p - t) * w * g / len(p))}),
        "label-not-subtracted": ("subset chain-term", {
            "backward": _answering(lambda p, t, w, g: p * w * g)}),
        "log-probabilities-for-probabilities": ("wrong-variable", {
            "backward": _of_log_probabilities}),
    }),
)  # fmt: skip

EPSILON = 1.5


def _poly(z: Array, y: Array) -> Any:
    """Return the mean of −log p + ε(1 − p) of every label's probability p."""
    p = softmax(z)[np.arange(len(y)), y]
    return np.mean(-np.log(p) + EPSILON * (1 - p))


def _poly_backward(
    z: Array,
    y: Array,
    g: Array,
    factor: Function = lambda p, own: 1 + EPSILON * own,
    extra: Function = lambda p, t: 0 * p,
    count: Function = len,
) -> Any:
    p = softmax(z)
    t = one_hot(y, p)
    return g * ((p - t) * factor(p, total(p * t)) + extra(p, t)) / count(z)


def _classified(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    return *drawn(rng, shape, scale=scale), ids(rng, *shape)


POLY = Subject(
    "poly-one-cross-entropy", _poly, _poly_backward, _classified,
    ((3, 4), (5, 3), (4, 7), (9, 20), (20, 60)), scales=(0.1, 1.0, 4.0),
    also_right={"by the label's probability": lambda z, y, g: softmax_back(
        p := softmax(z), -g * one_hot(y, p) * (1 / p + EPSILON) / len(z))},
    edits=edited(_poly_backward, {
        "second-term-forgotten": ("chain-term", {"factor": lambda p, own: 1}),
        # The derivative of p by its own logit, and nothing for the others.
        "second-term-at-the-label-alone": ("diagonal-only chain-term", {
            "factor": lambda p, own: 1,
            "extra": lambda p, t: -EPSILON * t * p * (1 - p)}),
        # The same slip as in a focal loss's "wrong when i ≠ j".
        "every-class-by-its-own-p": ("wrong-variable", {
            "factor": lambda p, own: 1 + EPSILON * p}),
        "second-term-like-the-first": ("chain-term", {
            "factor": lambda p, own: 1 + EPSILON}),
        "second-term's-sign": ("sign chain-term", {
            "factor": lambda p, own: 1 - EPSILON * own}),
        "not-averaged": ("scale", {"count": one}),
    }),
)  # fmt: skip


def _earth(z: Array, y: Array) -> Any:
    """Return the mean squared distance of the cumulated probabilities from the labels' steps."""
    p = softmax(z)
    return np.sum(np.cumsum(p - one_hot(y, p), axis=1) ** 2) / len(z)


def _earth_backward(
    z: Array,
    y: Array,
    g: Array,
    gaps: Function = lambda C: 2 * C,
    spread: Function = lambda d: np.cumsum(d[:, ::-1], axis=1)[:, ::-1],
    rule: Function = softmax_back,
    count: Function = len,
) -> Any:
    p = softmax(z)
    C = np.cumsum(p - one_hot(y, p), axis=1)
    return rule(p, g * spread(gaps(C)) / count(z))


EARTH = Subject(
    "earth-movers-loss-of-softmax", _earth, _earth_backward, _classified,
    ((3, 4), (5, 3), (4, 7), (8, 12), (20, 30)), scales=(0.1, 1.0, 4.0),
    edits=edited(_earth_backward, {
        "cumulated-forwards-again": ("axis wrong-variable", {
            "spread": lambda d: np.cumsum(d, axis=1)}),
        "sums-passed-over": ("chain-term", {"spread": lambda d: d}),
        "factor-2-forgotten": ("scale", {"gaps": lambda C: C}),
        "like-sigmoid": ("diagonal-only", {"rule": like_sigmoid}),
        "inner-product-forgotten": ("projection-term", {"rule": lambda p, d: p * d}),
        "softmax-passed-over": ("identity chain-term", {"rule": lambda p, d: d}),
        "averaged-over-classes-too": ("scale", {"count": np.size}),
    }),
)  # fmt: skip

LOW = -1e4


def _lists(s: Array, relevance: Array, lengths: Array) -> Any:
    """Return softmax of the scores and of the relevances of lists, and which places are filled."""
    filled = np.arange(s.shape[1]) < lengths[:, None]
    p = softmax(np.where(filled, s, LOW + 0 * s))
    q = softmax(np.where(filled, relevance.astype(s.dtype), LOW + 0 * s))
    return p, q, filled.astype(s.dtype)


def _listnet(s: Array, relevance: Array, lengths: Array) -> Any:
    """Return the mean cross entropy of lists' top places."""
    p, q, filled = _lists(s, relevance, lengths)
    return -np.sum(q * np.log(np.where(filled > 0, p, 1 + 0 * p))) / len(s)


def _listnet_backward(
    s: Array,
    relevance: Array,
    lengths: Array,
    g: Array,
    weights: Function = lambda s, p: p,
    targets: Function = lambda q, relevance: q,
    error: Function = lambda p, q: p - q,
    count: Function = lambda filled: len(filled),
) -> Any:
    p, q, filled = _lists(s, relevance, lengths)
    d = error(weights(s, p), targets(q, relevance.astype(s.dtype))) * filled
    return g * d / count(filled)


def _listnet_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, L = shape
    relevance = rng.integers(4, size=shape)
    return *drawn(rng, shape, scale=scale), relevance, L - np.arange(N) % 3


LISTNET = Subject(
    "listnet-of-padded-lists", _listnet, _listnet_backward, _listnet_sample,
    ((3, 4), (4, 5), (5, 6), (6, 11), (12, 30)), scales=(0.1, 1.0, 4.0),
    edits=edited(_listnet_backward, {
        "padding-in-the-softmax": ("wrong-variable subset", {"weights": lambda s, p: softmax(s)}),
        "relevances-not-normalised": ("wrong-variable chain-term", {
            "targets": lambda q, relevance: relevance}),
        "pointwise": ("wrong-variable", {"weights": lambda s, p: sigmoid(s)}),
        "averaged-over-documents": ("scale", {"count": np.sum}),
        "every-list-averaged": ("chain-term scale", {
            "count": lambda filled: len(filled) * total(filled)}),
        "targets-minus-weights": ("sign", {"error": lambda p, q: q - p}),
    }),
)  # fmt: skip

SUBJECTS = (PER_ROW, POLY, EARTH, LISTNET)
"""What is checked."""
