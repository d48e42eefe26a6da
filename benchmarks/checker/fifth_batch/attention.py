"""Attention: with its projections, with heads that share keys, and block by block.

What is wrong here is met in transformers written in NumPy, and in reports on fused kernels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.checker.fifth_batch.parts import (
    drawn,
    edited,
    matrix,
    one,
    softmax_back,
    swapped,
)
from benchmarks.checker.numerics import softmax, total
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

MASKED = -1e4


def _causal(scores: Array) -> Any:
    T = scores.shape[-1]
    return softmax(np.where(np.tril(np.ones((T, T))) > 0, scores, np.full_like(scores, MASKED)))


def _layer(x: Array, Wq: Array, Wk: Array, Wv: Array, Wo: Array) -> Any:
    """Return causal self-attention of [B, T, D] with its four projections."""
    q, k, v = x @ Wq, x @ Wk, x @ Wv
    return _causal(q @ swapped(k) / math.sqrt(q.shape[-1])) @ v @ Wo


def _over_tokens(a: Array, d: Array) -> Any:
    """Return aᵀ d, summed over the batch."""
    return np.sum(swapped(a) @ d, axis=0)


def _layer_backward(
    x: Array,
    Wq: Array,
    Wk: Array,
    Wv: Array,
    Wo: Array,
    g: Array,
    at: Function = _causal,
    rule: Function = softmax_back,
    root: Function = math.sqrt,
    masked: Function = lambda d: d,
    dk: Function = lambda ds, q: swapped(ds) @ q,
    into_x: Function = lambda by_q, by_k, by_v: by_q + by_k + by_v,
    weights: Function = _over_tokens,
    dWo: Function = lambda context, v, g: _over_tokens(context, g),
) -> Any:
    q, k, v = x @ Wq, x @ Wk, x @ Wv
    attn = at(q @ swapped(k) / math.sqrt(q.shape[-1]))
    dcontext = g @ Wo.T
    ds = masked(rule(attn, dcontext @ swapped(v))) / root(q.shape[-1])
    dq, dk_, dv = ds @ k, dk(ds, q), swapped(attn) @ dcontext
    dx = into_x(dq @ Wq.T, dk_ @ Wk.T, dv @ Wv.T)
    return dx, weights(x, dq), weights(x, dk_), weights(x, dv), dWo(attn @ v, v, g)


def _layer_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    B, T, D = shape
    return *drawn(rng, (B, T, D), scale=scale), *(2 * matrix(rng, D, D) for _ in range(4))


LAYER = Subject(
    "self-attention-with-projections", _layer, _layer_backward, _layer_sample,
    ((2, 3, 2), (2, 4, 3), (3, 3, 5), (2, 9, 6), (3, 16, 12)), scales=(0.5, 1.0, 1.5),
    extremes=(),
    also_right={"masked again": lambda x, Wq, Wk, Wv, Wo, g: _layer_backward(
        x, Wq, Wk, Wv, Wo, g, masked=lambda d: d * np.tril(np.ones(d.shape[-2:])).astype(d.dtype))},
    edits=edited(_layer_backward, {
        # Four of ten hand-written backward passes take the weights for sigmoids.
        "like-sigmoid": ("diagonal-only", {"rule": lambda p, d: d * p * (1 - p)}),
        "scores-are-the-weights": ("identity chain-term", {"rule": lambda p, d: d}),
        # Attempts at an off-diagonal part by a mask of the scores.
        "diagonal-cut-out": ("unnamed chain-term", {
            "rule": lambda p, d: d * (1 - np.eye(p.shape[-1], dtype=p.dtype))}),
        "inner-product-over-queries": ("axis projection-term", {
            "rule": lambda p, d: p * (d - total(p * d, -2))}),
        "root-forgotten": ("scale chain-term", {"root": one}),
        "root-twice": ("scale chain-term", {"root": lambda d: d}),
        "mask-forgotten": ("wrong-variable subset", {"at": softmax}),
        "keys'-scores-not-transposed": ("axis", {"dk": lambda ds, q: ds @ q}),
        # x has three uses, and its gradient is assigned three times.
        "input-by-values-alone": ("chain-term unreduced-broadcast", {
            "into_x": lambda by_q, by_k, by_v: by_v}),
        "input-by-queries-alone": ("chain-term unreduced-broadcast", {
            "into_x": lambda by_q, by_k, by_v: by_q}),
        "weights-of-the-last-sequence": ("unreduced-broadcast", {
            "weights": lambda a, d: a[-1].T @ d[-1]}),
        "weights'-gradients-clipped": ("cotangent arithmetic", {
            "weights": lambda a, d: np.clip(_over_tokens(a, d), -0.1, 0.1)}),
        "output-weights-from-the-values": ("wrong-variable chain-term", {
            "dWo": lambda context, v, g: _over_tokens(v, g)}),
    }),
)  # fmt: skip

GROUP = 2


def _repeated(x: Array) -> Any:
    """Return keys [B, G, S, d] for every head: each is shared by neighbours."""
    return np.repeat(x, GROUP, axis=1)


def _grouped(q: Array, k: Array, v: Array) -> Any:
    """Return attention of heads [B, H, T, d] that share keys and values [B, H/2, S, d]."""
    K, V = _repeated(k), _repeated(v)
    return softmax(q @ swapped(K) / math.sqrt(q.shape[-1])) @ V


def _reduced(d: Array) -> Any:
    """Sum the heads that share a key."""
    B, H, S, D = d.shape
    return np.sum(d.reshape(B, H // GROUP, GROUP, S, D), axis=2)


def _interleaved(d: Array) -> Any:
    """Sum the heads h and h + H/2, as if keys had been tiled."""
    B, H, S, D = d.shape
    return np.sum(d.reshape(B, GROUP, H // GROUP, S, D), axis=1)


def _grouped_backward(
    q: Array,
    k: Array,
    v: Array,
    g: Array,
    repeated: Function = _repeated,
    reduced: Function = _reduced,
    rule: Function = softmax_back,
    root: Function = lambda q: math.sqrt(q.shape[-1]),
    both: Function = lambda dk, dv: (dk, dv),
) -> Any:
    K, V = repeated(k), repeated(v)
    attn = softmax(q @ swapped(K) / math.sqrt(q.shape[-1]))
    ds = rule(attn, g @ swapped(V)) / root(q)
    dk, dv = both(reduced(swapped(ds) @ q), reduced(swapped(attn) @ g))
    return ds @ K, dk, dv


GROUPED = Subject(
    "grouped-query-attention", _grouped, _grouped_backward,
    lambda rng, shape, scale: drawn(
        rng, *((shape[0], heads, *shape[1:]) for heads in (2 * GROUP, 2, 2)), scale=scale),
    ((1, 2, 3), (2, 3, 2), (2, 2, 4), (2, 5, 3), (3, 9, 8)), scales=(0.5, 1.0, 2.0),
    edits=edited(_grouped_backward, {
        # Kernels that map heads to groups by a remainder here and by a quotient there.
        "groups-interleaved-in-the-sum": ("axis", {"reduced": _interleaved}),
        "groups-interleaved": ("axis wrong-variable", {
            "repeated": lambda x: np.concatenate([x] * GROUP, axis=1)}),
        "heads-not-summed": ("unreduced-broadcast", {"reduced": lambda d: d}),
        "first-head-of-a-group": ("unreduced-broadcast", {"reduced": lambda d: d[:, ::GROUP]}),
        "last-head-of-a-group": ("unreduced-broadcast", {"reduced": lambda d: d[:, 1::GROUP]}),
        "heads-averaged": ("scale", {"reduced": lambda d: _reduced(d) / GROUP}),
        "keys-and-values-swapped": ("axis", {"both": lambda dk, dv: (dv, dk)}),
        "root-of-the-model's-width": ("scale chain-term", {
            "root": lambda q: math.sqrt(q.shape[1] * q.shape[-1])}),
        "like-sigmoid": ("diagonal-only", {"rule": lambda p, d: d * p * (1 - p)}),
    }),
)  # fmt: skip

BLOCK = 2


def _cross(q: Array, k: Array, v: Array) -> Any:
    """Return attention in which the last query sees all keys, and every other one key less."""
    return _aligned(q, k) @ v


def _aligned(q: Array, k: Array, offset: bool = True) -> Any:
    return np.exp(_scores(q, k, offset) - _log_sum(q, k))


def _scores(q: Array, k: Array, offset: bool = True) -> Any:
    T, S = q.shape[0], k.shape[0]
    seen = np.arange(S) <= np.arange(T)[:, None] + (S - T if offset else 0)
    scores = q @ k.T / math.sqrt(q.shape[1])
    return np.where(seen, scores, np.full_like(scores, MASKED))


def _log_sum(q: Array, k: Array) -> Any:
    scores = _scores(q, k)
    top = scores.max(axis=1, keepdims=True)
    return top + np.log(total(np.exp(scores - top)))


def _blocks(S: int) -> Iterator[slice]:
    return (slice(start, start + BLOCK) for start in range(0, S, BLOCK))


def _cross_backward(
    q: Array,
    k: Array,
    v: Array,
    g: Array,
    at: Function = lambda q, k, lse: np.exp(_scores(q, k) - lse),
    delta: Function = lambda out, g, dp: total(out * g),
    rule: Function = lambda p, dp, delta: p * (dp - delta),
    blocks: Function = lambda blocks: blocks,
    into_q: Function = lambda to, value: to + value,
    root_of_k: Function = math.sqrt,
) -> Any:
    """Walk over blocks of keys, as fused kernels do, from the saved log-sum-exp and output."""
    dq, dk, dv = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
    lse = _log_sum(q, k)
    p_all = at(q, k, lse)
    out = _cross(q, k, v)
    for block in blocks(list(_blocks(len(k)))):
        p, dp = p_all[:, block], g @ v[block].T
        ds = rule(p, dp, delta(out, g, dp))
        dv[block] = p.T @ g
        dk[block] = ds.T @ q / root_of_k(q.shape[1])
        dq = into_q(dq, ds @ k[block] / math.sqrt(q.shape[1]))
    return dq, dk, dv


def _cross_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    T, S, D = shape
    return drawn(rng, (T, D), (S, D), (S, D), scale=scale)


CROSS = Subject(
    "causal-cross-attention-in-blocks", _cross, _cross_backward, _cross_sample,
    ((2, 3, 4), (3, 5, 2), (2, 5, 3), (5, 9, 4), (12, 31, 8)), scales=(0.5, 1.0, 2.0),
    edits=edited(_cross_backward, {
        # Repaired in one kernel: the forward aligned at the end, the backward at the start.
        "mask-aligned-at-the-start": ("subset wrong-variable", {
            "at": lambda q, k, lse: np.exp(_scores(q, k, False) - lse)}),
        "last-block-left-out": ("subset", {"blocks": lambda blocks: blocks[:-1]}),
        "queries-of-the-last-block": ("unreduced-broadcast", {"into_q": lambda to, value: value}),
        # The row's inner product: of a block alone, without the output, or not at all.
        "delta-of-a-block": ("projection-term", {"rule": lambda p, dp, delta: p * (
            dp - total(p * dp))}),
        "delta-without-the-output": ("projection-term", {"delta": lambda out, g, dp: total(g)}),
        "delta-forgotten": ("projection-term", {"delta": lambda out, g, dp: 0}),
        "log-sum-forgotten": ("wrong-variable", {
            "at": lambda q, k, lse: np.exp(_scores(q, k))}),
        "weights-kept-in-half-precision": ("arithmetic", {
            "at": lambda q, k, lse: _aligned(q, k).astype(np.float16).astype(q.dtype)}),
        "root-forgotten-for-keys": ("scale", {"root_of_k": one}),
    }),
)  # fmt: skip

SUBJECTS = (LAYER, GROUPED, CROSS)
"""What is checked."""
