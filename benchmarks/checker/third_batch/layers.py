"""Layers round a softmax network: dropout, pooling over time, a squared loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import softmax
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject
from benchmarks.checker.third_batch.parts import drawn, edited, matrix

__all__ = ["SUBJECTS"]


KEEP = 0.6


class _Dropout:
    """Inverted dropout; its mask comes from outside."""

    def __init__(self, mask: Array) -> None:
        self.mask = mask

    def forward(self, x: Array) -> Array:
        return x * self.mask / KEEP


def _dropped(x: Array, W: Array, b: Array, mask: Array) -> Any:
    return np.tanh(_Dropout(mask).forward(x) @ W + b).astype(x.dtype)


def _dropped_backward(
    x: Array,
    W: Array,
    b: Array,
    mask: Array,
    g: Array,
    back: Function = lambda d, mask: d * mask / KEEP,
    seen: Function = lambda x, mask: x * mask / KEEP,
    slope: Function = lambda y: 1 - y * y,
    upstream: Function = lambda g, y: g,
) -> Any:
    y = np.tanh((x * mask / KEEP) @ W + b)
    d = upstream(g, y) * slope(y)
    dx, dW, db = back(d @ W.T, mask), seen(x, mask).T @ d, d.sum(axis=0)
    return dx.astype(x.dtype), dW.astype(x.dtype), db


def _dropped_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    N, D, K = shape
    mask = (np.arange(N * D).reshape(N, D) + rng.integers(3)) % 3 > 0
    return *drawn(rng, (N, D), scale=scale), matrix(rng, D, K), rng.normal(size=K), mask


DROPPED = Subject(
    "dropout-and-tanh-layer", _dropped, _dropped_backward, _dropped_sample,
    ((3, 4, 2), (4, 5, 3), (3, 5, 5), (7, 20, 10), (30, 40, 20)), scales=(0.3, 1.0, 2.0),
    edits=edited(_dropped_backward, {
        "mask-forgotten": ("subset chain-term", {"back": lambda d, mask: d / KEEP}),
        "keep-forgotten": ("scale", {"back": lambda d, mask: d * mask}),
        "keep-multiplied": ("scale", {"back": lambda d, mask: d * mask * KEEP}),
        "dropout-passed-over": ("chain-term", {"back": lambda d, mask: d}),
        "mask-reversed": ("subset", {"back": lambda d, mask: d * ~mask / KEEP}),
        "weights-from-undropped-input": ("wrong-variable chain-term", {
            "seen": lambda x, mask: x}),
        "tanh's-slope-forgotten": ("chain-term", {"slope": lambda y: 1}),
        "tanh's-slope-of-its-output": ("wrong-variable", {
            "slope": lambda y: 1 - np.tanh(y) ** 2}),
        "output-for-cotangent": ("cotangent", {"upstream": lambda g, y: y}),
    }),
)  # fmt: skip


def _lse(x: Array, mask: Array) -> Array:
    """Return log Σ exp over the steps of [N, T, D] that are kept."""
    kept = mask[:, :, None] > 0
    m = np.max(np.where(kept, x, np.full_like(x, -1e4)), axis=1, keepdims=True)
    e = np.where(kept, np.exp(np.where(kept, x - m, 0 * x)), 0 * x)
    return np.asarray(m[:, 0] + np.log(e.sum(axis=1)))


def _lse_backward(
    x: Array,
    mask: Array,
    g: Array,
    weights: Function = lambda x, y, kept: np.exp(np.where(kept, x - y, 0 * x)) * kept,
    upstream: Function = lambda g: g[:, None, :],
) -> Any:
    w = weights(x, _lse(x, mask)[:, None], mask[:, :, None] > 0)
    return (upstream(g) * w).astype(x.dtype)


def _masked_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    N, T, _ = shape
    mask = (np.arange(T) < T - 1 - np.arange(N)[:, None] % 2).astype(np.int64)
    return scale * rng.normal(size=shape), mask


LSE = Subject(
    "masked-logsumexp-over-time", _lse, _lse_backward, _masked_sample,
    ((2, 4, 3), (3, 4, 5), (4, 5, 5), (4, 17, 11), (5, 30, 20)), scales=(0.3, 1.0, 5.0),
    edits=edited(_lse_backward, {
        "padding-kept": ("subset", {"weights": lambda x, y, kept: np.exp(x - y)}),
        "padding-in-the-sum": ("wrong-variable subset", {
            "weights": lambda x, y, kept: softmax(x, 1) * kept}),
        "not-normalised": ("chain-term", {"weights": lambda x, y, kept: np.exp(x) * kept}),
        "over-features": ("axis", {"weights": lambda x, y, kept: softmax(x, -1) * kept}),
        "softmax-differentiated": ("chain-term wrong-variable", {
            "weights": lambda x, y, kept: (p := np.exp(x - y) * kept) * (1 - p)}),
        "all-ones": ("identity chain-term", {"weights": lambda x, y, kept: kept}),
        "cotangent-of-the-first-sequence": ("cotangent", {"upstream": lambda g: g[:1, None, :]}),
    }),
)  # fmt: skip


def _squared(x: Array, W: Array, b: Array, t: Array) -> float:
    z = np.dot(x, W) + b
    y = np.exp(z) / np.sum(np.exp(z), axis=1, keepdims=True)
    return float(0.5 * np.sum((y - t) ** 2) / x.shape[0])


def _squared_backward(
    x: Array,
    W: Array,
    b: Array,
    t: Array,
    g: Array,
    through: Function = lambda p, e: p * (e - np.sum(p * e, axis=1, keepdims=True)),
    error: Function = lambda p, t: p - t,
    t_bar: Function = lambda e: -e,
) -> Any:
    p = softmax(x @ W + b)
    e = g * error(p, t) / len(x)
    d = through(p, e)
    return d @ W.T, x.T @ d, d.sum(axis=0), t_bar(e)


def _overwriting(p: Array, e: Array) -> Array:
    """Write the product over the probabilities, which are needed once more."""
    p *= e
    return np.asarray(p - p * np.sum(p, axis=1, keepdims=True))


def _squared_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, K = shape
    x, t = scale * rng.normal(size=(N, D)), 0.5 * rng.normal(size=(N, K))
    return x, matrix(rng, D, K), 0.5 * rng.normal(size=K), t


SQUARED = Subject(
    "squared-loss-of-softmax-layer", _squared, _squared_backward, _squared_sample,
    ((3, 2, 4), (4, 3, 5), (3, 5, 5), (7, 6, 20), (20, 10, 50)), scales=(0.3, 1.0, 3.0),
    edits=edited(_squared_backward, {
        "diagonal": ("diagonal-only", {"through": lambda p, e: e * p * (1 - p)}),
        "softmax-passed-over": ("wrong-variable chain-term identity", {
            "through": lambda p, e: e}),
        "inner-product-dropped": ("projection-term", {"through": lambda p, e: e * p}),
        "inner-product-without-p": ("projection-term", {
            "through": lambda p, e: p * (e - np.sum(e, axis=1, keepdims=True))}),
        "factor-2": ("scale", {"error": lambda p, t: 2 * (p - t)}),
        "averaged-over-classes-too": ("scale", {"error": lambda p, t: (p - t) / p.shape[1]}),
        "error-reversed": ("sign", {"error": lambda p, t: t - p}),
        "target-like-prediction": ("sign", {"t_bar": lambda e: e}),
        "probabilities-overwritten": ("aliasing projection-term", {"through": _overwriting}),
    }),
)  # fmt: skip

SUBJECTS = (DROPPED, LSE, SQUARED)
"""What is checked."""
