"""Attention from one projection, by addition, and by distance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.checker.numerics import softmax, total
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject
from benchmarks.checker.third_batch.parts import drawn, edited, einsum, matrix

__all__ = ["SUBJECTS"]

HEADS = 2


def _split(qkv: Array) -> Any:
    """Return queries, keys and values [B, H, T, d] of one projection [B, T, 3 C]."""
    B, T, C3 = qkv.shape
    q, k, v = np.split(qkv, 3, axis=-1)
    d = C3 // 3 // HEADS
    return tuple(x.reshape(B, T, HEADS, d).transpose(0, 2, 1, 3) for x in (q, k, v))


def _merged(x: Array) -> Any:
    B, H, T, d = x.shape
    return x.transpose(0, 2, 1, 3).reshape(B, T, H * d)


def _fused(qkv: Array) -> Any:
    """Return causal attention, a query at a time."""
    q, k, v = _split(qkv)
    out = np.zeros_like(q)
    for t in range(q.shape[2]):
        scores = einsum("bhd,bhsd->bhs", q[:, :, t], k[:, :, : t + 1]) / math.sqrt(q.shape[-1])
        out[:, :, t] = einsum("bhs,bhsd->bhd", softmax(scores), v[:, :, : t + 1])
    return _merged(out)


def _causal(scores: Array) -> Array:
    T = scores.shape[-1]
    kept = np.tril(np.ones((T, T))) > 0
    return softmax(np.where(kept, scores, np.full_like(scores, -1e4)))


def _fused_backward(
    qkv: Array,
    g: Array,
    weights: Function = _causal,
    rule: Function = lambda att, datt: att * (datt - total(att * datt)),
    dq: Function = lambda ds, q, k: ds @ k,
    dk: Function = lambda ds, q, k: np.swapaxes(ds, -1, -2) @ q,
    dv: Function = lambda att, do: np.swapaxes(att, -1, -2) @ do,
    joined: Function = lambda dq, dk, dv: (dq, dk, dv),
    merged: Function = _merged,
    root: Function = math.sqrt,
) -> Any:
    q, k, v = _split(qkv)
    B, T, C = g.shape
    do = g.reshape(B, T, HEADS, C // HEADS).transpose(0, 2, 1, 3)
    att = weights(q @ np.swapaxes(k, -1, -2) / math.sqrt(C // HEADS))
    ds = rule(att, do @ np.swapaxes(v, -1, -2)) / root(C // HEADS)
    parts = joined(dq(ds, q, k), dk(ds, q, k), dv(att, do))
    return np.concatenate([merged(part) for part in parts], axis=-1)


def _last_query(att: Array, do: Array) -> Array:
    """Assign, and not add, in a loop over the queries."""
    dv = np.zeros_like(do)
    for t in range(do.shape[2]):
        dv[:, :, : t + 1] = att[:, :, t, : t + 1, None] * do[:, :, t : t + 1]
    return dv


FUSED = Subject(
    "causal-attention-of-fused-heads", _fused, _fused_backward,
    lambda rng, shape, scale: drawn(rng, (*shape[:2], 3 * shape[2]), scale=scale),
    ((2, 3, 4), (2, 4, 6), (3, 5, 6), (2, 9, 20), (3, 16, 32)), scales=(0.5, 1.0, 2.0),
    edits=edited(_fused_backward, {
        "diagonal": ("diagonal-only", {"rule": lambda att, datt: datt * att * (1 - att)}),
        "softmax-passed-over": ("chain-term identity", {"rule": lambda att, datt: datt}),
        "inner-product-forgotten": ("projection-term", {"rule": lambda att, datt: att * datt}),
        "inner-product-without-att": ("projection-term", {
            "rule": lambda att, datt: att * (datt - total(datt))}),
        "root-forgotten": ("scale chain-term", {"root": lambda d: 1}),
        "root-twice": ("scale chain-term", {"root": float}),
        "mask-forgotten-in-the-weights": ("subset wrong-variable", {"weights": softmax}),
        "queries'-scores-transposed": ("axis", {
            "dq": lambda ds, q, k: np.swapaxes(ds, -1, -2) @ k}),
        "keys-from-keys": ("wrong-variable", {
            "dk": lambda ds, q, k: np.swapaxes(ds, -1, -2) @ k}),
        "values-of-the-last-query": ("unreduced-broadcast", {"dv": _last_query}),
        "queries-and-keys-swapped": ("axis", {"joined": lambda dq, dk, dv: (dk, dq, dv)}),
        "values-alone": ("subset chain-term zero", {
            "joined": lambda dq, dk, dv: (0 * dq, 0 * dk, dv)}),
        "heads-not-moved-back": ("axis", {
            "merged": lambda x: x.reshape(len(x), x.shape[2], -1)}),
    }),
)  # fmt: skip


def _additive(q: Array, keys: Array, Wq: Array, Wk: Array, v: Array) -> Any:
    """Return the context of queries [B, D] among keys [B, T, D], which are values, too."""
    scores = np.tanh((q @ Wq)[:, None, :] + keys @ Wk) @ v
    return einsum("bt,btd->bd", softmax(scores), keys)


def _additive_backward(
    q: Array,
    keys: Array,
    Wq: Array,
    Wk: Array,
    v: Array,
    g: Array,
    rule: Function = lambda p, dp: p * (dp - total(p * dp)),
    slope: Function = lambda h, pre: 1 - h**2,
    summed: Function = lambda dpre: dpre.sum(axis=1),
    as_values: Function = lambda p, g: p[:, :, None] * g[:, None, :],
    as_keys: Function = lambda dpre, Wk: dpre @ Wk.T,
    weights: Function = softmax,
    dv: Function = lambda ds, h, pre: einsum("bt,bth->h", ds, h),
    dWk: Function = lambda keys, dpre: einsum("btd,bth->dh", keys, dpre),
) -> Any:
    pre = (q @ Wq)[:, None, :] + keys @ Wk
    h = np.tanh(pre)
    p = weights(h @ v)
    ds = rule(p, einsum("bd,btd->bt", g, keys))
    dpre = ds[:, :, None] * v * slope(h, pre)
    dq = summed(dpre)
    dkeys = as_values(p, g) + as_keys(dpre, Wk)
    return dq @ Wq.T, dkeys, q.T @ dq, dWk(keys, dpre), dv(ds, h, pre)


def _additive_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    B, T, D, H = shape
    q, keys = drawn(rng, (B, D), (B, T, D), scale=scale)
    return q, keys, matrix(rng, D, H), matrix(rng, D, H), rng.normal(size=H)


ADDITIVE = Subject(
    "additive-attention", _additive, _additive_backward, _additive_sample,
    ((2, 3, 4, 5), (3, 4, 2, 5), (2, 5, 3, 4), (4, 9, 6, 7), (5, 20, 10, 12)),
    scales=(0.7, 1.0, 2.0),
    edits=edited(_additive_backward, {
        "keys-as-values-forgotten": ("chain-term", {"as_values": lambda p, g: 0}),
        "keys-in-the-scores-forgotten": ("chain-term", {"as_keys": lambda dpre, Wk: 0}),
        "query-of-the-last-step": ("unreduced-broadcast", {"summed": lambda dpre: dpre[:, -1]}),
        "query-averaged-over-steps": ("scale", {"summed": lambda dpre: dpre.mean(axis=1)}),
        "tanh's-slope-forgotten": ("chain-term", {"slope": lambda h, pre: 1}),
        "tanh's-slope-at-the-input": ("wrong-variable", {"slope": lambda h, pre: 1 - pre**2}),
        "diagonal": ("diagonal-only", {"rule": lambda p, dp: dp * p * (1 - p)}),
        "weights-over-the-batch": ("axis", {"weights": lambda s: softmax(s, 0)}),
        "v-from-before-the-tanh": ("wrong-variable", {
            "dv": lambda ds, h, pre: einsum("bt,bth->h", ds, pre)}),
        "keys'-weights-of-the-last-step": ("unreduced-broadcast", {
            "dWk": lambda keys, dpre: keys[:, -1].T @ dpre[:, -1]}),
    }),
)  # fmt: skip


def _kernel(x: Array, keys: Array, values: Array, w: Array) -> Any:
    """Return values weighted by a Gaussian kernel of learnt width, a query at a time."""
    out = np.zeros_like(x)
    for n in range(len(x)):
        out[n] = np.sum(softmax(-(((x[n] - keys) * w) ** 2) / 2) * values)
    return out


def _kernel_backward(
    x: Array,
    keys: Array,
    values: Array,
    w: Array,
    g: Array,
    rule: Function = lambda p, dp: p * (dp - total(p * dp)),
    dx: Function = lambda d, ds, w: np.sum(-ds * d * w**2, axis=1),
    dkeys: Function = lambda d, ds, w: np.sum(ds * d * w**2, axis=0),
    dw: Function = lambda d, ds, w: -np.sum(ds * d**2 * w, keepdims=True)[0],
    dvalues: Function = lambda p, g: g @ p,
) -> Any:
    d = x[:, None] - keys
    p = softmax(-((d * w) ** 2) / 2)
    ds = rule(p, g[:, None] * values)
    return dx(d, ds, w), dkeys(d, ds, w), dvalues(p, g), dw(d, ds, w)


def _kernel_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, M = shape
    x, keys = drawn(rng, (N,), (M,), scale=scale)
    return x, keys, rng.normal(size=M), 1.4 + 0.5 * rng.random(1)


KERNEL = Subject(
    "kernel-regression-with-learnt-width", _kernel, _kernel_backward, _kernel_sample,
    ((3, 4), (3, 5), (5, 4), (7, 20), (30, 50)), scales=(0.5, 0.7, 1.0),
    edits=edited(_kernel_backward, {
        "keys-like-queries": ("sign", {
            "dkeys": lambda d, ds, w: -np.sum(ds * d * w**2, axis=0)}),
        "half-forgotten": ("scale", {"dx": lambda d, ds, w: np.sum(-2 * ds * d * w**2, axis=1)}),
        "width-not-squared": ("scale chain-term", {
            "dx": lambda d, ds, w: np.sum(-ds * d * w, axis=1)}),
        "width-not-summed": ("unreduced-broadcast", {"dw": lambda d, ds, w: -ds * d**2 * w}),
        "width's-distance-not-squared": ("chain-term wrong-variable", {
            "dw": lambda d, ds, w: -np.sum(ds * d * w, keepdims=True)[0]}),
        "keys-of-the-last-query": ("unreduced-broadcast", {
            "dkeys": lambda d, ds, w: ds[-1] * d[-1] * w**2}),
        "softmax-passed-over": ("chain-term identity", {"rule": lambda p, dp: dp}),
        "inner-product-forgotten": ("projection-term", {"rule": lambda p, dp: p * dp}),
        "values-averaged": ("scale", {"dvalues": lambda p, g: g @ p / len(g)}),
    }),
)  # fmt: skip

SUBJECTS = (FUSED, ADDITIVE, KERNEL)
"""What is checked."""
