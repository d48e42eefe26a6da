"""Losses: a scalar out, and labels, targets or weights beside the logits."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import log_softmax, one_hot, softmax, total
from benchmarks.checker.subject import Array, Rng, Shape, Subject, edit

__all__ = ["SUBJECTS"]

SHAPES: tuple[Shape, ...] = (
    (1, 3),
    (2, 2),
    (3, 5),
    (5, 5),
    (4, 37),
    (7, 130),
    (4, 1000),
    (50, 2000),
)


def _labelled(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    return scale * rng.normal(size=shape), rng.integers(shape[-1], size=shape[:-1])


def _picked(rows: Array, labels: Array) -> Array:
    """Return each row's entry at its label."""
    return np.take_along_axis(rows, labels[:, None], axis=-1)[:, 0]


def _cross_entropy(z: Array, y: Array) -> Any:
    return -_picked(log_softmax(z), y).mean()


def _p_minus_t(z: Array, y: Array, g: Any) -> Array:
    return (softmax(z) - one_hot(y, z)) * (g / len(z))


def _subtracted(z: Array, y: Array, g: Any) -> Array:
    p = softmax(z)
    p[np.arange(len(z)), y] -= 1
    return p / len(z) * g


CROSS_ENTROPY = Subject(
    "cross_entropy", _cross_entropy, _p_minus_t, _labelled, SHAPES,
    extremes=(1e-8, 1e4),
    also_right={"in place": _subtracted},
    accepts={"clipped": "subset"},  # linear in a number
    edits=(
        edit("sum-not-mean", "scale", lambda z, y, g: (softmax(z) - one_hot(y, z)) * g),
        edit("over-K", "scale", lambda z, y, g: (softmax(z) - one_hot(y, z)) * g / z.shape[-1]),
        edit("over-NK", "scale", lambda z, y, g: (softmax(z) - one_hot(y, z)) * g / z.size),
        edit("t-minus-p", "sign", lambda z, y, g: (one_hot(y, z) - softmax(z)) * g / len(z)),
        edit("no-target", "subset projection-term chain-term", lambda z, y, g: (
            softmax(z) * g / len(z))),
        edit("plus-target", "subset projection-term chain-term sign", lambda z, y, g: (
            (softmax(z) + one_hot(y, z)) * g / len(z))),
        edit("label-off-by-one", "subset axis", lambda z, y, g: (
            _p_minus_t(z, (y + 1) % z.shape[-1], g))),
        edit("labels-reversed", "subset axis", lambda z, y, g: _p_minus_t(z, y[::-1], g)),
        edit("no-cotangent", "cotangent", lambda z, y, g: (softmax(z) - one_hot(y, z)) / len(z)),
        edit("softmax-twice", "wrong-variable", lambda z, y, g: _p_minus_t(softmax(z), y, g)),
        edit("logits-for-p", "wrong-variable", lambda z, y, g: (z - one_hot(y, z)) * g / len(z)),
        edit("at-probabilities", "wrong-variable subset chain-term", lambda z, y, g: (
            -one_hot(y, z) / softmax(z) * g / len(z))),
        edit("at-log-probabilities", "wrong-variable subset projection-term chain-term",
             lambda z, y, g: -one_hot(y, z) * g / len(z)),
        edit("log-p", "wrong-variable", lambda z, y, g: (
            (log_softmax(z) - one_hot(y, z)) * g / len(z))),
        edit("softmax-over-rows", "axis wrong-variable", lambda z, y, g: (
            (softmax(z, 0) - one_hot(y, z)) * g / len(z))),
        edit("mse-through-softmax", "wrong-variable chain-term diagonal-only", lambda z, y, g: (
            (p := softmax(z)) * (1 - p) * (p - one_hot(y, z)) * g / len(z))),
    ),
)  # fmt: skip

SMOOTHING = 0.1


def _full_targets(z: Array, y: Array, smoothing: float) -> Array:
    return (1 - smoothing) * one_hot(y, z) + smoothing / z.shape[-1]


def _smoothed(z: Array, y: Array, weights: Array) -> Any:
    rows = -(_full_targets(z, y, SMOOTHING) * log_softmax(z)).sum(axis=-1)
    keep = y >= 0
    return (rows * weights * keep).sum() / keep.sum()


def _smoothed_parts(z: Array, y: Array, w: Array) -> tuple[Array, Array, Array]:
    """Return p, t and the factor of every row."""
    keep = y >= 0
    return (
        softmax(z),
        _full_targets(z, y, SMOOTHING),
        (w * keep / keep.sum())[:, None].astype(z.dtype),
    )


def _smoothed_edit(rule: Any) -> Any:
    """Return a backward of the logits' gradient; that of the weights stays right."""

    def backward(z: Array, y: Array, w: Array, g: Any) -> tuple[Array, Array]:
        p, t, factor = _smoothed_parts(z, y, w)
        rows = -(t * log_softmax(z)).sum(axis=-1)
        keep = y >= 0
        weights_bar = (g * rows * keep / keep.sum()).astype(w.dtype)
        return np.asarray(rule(z, y, w, p, t, factor) * g).astype(z.dtype), weights_bar

    return backward


def _ignored_labels(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    z, y = _labelled(rng, shape, scale)
    if len(y) > 1:
        y[rng.permutation(len(y))[: 1 + len(y) // 4]] = -1
    return z, y, rng.uniform(0.5, 2.0, size=len(y))


SMOOTHED = Subject(
    "smoothed-weighted-cross_entropy", _smoothed,
    _smoothed_edit(lambda z, y, w, p, t, factor: (p - t) * factor), _ignored_labels, SHAPES[2:7],
    accepts={"clipped": "subset"},  # linear in a number
    edits=(
        edit("no-smoothing", "subset chain-term", _smoothed_edit(
            lambda z, y, w, p, t, factor: (p - one_hot(y, z)) * factor)),
        edit("smoothing-over-K-1", "subset chain-term scale", _smoothed_edit(
            lambda z, y, w, p, t, factor: (
                p - (t - SMOOTHING / z.shape[-1] * (1 - 1 / (z.shape[-1] - 1)) *
                     one_hot(y, z))) * factor)),
        edit("no-weights", "scale chain-term", _smoothed_edit(
            lambda z, y, w, p, t, factor: (p - t) * (y >= 0)[:, None] / (y >= 0).sum())),
        edit("weights-squared", "scale chain-term", _smoothed_edit(
            lambda z, y, w, p, t, factor: (p - t) * factor * w[:, None])),
        edit("over-N", "scale", _smoothed_edit(
            lambda z, y, w, p, t, factor: (p - t) * (w * (y >= 0))[:, None] / len(z))),
        edit("not-over-kept", "scale", _smoothed_edit(
            lambda z, y, w, p, t, factor: (p - t) * (w * (y >= 0))[:, None])),
        edit("ignored-rows-kept", "subset", _smoothed_edit(
            lambda z, y, w, p, t, factor: (p - t) * w[:, None] / (y >= 0).sum())),
        edit("no-target", "projection-term chain-term subset", _smoothed_edit(
            lambda z, y, w, p, t, factor: p * factor)),
        edit("t-minus-p", "sign", _smoothed_edit(
            lambda z, y, w, p, t, factor: (t - p) * factor)),
    ),
)  # fmt: skip


def _two_rows(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    return scale * rng.normal(size=shape), softmax(rng.normal(size=shape))


SOFT_TARGETS = Subject(
    "soft-target-cross_entropy", lambda z, t: -(t * log_softmax(z)).sum(axis=-1),
    lambda z, t, g: (
        (softmax(z) * total(t) - t) * g[:, None], -log_softmax(z) * g[:, None]),
    _two_rows, SHAPES[1:7],
    edits=(
        edit("targets-sum-to-1", "chain-term projection-term scale", lambda z, t, g: (
            (softmax(z) * 1.5 - t) * g[:, None], -log_softmax(z) * g[:, None])),
        edit("targets-negated", "sign", lambda z, t, g: (
            (softmax(z) * total(t) - t) * g[:, None], log_softmax(z) * g[:, None])),
        edit("targets-at-logits", "wrong-variable projection-term", lambda z, t, g: (
            (softmax(z) * total(t) - t) * g[:, None], -z * g[:, None])),
        edit("targets-detached", "severed zero", lambda z, t, g: (
            (softmax(z) * total(t) - t) * g[:, None], None)),
        edit("swapped", "axis", lambda z, t, g: (
            -log_softmax(z) * g[:, None], (softmax(z) * total(t) - t) * g[:, None])),
        edit("g-of-first-row", "cotangent", lambda z, t, g: (
            (softmax(z) * total(t) - t) * g[0], -log_softmax(z) * g[0])),
        edit("no-p", "projection-term chain-term wrong-variable", lambda z, t, g: (
            -t * g[:, None], -log_softmax(z) * g[:, None])),
    ),
)  # fmt: skip


def _likelihood(log_p: Array, y: Array) -> Any:
    return -_picked(log_p, y).mean()


LIKELIHOOD = Subject(
    "negative-log-likelihood", _likelihood,
    lambda log_p, y, g: -one_hot(y, log_p) * g / len(log_p), _labelled, SHAPES[:7],
    accepts={"clipped": "subset"},  # linear in a number
    edits=(
        edit("fused", "wrong-variable", lambda x, y, g: _p_minus_t(x, y, g)),
        edit("of-probabilities", "wrong-variable chain-term", lambda x, y, g: (
            -one_hot(y, x) / np.exp(x) * g / len(x))),
        edit("label-off-by-one", "subset axis", lambda x, y, g: (
            -one_hot((y + 1) % x.shape[-1], x) * g / len(x))),
        edit("plus", "sign", lambda x, y, g: one_hot(y, x) * g / len(x)),
        edit("sum-not-mean", "scale", lambda x, y, g: -one_hot(y, x) * g),
        edit("last-row-dropped", "subset", lambda x, y, g: (
            -one_hot(np.where(np.arange(len(y)) < len(y) - 1, y, -1), x) * g / len(x))),
    ),
)  # fmt: skip


def _binary(x: Array, t: Array) -> Any:
    return (np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x)))).mean()


def _binary_labels(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    return scale * rng.normal(size=shape), rng.integers(2, size=shape)


def _logistic(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * x))


BINARY = Subject(
    "binary_cross_entropy", _binary,
    lambda x, t, g: (_logistic(x) - t).astype(x.dtype) * g / x.size, _binary_labels, SHAPES[:7],
    extremes=(1e-8, 100.0),
    accepts={"clipped": "subset"},  # linear in a number
    edits=(
        edit("sum-not-mean", "scale", lambda x, t, g: (_logistic(x) - t).astype(x.dtype) * g),
        edit("over-rows", "scale", lambda x, t, g: (
            (_logistic(x) - t).astype(x.dtype) * g / len(x))),
        edit("slope-twice", "chain-term wrong-variable", lambda x, t, g: (
            (s := _logistic(x)) * (1 - s) * (s - t).astype(x.dtype) * g / x.size)),
        edit("t-minus-p", "sign", lambda x, t, g: (t - _logistic(x)).astype(x.dtype) * g / x.size),
        edit("of-ones-alone", "subset chain-term", lambda x, t, g: (
            t * (_logistic(x) - t).astype(x.dtype) * g / x.size)),
        edit("sigmoid-twice", "wrong-variable", lambda x, t, g: (
            (_logistic(_logistic(x)) - t).astype(x.dtype) * g / x.size)),
        edit("no-target", "subset chain-term", lambda x, t, g: _logistic(x) * g / x.size),
        edit("at-probabilities", "wrong-variable chain-term", lambda x, t, g: (
            ((s := _logistic(x)) - t).astype(x.dtype) / (s * (1 - s) + 1e-3) * g / x.size)),
    ),
)  # fmt: skip


def _brier(z: Array, y: Array) -> Any:
    return ((softmax(z) - one_hot(y, z)) ** 2).sum() / len(z)


def _brier_edit(rule: Any) -> Any:
    """Return a backward made of softmax and the gradient at its outputs."""

    def backward(z: Array, y: Array, g: Any) -> Array:
        p = softmax(z)
        return np.asarray(rule(p, 2 * (p - one_hot(y, z)) * g / len(z)))

    return backward


BRIER = Subject(
    "squared-error-of-softmax", _brier,
    _brier_edit(lambda p, p_bar: p * (p_bar - total(p * p_bar))), _labelled, SHAPES[:7],
    scales=(0.02, 1.0, 4.0),
    accepts={"clipped": "subset"},  # linear in a number
    edits=(
        edit("softmax-skipped", "wrong-variable chain-term", _brier_edit(lambda p, p_bar: p_bar)),
        edit("diagonal", "diagonal-only", _brier_edit(lambda p, p_bar: p * (1 - p) * p_bar)),
        edit("no-inner-product", "projection-term", _brier_edit(lambda p, p_bar: p * p_bar)),
        edit("no-two", "scale", _brier_edit(
            lambda p, p_bar: p * (p_bar - total(p * p_bar)) / 2)),
        edit("log-softmax's", "wrong-variable projection-term chain-term", _brier_edit(
            lambda p, p_bar: p_bar - p * total(p_bar))),
        edit("cross-entropy's", "wrong-variable", _p_minus_t),
        edit("softmax-again", "wrong-variable", _brier_edit(
            lambda p, p_bar: (q := softmax(p)) * (p_bar - total(q * p_bar)))),
    ),
)  # fmt: skip

SUBJECTS = (CROSS_ENTROPY, SMOOTHED, SOFT_TARGETS, LIKELIHOOD, BINARY, BRIER)
