"""Losses without a softmax: regression, margins, overlaps, and a modulated cross entropy."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import one_hot, total
from benchmarks.checker.second_batch.parts import drawn, edited, matrix, sigmoid
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

SHAPES: tuple[Shape, ...] = ((2, 3), (3, 5), (5, 5), (4, 37), (7, 130), (2, 400))

DELTA = 0.7


def _huber(x: Array, target: Array) -> Array:
    r = x - target
    far = np.abs(r) > DELTA
    return np.asarray(np.where(far, DELTA * (np.abs(r) - DELTA / 2), r * r / 2).mean())


def _huber_backward(
    x: Array,
    target: Array,
    g: Array,
    near: Function = lambda r: r,
    far: Function = lambda r: DELTA * np.sign(r),
    count: Function = lambda r: r.size,
    target_bar: Function = lambda r_bar: -r_bar,
) -> Any:
    r = x - target
    r_bar = g * np.where(np.abs(r) > DELTA, far(r), near(r)) / count(r)
    return r_bar, target_bar(r_bar)


HUBER = Subject(
    "huber-loss", _huber, _huber_backward,
    lambda rng, shape, scale: drawn(rng, shape, shape, scale=scale), SHAPES,
    scales=(0.3, 1.0, 10.0),
    edits=edited(_huber_backward, {
        "delta-forgotten": ("subset", {"far": np.sign}),
        "sign-forgotten": ("subset", {"far": lambda r: DELTA * np.ones_like(r)}),
        "never-clipped": ("subset", {"far": lambda r: r}),
        "near-doubled": ("subset", {"near": lambda r: 2 * r}),
        "far-dropped": ("subset", {"far": np.zeros_like}),
        "averaged-over-rows": ("scale", {"count": len}),
        "target-like-prediction": ("sign", {"target_bar": lambda r_bar: r_bar}),
        "target-severed": ("severed", {"target_bar": lambda r_bar: None}),
    }),
)  # fmt: skip


def _margins(s: Array, labels: Array) -> Array:
    """Return max(0, s_j − s_y + 1), and 0 at the label."""
    t = one_hot(labels, s)
    return np.maximum(s - total(s * t) + 1, 0) * (1 - t)


def _hinge_backward(
    s: Array,
    labels: Array,
    g: Array,
    active: Function = lambda s, m: (m > 0).astype(s.dtype),
    at_label: Function = total,
    count: Function = len,
) -> Any:
    over = active(s, _margins(s, labels)) * (1 - one_hot(labels, s))
    return g * (over - one_hot(labels, s) * at_label(over)) / count(s)


def _labelled(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    return scale * rng.normal(size=shape), rng.integers(shape[-1], size=shape[:-1])


HINGE = Subject(
    "multiclass-hinge", lambda s, labels: np.asarray(_margins(s, labels).sum() / len(s)),
    _hinge_backward, _labelled, SHAPES, scales=(0.3, 1.0, 10.0), kinked=True,
    edits=edited(_hinge_backward, {
        "label-forgotten": ("subset", {"at_label": lambda over: 0}),
        "label-counted-once": ("subset", {"at_label": lambda over: 1}),
        "not-averaged": ("scale", {"count": lambda s: 1}),
        "averaged-over-classes": ("scale", {"count": lambda s: s.size}),
        "scores-for-margins": ("wrong-variable", {
            "active": lambda s, m: (s > 0).astype(s.dtype)}),
        "every-class-active": ("subset", {"active": lambda s, m: np.ones_like(s)}),
        "label-mean-for-count": ("subset", {
            "at_label": lambda over: total(over) / over.shape[-1]}),
    }),
)  # fmt: skip


def _overlap(p: Array, t: Array) -> tuple[Array, Array, Array]:
    inside = t.astype(p.dtype)
    return inside, 2 * total(p * inside) + 1, total(p) + total(inside) + 1


def _dice(p: Array, t: Array) -> Array:
    _, upper, lower = _overlap(p, t)
    return np.asarray((1 - upper / lower)[..., 0])


def _dice_backward(
    p: Array,
    t: Array,
    g: Array,
    slope: Function = lambda t, n, d: -(2 * t - n / d) / d,
) -> Any:
    return g[..., None] * slope(*_overlap(p, t))


DICE = Subject(
    "dice-loss", _dice, _dice_backward,
    lambda rng, shape, scale: (scale * rng.random(shape), rng.integers(2, size=shape)),
    SHAPES, scales=(0.1, 1.0, 10.0),
    edits=edited(_dice_backward, {
        "denominator-constant": ("chain-term", {"slope": lambda t, n, d: -2 * t / d}),
        "denominator-not-squared": ("chain-term", {"slope": lambda t, n, d: -(2 * t * d - n) / d}),
        "numerator-not-doubled": ("chain-term", {
            "slope": lambda t, n, d: -(t - n / d) / d}),
        "quotient-rule-added": ("chain-term", {
            "slope": lambda t, n, d: -(2 * t + n / d) / d}),
        "of-the-score": ("sign", {"slope": lambda t, n, d: (2 * t - n / d) / d}),
    }),
)  # fmt: skip

PENALTY = 0.1


def _ridge(X: Array, W: Array, y: Array) -> Array:
    r = X @ W - y
    return np.asarray((r * r).mean() + PENALTY * (W * W).sum())


def _ridge_backward(
    X: Array,
    W: Array,
    y: Array,
    g: Array,
    residual: Function = lambda X, W, y: 2 * (X @ W - y) / y.size,
    penalty: Function = lambda W: 2 * PENALTY * W,
    y_bar: Function = lambda r_bar: -r_bar,
) -> Any:
    r_bar = g * residual(X, W, y)
    return r_bar @ W.T, X.T @ r_bar + g * penalty(W), y_bar(r_bar)


def _ridge_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, K = shape
    (X,) = drawn(rng, (N, D), scale=scale)
    return X, matrix(rng, D, K), scale * rng.normal(size=(N, K))


RIDGE = Subject(
    "ridge-loss", _ridge, _ridge_backward, _ridge_sample,
    ((2, 3, 4), (5, 5, 5), (7, 6, 20), (30, 20, 60)), scales=(0.3, 1.0, 10.0),
    edits=edited(_ridge_backward, {
        "penalty-forgotten": ("chain-term", {"penalty": lambda W: 0}),
        "penalty-not-doubled": ("chain-term", {"penalty": lambda W: PENALTY * W}),
        "penalty-summed": ("chain-term", {"penalty": lambda W: PENALTY * W.sum()}),
        "averaged-over-rows": ("scale", {"residual": lambda X, W, y: 2 * (X @ W - y) / len(y)}),
        "no-2": ("scale", {"residual": lambda X, W, y: (X @ W - y) / y.size}),
        "residual-reversed": ("sign", {"residual": lambda X, W, y: 2 * (y - X @ W) / y.size}),
        "target-like-prediction": ("sign", {"y_bar": lambda r_bar: r_bar}),
    }),
)  # fmt: skip


def _signed(z: Array, t: Array) -> tuple[Array, Array, Array]:
    """Return ±1 by the label, the label's probability, and its logarithm."""
    sign = 2 * t.astype(z.dtype) - 1
    return sign, sigmoid(sign * z), -np.logaddexp(0 * z, -sign * z)


def _focal(z: Array, t: Array) -> Array:
    _, p, log_p = _signed(z, t)
    return np.asarray(-((1 - p) * (1 - p) * log_p).mean())


def _focal_backward(
    z: Array,
    t: Array,
    g: Array,
    slope: Function = lambda p, log_p: (1 - p) * (1 - p) * (2 * p * log_p - (1 - p)),
    signed: Function = lambda sign: sign,
    count: Function = lambda z: z.size,
) -> Any:
    sign, p, log_p = _signed(z, t)
    return g * signed(sign) * slope(p, log_p) / count(z)


FOCAL = Subject(
    "focal-loss", _focal, _focal_backward,
    lambda rng, shape, scale: (scale * rng.normal(size=shape), rng.integers(2, size=shape)),
    SHAPES, scales=(0.1, 1.0, 4.0),
    edits=edited(_focal_backward, {
        "weight-constant": ("chain-term", {"slope": lambda p, log_p: -((1 - p) ** 3)}),
        "weight-forgotten": ("chain-term", {"slope": lambda p, log_p: p - 1}),
        "weight-slope-alone": ("chain-term", {
            "slope": lambda p, log_p: 2 * p * (1 - p) * (1 - p) * log_p}),
        "gamma-forgotten": ("chain-term", {
            "slope": lambda p, log_p: (1 - p) * (1 - p) * (p * log_p - (1 - p))}),
        "at-the-probabilities": ("chain-term wrong-variable", {
            "slope": lambda p, log_p: 2 * (1 - p) * log_p - (1 - p) ** 2 / p}),
        "negatives-like-positives": ("subset sign", {"signed": lambda sign: 1}),
        "averaged-over-rows": ("scale", {"count": len}),
    }),
)  # fmt: skip

SUBJECTS = (HUBER, HINGE, DICE, RIDGE, FOCAL)
"""What is checked."""
