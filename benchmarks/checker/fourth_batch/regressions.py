"""Regressions: logistic, of counts, and with a mask over time."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject
from benchmarks.checker.third_batch.parts import drawn, edited, matrix, sigmoid

__all__ = ["SUBJECTS"]


def _logistic(w: Array, b: Array, X: Array, Y: Array) -> float:
    """Return the cost of logistic regression; samples are columns."""
    m = X.shape[1]
    A = sigmoid(np.dot(w.T, X) + b)
    y = Y.astype(X.dtype)
    return float(-(1 / m) * np.sum(y * np.log(A) + (1 - y) * np.log(1 - A)))


def _logistic_backward(
    w: Array,
    b: Array,
    X: Array,
    Y: Array,
    g: Array,
    dZ: Function = lambda A, Y: A - Y,
    dw: Function = lambda X, dZ: np.dot(X, dZ.T) / X.shape[1],
    db: Function = lambda dZ: np.sum(dZ, axis=1) / dZ.shape[1],
    dX: Function = lambda w, dZ: np.dot(w, dZ) / dZ.shape[1],
    dA: Function = lambda g: g,
) -> Any:
    d = dA(g) * dZ(sigmoid(np.dot(w.T, X) + b), Y.astype(X.dtype))
    return dw(X, d), db(d), dX(w, d)


def _logistic_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    D, m = shape
    Y = (np.arange(m)[None, :] + rng.integers(2)) % 2
    return matrix(rng, D, 1), rng.normal(size=1), scale * rng.normal(size=(D, m)), Y


LOGISTIC = Subject(
    "logistic-regression-of-columns", _logistic, _logistic_backward, _logistic_sample,
    ((2, 3), (3, 5), (5, 4), (8, 37), (20, 60)), scales=(0.5, 0.7, 1.0),
    edits=edited(_logistic_backward, {
        "y-minus-a": ("sign", {"dZ": lambda A, Y: Y - A}),
        "sigmoid's-slope-too": ("wrong-variable chain-term", {
            "dZ": lambda A, Y: (A - Y) * A * (1 - A)}),
        "sigmoid's-slope-forgotten": ("wrong-variable chain-term", {
            "dZ": lambda A, Y: -Y / A + (1 - Y) / (1 - A)}),
        "positives-alone": ("subset chain-term", {"dZ": lambda A, Y: -Y * (1 - A)}),
        "weights-over-features": ("scale", {"dw": lambda X, dZ: np.dot(X, dZ.T) / len(X)}),
        "bias-not-averaged": ("scale", {"db": lambda dZ: np.sum(dZ, axis=1)}),
        "bias-not-summed": ("unreduced-broadcast", {"db": lambda dZ: dZ / dZ.shape[1]}),
        "samples-not-averaged": ("scale", {"dX": np.dot}),
        "cost-forgotten": ("cotangent", {"dA": lambda g: 1}),
    }),
)  # fmt: skip


def _poisson(x: Array, w: Array, b: Array, y: Array) -> float:
    """Return the mean negative log-likelihood of counts whose log-rate is linear."""
    z = x @ w + b
    return float(np.mean(np.exp(z) - y.astype(x.dtype) * z))


def _poisson_backward(
    x: Array,
    w: Array,
    b: Array,
    y: Array,
    g: Array,
    residual: Function = lambda z, y: np.exp(z) - y,
    count: Function = len,
    bias: Function = lambda d: np.sum(d, keepdims=True),
    into_w: Function = lambda x, d: x.T @ d,
) -> Any:
    d = g * residual(x @ w + b, y.astype(x.dtype)) / count(x)
    return d[:, None] * w, into_w(x, d), bias(d)


def _poisson_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    N, D = shape
    w = rng.normal(size=D) / np.sqrt(D)
    return scale * rng.normal(size=(N, D)), w, rng.normal(size=1), 1 + np.arange(N) % 4


POISSON = Subject(
    "poisson-regression", _poisson, _poisson_backward, _poisson_sample,
    ((3, 2), (4, 3), (5, 4), (20, 7), (60, 20)), scales=(0.1, 0.5, 1.0),
    edits=edited(_poisson_backward, {
        "rate-not-exponentiated": ("wrong-variable chain-term", {"residual": lambda z, y: z - y}),
        "at-the-rate": ("wrong-variable chain-term", {
            "residual": lambda z, y: 1 - y / np.exp(z)}),
        "counts-forgotten": ("chain-term", {"residual": lambda z, y: np.exp(z)}),
        "reversed": ("sign", {"residual": lambda z, y: y - np.exp(z)}),
        "not-averaged": ("scale", {"count": lambda x: 1}),
        "averaged-over-features": ("scale", {"count": np.size}),
        "bias-averaged": ("scale", {"bias": lambda d: np.mean(d, keepdims=True)}),
        "weights-by-row": ("unreduced-broadcast", {"into_w": lambda x, d: x * d[:, None]}),
    }),
)  # fmt: skip


def _masked_mse(pred: Array, target: Array, mask: Array) -> float:
    """Return the mean squared error a number of the kept steps of [N, T, D]."""
    m = mask[:, :, None].astype(pred.dtype)
    return float(np.sum(m * (pred - target) ** 2) / (float(mask.sum()) * pred.shape[-1]))


def _masked_mse_backward(
    pred: Array,
    target: Array,
    mask: Array,
    g: Array,
    kept: Function = lambda mask: mask,
    count: Function = lambda mask, D: float(mask.sum()) * D,
    factor: Function = lambda: 2,
    target_bar: Function = lambda d: -d,
) -> Any:
    m = kept(mask)[:, :, None].astype(pred.dtype)
    d = g * factor() * m * (pred - target) / count(mask, pred.shape[-1])
    return d, target_bar(d)


def _masked_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    N, T, _ = shape
    mask = (np.arange(T) < T - 1 - np.arange(N)[:, None] % 2).astype(np.int64)
    return *drawn(rng, shape, shape, scale=scale), mask


MASKED_MSE = Subject(
    "masked-mean-squared-error", _masked_mse, _masked_mse_backward, _masked_sample,
    ((2, 3, 4), (3, 4, 2), (2, 5, 3), (3, 6, 17), (4, 20, 10)), scales=(0.3, 1.0, 10.0),
    edits=edited(_masked_mse_backward, {
        "mask-forgotten": ("subset", {"kept": np.ones_like}),
        "mask-reversed": ("subset", {"kept": lambda mask: 1 - mask}),
        "averaged-over-padding-too": ("scale", {"count": lambda mask, D: mask.size * D}),
        "features-not-averaged": ("scale", {"count": lambda mask, D: float(mask.sum())}),
        "averaged-over-sequences": ("scale", {"count": lambda mask, D: len(mask)}),
        "factor-2-forgotten": ("scale", {"factor": lambda: 1}),
        "target-like-prediction": ("sign", {"target_bar": lambda d: d}),
    }),
)  # fmt: skip

SUBJECTS = (LOGISTIC, POISSON, MASKED_MSE)
"""What is checked."""
