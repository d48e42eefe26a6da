"""Softmax's relatives: its logarithm, sparsemax, and relaxed samples.

What is wrong here is met in issues of frameworks and small engines, and in threads on estimators.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.fifth_batch.parts import (
    drawn,
    edited,
    matrix,
    softmax_back,
)
from benchmarks.checker.numerics import log_softmax, softmax, total
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]


def _log_backward(
    x: Array,
    g: Array,
    at: Function = lambda x: np.exp(log_softmax(x, 1)),
    rule: Function = lambda p, g, x: g - p * total(g, 1),
) -> Any:
    return rule(at(x), g, x)


LOG = Subject(
    "log-softmax-of-channels", lambda x: log_softmax(x, 1), _log_backward,
    lambda rng, shape, scale: drawn(rng, shape, scale=scale),
    ((2, 3, 4), (3, 4, 2), (2, 5, 3), (3, 17, 4), (2, 40, 9)), scales=(0.1, 1.0, 3.0),
    also_right={"through softmax": lambda x, g: (p := softmax(x, 1)) * (
        g / p - total(p * (g / p), 1))},
    edits=edited(_log_backward, {
        # Issues of C++ libraries: softmax's backward used for its logarithm, g where 1 should be.
        "softmax's-formula": ("wrong-variable chain-term", {
            "rule": lambda p, g, x: p * (g - total(p * g, 1))}),
        "p-added-to-g": ("cotangent", {"rule": lambda p, g, x: g + p}),
        # From-scratch engines: a dot product where the sum belongs.
        "dot-for-sum": ("projection-term", {"rule": lambda p, g, x: g - p * total(p * g, 1)}),
        "log's-part-alone": ("chain-term wrong-variable", {"rule": lambda p, g, x: g / p}),
        "softmax-not-exponentiated": ("wrong-variable projection-term", {
            "at": lambda x: log_softmax(x, 1)}),
        "sum-along-the-last-axis": ("axis projection-term", {
            "rule": lambda p, g, x: g - p * total(g)}),
        "one-minus-p": ("diagonal-only", {"rule": lambda p, g, x: g * (1 - p)}),
    }),
)  # fmt: skip


def _sparsemax(x: Array) -> Any:
    """Return the nearest point of the simplex, for every token of [B, T, K]."""
    z = np.sort(x, axis=-1)[..., ::-1]
    sums = np.cumsum(z, axis=-1)
    counts = np.arange(1, x.shape[-1] + 1).astype(x.dtype)
    k = np.sum(1 + counts * z > sums, axis=-1, keepdims=True)
    tau = (np.take_along_axis(sums, k - 1, axis=-1) - 1) / k.astype(x.dtype)
    return np.maximum(x - tau, 0 * x)


def _sparsemax_backward(
    x: Array,
    g: Array,
    size: Function = lambda s: total(s),
    rule: Function = lambda s, g, k, p: s * (g - total(s * g) / k),
) -> Any:
    p = _sparsemax(x)
    s = (p > 0).astype(x.dtype)
    return rule(s, g, size(s), p)


SPARSEMAX = Subject(
    "sparsemax-of-tokens", _sparsemax, _sparsemax_backward,
    lambda rng, shape, scale: drawn(rng, shape, scale=scale),
    ((2, 3, 4), (3, 2, 5), (2, 4, 7), (3, 4, 17), (2, 5, 40)), scales=(0.1, 0.5, 1.0), kinked=True,
    also_right={"minus the mean": lambda x, g: (s := (_sparsemax(x) > 0).astype(g.dtype)) * g
                - s * (total(s * g) / total(s))},
    edits=edited(_sparsemax_backward, {
        # Issues about tensors with a time axis, and proposals with the size off by one.
        "mean-over-all-classes": ("projection-term", {"size": lambda s: s.shape[-1]}),
        "support-one-too-large": ("projection-term", {"size": lambda s: total(s) + 1}),
        "mean-over-time": ("axis projection-term", {
            "rule": lambda s, g, k, p: s * (g - total(s * g, 1) / np.maximum(total(s, 1), 1))}),
        "softmax's-jacobian": ("wrong-variable projection-term", {
            "rule": lambda s, g, k, p: p * (g - total(p * g))}),
        "support-alone": ("projection-term", {"rule": lambda s, g, k, p: s * g}),
        "support-forgotten": ("subset chain-term", {
            "rule": lambda s, g, k, p: g - total(s * g) / k}),
        "passed-on": ("identity", {"rule": lambda s, g, k, p: g}),
    }),
)  # fmt: skip

TAU = 0.8


def _noise(u: Array, like: Array) -> Any:
    """Return Gumbel noise from integers between 1 and 99."""
    return -np.log(-np.log(u / 100)).astype(like.dtype)


def _gumbel(logits: Array, codes: Array, u: Array) -> Any:
    """Return a relaxed sample's code: softmax of the noisy logits times rows of a code book."""
    y = softmax((log_softmax(logits) + _noise(u, logits)) / TAU)
    return y @ codes


def _gumbel_backward(
    logits: Array,
    codes: Array,
    u: Array,
    g: Array,
    sampled: Function = lambda logits, u: softmax((logits + _noise(u, logits)) / TAU),
    rule: Function = softmax_back,
    cooled: Function = lambda d: d / TAU,
    used: Function = lambda y: y,
) -> Any:
    y = sampled(logits, u)
    return cooled(rule(y, g @ codes.T)), used(y).T @ g


def _gumbel_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, K, D = shape
    return scale * rng.normal(size=(N, K)), matrix(rng, K, D), rng.integers(1, 100, size=(N, K))


GUMBEL = Subject(
    "gumbel-softmax-codes", _gumbel, _gumbel_backward, _gumbel_sample,
    ((2, 4, 3), (3, 5, 4), (4, 3, 5), (5, 16, 8), (12, 30, 10)), scales=(0.3, 1.0, 2.0),
    edits=edited(_gumbel_backward, {
        # Threads on the straight-through estimator, and its "hard" mode.
        "softmax-passed-over": ("chain-term identity", {"rule": lambda y, d: d}),
        "codes-of-the-hard-sample": ("wrong-variable", {
            "used": lambda y: (y == y.max(axis=-1, keepdims=True)).astype(y.dtype)}),
        "noise-forgotten": ("wrong-variable", {
            "sampled": lambda logits, u: softmax(logits / TAU)}),
        "temperature-forgotten": ("scale", {"cooled": lambda d: d}),
        "logits-detached": ("severed", {"cooled": lambda d: None}),
        "like-sigmoid": ("diagonal-only", {"rule": lambda y, d: d * y * (1 - y)}),
    }),
)  # fmt: skip

SUBJECTS = (LOG, SPARSEMAX, GUMBEL)
"""What is checked."""
