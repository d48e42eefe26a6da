"""Normalisations: of groups of channels, of sequences, of weights, of rewards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.checker.numerics import mean, total
from benchmarks.checker.second_batch.parts import drawn, edited
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

EPSILON = 1e-5
SCALES = (0.1, 1.0, 30.0)
Axes = int | tuple[int, ...]


def _sum(x: Array, axes: Axes) -> Array:
    return np.asarray(x.sum(axis=axes, keepdims=True))


def _count(x: Array, axes: Axes) -> int:
    return int(np.prod([x.shape[axis] for axis in np.atleast_1d(axes)]))


def _moments(x: Array, axes: Axes) -> tuple[Array, Array]:
    """Return the centred numbers, and one over their standard deviation."""
    centred = x - _sum(x, axes) / _count(x, axes)
    return centred, 1 / np.sqrt(_sum(centred * centred, axes) / _count(x, axes) + EPSILON)


def _staged(
    x: Array,
    h: Array,
    axes: Axes,
    variance: Function = lambda h, c, r, axes: -0.5 * _sum(h * c, axes) * r * r * r,
    centre: Function = lambda h, r, axes: -_sum(h * r, axes),
    direct: Function = lambda h, r: h * r,
    count: Callable[[Array, Axes], int] = _count,
) -> Array:
    """Pull back h stage by stage: the variance, the mean, and the numbers themselves."""
    c, r = _moments(x, axes)
    n = count(x, axes)
    return np.asarray(direct(h, r) + (2 * c * variance(h, c, r, axes) + centre(h, r, axes)) / n)


STAGES: dict[str, tuple[str, dict[str, Function]]] = {
    "variance-dropped": ("chain-term projection-term", {
        "variance": lambda h, c, r, axes: 0}),
    "mean-dropped": ("chain-term projection-term", {"centre": lambda h, r, axes: 0}),
    "half-forgotten": ("chain-term projection-term", {
        "variance": lambda h, c, r, axes: -_sum(h * c, axes) * r * r * r}),
    "deviation-not-cubed": ("chain-term projection-term", {
        "variance": lambda h, c, r, axes: -0.5 * _sum(h * c, axes) * r}),
    "mean-not-scaled": ("chain-term projection-term", {
        "centre": lambda h, r, axes: -_sum(h, axes)}),
    "statistics-summed-not-averaged": ("chain-term projection-term", {
        "count": lambda x, axes: 1}),
}  # fmt: skip

GROUPS = 2


def _grouped(x: Array) -> Array:
    return x.reshape(len(x), GROUPS, -1)


def _xhat_of_groups(x: Array) -> Array:
    c, r = _moments(_grouped(x), -1)
    return (c * r).reshape(x.shape)


def _group_backward(
    x: Array,
    gain: Array,
    bias: Array,
    g: Array,
    gained: Function = lambda g, gain: g * gain,
    gain_bar: Function = lambda g, x: (g * _xhat_of_groups(x)).sum(axis=0),
    bias_bar: Function = lambda g: g.sum(axis=0),
    grouped: Function = _grouped,
    **stages: Function,
) -> Any:
    x_bar = _staged(grouped(x), grouped(gained(g, gain)), -1, **stages)
    return x_bar.reshape(x.shape), gain_bar(g, x), bias_bar(g)


def _affine(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    D = shape[-1]
    return scale * rng.normal(size=shape) + 0.3, rng.normal(size=D) + 1.5, rng.normal(size=D)


GROUP_NORM = Subject(
    "group-norm", lambda x, gain, bias: _xhat_of_groups(x) * gain + bias, _group_backward,
    _affine, ((3, 6), (5, 8), (4, 38), (7, 130), (2, 400), (20, 5000)), scales=SCALES,
    edits=edited(_group_backward, {
        **STAGES,
        "statistics-of-the-whole-row": ("axis", {"grouped": lambda x: x.reshape(len(x), 1, -1)}),
        "count-of-all-channels": ("chain-term projection-term", {
            "count": lambda x, axes: GROUPS * x.shape[-1]}),
        "gain-forgotten": ("chain-term", {"gained": lambda g, gain: g}),
        "gain-of-the-raw-input": ("wrong-variable", {
            "gain_bar": lambda g, x: (g * x).sum(axis=0)}),
        "bias-of-the-last-row": ("unreduced-broadcast", {"bias_bar": lambda g: g[-1]}),
    }),
)  # fmt: skip


def _xhat_of_sequences(x: Array) -> Array:
    c, r = _moments(x, (0, 1))
    return c * r


def _sequence_backward(
    x: Array,
    gain: Array,
    bias: Array,
    g: Array,
    axes: Function = lambda: (0, 1),
    gain_bar: Function = lambda g, xhat: (g * xhat).sum(axis=(0, 1)),
    bias_bar: Function = lambda g: g.sum(axis=(0, 1)),
    **stages: Function,
) -> Any:
    x_bar = _staged(x, g * gain, axes(), **stages)
    return x_bar, gain_bar(g, _xhat_of_sequences(x)), bias_bar(g)


SEQUENCE_NORM = Subject(
    "batch-norm-of-sequences", lambda x, gain, bias: _xhat_of_sequences(x) * gain + bias,
    _sequence_backward, _affine, ((3, 4, 2), (5, 3, 4), (2, 7, 19), (7, 13, 10), (40, 50, 20)),
    scales=SCALES,
    edits=edited(_sequence_backward, {
        "as-in-evaluation": ("chain-term", {
            "variance": lambda h, c, r, axes: 0, "centre": lambda h, r, axes: 0}),
        "axis-of-the-batch-alone": ("axis", {"axes": lambda: 0}),
        "count-of-the-batch-alone": ("chain-term projection-term", {
            "count": lambda x, axes: len(x)}),
        "deviation-forgotten-in-the-direct-term": ("chain-term", {"direct": lambda h, r: h}),
        "gain-over-the-batch-alone": ("unreduced-broadcast", {
            "gain_bar": lambda g, xhat: (g * xhat).sum(axis=0)}),
        "bias-averaged-over-time": ("scale", {"bias_bar": lambda g: g.mean(axis=1).sum(axis=0)}),
    }),
)  # fmt: skip


def _columns(v: Array) -> tuple[Array, Array]:
    r = np.sqrt(total(v * v, 0))
    return v / r, r


def _weight_normed_backward(
    x: Array,
    v: Array,
    gain: Array,
    g: Array,
    projected: Function = lambda W_bar, u, v: W_bar - u * total(u * W_bar, 0),
    stretched: Function = lambda gain, r: gain / r,
    gain_bar: Function = lambda W_bar, u: (W_bar * u).sum(axis=0),
) -> Any:
    u, r = _columns(v)
    W_bar = x.T @ g
    return g @ (gain * u).T, stretched(gain, r) * projected(W_bar, u, v), gain_bar(W_bar, u)


def _weight_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, K = shape
    x, v = drawn(rng, (N, D), (D, K))
    return x, scale * v, rng.normal(size=K) + 1.5


WEIGHT_NORM = Subject(
    "weight-norm", lambda x, v, gain: x @ (gain * _columns(v)[0]), _weight_normed_backward,
    _weight_sample, ((3, 4, 2), (5, 5, 5), (4, 19, 7), (9, 40, 30)), scales=(0.1, 1.0, 10.0),
    extremes=(0.01,),
    edits=edited(_weight_normed_backward, {
        "length-constant": ("chain-term projection-term", {
            "projected": lambda W_bar, u, v: W_bar}),
        "projected-with-v": ("projection-term", {
            "projected": lambda W_bar, u, v: W_bar - v * total(v * W_bar, 0)}),
        "projection-added": ("projection-term", {
            "projected": lambda W_bar, u, v: W_bar + u * total(u * W_bar, 0)}),
        "projected-along-rows": ("axis projection-term", {
            "projected": lambda W_bar, u, v: W_bar - u * total(u * W_bar, 1)}),
        "gain-forgotten": ("chain-term", {"stretched": lambda gain, r: 1 / r}),
        "length-forgotten": ("chain-term", {"stretched": lambda gain, r: gain}),
        "gain-not-summed": ("unreduced-broadcast", {"gain_bar": lambda W_bar, u: W_bar * u}),
    }),
)  # fmt: skip

FLOOR = 1e-4


def _deviation(x: Array) -> tuple[Array, Array]:
    centred = x - mean(x)
    return centred, np.sqrt(mean(centred * centred))


def _advantages(x: Array) -> Array:
    centred, s = _deviation(x)
    return centred / (s + FLOOR)


def _advantages_backward(
    x: Array,
    g: Array,
    baseline: Function = mean,
    spread: Function = lambda g, c, s: c * mean(g * c) / (s * (s + FLOOR)),
    divided: Function = lambda s: s + FLOOR,
) -> Any:
    c, s = _deviation(x)
    return (g - baseline(g) - spread(g, c, s)) / divided(s)


ADVANTAGES = Subject(
    "group-advantages", _advantages, _advantages_backward,
    lambda rng, shape, scale: (scale * rng.normal(size=shape),),
    ((3, 4), (5, 8), (4, 37), (7, 130), (2, 400), (20, 5000)), scales=SCALES, extremes=(0.01,),
    edits=edited(_advantages_backward, {
        "deviation-constant": ("chain-term projection-term", {"spread": lambda g, c, s: 0}),
        "baseline-constant": ("chain-term projection-term", {"baseline": lambda g: 0}),
        "deviation-of-a-sample": ("chain-term projection-term", {
            "spread": lambda g, c, s: c * total(g * c) / (g.shape[-1] - 1) / (s * (s + FLOOR))}),
        "deviation-not-squared": ("chain-term projection-term", {
            "spread": lambda g, c, s: c * mean(g * c) / (s + FLOOR)}),
        "never-divided": ("chain-term", {"divided": lambda s: 1}),
        "baseline-of-all-groups": ("axis", {"baseline": lambda g: g.mean()}),
    }),
)  # fmt: skip

SUBJECTS = (GROUP_NORM, SEQUENCE_NORM, WEIGHT_NORM, ADVANTAGES)
"""What is checked."""
