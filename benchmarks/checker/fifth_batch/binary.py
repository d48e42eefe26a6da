"""Sigmoid heads and margins: binary cross entropy, focal loss, support vectors.

What is wrong here is met in from-scratch libraries, in solutions of courses, and in custom
objectives of boosted trees.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.fifth_batch.parts import drawn, edited, ids, matrix, one, sigmoid
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]


EPS = 1e-3


def _bce(p: Array, y: Array) -> Any:
    """Return the binary cross entropy of probabilities, averaged over all entries."""
    return -np.mean(y * np.log(p + EPS) + (1 - y) * np.log(1 - p + EPS))


def _bce_backward(
    p: Array,
    y: Array,
    g: Array,
    rule: Function = lambda p, y: -y / (p + EPS) + (1 - y) / (1 - p + EPS),
    count: Function = np.size,
) -> Any:
    return g * rule(p, y.astype(p.dtype)) / count(p)


BCE = Subject(
    "binary-cross-entropy-of-probabilities", _bce, _bce_backward,
    lambda rng, shape, scale: (
        sigmoid(scale * rng.normal(size=shape)), rng.integers(2, size=shape)),
    ((3, 2), (4, 5), (5, 3), (6, 17), (20, 30)), scales=(0.3, 1.0, 2.0), extremes=(),
    also_right={"by cases": lambda p, y, g: (
        g * np.where(y > 0, -1 / (p + EPS), 1 / (1 - p + EPS)) / p.size).astype(p.dtype)},
    edits=edited(_bce_backward, {
        # Seven of ten such functions take a mean in the loss and forget it in the derivative.
        "not-averaged": ("scale", {"count": one}),
        "averaged-over-rows-alone": ("scale", {"count": len}),
        "sign-lost": ("sign", {"rule": lambda p, y: y / (p + EPS) - (1 - y) / (1 - p + EPS)}),
        "gradient-at-the-logits": ("wrong-variable", {"rule": lambda p, y: p - y}),
        # The formula for several classes.
        "negatives-forgotten": ("subset chain-term", {"rule": lambda p, y: -y / (p + EPS)}),
        "inner-sign-lost": ("sign subset", {
            "rule": lambda p, y: -y / (p + EPS) - (1 - y) / (1 - p + EPS)}),
    }),
)  # fmt: skip

POSITIVE = 3.0


def _head(x: Array, W: Array, b: Array, y: Array) -> Any:
    """Return the loss of sigmoid units, in which positives count three times."""
    z = x @ W + b
    softplus = np.log(1 + np.exp(-np.abs(z))) + np.maximum(-z, 0 * z)
    return np.sum((1 - y) * (z + softplus) + POSITIVE * y * softplus) / len(x)


def _head_backward(
    x: Array,
    W: Array,
    b: Array,
    y: Array,
    g: Array,
    error: Function = lambda s, y: (1 - y) * s + POSITIVE * y * (s - 1),
    slope: Function = lambda s, z: 1,
    db: Function = lambda d: np.sum(d, axis=0),
    count: Function = len,
) -> Any:
    z = x @ W + b
    s = sigmoid(z)
    d = (g * error(s, y.astype(x.dtype)) * slope(s, z) / count(x)).astype(x.dtype)
    return d @ W.T, x.T @ d, db(d)


def _head_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    N, D, K = shape
    y = (np.arange(N)[:, None] + np.arange(K)) % 2
    return scale * rng.normal(size=(N, D)), matrix(rng, D, K), rng.normal(size=K), y


HEAD = Subject(
    "sigmoid-units-with-positive-weight", _head, _head_backward, _head_sample,
    ((3, 2, 4), (4, 5, 3), (5, 3, 2), (7, 12, 6), (30, 20, 10)), scales=(0.3, 1.0, 3.0),
    edits=edited(_head_backward, {
        # Networks from scratch: the sigmoid's slope is in p − y already.
        "sigmoid's-slope-once-more": ("chain-term", {"slope": lambda s, z: s * (1 - s)}),
        "slope-of-the-slope": ("chain-term wrong-variable", {
            "slope": lambda s, z: sigmoid(s) * (1 - sigmoid(s))}),
        # A framework's kernel, repaired after a report: the weight on the wrong factor.
        "weight-on-the-probability": ("subset chain-term", {
            "error": lambda s, y: POSITIVE * s - y}),
        "weight-forgotten": ("subset chain-term", {"error": lambda s, y: s - y}),
        "weight-on-the-negatives": ("subset", {
            "error": lambda s, y: POSITIVE * (1 - y) * s + y * (s - 1)}),
        "y-minus-p": ("sign", {
            "error": lambda s, y: -(1 - y) * s - POSITIVE * y * (s - 1)}),
        "not-averaged": ("scale", {"count": one}),
        "bias-of-the-last-sample": ("unreduced-broadcast", {"db": lambda d: d[-1]}),
    }),
)  # fmt: skip

ALPHA, GAMMA = 0.25, 2


def _focal(z: Array, y: Array) -> Any:
    """Return the sum of focal losses of logits and 0/1 labels."""
    pt = np.where(y > 0, sigmoid(z), sigmoid(-z))
    a = np.where(y > 0, ALPHA, 1 - ALPHA).astype(z.dtype)
    return -np.sum(a * (1 - pt) ** GAMMA * np.log(pt))


def _focal_backward(
    z: Array,
    y: Array,
    g: Array,
    balance: Function = lambda y: np.where(y > 0, ALPHA, 1 - ALPHA),
    modulation: Function = lambda pt: GAMMA * pt * (1 - pt) ** GAMMA * np.log(pt),
    entropy: Function = lambda pt: -((1 - pt) ** (GAMMA + 1)),
    sign: Function = lambda y: np.where(y > 0, 1, -1),
    slope: Function = lambda pt: 1,
) -> Any:
    pt = np.where(y > 0, sigmoid(z), sigmoid(-z))
    d = (modulation(pt) + entropy(pt)) * slope(pt)
    return (g * balance(y) * sign(y) * d).astype(z.dtype)


FOCAL = Subject(
    "balanced-focal-loss-of-logits", _focal, _focal_backward,
    lambda rng, shape, scale: (scale * rng.normal(size=shape), np.arange(shape[0]) % 3 % 2),
    ((3,), (5,), (7,), (30,), (400,)), scales=(0.3, 1.0, 3.0),
    edits=edited(_focal_backward, {
        # Issues titled "is the formula of the derivative right?", and objectives for boosting.
        "modulation-taken-for-constant": ("chain-term", {"modulation": lambda pt: 0}),
        "modulation's-sign": ("sign chain-term", {
            "modulation": lambda pt: -GAMMA * pt * (1 - pt) ** GAMMA * np.log(pt)}),
        "negatives'-sign": ("sign subset", {"sign": one}),
        "modulation-without-1-minus-p": ("chain-term", {
            "modulation": lambda pt: GAMMA * pt * (1 - pt) ** (GAMMA - 1) * np.log(pt)}),
        "gradient-at-the-probability": ("wrong-variable chain-term", {
            "slope": lambda pt: 1 / (pt * (1 - pt))}),
        "alpha-for-both": ("subset", {"balance": lambda y: ALPHA}),
        "plain-cross-entropy": ("chain-term wrong-variable", {
            "modulation": lambda pt: 0, "entropy": lambda pt: pt - 1}),
    }),
)  # fmt: skip

REG = 0.4


def _margins(W: Array, X: Array, y: Array) -> Any:
    scores = X @ W
    margins = scores - scores[np.arange(len(y)), y][:, None] + 1
    margins[np.arange(len(y)), y] = 0
    return margins


def _svm(W: Array, X: Array, y: Array) -> Any:
    """Return the hinge loss of a linear classifier over all wrong classes, with L2."""
    margins = _margins(W, X, y)
    return np.sum(np.maximum(margins, 0 * margins)) / len(y) + REG * np.sum(W * W)


def _svm_backward(
    W: Array,
    X: Array,
    y: Array,
    g: Array,
    at_label: Function = lambda mask: -np.sum(mask, axis=1),
    data: Function = lambda dW, N: dW / N,
    decay: Function = lambda dW, W: dW + 2 * REG * W,
) -> Any:
    mask = (_margins(W, X, y) > 0).astype(X.dtype)
    mask[np.arange(len(y)), y] = at_label(mask)
    dW, dX = X.T @ mask, mask @ W.T
    return g * decay(data(dW, len(y)), W), g * data(dX, len(y))


def _svm_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    N, D, K = shape
    return matrix(rng, D, K), *drawn(rng, (N, D), scale=scale), ids(rng, N, K)


SVM = Subject(
    "linear-svm-with-l2", _svm, _svm_backward, _svm_sample,
    ((3, 2, 4), (4, 5, 3), (5, 3, 4), (7, 6, 11), (20, 12, 20)), scales=(0.3, 0.7, 1.0),
    kinked=True,
    edits=edited(_svm_backward, {
        # Public solutions of one course; four of nine lose the 2 of the squared weights.
        "decay-without-2": ("chain-term", {"decay": lambda dW, W: dW + REG * W}),
        "decay-forgotten": ("chain-term", {"decay": lambda dW, W: dW}),
        "decay-in-the-divisor": ("chain-term", {
            "data": lambda d, N: d / N, "decay": lambda dW, W: dW / (1 + REG * W)}),
        "not-averaged": ("scale chain-term", {"data": lambda d, N: d}),
        "label's-column-forgotten": ("subset chain-term", {"at_label": lambda mask: 0}),
        "label's-column-once": ("subset chain-term", {"at_label": lambda mask: -1}),
        "label's-column-added": ("subset sign", {"at_label": lambda mask: np.sum(mask, axis=1)}),
    }),
)  # fmt: skip

SUBJECTS = (BCE, HEAD, FOCAL, SVM)
"""What is checked."""
