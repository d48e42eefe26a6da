"""Features that a condition modulates, and features of sines."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject
from benchmarks.checker.third_batch.parts import drawn, edited, einsum, matrix

__all__ = ["SUBJECTS"]


def _film(x: Array, c: Array, W: Array, b: Array) -> Any:
    """Scale and shift the features of [N, T, D] by what a condition [N, E] says."""
    gamma, beta = np.split(c @ W + b, 2, axis=1)
    return x * (1 + gamma[:, None, :]) + beta[:, None, :]


def _film_backward(
    x: Array,
    c: Array,
    W: Array,
    b: Array,
    g: Array,
    gain: Function = lambda gamma: 1 + gamma,
    into_gamma: Function = lambda g, x, y: (g * x).sum(axis=1),
    into_beta: Function = lambda g: g.sum(axis=1),
    joined: Function = lambda dgamma, dbeta: np.concatenate([dgamma, dbeta], axis=1),
    bias: Function = lambda d: d.sum(axis=0),
) -> Any:
    gamma = np.split(c @ W + b, 2, axis=1)[0]
    d = joined(into_gamma(g, x, _film(x, c, W, b)), into_beta(g))
    return g * gain(gamma[:, None, :]), d @ W.T, c.T @ d, bias(d)


def _film_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, T, D, E = shape
    x, c = drawn(rng, (N, T, D), (N, E), scale=scale)
    return x, c, matrix(rng, E, 2 * D), 0.5 * rng.normal(size=2 * D)


FILM = Subject(
    "feature-wise-modulation", _film, _film_backward, _film_sample,
    ((2, 3, 4, 5), (3, 4, 2, 3), (2, 5, 3, 4), (4, 9, 7, 6), (5, 30, 16, 8)),
    scales=(0.3, 1.0, 3.0),
    edits=edited(_film_backward, {
        "one-forgotten": ("chain-term", {"gain": lambda gamma: gamma}),
        "gain-forgotten": ("chain-term identity", {"gain": lambda gamma: 1}),
        "gamma-of-the-last-step": ("unreduced-broadcast", {
            "into_gamma": lambda g, x, y: g[:, -1] * x[:, -1]}),
        "gamma-without-x": ("chain-term", {"into_gamma": lambda g, x, y: g.sum(axis=1)}),
        "gamma-from-the-output": ("wrong-variable", {
            "into_gamma": lambda g, x, y: (g * y).sum(axis=1)}),
        "beta-averaged-over-time": ("scale chain-term", {"into_beta": lambda g: g.mean(axis=1)}),
        "gamma-and-beta-swapped": ("axis", {
            "joined": lambda a, b: np.concatenate([b, a], axis=1)}),
        "bias-of-the-last-row": ("unreduced-broadcast", {"bias": lambda d: d[-1]}),
    }),
)  # fmt: skip


def _fourier(x: Array, B: Array) -> Any:
    a = 2 * math.pi * (x @ B)
    return np.concatenate([np.sin(a), np.cos(a)], axis=-1)


def _fourier_backward(
    x: Array,
    B: Array,
    g: Array,
    halves: Function = lambda g: np.split(g, 2, axis=-1),
    slopes: Function = lambda ds, dc, a: ds * np.cos(a) - dc * np.sin(a),
    turn: Function = lambda: 2 * math.pi,
    x_bar: Function = lambda da, B: einsum("nf,df->nd", da, B),
) -> Any:
    a = 2 * math.pi * (x @ B)
    da = turn() * slopes(*halves(g), a)
    return x_bar(da, B), x.T @ da


FOURIER = Subject(
    "fourier-features", _fourier, _fourier_backward,
    lambda rng, shape, scale: (
        scale * rng.normal(size=shape[:2]), 0.3 * rng.normal(size=shape[1:])),
    ((2, 3, 4), (3, 2, 5), (5, 3, 4), (7, 4, 20), (20, 3, 60)), scales=(0.1, 0.5, 1.0),
    edits=edited(_fourier_backward, {
        "2-pi-forgotten": ("scale", {"turn": lambda: 1}),
        "pi-for-2-pi": ("scale", {"turn": lambda: math.pi}),
        "cosine's-sign": ("sign chain-term", {
            "slopes": lambda ds, dc, a: ds * np.cos(a) + dc * np.sin(a)}),
        "slopes-not-taken": ("wrong-variable chain-term", {
            "slopes": lambda ds, dc, a: ds * np.sin(a) + dc * np.cos(a)}),
        "cosines-forgotten": ("chain-term cotangent", {
            "slopes": lambda ds, dc, a: ds * np.cos(a)}),
        "halves-swapped": ("axis cotangent", {"halves": lambda g: np.split(g, 2, axis=-1)[::-1]}),
        "halves-interleaved": ("axis cotangent", {
            "halves": lambda g: (g[..., ::2], g[..., 1::2])}),
    }),
)  # fmt: skip

SUBJECTS = (FILM, FOURIER)
"""What is checked."""
