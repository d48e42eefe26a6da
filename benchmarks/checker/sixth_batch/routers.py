"""Routing: tokens gathered by their experts, and capsules that agree.

What is wrong here is met in issues on mixtures of experts, and in capsule networks from scratch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import softmax, total
from benchmarks.checker.sixth_batch.parts import (
    drawn,
    edited,
    like_sigmoid,
    matrix,
    softmax_back,
)
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

TOP = 2


def _chosen(logits: Array) -> Any:
    return np.argsort(np.argsort(-logits, axis=1), axis=1) < TOP


def _dispatched(x: Array, Wr: Array, We: Array) -> Any:
    """Return the outputs of every token's two experts, each times its share among all experts."""
    logits = x @ Wr
    p, mask = softmax(logits), _chosen(logits)
    y = np.zeros((len(x), We.shape[2]), x.dtype)
    for e in range(len(We)):
        rows = np.flatnonzero(mask[:, e])
        y[rows] += p[rows, e][:, None] * (x[rows] @ We[e])
    return y


def _added(to: Array, rows: Array, value: Array) -> None:
    to[rows] += value


def _put(to: Array, rows: Array, value: Array) -> None:
    to[rows] = value


def _dispatched_backward(
    x: Array,
    Wr: Array,
    We: Array,
    g: Array,
    rule: Function = lambda p, d, mask: softmax_back(p, d),
    share: Function = lambda p: p[:, None],
    scattered: Function = _added,
    router: Function = lambda d_logits, Wr: d_logits @ Wr.T,
    weights: Function = lambda x, d: x.T @ d,
    of_router: Function = lambda x, d: x.T @ d,
) -> Any:
    logits = x @ Wr
    p, mask = softmax(logits), _chosen(logits)
    dx, dWe, dp = np.zeros_like(x), np.zeros_like(We), np.zeros_like(p)
    for e in range(len(We)):
        rows = np.flatnonzero(mask[:, e])
        d = share(p[rows, e]) * g[rows]
        dp[rows, e] = np.sum(g[rows] * (x[rows] @ We[e]), axis=1)
        dWe[e] = weights(x[rows], d)
        scattered(dx, rows, d @ We[e].T)
    d_logits = rule(p, dp, mask)
    return dx + router(d_logits, Wr), of_router(x, d_logits), dWe


def _by_all_experts(x: Array, Wr: Array, We: Array, g: Array) -> Any:
    logits = x @ Wr
    p, mask = softmax(logits), _chosen(logits).astype(x.dtype)
    outputs = np.stack([x @ W for W in We], axis=1)
    d_logits = softmax_back(p, mask * np.sum(g[:, None] * outputs, axis=2))
    upstream = [(p * mask)[:, e : e + 1] * g for e in range(len(We))]
    dx = d_logits @ Wr.T + sum(d @ W.T for d, W in zip(upstream, We, strict=True))
    return dx, x.T @ d_logits, np.stack([x.T @ d for d in upstream])


def _among_the_chosen(p: Array, d: Array, mask: Array) -> Any:
    q = p * mask.astype(p.dtype)
    return softmax_back(q / total(q), d)


def _dispatched_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, H, E = shape
    We = np.stack([matrix(rng, D, H) for _ in range(E)])
    return scale * rng.normal(size=(N, D)), 2 * matrix(rng, D, E), We


DISPATCHED = Subject(
    "tokens-dispatched-to-two-experts", _dispatched, _dispatched_backward, _dispatched_sample,
    ((3, 2, 4, 3), (4, 3, 2, 4), (5, 4, 3, 3), (8, 6, 5, 6), (20, 10, 8, 8)),
    scales=(0.3, 1.0, 2.0), kinked=True,
    also_right={"by all experts": _by_all_experts},
    edits=edited(_dispatched_backward, {
        # Softmax before the choice of experts, or after it: both are in use.
        "softmax-among-the-chosen": ("wrong-variable", {"rule": _among_the_chosen}),
        "logits-of-the-others-silenced": ("subset", {
            "rule": lambda p, d, mask: softmax_back(p, d) * mask}),
        "router-detached": ("zero severed", {"rule": lambda p, d, mask: 0 * d}),
        "router's-weights-none": ("severed", {"of_router": lambda x, d: None}),
        "shares-are-logits": ("chain-term identity", {"rule": lambda p, d, mask: d}),
        "like-sigmoid": ("diagonal-only", {"rule": lambda p, d, mask: like_sigmoid(p, d)}),
        # Gathered rows that are written back: the second expert overwrites the first.
        "tokens-overwritten": ("unreduced-broadcast", {"scattered": _put}),
        "share-forgotten": ("chain-term", {"share": lambda p: 1}),
        "tokens-by-experts-alone": ("chain-term", {
            "router": lambda d_logits, Wr: 0 * (d_logits @ Wr.T)}),
        "weights-averaged-over-tokens": ("scale", {
            "weights": lambda x, d: x.T @ d / max(len(x), 1)}),
    }),
)  # fmt: skip


def _length(s: Array) -> Any:
    return np.sqrt(total(s * s) + 1e-4)


def _squash(s: Array) -> Any:
    n = _length(s)
    return s * n / (1 + n * n)


def _squash_back(s: Array, d: Array) -> Any:
    n = _length(s)
    slope = (1 - n * n) / (1 + n * n) ** 2
    return d * n / (1 + n * n) + s * slope / n * total(s * d)


def _capsules(u: Array) -> Any:
    """Return capsules [N, J, D] that votes [N, I, J, D] agree on, after two rounds."""
    v = _squash(np.sum(u, axis=1) / u.shape[2])
    c = softmax(np.sum(u * v[:, None], axis=3))
    return _squash(np.sum(c[..., None] * u, axis=1))


def _capsules_backward(
    u: Array,
    g: Array,
    squash: Function = _squash_back,
    rule: Function = softmax_back,
    agreement: Function = lambda d: d,
    first_round: Function = lambda d: d,
    spread: Function = lambda d, J: d / J,
) -> Any:
    J = u.shape[2]
    first = np.sum(u, axis=1) / J
    v = _squash(first)
    c = softmax(np.sum(u * v[:, None], axis=3))
    ds = squash(np.sum(c[..., None] * u, axis=1), g)
    db = agreement(rule(c, np.sum(u * ds[:, None], axis=3)))
    dv = np.sum(db[..., None] * u, axis=1)
    by_first = spread(first_round(squash(first, dv)), J)
    return c[..., None] * ds[:, None] + db[..., None] * v[:, None] + by_first[:, None]


CAPSULES = Subject(
    "capsules-routed-by-agreement", _capsules, _capsules_backward,
    lambda rng, shape, scale: drawn(rng, shape, scale=scale),
    ((2, 3, 2, 4), (2, 2, 3, 5), (3, 4, 3, 2), (3, 6, 5, 4), (4, 12, 8, 6)), scales=(0.5, 1.0, 2.0),
    extremes=(),
    edits=edited(_capsules_backward, {
        # The coefficients are often taken for constants, on purpose or not.
        "coefficients-constant": ("chain-term", {"agreement": lambda d: 0 * d}),
        "first-round-constant": ("chain-term", {"first_round": lambda d: 0 * d}),
        "first-round-not-averaged": ("chain-term scale", {"spread": lambda d, J: d}),
        "squash's-length-constant": ("chain-term projection-term", {
            "squash": lambda s, d: d * _length(s) / (1 + _length(s) ** 2)}),
        "squash-passed-over": ("chain-term identity", {"squash": lambda s, d: d}),
        "coefficients-over-the-votes": ("axis projection-term", {
            "rule": lambda c, d: c * (d - np.sum(c * d, axis=1, keepdims=True))}),
        "like-sigmoid": ("diagonal-only", {"rule": like_sigmoid}),
        "inner-product-forgotten": ("projection-term", {"rule": lambda c, d: c * d}),
    }),
)  # fmt: skip

SUBJECTS = (DISPATCHED, CAPSULES)
"""What is checked."""
