"""Softmax regression a class at a time, and ordered classes by thresholds.

What is wrong here is met in threads on a tutorial's softmax exercise, in public solutions of
courses, in an issue on lecture code for softmax regression, and in classes for ordinal models.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import softmax
from benchmarks.checker.sixth_batch.parts import drawn, edited, ids, matrix, one, sigmoid
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

DECAY = 0.4


def _scores(theta: Array, X: Array) -> Any:
    """Return X θᵀ; θ begins with the intercepts."""
    return np.stack([row[0] + X @ row[1:] for row in theta], axis=1)


def _per_class(theta: Array, X: Array, y: Array) -> Any:
    """Return the mean cross entropy with half the squared slopes, a class at a time."""
    p = softmax(_scores(theta, X))
    cost = 0 * theta[0, 0]
    for k in range(len(theta)):
        cost = cost - np.sum(np.log(p[y == k, k])) / len(X)
        cost = cost + DECAY / 2 * np.sum(theta[k, 1:] ** 2)
    return cost


def _per_class_backward(
    theta: Array,
    X: Array,
    y: Array,
    g: Array,
    hypothesis: Function = softmax,
    miss: Function = lambda own, p: own - p,
    intercept: Function = lambda missed, all_missed: np.sum(missed),
    decay: Function = lambda row, m: DECAY * row,
    decayed_intercept: Function = lambda row: 0,
    into_X: Function = lambda to, value: to + value,
    count: Function = len,
) -> Any:
    p = hypothesis(_scores(theta, X))
    own = (y[:, None] == np.arange(len(theta))).astype(X.dtype)
    missed, m = miss(own, p), count(X)
    d_theta, dX = np.zeros_like(theta), np.zeros_like(X)
    for k, row in enumerate(theta):
        d_theta[k, 0] = -intercept(missed[:, k], missed) / m + decayed_intercept(row)
        d_theta[k, 1:] = -(X.T @ missed[:, k]) / m + decay(row[1:], len(X))
        dX = into_X(dX, -np.outer(missed[:, k], row[1:]) / m)
    return g * d_theta, g * dX


def _all_classes(theta: Array, X: Array, y: Array, g: Array) -> Any:
    d = (softmax(_scores(theta, X)) - (y[:, None] == np.arange(len(theta)))).astype(X.dtype)
    d = g * d / len(X)
    slopes = d.T @ X + g * DECAY * theta[:, 1:]
    return np.concatenate([np.sum(d, axis=0)[:, None], slopes], axis=1), d @ theta[:, 1:]


def _per_class_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, K = shape
    theta = np.concatenate([rng.normal(size=(K, 1)), matrix(rng, D, K).T], axis=1)
    return theta, scale * rng.normal(size=(N, D)), ids(rng, N, K)


PER_CLASS = Subject(
    "softmax-regression-class-by-class", _per_class, _per_class_backward, _per_class_sample,
    ((3, 2, 4), (4, 5, 3), (6, 3, 4), (9, 7, 5), (30, 12, 10)), scales=(0.3, 1.0, 3.0),
    also_right={"all classes at once": _all_classes},
    edits=edited(_per_class_backward, {
        # Threads on the exercise: what the penalty leaves out, its 2, and what it is divided by.
        "intercepts-decayed-too": ("chain-term subset", {
            "decayed_intercept": lambda row: DECAY * row[0]}),
        "decay-without-its-half": ("chain-term", {"decay": lambda row, m: 2 * DECAY * row}),
        "decay-averaged-too": ("chain-term", {"decay": lambda row, m: DECAY * row / m}),
        "decay-forgotten": ("chain-term", {"decay": lambda row, m: 0}),
        # Logistic regression's hypothesis.
        "sigmoid-of-every-class": ("wrong-variable", {"hypothesis": sigmoid}),
        "normalised-over-samples": ("axis", {"hypothesis": lambda z: softmax(z, 0)}),
        "minus-forgotten": ("sign chain-term", {"miss": lambda own, p: p - own}),
        # The delta of sigmoid outputs with a squared error.
        "slope-of-the-output-too": ("chain-term diagonal-only", {
            "miss": lambda own, p: (own - p) * p * (1 - p)}),
        # An "if y == k" around the whole line.
        "own-samples-alone": ("subset chain-term diagonal-only", {
            "miss": lambda own, p: own * (1 - p)}),
        "not-averaged": ("scale chain-term", {"count": one}),
        # Lecture code: one sum over everything is broadcast to all intercepts, and is 0.
        "one-sum-for-all-intercepts": ("unreduced-broadcast subset zero", {
            "intercept": lambda missed, all_missed: np.sum(all_missed)}),
        "samples-by-the-last-class": ("unreduced-broadcast", {"into_X": lambda to, value: value}),
    }),
)  # fmt: skip


def _cuts(a: Array) -> Any:
    """Return thresholds that increase: a[0], then steps of exp(a[k])."""
    return a[0] + np.cumsum(np.concatenate([0 * a[:1], np.exp(a[1:])]))


def _sides(X: Array, w: Array, a: Array, y: Array, f: Function) -> Any:
    """Return f at the thresholds above and below every label; beyond the ends it is 0."""
    z = _cuts(a) - (X @ w)[:, None]
    padded = np.concatenate([0 * z[:, :1], f(z), 0 * z[:, :1]], axis=1)
    rows = np.arange(len(y))
    return padded[rows, y + 1], padded[rows, y]


def _density(z: Array) -> Any:
    s = sigmoid(z)
    return s * (1 - s)


def _probability(X: Array, w: Array, a: Array, y: Array) -> Any:
    above, below = _sides(X, w, a, y, sigmoid)
    return np.where(y == len(a), above + 1, above) - below


def _ordinal(X: Array, w: Array, a: Array, y: Array) -> Any:
    """Return the mean negative log-likelihood of ordered labels under cumulative logits."""
    return -np.mean(np.log(_probability(X, w, a, y)))


def _from_the_end(d: Array) -> Any:
    return np.cumsum(d[::-1])[::-1]


def _ordinal_backward(
    X: Array,
    w: Array,
    a: Array,
    y: Array,
    g: Array,
    density: Function = _density,
    sides: Function = lambda above, below, last: (above, below),
    to_w: Function = lambda d: d,
    lower: Function = lambda d: d,
    steps: Function = _from_the_end,
    slope: Function = np.exp,
    count: Function = len,
) -> Any:
    p = _probability(X, w, a, y)
    above, below = sides(
        *_sides(X, w, a, y, density), _sides(X, w, a, 0 * y + len(a) - 1, density)[0]
    )
    up, low = above / p * g / count(y), below / p * g / count(y)
    d_eta = to_w(up - low)
    d_cuts = np.zeros_like(a)
    for k, u, v in zip(y, up, low, strict=True):
        if k < len(a):
            d_cuts[k] -= u
        if k > 0:
            d_cuts[k - 1] += lower(v)
    d_a = steps(d_cuts)
    d_a = np.concatenate([np.sum(d_cuts, keepdims=True), (d_a * slope(a))[1:]])
    return np.outer(d_eta, w), X.T @ d_eta, d_a


def _ordinal_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, K = shape
    return *drawn(rng, (N, D), scale=scale), matrix(rng, D, 1)[:, 0], 0.5 * rng.normal(
        size=K - 1), ids(rng, N, K)  # fmt: skip


ORDINAL = Subject(
    "ordered-classes-by-cumulative-logits", _ordinal, _ordinal_backward, _ordinal_sample,
    ((5, 2, 4), (6, 3, 5), (7, 4, 4), (9, 7, 5), (40, 12, 6)), scales=(0.3, 1.0, 2.0),
    edits=edited(_ordinal_backward, {
        # θ − x·w: the weights have the other sign than the thresholds.
        "weights'-sign-of-the-thresholds": ("sign", {"to_w": lambda d: -d}),
        "lower-threshold-forgotten": ("chain-term subset", {
            "sides": lambda above, below, last: (above, 0 * below)}),
        "lower-threshold's-sign": ("sign chain-term", {"lower": lambda d: -d}),
        "last-class-with-a-threshold": ("subset", {
            "sides": lambda above, below, last: (np.where(above == 0, last, above), below)}),
        "cumulative-for-density": ("chain-term wrong-variable", {"density": sigmoid}),
        # Thresholds from steps: a cumulative sum pulls back as one from the other end.
        "steps-summed-from-the-start": ("axis", {"steps": np.cumsum}),
        "steps-not-summed": ("chain-term unreduced-broadcast diagonal-only", {
            "steps": lambda d: d}),
        "steps'-slope-forgotten": ("chain-term", {"slope": lambda a: 1 + 0 * a}),
        "not-averaged": ("scale", {"count": one}),
    }),
)  # fmt: skip

SUBJECTS = (PER_CLASS, ORDINAL)
"""What is checked."""
