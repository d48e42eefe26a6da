"""Poolings over time: a soft maximum of learnt sharpness, and statistics."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import softmax
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject
from benchmarks.checker.third_batch.parts import drawn, edited

__all__ = ["SUBJECTS"]

SHAPES: tuple[Shape, ...] = ((2, 4, 3), (3, 4, 5), (2, 5, 3), (4, 17, 6), (5, 40, 12))
"""Sequences, steps, features."""


def _sharp(x: Array, r: Array) -> Any:
    """Return log(mean exp(r x))/r over the steps; every feature has its sharpness r."""
    m = np.max(x, axis=1, keepdims=True)
    e = np.exp(r * (x - m))
    return m[:, 0] + np.log(e.mean(axis=1)) / r


def _sharp_backward(
    x: Array,
    r: Array,
    g: Array,
    weights: Function = lambda x, r: softmax(r * x, 1),
    x_bar: Function = lambda p, g, r: p * g[:, None],
    r_bar: Function = lambda mean, y, r: (mean - y) / r,
    summed: Function = lambda d: d.sum(axis=0),
) -> Any:
    p = weights(x, r)
    mean = (softmax(r * x, 1) * x).sum(axis=1)
    return x_bar(p, g, r), summed(g * r_bar(mean, _sharp(x, r), r))


def _sharp_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    return scale * rng.normal(size=shape), 1.5 + rng.random(shape[2])


SHARP = Subject(
    "log-mean-exp-with-learnt-sharpness", _sharp, _sharp_backward, _sharp_sample, SHAPES,
    scales=(0.5, 1.0, 3.0), extremes=(),
    edits=edited(_sharp_backward, {
        "not-normalised": ("chain-term", {"weights": lambda x, r: np.exp(r * x)}),
        "weights-of-sharpness-1": ("wrong-variable", {"weights": lambda x, r: softmax(x, 1)}),
        "weights-over-features": ("axis", {"weights": lambda x, r: softmax(r * x, -1)}),
        "weights-averaged": ("scale", {"weights": lambda x, r: softmax(r * x, 1) / x.shape[1]}),
        "sharpness-kept-as-a-factor": ("chain-term scale", {
            "x_bar": lambda p, g, r: p * g[:, None] * r}),
        "softmax-differentiated": ("chain-term wrong-variable", {
            "x_bar": lambda p, g, r: p * (1 - p) * g[:, None]}),
        "outer-sharpness-forgotten": ("chain-term", {"r_bar": lambda mean, y, r: mean / r}),
        "inner-sharpness-forgotten": ("chain-term", {"r_bar": lambda mean, y, r: -y / r}),
        "sharpness-by-sequence": ("unreduced-broadcast", {"summed": lambda d: d}),
        "sharpness-averaged": ("scale", {"summed": lambda d: d.mean(axis=0)}),
    }),
)  # fmt: skip

EPS = 0.1


def _statistics(x: Array) -> Any:
    """Return the mean and the deviation over the steps, side by side."""
    mean = x.mean(axis=1)
    std = np.sqrt(((x - mean[:, None]) ** 2).mean(axis=1) + EPS)
    return np.concatenate([mean, std], axis=-1)


def _statistics_backward(
    x: Array,
    g: Array,
    halves: Function = lambda g: np.split(g, 2, axis=-1),
    from_mean: Function = lambda dm, x: dm[:, None] / x.shape[1],
    from_std: Function = lambda ds, c, std: ds[:, None] * c / (c.shape[1] * std[:, None]),
    joined: Function = lambda a, b, x: a + b,
) -> Any:
    c = x - x.mean(axis=1)[:, None]
    std = np.sqrt((c**2).mean(axis=1) + EPS)
    dm, ds = halves(g)
    return joined(from_mean(dm, x), from_std(ds, c, std), x) + np.zeros_like(x)


STATISTICS = Subject(
    "mean-and-deviation-pool", _statistics, _statistics_backward,
    lambda rng, shape, scale: drawn(rng, shape, scale=scale), SHAPES, scales=(0.5, 1.0, 10.0),
    extremes=(),
    edits=edited(_statistics_backward, {
        "mean-summed": ("scale chain-term", {"from_mean": lambda dm, x: dm[:, None]}),
        "mean-over-the-batch's-size": ("scale chain-term", {
            "from_mean": lambda dm, x: dm[:, None] / len(x)}),
        "deviation-forgotten": ("chain-term cotangent", {"from_std": lambda ds, c, std: 0}),
        "mean-forgotten": ("chain-term cotangent", {"from_mean": lambda dm, x: 0}),
        "variance-for-deviation": ("chain-term wrong-variable", {
            "from_std": lambda ds, c, std: 2 * ds[:, None] * c / c.shape[1]}),
        "half-forgotten": ("chain-term scale", {
            "from_std": lambda ds, c, std: 2 * ds[:, None] * c / (c.shape[1] * std[:, None])}),
        "halves-swapped": ("axis cotangent", {"halves": lambda g: np.split(g, 2, axis=-1)[::-1]}),
        "unbiased": ("chain-term scale", {
            "from_std": lambda ds, c, std: ds[:, None] * c / ((c.shape[1] - 1) * std[:, None])}),
    }),
)  # fmt: skip

SUBJECTS = (SHARP, STATISTICS)
"""What is checked."""
