"""Losses that return one float: with weights and ignored labels, with a cap on the logits."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import one_hot, softmax
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject
from benchmarks.checker.third_batch.parts import edited

__all__ = ["SUBJECTS"]

IGNORE = -1


def _weight(labels: Array) -> Any:
    """Return the weight of every label's class: 1, 2 or 3; none for what is ignored."""
    return np.where(labels == IGNORE, 0, 1 + labels % 3)


def _nll(lp: Array, labels: Array) -> float:
    """Return the weighted mean of −log p over the kept tokens; classes are axis 1 of [N, C, T]."""
    loss, weights = 0.0, 0.0
    for n in range(lp.shape[0]):
        for t in range(lp.shape[2]):
            if labels[n, t] == IGNORE:
                continue
            w = float(_weight(labels[n, t]))
            loss = loss - w * lp[n, labels[n, t], t]
            weights += w
    return float(loss / weights)


def _nll_backward(
    lp: Array,
    labels: Array,
    g: Array,
    kept: Function = lambda labels: labels != IGNORE,
    weight: Function = lambda y: float(_weight(y)),
    weights: Function = lambda labels: float(_weight(labels).sum()),
    one: Function = lambda: -1,
    logits: Function = lambda lp: np.zeros_like(lp),
    picked: Function = lambda labels: labels,
) -> Any:
    dlp = logits(lp)
    used, y = kept(labels), picked(labels)
    for n in range(lp.shape[0]):
        for t in range(lp.shape[2]):
            dlp[n, :, t] *= used[n, t] * weight(labels[n, t])
            if used[n, t]:
                dlp[n, y[n, t], t] += one() * weight(labels[n, t])
    return g * dlp / weights(labels)


def _nll_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    N, C, T = shape
    labels = (2 * np.arange(N * T).reshape(N, T) + rng.integers(C)) % C
    labels[:, -1] = np.where(np.arange(N) % 2, labels[:, -1], IGNORE)
    z = scale * rng.normal(size=shape)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True)), labels


NLL = Subject(
    "weighted-nll-with-ignored-labels", _nll, _nll_backward, _nll_sample,
    ((2, 4, 3), (3, 5, 4), (3, 4, 5), (4, 17, 6), (3, 50, 10)), scales=(0.3, 1.0, 5.0),
    edits=edited(_nll_backward, {
        "ignored-label-is-the-last-class": ("subset", {
            "kept": lambda y: y == y, "weight": lambda y: 1.0 if y < 0 else float(_weight(y))}),
        "averaged-over-tokens": ("scale", {"weights": lambda y: float((y != IGNORE).sum())}),
        "averaged-over-ignored-tokens-too": ("scale", {
            "weights": lambda y: float((1 + y % 3).sum())}),
        "summed": ("scale", {"weights": lambda y: 1}),
        "weights-forgotten": ("chain-term subset", {"weight": lambda y: 1}),
        "weights-squared": ("chain-term subset", {"weight": lambda y: float(_weight(y)) ** 2}),
        "likelihood-for-loss": ("sign", {"one": lambda: 1}),
        "at-the-logits": ("wrong-variable", {"logits": np.exp}),
        "labels-of-the-next-token": ("subset axis", {"picked": lambda y: np.roll(y, -1, axis=1)}),
    }),
)  # fmt: skip


CAP, Z_LOSS = 1.5, 0.1


def _capped(x: Array, labels: Array) -> float:
    """Return the cross entropy of soft-capped logits, and some of the squared log-sum-exp."""
    z = CAP * np.tanh(x / CAP)
    lse = np.log(np.sum(np.exp(z), axis=1))
    return float(np.mean(lse - z[np.arange(len(z)), labels] + Z_LOSS * lse**2))


def _capped_backward(
    x: Array,
    labels: Array,
    g: Array,
    slope: Function = lambda u, x: 1 - u**2,
    squared: Function = lambda p, lse: 2 * Z_LOSS * lse * p,
    weights: Function = lambda z, x: softmax(z),
    count: Function = len,
) -> Any:
    u = np.tanh(x / CAP)
    z = CAP * u
    lse = np.log(np.sum(np.exp(z), axis=1))[:, None]
    dz = weights(z, x) - one_hot(labels, x) + squared(weights(z, x), lse)
    return g * dz * slope(u, x) / count(x)


def _labelled(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    N, K = shape
    return scale * rng.normal(size=shape), (np.arange(N) + rng.integers(K)) % K


CAPPED = Subject(
    "capped-cross-entropy-with-z-loss", _capped, _capped_backward, _labelled,
    ((2, 3), (3, 5), (5, 4), (4, 37), (7, 130)), scales=(0.7, 1.0, 3.0),
    edits=edited(_capped_backward, {
        "cap's-slope-forgotten": ("chain-term", {"slope": lambda u, x: 1}),
        "cap's-slope-of-the-capped": ("wrong-variable", {"slope": lambda u, x: 1 - (CAP * u) ** 2}),
        "cap's-slope-without-dividing": ("wrong-variable", {
            "slope": lambda u, x: 1 - np.tanh(x) ** 2}),
        "cap-divided-again": ("scale", {"slope": lambda u, x: (1 - u**2) / CAP}),
        "softmax-of-the-uncapped": ("wrong-variable", {"weights": lambda z, x: softmax(x)}),
        "z-loss-forgotten": ("chain-term", {"squared": lambda p, lse: 0}),
        "z-loss-without-2": ("chain-term", {"squared": lambda p, lse: Z_LOSS * lse * p}),
        "z-loss-without-softmax": ("chain-term", {"squared": lambda p, lse: 2 * Z_LOSS * lse}),
        "summed": ("scale", {"count": lambda x: 1}),
    }),
)  # fmt: skip


SUBJECTS = (NLL, CAPPED)
"""What is checked."""
