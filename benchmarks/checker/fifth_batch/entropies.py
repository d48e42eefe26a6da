"""Cross entropies: per token, smoothed, of probabilities, weighted.

What is wrong here is met in loss classes written from scratch, and in issues about fused
kernels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.fifth_batch.parts import edited, labelled, one
from benchmarks.checker.numerics import log_softmax, one_hot, softmax
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

ROWS: tuple[Shape, ...] = ((3, 2), (4, 5), (5, 3), (6, 17), (12, 50))


def _per_token(logits: Array, labels: Array) -> Any:
    """Return the loss of every token: reduction="none"."""
    return -log_softmax(logits)[np.arange(len(labels)), labels]


def _per_token_backward(
    logits: Array,
    labels: Array,
    g: Array,
    arriving: Function = lambda g: g[:, None],
    difference: Function = lambda p, t: p - t,
    count: Function = one,
    picked: Function = lambda labels, K: labels,
) -> Any:
    p = softmax(logits)
    t = one_hot(picked(labels, logits.shape[1]), logits)
    return arriving(g) * difference(p, t) / count(logits)


PER_TOKEN = Subject(
    "cross-entropy-of-every-token", _per_token, _per_token_backward, labelled, ROWS,
    scales=(0.3, 1.0, 5.0),
    also_right={"row by row": lambda logits, labels, g: np.stack([
        v * (softmax(row) - one_hot(y, row))
        for row, y, v in zip(logits, labels, g, strict=True)])},
    edits=edited(_per_token_backward, {
        # Issues of fused kernels: the upstream gradient is read as if the loss were one number.
        "first-token's-upstream": ("cotangent", {"arriving": lambda g: g[0]}),
        "mean-of-the-upstream": ("cotangent", {"arriving": np.mean}),
        "upstream-ignored": ("cotangent", {"arriving": one}),
        # The mean's factor stays when the reduction is switched off.
        "averaged-all-the-same": ("scale", {"count": len}),
        # One accelerator's kernel returned zeros for this reduction, and only for this one.
        "zeros": ("zero", {"difference": lambda p, t: 0 * p}),
        "label-not-subtracted": ("subset chain-term", {"difference": lambda p, t: p}),
        "label's-entry-alone": ("diagonal-only subset chain-term", {
            "difference": lambda p, t: t * (p - 1)}),
        "labels-from-one": ("subset axis", {"picked": lambda labels, K: (labels - 1) % K}),
    }),
)  # fmt: skip

SMOOTHING, IGNORE = 0.2, -1


def _smoothed(logits: Array, labels: Array) -> Any:
    """Return the smoothed loss, averaged over the labels that are not ignored."""
    kept = labels != IGNORE
    lp = log_softmax(logits)
    hard = lp[np.arange(len(labels)), np.where(kept, labels, 0)]
    rows = (1 - SMOOTHING) * hard + SMOOTHING * np.mean(lp, axis=1)
    return -np.sum(rows * kept) / kept.sum()


def _smooth_targets(t: Array, K: int) -> Any:
    return (1 - SMOOTHING) * t + SMOOTHING / K


def _smoothed_backward(
    logits: Array,
    labels: Array,
    g: Array,
    targets: Function = _smooth_targets,
    difference: Function = lambda p, q: p - q,
    count: Function = lambda labels: (labels != IGNORE).sum(),
    at_ignored: Function = lambda p: 0 * p,
) -> Any:
    p = softmax(logits)
    q = targets(one_hot(labels, logits), logits.shape[1])
    d = np.where((labels != IGNORE)[:, None], difference(p, q), at_ignored(p))
    return (g * d / count(labels)).astype(logits.dtype)


def _ignoring(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    logits, labels = labelled(rng, shape, scale)
    labels[1::3] = IGNORE
    return logits, labels


SMOOTHED = Subject(
    "smoothed-cross-entropy-ignoring-labels", _smoothed, _smoothed_backward, _ignoring, ROWS,
    scales=(0.3, 1.0, 5.0),
    edits=edited(_smoothed_backward, {
        # Bug reports on label smoothing: what is ignored still pulls towards the uniform targets.
        "ignored-rows-feel-the-smoothing": ("subset", {
            "at_ignored": lambda p: SMOOTHING * (p - 1 / p.shape[1])}),
        "ignored-rows-without-a-label": ("subset", {"at_ignored": lambda p: p}),
        "averaged-over-ignored-rows": ("scale", {"count": len}),
        "smoothing-forgotten": ("chain-term wrong-variable", {"targets": lambda t, K: t}),
        # K − 1 where K belongs, and the reverse; pull requests correct it in either direction.
        "mass-shared-among-the-others": ("chain-term wrong-variable", {
            "targets": lambda t, K: (1 - SMOOTHING) * t + SMOOTHING / (K - 1) * (1 - t)}),
        "label's-mass-not-reduced": ("subset chain-term", {
            "targets": lambda t, K: t + SMOOTHING / K}),
        "uniform-part-forgotten": ("chain-term", {"targets": lambda t, K: (1 - SMOOTHING) * t}),
        "targets-minus-p": ("sign", {"difference": lambda p, q: q - p}),
    }),
)  # fmt: skip

EPS = 1e-3


def _of_outputs(p: Array, t: Array) -> Any:
    """Return the cross entropy of a network's probabilities with one-hot integers."""
    return -np.sum(t * np.log(p + EPS)) / len(p)


def _of_outputs_backward(
    p: Array,
    t: Array,
    g: Array,
    rule: Function = lambda p, t: -t / (p + EPS),
    count: Function = len,
    arriving: Function = lambda g: g,
) -> Any:
    return arriving(g) * rule(p, t.astype(p.dtype)) / count(p)


def _of_outputs_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    z, y = labelled(rng, shape, scale)
    return softmax(z), one_hot(y, z).astype(int)


OUTPUTS = Subject(
    "cross-entropy-of-network-outputs", _of_outputs, _of_outputs_backward, _of_outputs_sample, ROWS,
    scales=(0.1, 0.5, 1.0), extremes=(),
    edits=edited(_of_outputs_backward, {
        # Of ten functions called cross_entropy_derivative, six return the gradient at the logits.
        "p-minus-t": ("wrong-variable", {"rule": lambda p, t: p - t}),
        "p-minus-t-not-averaged": ("wrong-variable", {
            "rule": lambda p, t: p - t, "count": one}),
        "not-averaged": ("scale", {"count": one}),
        "divided-by-the-classes": ("scale", {"count": lambda p: p.shape[1]}),
        "t-over-p": ("sign", {"rule": lambda p, t: t / (p + EPS)}),
        # The binary formula, in a loss for several classes.
        "binary-formula": ("chain-term wrong-variable", {
            "rule": lambda p, t: -t / (p + EPS) + (1 - t) / (1 - p + EPS)}),
        "targets-forgotten": ("subset chain-term", {"rule": lambda p, t: -1 / (p + EPS)}),
        "upstream-ignored": ("cotangent", {"arriving": one}),
    }),
)  # fmt: skip


def _weights(K: int) -> Any:
    return 0.5 + np.arange(K) % 4


def _weighted(logits: Array, labels: Array) -> Any:
    """Return the mean over rows, each weighted by its label's class."""
    w = _weights(logits.shape[1]).astype(logits.dtype)[labels]
    return -np.sum(w * log_softmax(logits)[np.arange(len(w)), labels]) / np.sum(w)


def _weighted_backward(
    logits: Array,
    labels: Array,
    g: Array,
    weigh: Function = lambda w, labels, p, t: w[labels][:, None] * (p - t),
    norm: Function = lambda w, labels: np.sum(w[labels]),
) -> Any:
    w = _weights(logits.shape[1]).astype(logits.dtype)
    d = weigh(w, labels, softmax(logits), one_hot(labels, logits))
    return g * d / norm(w, labels)


WEIGHTED = Subject(
    "class-weighted-cross-entropy", _weighted, _weighted_backward, labelled, ROWS,
    scales=(0.3, 1.0, 5.0),
    edits=edited(_weighted_backward, {
        # The weights of all classes broadcast along the columns: shapes fit, and it trains.
        "weights-along-the-columns": ("axis wrong-variable", {
            "weigh": lambda w, labels, p, t: w * (p - t)}),
        "weights-at-the-label-alone": ("subset chain-term", {
            "weigh": lambda w, labels, p, t: p - w * t}),
        "weights-forgotten": ("chain-term", {
            "weigh": lambda w, labels, p, t: p - t, "norm": lambda w, labels: len(labels)}),
        "weights-forgotten-but-in-the-norm": ("chain-term", {
            "weigh": lambda w, labels, p, t: p - t}),
        "divided-by-the-rows": ("scale", {"norm": lambda w, labels: len(labels)}),
        "divided-by-all-weights": ("scale", {"norm": lambda w, labels: np.sum(w)}),
    }),
)  # fmt: skip


SUBJECTS = (PER_TOKEN, SMOOTHED, OUTPUTS, WEIGHTED)
"""What is checked."""
