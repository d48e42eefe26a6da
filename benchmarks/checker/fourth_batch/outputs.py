"""Outputs and their losses: policies that are clipped, unit vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import one_hot, softmax, total
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject
from benchmarks.checker.third_batch.parts import edited, matrix

__all__ = ["SUBJECTS"]


CLIP = 0.2


def _ratios(z: Array, actions: Array) -> Any:
    """Return π(a)/π_old(a), where the old policy was uniform."""
    return softmax(z)[np.arange(len(z)), actions] * z.shape[1]


def _clipped(z: Array, actions: Array, advantages: Array) -> float:
    A = advantages.astype(z.dtype)
    loss = 0.0
    for r, a in zip(_ratios(z, actions), A, strict=True):
        loss = loss - min(r * a, min(max(r, 1 - CLIP), 1 + CLIP) * a)
    return float(loss / len(z))


def _is_free(r: Array, A: Array) -> Any:
    """Return where the clipped objective still grows with the ratio."""
    return np.where(A > 0, r < 1 + CLIP, r > 1 - CLIP)


def _clipped_backward(
    z: Array,
    actions: Array,
    advantages: Array,
    g: Array,
    free: Function = _is_free,
    gained: Function = lambda r, A: -r * A,
    score: Function = lambda p, a: a - p,
    count: Function = len,
) -> Any:
    A = advantages.astype(z.dtype)
    r = _ratios(z, actions)
    d = g * gained(r, A) * free(r, A) / count(z)
    return d[:, None] * score(softmax(z), one_hot(actions, z))


def _policy_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    """Return logits whose ratios fall on both sides of every edge, and signed advantages."""
    N, K = shape
    z, actions = scale * rng.normal(size=shape), (np.arange(N) + rng.integers(K)) % K
    z[np.arange(N), actions] = np.where(np.arange(N) % 4 < 2, 1.5, -1.5)
    return z, actions, np.where(np.arange(N) % 2, 2, -3)


POLICY = Subject(
    "clipped-policy-loss", _clipped, _clipped_backward, _policy_sample,
    ((4, 3), (5, 7), (6, 5), (8, 20), (30, 40)), scales=(0.1, 0.5, 1.0), kinked=True,
    edits=edited(_clipped_backward, {
        "clip-forgotten": ("subset chain-term", {"free": lambda r, A: 1}),
        "clip-on-both-sides": ("subset chain-term", {
            "free": lambda r, A: (r > 1 - CLIP) & (r < 1 + CLIP)}),
        "clip's-sides-swapped": ("subset", {
            "free": lambda r, A: np.where(A > 0, r > 1 - CLIP, r < 1 + CLIP)}),
        "ratio-forgotten": ("chain-term", {"gained": lambda r, A: -A}),
        "advantage-forgotten": ("chain-term", {"gained": lambda r, A: -r}),
        "ascent": ("sign", {"gained": lambda r, A: r * A}),
        "action's-logit-alone": ("diagonal-only subset chain-term", {
            "score": lambda p, a: a * (1 - p)}),
        "softmax-not-subtracted": ("projection-term chain-term", {"score": lambda p, a: a}),
        "summed": ("scale", {"count": lambda z: 1}),
    }),
)  # fmt: skip

SCALE = 4.0


def _unit(x: Array, axis: int) -> Any:
    return x / np.sqrt(np.sum(x * x, axis=axis, keepdims=True))


def _cosine(x: Array, W: Array, labels: Array) -> float:
    """Return the cross entropy of scaled cosines between rows of x and columns of W."""
    z = SCALE * (_unit(x, 1) @ _unit(W, 0))
    return float(-np.mean(np.log(softmax(z))[np.arange(len(z)), labels]))


def _unit_back(d: Array, u: Array, x: Array, axis: int) -> Any:
    norm = np.sqrt(np.sum(x * x, axis=axis, keepdims=True))
    return (d - u * total(u * d, axis)) / norm


def _cosine_backward(
    x: Array,
    W: Array,
    labels: Array,
    g: Array,
    x_back: Function = _unit_back,
    W_back: Function = _unit_back,
    into_W: Function = lambda xh, x, dz: xh.T @ dz,
    scaled: Function = lambda: SCALE,
    count: Function = len,
    heated: Function = lambda cos: SCALE * cos,
) -> Any:
    xh, Wh = _unit(x, 1), _unit(W, 0)
    dz = softmax(heated(xh @ Wh))
    dz[np.arange(len(dz)), labels] -= 1
    dz *= g * scaled() / count(dz)
    return x_back(dz @ Wh.T, xh, x, 1), W_back(into_W(xh, x, dz), Wh, W, 0)


def _cosine_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    N, D, K = shape
    x = scale * rng.normal(size=(N, D))
    x[:, 0] += 2 * scale  # no row is near zero
    return x, 2 * matrix(rng, D, K), (np.arange(N) + rng.integers(K)) % K


COSINE = Subject(
    "cosine-softmax-head", _cosine, _cosine_backward, _cosine_sample,
    ((3, 4, 5), (4, 3, 5), (5, 6, 4), (7, 8, 20), (20, 16, 50)), scales=(0.3, 1.0, 10.0),
    extremes=(),
    edits=edited(_cosine_backward, {
        "scale-forgotten": ("scale", {"scaled": lambda: 1}),
        "scale-forgotten-in-the-softmax": ("wrong-variable", {"heated": lambda cos: cos}),
        "features'-length-constant": ("projection-term chain-term", {
            "x_back": lambda d, u, x, axis: d / np.sqrt(np.sum(x * x, axis=axis, keepdims=True))}),
        "features'-length-not-divided": ("chain-term", {
            "x_back": lambda d, u, x, axis: d - u * total(u * d, axis)}),
        "features'-unit-length-passed-over": ("chain-term identity", {
            "x_back": lambda d, u, x, axis: d}),
        "projection-on-the-unnormalised": ("projection-term wrong-variable chain-term", {
            "x_back": lambda d, u, x, axis: (
                d - x * total(u * d, axis)) / np.sqrt(total(x * x, axis))}),
        "weights-along-the-other-axis": ("axis", {
            "W_back": lambda d, u, W, axis: _unit_back(d, _unit(W, 1), W, 1)}),
        "weights'-unit-length-passed-over": ("chain-term identity", {
            "W_back": lambda d, u, W, axis: d}),
        "weights-from-raw-features": ("wrong-variable", {
            "into_W": lambda xh, x, dz: x.T @ dz}),
        "summed": ("scale", {"count": lambda dz: 1}),
    }),
)  # fmt: skip

SUBJECTS = (POLICY, COSINE)
"""What is checked."""
