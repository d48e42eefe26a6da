"""Routers: tokens that are sent to experts, and the loss that keeps the experts busy.

What is wrong here is met in issues and pull requests about mixtures of experts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.fifth_batch.parts import (
    drawn,
    edited,
    matrix,
    one,
    softmax_back,
)
from benchmarks.checker.numerics import softmax
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]


TOP = 2


def _routed(x: Array, Wg: Array, We: Array) -> Any:
    """Return the sum of the two best experts [E, D, H], weighted by softmax over the two."""
    gates = _gates(x @ Wg)
    experts = np.stack([x @ W for W in We], axis=1)
    return np.sum(gates[:, :, None] * experts, axis=1)


def _chosen(logits: Array) -> Any:
    rank = np.argsort(np.argsort(-logits, axis=1), axis=1)
    return rank < TOP


def _gates(logits: Array) -> Any:
    return softmax(np.where(_chosen(logits), logits, np.full_like(logits, -1e4)))


def _routed_backward(
    x: Array,
    Wg: Array,
    We: Array,
    g: Array,
    gates: Function = _gates,
    rule: Function = lambda p, d, logits: softmax_back(p, d),
    into_x: Function = lambda by_gate, by_experts: by_gate + by_experts,
    to_expert: Function = lambda gate, g: gate[:, None] * g,
    weights: Function = lambda x, d: x.T @ d,
) -> Any:
    logits = x @ Wg
    p = gates(logits)
    experts = np.stack([x @ W for W in We], axis=1)
    d_logits = rule(p, np.sum(g[:, None, :] * experts, axis=2), logits)
    d_experts = [to_expert(p[:, e], g) for e in range(len(We))]
    by_experts = sum(d @ W.T for d, W in zip(d_experts, We, strict=True))
    dWe = np.stack([weights(x, d) for d in d_experts])
    return into_x(d_logits @ Wg.T, by_experts), x.T @ d_logits, dWe


def _routed_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, H, E = shape
    We = np.stack([matrix(rng, D, H) for _ in range(E)])
    return scale * rng.normal(size=(N, D)), 2 * matrix(rng, D, E), We


ROUTED = Subject(
    "two-best-experts", _routed, _routed_backward, _routed_sample,
    ((3, 2, 4, 3), (4, 3, 2, 4), (5, 4, 3, 3), (8, 6, 5, 6), (20, 10, 8, 8)),
    scales=(0.3, 1.0, 2.0), kinked=True,
    edits=edited(_routed_backward, {
        # Pull requests on routers: softmax over all experts here, over the chosen there.
        "softmax-over-all-experts": ("wrong-variable subset", {"gates": softmax}),
        "softmax-of-softmax": ("wrong-variable", {"gates": lambda z: softmax(_gates(z))}),
        "router-detached": ("severed zero", {"rule": lambda p, d, logits: 0 * d}),
        "straight-through": ("chain-term identity", {"rule": lambda p, d, logits: d}),
        "like-sigmoid": ("diagonal-only", {"rule": lambda p, d, logits: d * p * (1 - p)}),
        "input-by-experts-alone": ("chain-term", {
            "into_x": lambda by_gate, by_experts: by_experts}),
        "gates-forgotten-for-experts": ("chain-term", {"to_expert": lambda gate, g: g}),
        "experts'-weights-averaged": ("scale", {"weights": lambda x, d: x.T @ d / len(x)}),
    }),
)  # fmt: skip


COEFFICIENT = 0.5


def _balance(logits: Array) -> Any:
    """Return the auxiliary loss of a router: E · Σ (share of tokens) · (mean probability)."""
    share = np.mean(_best(logits), axis=0)
    return COEFFICIENT * logits.shape[1] * np.sum(share * np.mean(softmax(logits), axis=0))


def _best(logits: Array) -> Any:
    """Return ones at the experts that are used; it has no derivative."""
    return (logits == np.max(logits, axis=1, keepdims=True)).astype(logits.dtype)


def _balance_backward(
    logits: Array,
    g: Array,
    at: Function = softmax,
    rule: Function = lambda p, d, best: softmax_back(p, d),
    share: Function = lambda best, p: np.mean(best, axis=0) + 0 * p,
    experts: Function = lambda E: E,
) -> Any:
    p, best = at(logits), _best(logits)
    d = g * COEFFICIENT * experts(logits.shape[1]) * share(best, p) / len(p)
    return rule(p, d, best)


BALANCE = Subject(
    "router's-load-balancing-loss", _balance, _balance_backward,
    lambda rng, shape, scale: drawn(rng, shape, scale=scale),
    ((4, 3), (6, 4), (7, 5), (20, 8), (60, 16)), scales=(0.3, 1.0, 3.0), kinked=True,
    edits=edited(_balance_backward, {
        # Issues of several libraries on one formula.
        "probabilities-of-the-chosen-alone": ("subset chain-term", {
            "rule": lambda p, d, best: softmax_back(p, d * best)}),
        "softmax-of-softmax": ("wrong-variable", {"at": lambda z: softmax(softmax(z))}),
        "share-of-the-token-alone": ("wrong-variable", {"share": lambda best, p: best}),
        "probability-for-share": ("wrong-variable", {
            "share": lambda best, p: np.mean(p, axis=0) + 0 * p}),
        "experts-not-multiplied": ("scale", {"experts": one}),
        "softmax-passed-over": ("chain-term identity", {"rule": lambda p, d, best: d}),
        "like-sigmoid": ("diagonal-only", {"rule": lambda p, d, best: d * p * (1 - p)}),
        "detached": ("severed", {"rule": lambda p, d, best: None}),
    }),
)  # fmt: skip

SUBJECTS = (ROUTED, BALANCE)
"""What is checked."""
