"""Losses of independent labels and of two softmaxes; each returns one float."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import log_softmax, softmax
from benchmarks.checker.subject import Array, Function, Shape, Subject
from benchmarks.checker.third_batch.parts import (
    drawn,
    edited,
    sigmoid,
)

__all__ = ["SUBJECTS"]

ROWS: tuple[Shape, ...] = ((2, 3), (3, 5), (5, 5), (4, 37), (7, 130))
POSITIVE = 3.0


def _binary(z: Array, t: Array) -> float:
    """Return the weighted loss of independent labels, without overflow."""
    z = np.asarray(z)
    pos = POSITIVE * t * np.logaddexp(0 * z, -z)
    neg = (1 - t) * np.logaddexp(0 * z, z)
    return float((pos + neg).sum() / z.size)


def _binary_backward(
    z: Array,
    t: Array,
    g: Array,
    slope: Function = lambda s, t: (1 - t) * s - POSITIVE * t * (1 - s),
    count: Function = np.size,
    squashed: Function = sigmoid,
) -> Any:
    return g * slope(squashed(z), t.astype(z.dtype)) / count(z)


BINARY = Subject(
    "bce-with-logits-and-positive-weight", _binary, _binary_backward,
    lambda rng, shape, scale: (
        scale * rng.normal(size=shape),
        (np.arange(shape[0] * shape[1]).reshape(shape) + rng.integers(9)) % 3 % 2),
    ROWS, scales=(0.1, 1.0, 5.0),
    edits=edited(_binary_backward, {
        "positive-weight-forgotten": ("chain-term subset", {"slope": lambda s, t: s - t}),
        "positives-alone": ("subset chain-term", {"slope": lambda s, t: -POSITIVE * t * (1 - s)}),
        "negatives-alone": ("subset chain-term", {"slope": lambda s, t: (1 - t) * s}),
        "sigmoid's-slope-too": ("wrong-variable chain-term", {
            "slope": lambda s, t: ((1 - t) * s - POSITIVE * t * (1 - s)) * s * (1 - s)}),
        "positives-reversed": ("subset sign", {
            "slope": lambda s, t: (1 - t) * s + POSITIVE * t * (1 - s)}),
        "averaged-over-rows": ("scale", {"count": len}),
        "softmax-for-sigmoid": ("wrong-variable", {"squashed": softmax}),
        "at-the-probabilities": ("wrong-variable chain-term", {
            "slope": lambda s, t: (1 - t) / (1 - s) - POSITIVE * t / s}),
    }),
)  # fmt: skip


def _divergence(a: Array, b: Array) -> float:
    p, q = softmax(np.asarray(a)), softmax(np.asarray(b))
    return float(np.mean(np.sum(p * (np.log(p) - np.log(q)), axis=-1)))


def _divergence_backward(
    a: Array,
    b: Array,
    g: Array,
    from_p: Function = lambda p, ratio: ratio - (p * ratio).sum(axis=-1, keepdims=True),
    b_bar: Function = lambda p, q: q - p,
    count: Function = len,
) -> Any:
    log_p, log_q = log_softmax(a), log_softmax(b)
    p, q = np.exp(log_p), np.exp(log_q)
    a_bar = p * from_p(p, log_p - log_q)
    return g * a_bar / count(a), g * b_bar(p, q) / count(b)


DIVERGENCE = Subject(
    "kl-of-two-softmaxes", _divergence, _divergence_backward,
    lambda rng, shape, scale: drawn(rng, shape, shape, scale=scale), ROWS, scales=(0.3, 1.0, 4.0),
    edits=edited(_divergence_backward, {
        "first-like-second": ("wrong-variable unnamed", {"from_p": lambda p, r: 1 - np.exp(-r)}),
        "mean-ratio-dropped": ("projection-term", {"from_p": lambda p, r: r}),
        "entropy's-plus-1": ("projection-term", {"from_p": lambda p, r: r + 1}),
        "diagonal": ("diagonal-only", {"from_p": lambda p, r: (r + 1) * (1 - p)}),
        "second-reversed": ("sign", {"b_bar": lambda p, q: p - q}),
        "second-at-the-probabilities": ("wrong-variable chain-term", {
            "b_bar": lambda p, q: -p / q}),
        "second-at-the-log-probabilities": ("wrong-variable projection-term", {
            "b_bar": lambda p, q: -p}),
        "second-detached": ("zero", {"b_bar": lambda p, q: 0 * q}),
        "averaged-over-all": ("scale", {"count": np.size}),
        "summed": ("scale", {"count": lambda a: 1}),
    }),
)  # fmt: skip

SUBJECTS = (BINARY, DIVERGENCE)
"""What is checked."""
