"""Normalisations of tokens and of images, and a block that ends with one."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject
from benchmarks.checker.third_batch.parts import drawn, edited, matrix

__all__ = ["SUBJECTS"]

EPS = 1e-5
SCALES = (0.3, 1.0, 10.0)
PROJECTED = "chain-term projection-term"
"""The mean and the variance are projections, and terms of the chain rule."""


def _layer_norm(x: Array, weight: Array, bias: Array) -> Any:
    x = np.asarray(x)
    out = np.zeros_like(x)
    B, T, _ = x.shape
    for b in range(B):
        for t in range(T):
            row = x[b, t]
            rstd = 1 / np.sqrt(np.mean((row - np.mean(row)) ** 2) + EPS)
            out[b, t] = (row - np.mean(row)) * rstd * weight + bias
    return out


def _means(dnorm: Array, norm: Array) -> Any:
    return dnorm - np.mean(dnorm) - norm * np.mean(dnorm * norm)


def _layer_norm_backward(
    x: Array,
    weight: Array,
    bias: Array,
    g: Array,
    projected: Function = _means,
    gained: Function = lambda weight, g, norm, rule: rule(weight * g, norm),
    divided: Function = lambda d, rstd: d * rstd,
    into_weight: Function = lambda to, value: to + value,
    into_bias: Function = lambda to, value: to + value,
    normed: Function = lambda row, rstd: (row - np.mean(row)) * rstd,
) -> Any:
    B, T, _ = x.shape
    dx, dweight, dbias = np.zeros_like(x), np.zeros_like(weight), np.zeros_like(bias)
    for b in range(B):
        for t in range(T):
            row = x[b, t]
            rstd = 1 / np.sqrt(np.var(row) + EPS)
            norm = (row - np.mean(row)) * rstd
            dbias = into_bias(dbias, g[b, t])
            dweight = into_weight(dweight, normed(row, rstd) * g[b, t])
            dx[b, t] = divided(gained(weight, g[b, t], norm, projected), rstd)
    return dx, dweight, dbias


def _tokens(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    C = shape[-1]
    x = 2 * scale * rng.normal(size=shape) + scale
    return x, 1 + 0.4 * rng.normal(size=C), rng.normal(size=C)


LAYER_NORM = Subject(
    "layer-norm-of-tokens-in-loops", _layer_norm, _layer_norm_backward, _tokens,
    ((2, 2, 4), (2, 3, 5), (3, 2, 7), (3, 4, 37), (2, 5, 64)), scales=SCALES, extremes=(),
    edits=edited(_layer_norm_backward, {
        "mean-forgotten": (PROJECTED, {
            "projected": lambda d, n: d - n * np.mean(d * n)}),
        "variance-forgotten": (PROJECTED, {"projected": lambda d, n: d - np.mean(d)}),
        "statistics-constant": (PROJECTED, {"projected": lambda d, n: d}),
        "variance-without-norm": (PROJECTED, {
            "projected": lambda d, n: d - np.mean(d) - np.mean(d * n)}),
        "sums-for-means": (PROJECTED, {
            "projected": lambda d, n: d - np.sum(d) - n * np.sum(d * n)}),
        "weight-after-the-projection": (PROJECTED, {
            "gained": lambda w, g, norm, rule: w * rule(g, norm)}),
        "weight-forgotten": ("chain-term", {"gained": lambda w, g, norm, rule: rule(g, norm)}),
        "rstd-forgotten": ("chain-term", {"divided": lambda d, rstd: d}),
        "rstd-twice": ("chain-term", {"divided": lambda d, rstd: d * rstd * rstd}),
        "weight-assigned": ("unreduced-broadcast", {"into_weight": lambda to, value: value}),
        "bias-assigned": ("unreduced-broadcast", {"into_bias": lambda to, value: value}),
        "weight-from-the-input": ("wrong-variable chain-term", {
            "normed": lambda row, rstd: row}),
    }),
)  # fmt: skip


def _flat(x: Array) -> Any:
    """Return [N, C, H, W] as rows of channels."""
    return x.transpose(0, 2, 3, 1).reshape(-1, x.shape[1])


def _back(rows: Array, shape: Shape) -> Any:
    N, C, H, W = shape
    return rows.reshape(N, H, W, C).transpose(0, 3, 1, 2)


def _spatial(x: Array, gamma: Array, beta: Array) -> Any:
    rows = _flat(x)
    mu, var = np.mean(rows, axis=0), np.var(rows, axis=0)
    return _back(gamma * (rows - mu) / np.sqrt(var + EPS) + beta, x.shape)


def _spatial_backward(
    x: Array,
    gamma: Array,
    beta: Array,
    g: Array,
    combined: Function = lambda d, hat, M: (
        d - d.sum(axis=0) / M - hat * (d * hat).sum(axis=0) / M),
    count: Function = lambda shape: shape[0] * shape[2] * shape[3],
    shaped: Function = _back,
    gained: Function = lambda d, gamma: d * gamma,
    dgamma: Function = lambda d, hat, shape: np.sum(d * hat, axis=0),
    dbeta: Function = lambda d: np.sum(d, axis=0),
) -> Any:  # fmt: skip
    rows, d = _flat(x), _flat(g)
    inv = 1 / np.sqrt(np.var(rows, axis=0) + EPS)
    hat = (rows - np.mean(rows, axis=0)) * inv
    drows = inv * combined(gained(d, gamma), hat, count(x.shape))
    return shaped(drows, x.shape), dgamma(d, hat, x.shape), dbeta(d)


def _images(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    C = shape[1]
    return 2 * scale * rng.normal(size=shape), 1 + 0.4 * rng.normal(size=C), rng.normal(size=C)


SPATIAL = Subject(
    "batch-norm-of-images", _spatial, _spatial_backward, _images,
    ((2, 3, 2, 2), (3, 2, 2, 3), (2, 3, 3, 4), (4, 5, 4, 4), (3, 8, 7, 6)), scales=SCALES,
    extremes=(),
    edits=edited(_spatial_backward, {
        "running-statistics": (PROJECTED, {"combined": lambda d, hat, M: d}),
        "variance-constant": (PROJECTED, {
            "combined": lambda d, hat, M: d - d.sum(axis=0) / M}),
        "mean-constant": (PROJECTED, {
            "combined": lambda d, hat, M: d - hat * (d * hat).sum(axis=0) / M}),
        "variance-added": (PROJECTED, {
            "combined": lambda d, hat, M: (
                d - d.sum(axis=0) / M + hat * (d * hat).sum(axis=0) / M)}),
        "count-of-images": (PROJECTED, {"count": lambda shape: shape[0]}),
        "reshaped-without-transposing": ("axis", {
            "shaped": lambda rows, shape: rows.reshape(shape)}),
        "gamma-forgotten": ("chain-term", {"gained": lambda d, gamma: d}),
        "gamma-over-the-batch-alone": ("unreduced-broadcast", {
            "dgamma": lambda d, hat, shape: _back(d * hat, shape).sum(axis=0)}),
        "beta-averaged": ("scale", {"dbeta": lambda d: np.mean(d, axis=0)}),
    }),
)  # fmt: skip


def _post_norm(x: Array, W1: Array, W2: Array, gain: Array) -> Any:
    r = x + np.maximum(x @ W1, 0 * (x @ W1)) @ W2
    return gain * r / np.sqrt(np.mean(r * r, axis=-1, keepdims=True) + EPS)


def _post_norm_backward(
    x: Array,
    W1: Array,
    W2: Array,
    gain: Array,
    g: Array,
    rms_back: Function = lambda d, hat, inv: inv * (
        d - hat * np.mean(d * hat, axis=-1, keepdims=True)),
    skipped: Function = lambda dr, g: dr,
    branch: Function = lambda da, W1: da @ W1.T,
    mask: Function = lambda h: h > 0,
    dgain: Function = lambda g, hat, r: np.sum(g * hat, axis=0),
) -> Any:  # fmt: skip
    h = x @ W1
    a = np.maximum(h, 0)
    r = x + a @ W2
    inv = 1 / np.sqrt(np.mean(r**2, axis=-1, keepdims=True) + EPS)
    dr = rms_back(g * gain, r * inv, inv)
    dh = (dr @ W2.T) * mask(h)
    return skipped(dr, g) + branch(dh, W1), x.T @ dh, a.T @ dr, dgain(g, r * inv, r)


def _block(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, H = shape
    gain = 1 + 0.4 * rng.normal(size=D)
    return *drawn(rng, (N, D), scale=scale), matrix(rng, D, H), matrix(rng, H, D), gain


POST_NORM = Subject(
    "post-norm-residual-block", _post_norm, _post_norm_backward, _block,
    ((3, 4, 5), (4, 5, 7), (3, 6, 4), (7, 10, 20), (20, 24, 40)), scales=SCALES, extremes=(),
    kinked=True,
    edits=edited(_post_norm_backward, {
        "residual-forgotten": ("chain-term", {"skipped": lambda dr, g: 0}),
        "residual-past-the-norm": ("chain-term wrong-variable", {"skipped": lambda dr, g: g}),
        "branch-forgotten": ("chain-term", {"branch": lambda dh, W1: 0}),
        "rms-constant": (PROJECTED, {"rms_back": lambda d, hat, inv: inv * d}),
        "rms-summed": (PROJECTED, {
            "rms_back": lambda d, hat, inv: inv * (
                d - hat * np.sum(d * hat, axis=-1, keepdims=True))}),
        "root-forgotten": ("chain-term", {
            "rms_back": lambda d, hat, inv: d - hat * np.mean(d * hat, axis=-1, keepdims=True)}),
        "norm-passed-over": ("chain-term identity", {"rms_back": lambda d, hat, inv: d}),
        "relu's-mask-forgotten": ("chain-term", {"mask": lambda h: 1}),
        "gain-from-the-unnormalised": ("wrong-variable chain-term", {
            "dgain": lambda g, hat, r: np.sum(g * r, axis=0)}),
    }),
)  # fmt: skip

SUBJECTS = (LAYER_NORM, SPATIAL, POST_NORM)
"""What is checked."""
