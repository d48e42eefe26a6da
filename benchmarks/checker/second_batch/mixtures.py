"""Mixtures, and samples from a softmax that are differentiated."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import log_softmax, softmax, total
from benchmarks.checker.second_batch.parts import drawn, edited
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

SHAPES: tuple[Shape, ...] = ((2, 3), (3, 5), (5, 5), (4, 37), (7, 130), (2, 400))

HEAT = 0.5


def _noise(z: Array) -> Array:
    """Return Gumbel numbers, always the same ones."""
    uniform = (np.arange(z.size) * 0.6180339887498949 + 0.4) % 1
    return (-np.log(-np.log(uniform.clip(1e-6, 1 - 1e-6)))).reshape(z.shape).astype(z.dtype)


def _gumbel_backward(
    z: Array,
    g: Array,
    pulled: Function = lambda p, g: p * (g - total(g * p)),
    heat: Function = lambda: HEAT,
    noisy: Function = lambda z: (z + _noise(z)) / HEAT,
) -> Any:
    return pulled(softmax(noisy(z)), g) / heat()


GUMBEL = Subject(
    "gumbel-softmax", lambda z: softmax((z + _noise(z)) / HEAT), _gumbel_backward,
    lambda rng, shape, scale: drawn(rng, shape, scale=scale), SHAPES, scales=(0.1, 1.0, 5.0),
    edits=edited(_gumbel_backward, {
        "temperature-forgotten": ("scale", {"heat": lambda: 1}),
        "temperature-multiplied": ("scale", {"heat": lambda: 1 / HEAT}),
        "noise-forgotten": ("wrong-variable", {"noisy": lambda z: z / HEAT}),
        "temperature-forgotten-inside": ("wrong-variable", {"noisy": lambda z: z + _noise(z)}),
        "straight-through": ("identity", {"pulled": lambda p, g: g, "heat": lambda: 1}),
        "through-the-hard-sample": ("projection-term", {
            "pulled": lambda p, g: p * (g - np.take_along_axis(
                g, p.argmax(axis=-1)[..., None], axis=-1))}),
        "diagonal": ("diagonal-only", {"pulled": lambda p, g: p * (1 - p) * g}),
    }),
)  # fmt: skip


def _joint(z: Array, mu: Array, y: Array) -> tuple[Array, Array]:
    """Return the gaps y − μ, and log π plus the log densities."""
    gaps = y[:, None] - mu
    return gaps, log_softmax(z) - gaps * gaps / 2


def _mixture(z: Array, mu: Array, y: Array) -> Array:
    _, joint = _joint(z, mu, y)
    top = joint.max(axis=-1, keepdims=True)
    return np.asarray(-(top + np.log(total(np.exp(joint - top)))).mean())


def _mixture_backward(
    z: Array,
    mu: Array,
    y: Array,
    g: Array,
    z_bar: Function = lambda prior, posterior: prior - posterior,
    mu_bar: Function = lambda prior, posterior, gaps: -posterior * gaps,
    y_bar: Function = lambda mu_bar: -mu_bar.sum(axis=-1),
    count: Function = len,
) -> Any:
    gaps, joint = _joint(z, mu, y)
    prior, posterior = softmax(z), softmax(joint)
    g = g / count(z)
    d = g * mu_bar(prior, posterior, gaps)
    return g * z_bar(prior, posterior), d, y_bar(d)


def _mixture_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    return *drawn(rng, shape, shape, scale=scale), scale * rng.normal(size=shape[0])


MIXTURE = Subject(
    "mixture-density", _mixture, _mixture_backward, _mixture_sample, SHAPES,
    scales=(0.3, 1.0, 3.0),
    edits=edited(_mixture_backward, {
        "prior-for-posterior": ("wrong-variable", {
            "mu_bar": lambda prior, posterior, gaps: -prior * gaps}),
        "prior-dropped": ("projection-term", {"z_bar": lambda prior, posterior: -posterior}),
        "posterior-dropped": ("chain-term", {"z_bar": lambda prior, posterior: prior}),
        "logits-reversed": ("sign", {"z_bar": lambda prior, posterior: posterior - prior}),
        "means-reversed": ("sign", {
            "mu_bar": lambda prior, posterior, gaps: posterior * gaps,
            "y_bar": lambda mu_bar: mu_bar.sum(axis=-1)}),
        "winner-takes-all": ("unnamed", {
            "mu_bar": lambda prior, posterior, gaps: -gaps * (
                posterior == posterior.max(axis=-1, keepdims=True))}),
        "gap-forgotten": ("chain-term", {
            "mu_bar": lambda prior, posterior, gaps: -posterior}),
        "target-not-summed": ("unreduced-broadcast", {"y_bar": lambda mu_bar: -mu_bar}),
        "not-averaged": ("scale", {"count": lambda z: 1}),
    }),
)  # fmt: skip


SUBJECTS = (GUMBEL, MIXTURE)
"""What is checked."""
