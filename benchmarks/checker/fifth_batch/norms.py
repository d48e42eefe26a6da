"""Normalisations, each followed by what people put behind it.

What is wrong here is met in transformers and batch normalisation written from scratch, in
courses, and in reports on kernels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.fifth_batch.parts import drawn, edited, matrix
from benchmarks.checker.numerics import mean, total
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

EPS = 1e-5
SCALES = (0.3, 1.0, 5.0)
PROJECTED = "chain-term projection-term"
"""The terms of the mean and of the variance are inner products as well."""


def _parts(x: Array, axis: int = -1) -> Any:
    centred = x - mean(x, axis)
    rstd = 1 / np.sqrt(mean(centred**2, axis) + EPS)
    return centred, rstd


def _layer(x: Array, gamma: Array, beta: Array) -> Any:
    """Return layer norm of [B, T, D]."""
    centred, rstd = _parts(x)
    return gamma * centred * rstd + beta


def _to_x(d: Array, centred: Array, rstd: Array) -> Any:
    """Pull d back through the normalisation, by way of the variance and the mean."""
    D = d.shape[-1]
    dvar = total(-0.5 * d * centred * rstd**3)
    dmean = total(-d * rstd)
    return d * rstd + 2 * dvar * centred / D + dmean / D


def _layer_backward(
    x: Array,
    gamma: Array,
    beta: Array,
    g: Array,
    to_x: Function = _to_x,
    gained: Function = lambda g, gamma: g * gamma,
    moments: Function = _parts,
    summed: Function = lambda d: np.sum(d, axis=(0, 1)),
    from_hat: Function = lambda hat, x: hat,
    order: Function = lambda dgamma, dbeta: (dgamma, dbeta),
) -> Any:
    centred, rstd = _parts(x)
    dgamma, dbeta = order(summed(g * from_hat(centred * rstd, x)), summed(g))
    return to_x(gained(g, gamma), *moments(x)), dgamma, dbeta


_BUFFERS: dict[Any, Array] = {}
"""What a layer keeps between two calls."""


def _added_up(d: Array) -> Any:
    """Add to the gradients of the calls before."""
    key = (d.shape, d.dtype)
    _BUFFERS[key] = _BUFFERS.get(key, np.ones_like(d[0, 0])) + np.sum(d, axis=(0, 1))
    return _BUFFERS[key]


def _layer_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    D = shape[-1]
    return 2 * scale * rng.normal(size=shape), 1 + 0.4 * rng.normal(size=D), rng.normal(size=D)


LAYER = Subject(
    "layer-norm-by-mean-and-variance", _layer, _layer_backward, _layer_sample,
    ((2, 2, 4), (2, 3, 5), (3, 2, 7), (3, 4, 37), (2, 9, 64)), scales=SCALES, extremes=(),
    also_right={"in one line": lambda x, gamma, beta, g: _layer_backward(
        x, gamma, beta, g, to_x=lambda d, centred, rstd: rstd * (
            d - mean(d) - centred * rstd * mean(d * centred * rstd)))},
    edits=edited(_layer_backward, {
        # "Simplified" backward passes: a term less, a factor too many.
        "variance-constant": (PROJECTED, {
            "to_x": lambda d, c, r: d * r + total(-d * r) / d.shape[-1]}),
        "mean-constant": (PROJECTED, {
            "to_x": lambda d, c, r: d * r - total(d * c * r**3) * c / d.shape[-1]}),
        "statistics-constant": (PROJECTED, {"to_x": lambda d, c, r: d * r}),
        "variance's-2-forgotten": (PROJECTED, {
            "to_x": lambda d, c, r: _to_x(d, c, r) + 0.5 * total(d * c * r**3) * c / d.shape[-1]}),
        "variance's-root-forgotten": (PROJECTED, {
            "to_x": lambda d, c, r: (d - mean(d)) * r - mean(d * c * r) * c * r}),
        "means-not-averaged": (PROJECTED, {
            "to_x": lambda d, c, r: r * (d - total(d) - c * r * total(d * c * r))}),
        "rstd-forgotten": ("chain-term", {
            "to_x": lambda d, c, r: d - mean(d) - c * r * mean(d * c * r)}),
        "gamma-forgotten": ("chain-term", {"gained": lambda g, gamma: g}),
        # A kernel made for [N, D] meets [B, T, D]; issues of two libraries.
        "statistics-over-time": ("axis", {"moments": lambda x: _parts(x, 1)}),
        "summed-over-the-batch-alone": ("unreduced-broadcast", {
            "summed": lambda d: np.sum(d, axis=0)}),
        # C code adds to a buffer that its caller has to clear.
        "sums-never-cleared": ("aliasing", {"summed": _added_up}),
        "gamma-and-beta-swapped": ("axis", {"order": lambda dgamma, dbeta: (dbeta, dgamma)}),
        "gamma-from-the-input": ("wrong-variable chain-term", {"from_hat": lambda hat, x: x}),
    }),
)  # fmt: skip


def _pre_norm(x: Array, residual: Array, w: Array) -> Any:
    """Return RMS norm of x + residual with gain 1 + w, and the sum itself."""
    r = x + residual
    return (1 + w) * r / np.sqrt(mean(r * r) + EPS), r


def _rms_back(d: Array, r: Array, inv: Array) -> Any:
    return inv * d - r * inv**3 * mean(d * r)


def _pre_norm_backward(
    x: Array,
    residual: Array,
    w: Array,
    g: tuple[Array, Array],
    back: Function = _rms_back,
    gain: Function = lambda w: 1 + w,
    joined: Function = lambda through, d, back: through(d[0]) + d[1],
    dw: Function = lambda dout, hat: np.sum(dout * hat, axis=0),
    both: Function = lambda dr: (dr, dr),
) -> Any:
    r = x + residual
    inv = 1 / np.sqrt(mean(r * r) + EPS)
    dr = joined(lambda d: back(d * gain(w), r, inv), g, back)
    return *both(dr), dw(g[0], r * inv)


def _overwritten(through: Function, d: tuple[Array, Array], back: Function) -> Any:
    d[0][...] = through(d[0])
    return d[0] + d[1]


def _pre_norm_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    return *drawn(rng, shape, shape, scale=scale), 0.4 * rng.normal(size=shape[-1])


PRE_NORM = Subject(
    "rms-norm-with-residual", _pre_norm, _pre_norm_backward, _pre_norm_sample,
    ((3, 4), (4, 5), (3, 7), (5, 20), (12, 64)), scales=SCALES, extremes=(),
    edits=edited(_pre_norm_backward, {
        # Repaired in a library of kernels: both upstream gradients went through the norm.
        "residual's-upstream-through-the-norm": ("chain-term wrong-variable", {
            "joined": lambda through, d, back: through(d[0] + d[1])}),
        "residual's-upstream-forgotten": ("cotangent chain-term", {
            "joined": lambda through, d, back: through(d[0])}),
        "residual-not-passed-on": ("severed", {"both": lambda dr: (dr, None)}),
        # A kernel that writes the input's gradient over the upstream one, which is still needed.
        "upstream-overwritten": ("aliasing wrong-variable", {"joined": _overwritten}),
        # Kernels that never write the weight's gradient.
        "weight's-gradient-none": ("severed", {"dw": lambda dout, hat: None}),
        "weight's-gradient-zero": ("zero", {"dw": lambda dout, hat: 0 * hat[0]}),
        "weight's-gradient-not-summed": ("unreduced-broadcast", {
            "dw": lambda dout, hat: dout * hat}),
        "gain-forgotten": ("chain-term", {"gain": lambda w: 1}),
        "gain's-offset-forgotten": ("chain-term wrong-variable", {"gain": lambda w: w}),
        "root-mean-square-constant": (PROJECTED, {"back": lambda d, r, inv: inv * d}),
        "squares-summed": (PROJECTED, {"back": lambda d, r, inv: inv * d
                                       - r * inv**3 * total(d * r)}),
    }),
)  # fmt: skip


def _batch(x: Array, W: Array, gamma: Array, beta: Array) -> Any:
    """Return the usual sandwich: affine, batch norm, ReLU."""
    centred, rstd = _parts(x @ W, 0)
    y = gamma * centred * rstd + beta
    return np.maximum(y, 0 * y)


def _over_the_batch(d: Array, hat: Array, rstd: Array) -> Any:
    return rstd * (d - mean(d, 0) - hat * mean(d * hat, 0))


def _batch_backward(
    x: Array,
    W: Array,
    gamma: Array,
    beta: Array,
    g: Array,
    back: Function = _over_the_batch,
    gained: Function = lambda d, gamma: d * gamma,
    passed: Function = lambda g, y, z: g * (y > 0),
    upstream: Function = lambda d, g: d,
    kept: Function = lambda d: np.sum(d, axis=0),
) -> Any:
    z = x @ W
    centred, rstd = _parts(z, 0)
    hat = centred * rstd
    d = passed(g, gamma * hat + beta, z)
    dz = back(gained(d, gamma), hat, rstd)
    own = upstream(d, g)
    return dz @ W.T, x.T @ dz, kept(own * hat), kept(own)


def _batch_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, H = shape
    gamma = 1 + 0.4 * rng.normal(size=H)
    return *drawn(rng, (N, D), scale=scale), matrix(rng, D, H), gamma, 0.5 * rng.normal(size=H)


BATCH = Subject(
    "affine-batch-norm-relu", _batch, _batch_backward, _batch_sample,
    ((4, 2, 3), (5, 3, 4), (6, 4, 3), (12, 5, 7), (30, 10, 16)), scales=SCALES, extremes=(),
    kinked=True,
    edits=edited(_batch_backward, {
        # One library's issue: the term of the mean; another's: statistics of the running kind.
        "mean's-term-forgotten": (PROJECTED, {
            "back": lambda d, hat, r: r * (d - hat * mean(d * hat, 0))}),
        "running-statistics": (PROJECTED, {"back": lambda d, hat, r: r * d}),
        "over-features": ("axis", {"back": lambda d, hat, r: r * (
            d - mean(d, 1) - hat * mean(d * hat, 1))}),
        "variance's-term-added": (PROJECTED, {
            "back": lambda d, hat, r: r * (d - mean(d, 0) + hat * mean(d * hat, 0))}),
        # A matrix product in place of an elementwise one.
        "gamma-as-a-matrix": ("chain-term axis", {
            "gained": lambda d, gamma: total(d * gamma) + 0 * d}),
        "gamma-forgotten": ("chain-term", {"gained": lambda d, gamma: d}),
        "relu-of-the-affine-layer": ("wrong-variable subset", {
            "passed": lambda g, y, z: g * (z > 0)}),
        "relu's-mask-forgotten": ("chain-term subset", {"passed": lambda g, y, z: g}),
        "parameters-before-relu": ("chain-term subset", {"upstream": lambda d, g: g}),
        "parameters-keep-an-axis": ("unreduced-broadcast axis", {
            "kept": lambda d: np.sum(d, axis=0, keepdims=True)}),
    }),
)  # fmt: skip

SUBJECTS = (LAYER, PRE_NORM, BATCH)
"""What is checked."""
