"""Heads on unit vectors: contrasts with labels, and margins between angles.

What is wrong here is met in issues on face recognition and on metric learning.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.checker.numerics import one_hot, softmax, total
from benchmarks.checker.sixth_batch.parts import (
    drawn,
    edited,
    ids,
    one,
    unit,
    unit_back,
)
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

TAU, ALONE = 0.6, -1e4


def _pairs(labels: Array, like: Array) -> Any:
    """Return which rows belong together, in shares that sum to 1."""
    same = (labels[:, None] == labels).astype(like.dtype) - np.eye(len(labels), dtype=like.dtype)
    return same / total(same)


def _others(u: Array) -> Any:
    """Return similarities, with rows' own set apart."""
    s = u @ u.T / TAU
    return np.where(np.eye(len(u)) > 0, np.full_like(s, ALONE), s)


def _labelled(x: Array, labels: Array) -> Any:
    """Return the contrastive loss of rows with labels: every row among all others."""
    p = softmax(_others(unit(x)))
    shares = _pairs(labels, x)
    return -np.sum(shares * np.log(np.where(shares > 0, p, 1 + 0 * p))) / len(x)


def _labelled_backward(
    x: Array,
    labels: Array,
    g: Array,
    weights: Function = lambda u, shares: softmax(_others(u)),
    shares: Function = _pairs,
    to_unit: Function = lambda G, u: G @ u + G.T @ u,
    heat: Function = lambda d: d / TAU,
    error: Function = lambda p, shares: p - shares,
    back: Function = unit_back,
    arriving: Function = lambda g: g,
) -> Any:
    u, own = unit(x), shares(labels, x)
    G = heat(arriving(g) * error(weights(u, own), own) / len(x))
    return back(to_unit(G, u), x)


def _labelled_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D = shape
    labels = np.arange(N) % 2
    centres = rng.normal(size=(2, D))
    return scale * (rng.normal(size=shape) + centres[labels]), labels


LABELLED = Subject(
    "contrastive-loss-with-labels", _labelled, _labelled_backward, _labelled_sample,
    ((5, 3), (6, 4), (7, 3), (9, 8), (16, 20)), scales=(0.3, 1.0, 5.0), extremes=(),
    edits=edited(_labelled_backward, {
        # A criterion that moves the anchor, and holds what it is compared with.
        "anchors-alone": ("chain-term", {"to_unit": lambda G, u: G @ u}),
        # The similarities are symmetric, their gradient is not.
        "anchors-twice": ("axis chain-term", {"to_unit": lambda G, u: 2 * (G @ u)}),
        "rows-among-themselves": ("wrong-variable subset", {
            "weights": lambda u, shares: softmax(u @ u.T / TAU)}),
        "positives-left-out-of-the-sum": ("wrong-variable subset", {
            "weights": lambda u, shares: softmax(np.where(shares > 0, ALONE, _others(u)))}),
        "positives-not-averaged": ("chain-term", {
            "shares": lambda labels, x: (_pairs(labels, x) > 0).astype(x.dtype)}),
        "temperature-forgotten": ("scale", {"heat": lambda d: d}),
        "positives-minus-weights": ("sign", {"error": lambda p, shares: shares - p}),
        "length-constant": ("projection-term chain-term", {
            "back": lambda d, x: d / np.sqrt(total(x * x) + 1e-6)}),
        "unit-length-passed-over": ("chain-term identity", {"back": lambda d, x: d}),
        # Layers of losses that set their input's gradient, whatever arrives.
        "upstream-ignored": ("cotangent", {"arriving": one}),
    }),
)  # fmt: skip

MARGIN, SCALE, ROUND = 0.4, 3.0, 1e-2


def _sine(c: Array) -> Any:
    return np.sqrt(1 - c * c + ROUND)


def _shifted(c: Array) -> Any:
    """Return the cosine of the angle and the margin."""
    return math.cos(MARGIN) * c - math.sin(MARGIN) * _sine(c)


def _angular(x: Array, W: Array, labels: Array) -> Any:
    """Return the mean cross entropy of scaled cosines; the label's angle has a margin."""
    c = unit(x) @ unit(W).T
    t = one_hot(labels, c)
    z = SCALE * (c + t * (_shifted(c) - c))
    return -np.mean(np.sum(t * np.log(softmax(z)), axis=1))


def _margin_slope(c: Array) -> Any:
    return math.cos(MARGIN) + math.sin(MARGIN) * c / _sine(c)


def _angular_backward(
    x: Array,
    W: Array,
    labels: Array,
    g: Array,
    slope: Function = lambda c, t: 1 + t * (_margin_slope(c) - 1),
    shifted: Function = _shifted,
    scale: Function = lambda d: SCALE * d,
    x_back: Function = unit_back,
    W_back: Function = unit_back,
    features: Function = unit,
) -> Any:
    c = unit(x) @ unit(W).T
    t = one_hot(labels, c)
    p = softmax(SCALE * (c + t * (shifted(c) - c)))
    dc = scale(g * (p - t) / len(x)) * slope(c, t)
    return x_back(dc @ unit(W), x), W_back(dc.T @ features(x), W)


def _angular_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, K = shape
    return *drawn(rng, (N, D), (K, D), scale=scale), ids(rng, N, K)


ANGULAR = Subject(
    "angular-margin-head", _angular, _angular_backward, _angular_sample,
    ((3, 3, 4), (4, 5, 3), (5, 4, 3), (8, 9, 6), (20, 16, 30)), scales=(0.3, 1.0, 5.0),
    extremes=(),
    edits=edited(_angular_backward, {
        # A question on a layer's backward: with respect to the angle, or to its cosine?
        "margin's-slope-at-the-angle": ("wrong-variable subset", {
            "slope": lambda c, t: 1 + t * (
                -math.sin(MARGIN) * c - math.cos(MARGIN) * _sine(c) - 1)}),
        "margin's-slope-forgotten": ("chain-term subset", {"slope": lambda c, t: 1}),
        "margin-of-every-class": ("subset chain-term", {"slope": lambda c, t: _margin_slope(c)}),
        # A library's issue: the margin is added where no gradient is recorded.
        "label's-cosine-detached": ("subset chain-term", {"slope": lambda c, t: 1 - t}),
        "margin-forgotten-in-p": ("wrong-variable", {"shifted": lambda c: c}),
        "scale-forgotten": ("scale", {"scale": lambda d: d}),
        "feature's-length-constant": ("projection-term chain-term", {
            "x_back": lambda d, x: d / np.sqrt(total(x * x) + 1e-6)}),
        "weights'-unit-length-passed-over": ("chain-term identity", {"W_back": lambda d, W: d}),
        "weights-from-raw-features": ("wrong-variable", {"features": lambda x: x}),
    }),
)  # fmt: skip

SUBJECTS = (LABELLED, ANGULAR)
"""What is checked."""
