"""Sequences: averages that move, paths that are summed, returns, and windows."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import softmax
from benchmarks.checker.subject import Array, Function, Shape, Subject
from benchmarks.checker.third_batch.parts import drawn, edited, sigmoid

__all__ = ["SUBJECTS"]

SHAPES: tuple[Shape, ...] = ((4, 2), (5, 3), (5, 5), (12, 7), (30, 20))
"""Steps, channels."""


def _moving(x: Array, a: Array) -> Array:
    """Return averages h = d h + (1 − d) x with a decay d = σ(a) for every channel."""
    x = np.asarray(x)
    d = sigmoid(np.asarray(a))
    h, out = np.zeros_like(x[0]), np.zeros_like(x)
    for t in range(len(x)):
        h = d * h + (1 - d) * x[t]
        out[t] = h
    return out


def _moving_backward(
    x: Array,
    a: Array,
    g: Array,
    carried: Function = lambda h_bar, d: d * h_bar,
    arriving: Function = lambda g, h_bar: g + h_bar,
    into_d: Function = lambda h_bar, before, x: h_bar * (before - x),
    summed: Function = lambda so_far, now: so_far + now,
    slope: Function = lambda d: d * (1 - d),
    fed: Function = lambda h_bar, d: (1 - d) * h_bar,
) -> Any:
    d, h = sigmoid(a), _moving(x, a)
    dx, dd, h_bar = np.zeros_like(x), np.zeros_like(a), np.zeros_like(a)
    for t in reversed(range(len(x))):
        h_bar = arriving(g[t], h_bar)
        before = h[t - 1] if t else np.zeros_like(a)
        dx[t] = fed(h_bar, d)
        dd = summed(dd, into_d(h_bar, before, x[t]))
        h_bar = carried(h_bar, d)
    return dx, dd * slope(d)


MOVING = Subject(
    "moving-average-with-learnt-decay", _moving, _moving_backward,
    lambda rng, shape, scale: (*drawn(rng, shape, scale=scale), rng.normal(size=shape[1])),
    SHAPES, scales=(0.3, 1.0, 10.0),
    edits=edited(_moving_backward, {
        "not-carried-back": ("chain-term diagonal-only unreduced-broadcast", {
            "carried": lambda h_bar, d: 0 * h_bar}),
        "carried-undecayed": ("chain-term", {"carried": lambda h_bar, d: h_bar}),
        "last-step's-cotangent-alone": ("cotangent", {
            "arriving": lambda g, h_bar: h_bar if h_bar.any() else g}),
        "decay's-slope-forgotten": ("chain-term", {"slope": lambda d: 1}),
        "decay's-slope-of-its-output": ("wrong-variable", {
            "slope": lambda d: (s := sigmoid(d)) * (1 - s)}),
        "decay-of-the-first-step-alone": ("unreduced-broadcast", {
            "summed": lambda so_far, now: now}),
        "decay-without-the-input": ("chain-term", {
            "into_d": lambda h_bar, before, x: h_bar * before}),
        "input's-share-forgotten": ("chain-term", {"fed": lambda h_bar, d: h_bar}),
    }),
)  # fmt: skip


def _lse(v: Array, axis: int) -> Array:
    m = v.max(axis=axis, keepdims=True)
    return np.asarray((m + np.log(np.exp(v - m).sum(axis=axis, keepdims=True))).squeeze(axis))


def _alphas(e: Array, A: Array) -> list[Array]:
    alpha = [e[0]]
    for t in range(1, len(e)):
        alpha.append(e[t] + _lse(alpha[-1][:, None] + A, 0))
    return alpha


def _crf(e: Array, A: Array) -> float:
    """Return the log partition function of a chain: emissions [T, K], transitions [K, K]."""
    return float(_lse(_alphas(np.asarray(e), np.asarray(A))[-1], 0))


def _crf_backward(
    e: Array,
    A: Array,
    g: Array,
    ended: Function = softmax,
    stepped: Function = lambda alpha, A: softmax(alpha[:, None] + A, 0),
    back: Function = lambda pair: pair.sum(axis=1),
    summed: Function = lambda so_far, now: so_far + now,
    transposed: Function = lambda A_bar: A_bar,
) -> Any:
    alpha = _alphas(e, A)
    de, dA = np.zeros_like(e), np.zeros_like(A)
    d = ended(alpha[-1])
    for t in range(len(e) - 1, 0, -1):
        de[t] = d
        pair = stepped(alpha[t - 1], A) * d[None, :]
        dA = summed(dA, pair)
        d = back(pair)
    de[0] = d
    return g * de, g * transposed(dA)


CRF = Subject(
    "log-partition-of-a-chain", _crf, _crf_backward,
    lambda rng, shape, scale: drawn(rng, shape, (shape[1], shape[1]), scale=scale),
    ((4, 3), (5, 4), (4, 5), (12, 7), (30, 12)), scales=(0.3, 1.0, 3.0),
    edits=edited(_crf_backward, {
        "transitions-of-the-first-step-alone": ("unreduced-broadcast", {
            "summed": lambda so_far, now: now}),
        "transitions-transposed": ("axis", {"transposed": np.transpose}),
        "messages-summed-over-the-wrong-state": ("axis", {"back": lambda pair: pair.sum(axis=0)}),
        "messages-by-the-wrong-axis": ("axis", {
            "stepped": lambda alpha, A: softmax(alpha[:, None] + A, 1)}),
        "transitions-forgotten-in-messages": ("wrong-variable chain-term", {
            "stepped": lambda alpha, A: softmax(alpha[:, None] + 0 * A, 0)}),
        "end-not-normalised": ("chain-term", {"ended": np.ones_like}),
    }),
)  # fmt: skip

GAMMA = 0.9


def _returns(r: Array) -> Array:
    """Return the discounted sums of what is to come, along the last axis."""
    G = np.zeros_like(r)
    running = np.zeros_like(r[..., 0])
    for t in range(r.shape[-1] - 1, -1, -1):
        running = r[..., t] + GAMMA * running
        G[..., t] = running
    return G


def _returns_backward(
    r: Array,
    g: Array,
    discount: Function = lambda: GAMMA,
    order: Function = range,
    running: Function = lambda so_far, now, gamma: now + gamma * so_far,
    buffer: Function = np.zeros_like,
) -> Any:
    dr, so_far = buffer(r), np.zeros_like(r[..., 0])
    for t in order(r.shape[-1]):
        so_far = running(so_far, g[..., t], discount())
        dr[..., t] = so_far
    return dr


RETURNS = Subject(
    "discounted-returns", _returns, _returns_backward,
    lambda rng, shape, scale: drawn(rng, shape, scale=scale),
    ((2, 4), (3, 5), (5, 5), (4, 17), (6, 60)),
    edits=edited(_returns_backward, {
        "summed-in-the-same-direction": ("axis", {"order": lambda T: range(T - 1, -1, -1)}),
        "discount-forgotten": ("chain-term wrong-variable", {"discount": lambda: 1}),
        "not-carried": ("identity diagonal-only chain-term", {
            "running": lambda so_far, now, gamma: now}),
        "first-step-dropped": ("subset cotangent", {"order": lambda T: range(1, T)}),
        "buffer-of-integers": ("arithmetic cotangent", {
            "buffer": lambda r: np.zeros(r.shape, np.int64)}),
    }),
)  # fmt: skip


def _windows(x: Array, w: Array) -> Array:
    """Return a causal convolution of every channel with its own kernel [C, M]."""
    T, C = x.shape
    M = w.shape[1]
    padded = np.concatenate([np.zeros((M - 1, C), x.dtype), x])
    out = np.zeros_like(x)
    for t in range(T):
        for c in range(C):
            out[t, c] = (padded[t : t + M, c] * w[c]).sum()
    return out


def _windows_backward(
    x: Array,
    w: Array,
    g: Array,
    kernel: Function = lambda w: w,
    added: Function = lambda so_far, now: so_far + now,
    w_added: Function = lambda so_far, now: so_far + now,
    cut: Function = lambda dp, M: dp[M - 1 :],
) -> Any:
    (T, C), M = x.shape, w.shape[1]
    padded = np.concatenate([np.zeros((M - 1, C), x.dtype), x])
    dp, dw = np.zeros_like(padded), np.zeros_like(w)
    for t in range(T):
        dp[t : t + M] = added(dp[t : t + M], g[t] * kernel(w).T)
        dw[:] = w_added(dw, (g[t] * padded[t : t + M]).T)
    return cut(dp, M), dw


WINDOWS = Subject(
    "causal-depthwise-convolution", _windows, _windows_backward,
    lambda rng, shape, scale: (*drawn(rng, shape, scale=scale), rng.normal(size=(shape[1], 3))),
    ((4, 2), (5, 4), (6, 5), (12, 7), (20, 10)), scales=(0.3, 1.0, 10.0),
    edits=edited(_windows_backward, {
        "kernel-flipped": ("axis", {"kernel": lambda w: w[:, ::-1]}),
        "overlaps-assigned": ("unreduced-broadcast", {"added": lambda so_far, now: now}),
        "kernel-of-the-last-step": ("unreduced-broadcast", {"w_added": lambda so_far, now: now}),
        "padding-cut-from-the-end": ("axis", {"cut": lambda dp, M: dp[: len(dp) - M + 1]}),
        "kernel-of-the-first-channel": ("axis", {"kernel": lambda w: w[:1] + 0 * w}),
    }),
)  # fmt: skip

SUBJECTS = (MOVING, CRF, RETURNS, WINDOWS)
"""What is checked."""
