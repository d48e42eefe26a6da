"""Normalisations in steps, and blocks that begin with one."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject
from benchmarks.checker.third_batch.parts import drawn, edited, matrix

__all__ = ["SUBJECTS"]

EPS = 1e-5
ROWS: tuple[Shape, ...] = ((3, 4), (4, 5), (5, 7), (4, 37), (7, 130), (30, 20))
SCALES = (0.3, 1.0, 10.0)


def _affine(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    D = shape[-1]
    return 2 * scale * rng.normal(size=shape), 1 + 0.3 * rng.normal(size=D), rng.normal(size=D)


def _layer_norm(x: Array, gamma: Array, beta: Array) -> Array:
    x = np.asarray(x)
    out = np.zeros_like(x)
    for i in range(len(x)):
        mu, var = x[i].mean(), x[i].var()
        out[i] = gamma * ((x[i] - mu) / np.sqrt(var + EPS)) + beta
    return out


def _layer_norm_backward(
    x: Array,
    gamma: Array,
    beta: Array,
    g: Array,
    gained: Function = lambda g, gamma: g * gamma,
    dvar: Function = lambda d, c, v: -0.5 * np.sum(d * c, axis=1, keepdims=True) / (v * np.sqrt(v)),
    dmu: Function = lambda d, inv: -np.sum(d, axis=1, keepdims=True) * inv,
    spread: Function = lambda dvar, c: dvar * 2 * c / c.shape[1],
    centre: Function = lambda dmu, c: dmu / c.shape[1],
    gamma_bar: Function = lambda g, hat, c: np.sum(g * hat, axis=0),
) -> Any:
    c = x - x.mean(axis=1, keepdims=True)
    v = (c**2).mean(axis=1, keepdims=True) + EPS
    inv = 1 / np.sqrt(v)
    d = gained(g, gamma)
    dx = d * inv + spread(dvar(d, c, v), c) + centre(dmu(d, inv), c)
    return dx, gamma_bar(g, c * inv, c), g.sum(axis=0)


LAYER_NORM = Subject(
    "layer-norm-in-steps", _layer_norm, _layer_norm_backward, _affine, ROWS, scales=SCALES,
    extremes=(),
    edits=edited(_layer_norm_backward, {
        "variance-path-forgotten": ("chain-term projection-term", {"dvar": lambda d, c, v: 0}),
        "mean-path-forgotten": ("chain-term projection-term", {"dmu": lambda d, inv: 0}),
        "both-paths-forgotten": ("chain-term projection-term", {
            "dvar": lambda d, c, v: 0, "dmu": lambda d, inv: 0}),
        "half-forgotten-in-variance": ("chain-term projection-term", {
            "dvar": lambda d, c, v: -np.sum(d * c, axis=1, keepdims=True) / (v * np.sqrt(v))}),
        "variance-to-minus-a-half": ("chain-term projection-term", {
            "dvar": lambda d, c, v: -0.5 * np.sum(d * c, axis=1, keepdims=True) / np.sqrt(v)}),
        "variance-path-not-over-D": ("chain-term projection-term", {
            "spread": lambda dvar, c: dvar * 2 * c}),
        "mean-path-not-over-D": ("chain-term projection-term", {"centre": lambda dmu, c: dmu}),
        "paths-over-N": ("chain-term projection-term", {
            "spread": lambda dvar, c: dvar * 2 * c / len(c),
            "centre": lambda dmu, c: dmu / len(c)}),
        "mean-path-added": ("chain-term projection-term", {
            "dmu": lambda d, inv: np.sum(d, axis=1, keepdims=True) * inv}),
        "gain-forgotten": ("chain-term", {"gained": lambda g, gamma: g}),
        "gain-from-the-unnormalised": ("wrong-variable chain-term", {
            "gamma_bar": lambda g, hat, c: np.sum(g * c, axis=0)}),
        "gain-not-summed": ("unreduced-broadcast", {"gamma_bar": lambda g, hat, c: g * hat}),
    }),
)  # fmt: skip


def _batch_norm(x: Array, gamma: Array, beta: Array) -> Any:
    mu = np.mean(x, axis=0)
    xmu = x - mu
    sqrtvar = np.sqrt(np.mean(xmu**2, axis=0) + EPS)
    return gamma * (xmu / sqrtvar) + beta


def _batch_norm_backward(
    x: Array,
    gamma: Array,
    beta: Array,
    g: Array,
    summed: Function = lambda d: d.sum(axis=0),
    combined: Function = lambda N, d, hat, s, sh, inv: (N * d - s - hat * sh) * inv / N,
    beta_bar: Function = lambda g: g.sum(axis=0),
    gained: Function = lambda g, gamma: g * gamma,
) -> Any:
    c = x - x.mean(axis=0)
    inv = 1 / np.sqrt((c**2).mean(axis=0) + EPS)
    hat = c * inv
    d = gained(g, gamma)
    dx = combined(len(x), d, hat, summed(d), summed(d * hat), inv)
    return dx, (g * hat).sum(axis=0), beta_bar(g)


BATCH_NORM = Subject(
    "batch-norm-in-one-line", _batch_norm, _batch_norm_backward, _affine, ROWS, scales=SCALES,
    extremes=(),
    edits=edited(_batch_norm_backward, {
        "statistics-constant": ("chain-term projection-term", {
            "combined": lambda N, d, hat, s, sh, inv: d * inv}),
        "never-divided-by-N": ("scale", {
            "combined": lambda N, d, hat, s, sh, inv: (N * d - s - hat * sh) * inv}),
        "N-forgotten-inside": ("chain-term projection-term", {
            "combined": lambda N, d, hat, s, sh, inv: (d - s - hat * sh) * inv / N}),
        "normalised-forgotten-in-variance": ("chain-term projection-term", {
            "combined": lambda N, d, hat, s, sh, inv: (N * d - s - sh) * inv / N}),
        "variance-added": ("chain-term projection-term", {
            "combined": lambda N, d, hat, s, sh, inv: (N * d - s + hat * sh) * inv / N}),
        "layer-norm's": ("axis projection-term", {
            "summed": lambda d: d.sum(axis=1, keepdims=True) / d.shape[1] * len(d)}),
        "deviation-forgotten": ("chain-term", {
            "combined": lambda N, d, hat, s, sh, inv: (N * d - s - hat * sh) / N}),
        "gain-forgotten": ("chain-term", {"gained": lambda g, gamma: g}),
        "shift-averaged": ("scale", {"beta_bar": lambda g: g.mean(axis=0)}),
    }),
)  # fmt: skip

HEADS = 2


def _by_head(q: Array, w: Array) -> Any:
    """Normalise each of two heads by its root mean square; all share their gains."""
    N, D = q.shape
    heads = q.reshape(N, HEADS, D // HEADS)
    rms = np.sqrt(np.mean(heads * heads, axis=-1, keepdims=True) + EPS)
    return ((heads / rms) * w).reshape(N, D)


def _by_head_backward(
    q: Array,
    w: Array,
    g: Array,
    inner: Function = lambda u, y: (u * y).mean(axis=-1, keepdims=True),
    w_bar: Function = lambda g, y: (g * y).sum(axis=(0, 1)),
    divided: Function = lambda d, rms: d / rms,
    gained: Function = lambda g, w: g * w,
) -> Any:
    heads, g = q.reshape(len(q), HEADS, -1), g.reshape(len(q), HEADS, -1)
    rms = np.sqrt((heads**2).mean(axis=-1, keepdims=True) + EPS)
    y, u = heads / rms, gained(g, w)
    return divided(u - y * inner(u, y), rms).reshape(q.shape), w_bar(g, y)


BY_HEAD = Subject(
    "rms-norm-of-heads", _by_head, _by_head_backward,
    lambda rng, shape, scale: (
        scale * rng.normal(size=shape), 1 + 0.3 * rng.normal(size=shape[-1] // HEADS)),
    ((2, 6), (3, 6), (5, 10), (4, 38), (7, 130), (30, 20)), scales=SCALES, extremes=(),
    edits=edited(_by_head_backward, {
        "length-constant": ("chain-term projection-term", {"inner": lambda u, y: 0}),
        "summed-not-averaged": ("chain-term projection-term", {
            "inner": lambda u, y: (u * y).sum(axis=-1, keepdims=True)}),
        "inner-product-of-both-heads": ("axis projection-term", {
            "inner": lambda u, y: (u * y).mean(axis=(1, 2), keepdims=True)}),
        "never-divided": ("chain-term", {"divided": lambda d, rms: d}),
        "divided-twice": ("chain-term", {"divided": lambda d, rms: d / rms**2}),
        "gain-forgotten": ("chain-term", {"gained": lambda g, w: g}),
        "gain-of-the-last-head": ("unreduced-broadcast", {
            "w_bar": lambda g, y: (g[:, -1] * y[:, -1]).sum(axis=0)}),
        "gain-by-head": ("unreduced-broadcast", {"w_bar": lambda g, y: (g * y).sum(axis=0)}),
    }),
)  # fmt: skip


def _pre_norm(x: Array, W: Array) -> Any:
    """Return x + relu(norm(x) W)."""
    xc = x - x.mean(axis=-1)[:, None]
    xn = xc / np.sqrt((xc * xc).mean(axis=-1) + EPS)[:, None]
    h = xn @ W
    h[h < 0] = 0
    return x + h


def _pre_norm_backward(
    x: Array,
    W: Array,
    g: Array,
    skip: Function = lambda g: g,
    branch: Function = lambda d, xn: d - d.mean(-1)[:, None] - xn * (d * xn).mean(-1)[:, None],
    active: Function = lambda h: h > 0,
    seen: Function = lambda x, xn: xn,
    stopped: Function = np.multiply,
) -> Any:
    xc = x - x.mean(axis=-1)[:, None]
    s = np.sqrt((xc * xc).mean(axis=-1) + EPS)[:, None]
    xn = xc / s
    d = stopped(g, active(xn @ W))
    return skip(g) + branch(d @ W.T, xn) / s, seen(x, xn).T @ d


def _in_place(g: Array, mask: Array) -> Array:
    """Mask the cotangent itself, which the residual still needs."""
    g *= mask
    return g


PRE_NORM = Subject(
    "pre-norm-residual-block", _pre_norm, _pre_norm_backward,
    lambda rng, shape, scale: (
        *drawn(rng, shape, scale=scale), matrix(rng, shape[1], shape[1])),
    ROWS, scales=SCALES, extremes=(), kinked=True,
    edits=edited(_pre_norm_backward, {
        "residual-forgotten": ("chain-term", {"skip": lambda g: 0}),
        "branch-forgotten": ("chain-term identity", {"branch": lambda d, xn: 0 * d}),
        "norm-passed-over": ("chain-term", {"branch": lambda d, xn: d}),
        "norm's-mean-forgotten": ("chain-term projection-term", {
            "branch": lambda d, xn: d - xn * (d * xn).mean(-1)[:, None]}),
        "norm's-variance-forgotten": ("chain-term projection-term", {
            "branch": lambda d, xn: d - d.mean(-1)[:, None]}),
        "relu's-mask-forgotten": ("chain-term", {"active": lambda h: 1}),
        "weights-from-the-input": ("wrong-variable", {"seen": lambda x, xn: x}),
        "relu's-mask-in-place": ("aliasing chain-term", {"stopped": _in_place}),
    }),
)  # fmt: skip

SUBJECTS = (LAYER_NORM, BATCH_NORM, BY_HEAD, PRE_NORM)
"""What is checked."""
