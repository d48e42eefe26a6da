"""Attention with heads, masks and biases, and without its softmax."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.checker.numerics import softmax, total
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject
from benchmarks.checker.third_batch.parts import drawn, edited, einsum, matrix

__all__ = ["SUBJECTS"]

H = 2


def _split(x: Array) -> Array:
    B, T, D = x.shape
    return x.reshape(B, T, H, D // H).transpose(0, 2, 1, 3)  # [B, H, T, d]


def _merge(x: Array) -> Array:
    B, _, T, d = x.shape
    return x.transpose(0, 2, 1, 3).reshape(B, T, H * d)


def _padded_heads(q: Array, k: Array, v: Array, Wo: Array, mask: Array) -> Array:
    qh, kh, vh = _split(q), _split(k), _split(v)
    scores = qh @ kh.transpose(0, 1, 3, 2) / math.sqrt(qh.shape[-1])
    scores = np.where(mask[:, None, None, :] == 0, -1e4, scores).astype(q.dtype)
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(_merge(e / e.sum(axis=-1, keepdims=True) @ vh) @ Wo)


def _flat(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1])


def _padded_heads_backward(
    q: Array,
    k: Array,
    v: Array,
    Wo: Array,
    mask: Array,
    g: Array,
    weights: Function = lambda s, mask: softmax(
        np.where(mask[:, None, None, :], s, -1e4).astype(s.dtype)),
    rule: Function = lambda p, dp: p * (dp - (dp * p).sum(axis=-1, keepdims=True)),
    root: Function = lambda D: math.sqrt(D // H),
    dv: Function = lambda p, do: p.transpose(0, 1, 3, 2) @ do,
    dk: Function = lambda ds, q: ds.transpose(0, 1, 3, 2) @ q,
    merged: Function = _merge,
    out_bar: Function = lambda g, Wo: g @ Wo.T,
) -> Any:  # fmt: skip
    qh, kh, vh = _split(q), _split(k), _split(v)
    p = weights(qh @ kh.transpose(0, 1, 3, 2) / math.sqrt(qh.shape[-1]), mask)
    do = _split(out_bar(g, Wo))
    ds = rule(p, do @ vh.transpose(0, 1, 3, 2)) / root(q.shape[-1])
    dq, dk_, dv_ = merged(ds @ kh), merged(dk(ds, qh)), merged(dv(p, do))
    return dq, dk_, dv_, _flat(_merge(p @ vh)).T @ _flat(g)


def _padded_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    B, T, D = shape
    mask = (np.arange(T) < T - 1 - np.arange(B)[:, None] % 2).astype(np.int64)
    return *drawn(rng, shape, shape, shape, scale=scale), matrix(rng, D, D), mask


PADDED_HEADS = Subject(
    "multi-head-attention-with-padding", _padded_heads, _padded_heads_backward, _padded_sample,
    ((2, 4, 4), (2, 4, 6), (3, 5, 6), (2, 9, 20), (3, 16, 32)), scales=(0.3, 1.0, 2.0),
    edits=edited(_padded_heads_backward, {
        "diagonal": ("diagonal-only", {"rule": lambda p, dp: dp * p * (1 - p)}),
        "inner-product-dropped": ("projection-term", {"rule": lambda p, dp: dp * p}),
        "inner-product-over-queries": ("axis projection-term", {
            "rule": lambda p, dp: p * (dp - total(dp * p, -2))}),
        "softmax-passed-over": ("chain-term identity", {"rule": lambda p, dp: dp}),
        "root-of-the-model's-width": ("scale", {"root": math.sqrt}),
        "root-forgotten": ("scale", {"root": lambda D: 1}),
        "mask-forgotten": ("subset wrong-variable", {"weights": lambda s, mask: softmax(s)}),
        "mask-on-queries": ("axis subset", {"weights": lambda s, mask: softmax(
            np.where(mask[:, None, :, None], s, -1e4).astype(s.dtype))}),
        "values-not-transposed": ("axis", {"dv": lambda p, do: p @ do}),
        "keys-not-transposed": ("axis", {"dk": lambda ds, q: ds @ q}),
        "heads-merged-without-transposing": ("axis", {
            "merged": lambda x: x.reshape(len(x), x.shape[2], -1)}),
        "output-weight-not-transposed": ("axis", {"out_bar": lambda g, Wo: g @ Wo}),
    }),
)  # fmt: skip


def _biased(s: Array, bias: Array) -> Array:
    """Return the softmax of scores [B, H, T, T] with a bias by head and distance [H, 2T − 1]."""
    T = s.shape[-1]
    s = s + bias[:, _distance(T)]
    e = np.exp(s - s.max(axis=-1)[..., None])
    return np.asarray(e / e.sum(axis=-1)[..., None])


def _distance(T: int) -> Array:
    return np.arange(T)[None, :] - np.arange(T)[:, None] + T - 1


def _gathered(ds: Array, bias: Array) -> Array:
    into = np.zeros_like(bias)
    T = ds.shape[-1]
    for b in range(len(ds)):
        for i in range(T):
            for j in range(T):
                into[:, j - i + T - 1] += ds[b, :, i, j]
    return into


def _gathered_wrongly(ds: Array, bias: Array) -> Array:
    """Write what the loop over all pairs had to add up."""
    into = np.zeros_like(bias)
    into[:, _distance(ds.shape[-1])] = ds.sum(axis=0)
    return into


def _biased_backward(
    s: Array,
    bias: Array,
    g: Array,
    rule: Function = lambda p, g: p * (g - (g * p).sum(axis=-1)[..., None]),
    gathered: Function = _gathered,
    placed: Function = lambda bias, T: bias[:, _distance(T)],
) -> Any:
    ds = rule(softmax(s + placed(bias, s.shape[-1])), g)
    return ds, gathered(ds, bias)


def _biased_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    return drawn(rng, shape, (shape[1], 2 * shape[-1] - 1), scale=scale)


BIASED = Subject(
    "attention-weights-with-relative-bias", _biased, _biased_backward, _biased_sample,
    ((2, 2, 3, 3), (2, 3, 4, 4), (3, 2, 4, 4), (2, 2, 12, 12)), scales=(0.3, 1.0, 4.0),
    edits=edited(_biased_backward, {
        "diagonal": ("diagonal-only", {"rule": lambda p, g: g * p * (1 - p)}),
        "bias-assigned": ("unreduced-broadcast", {"gathered": _gathered_wrongly}),
        "bias-of-the-last-sequence": ("unreduced-broadcast", {
            "gathered": lambda ds, bias: _gathered(ds[-1:], bias)}),
        "bias-averaged-over-the-batch": ("scale", {
            "gathered": lambda ds, bias: _gathered(ds, bias) / len(ds)}),
        "bias-by-key-minus-query-reversed": ("axis", {
            "gathered": lambda ds, bias: _gathered(ds.swapaxes(2, 3), bias)}),
        "bias-of-one-head-for-all": ("axis unnamed", {
            "gathered": lambda ds, bias: 0 * bias + _gathered(ds, bias).sum(axis=0)}),
        "bias-forgotten-in-the-weights": ("wrong-variable", {"placed": lambda bias, T: 0}),
        "bias-severed": ("severed", {"gathered": lambda ds, bias: None}),
    }),
)  # fmt: skip


def _linear(q: Array, k: Array, v: Array) -> Array:
    """Return causal attention without a softmax: a state that adds up outer products."""
    state = np.zeros((q.shape[0], k.shape[2], v.shape[2]), q.dtype)
    out = np.zeros_like(v)
    for t in range(q.shape[1]):
        state = state + einsum("bd,be->bde", k[:, t], v[:, t])
        out[:, t] = einsum("bd,bde->be", q[:, t], state)
    return out


def _linear_backward(
    q: Array,
    k: Array,
    v: Array,
    g: Array,
    states: Function = np.cumsum,
    carried: Function = lambda so_far, now: so_far + now,
    dv: Function = lambda S_bar, k: einsum("bde,bd->be", S_bar, k),
    upto: Function = lambda T: range(T - 1, -1, -1),
) -> Any:
    S = states(einsum("btd,bte->btde", k, v), axis=1)
    dq = einsum("bte,btde->btd", g, S)
    dk, dv_ = np.zeros_like(k), np.zeros_like(v)
    S_bar = np.zeros_like(S[:, 0])
    for t in upto(q.shape[1]):
        S_bar = carried(S_bar, einsum("bd,be->bde", q[:, t], g[:, t]))
        dk[:, t] = einsum("bde,be->bd", S_bar, v[:, t])
        dv_[:, t] = dv(S_bar, k[:, t])
    return dq, dk, dv_


def _before(outer: Array, axis: int) -> Array:
    return np.asarray(np.cumsum(outer, axis=axis) - outer)


LINEAR = Subject(
    "causal-linear-attention", _linear, _linear_backward,
    lambda rng, shape, scale: drawn(rng, shape, shape, shape, scale=scale),
    ((2, 3, 2), (2, 4, 3), (3, 4, 3), (2, 12, 8)), scales=(0.3, 1.0, 3.0),
    edits=edited(_linear_backward, {
        "state-not-carried": ("chain-term unreduced-broadcast", {
            "carried": lambda so_far, now: now}),
        "state-carried-forwards": ("axis", {"upto": range}),
        "first-step-forgotten": ("subset", {"upto": lambda T: range(T - 1, 0, -1)}),
        "state-of-the-whole-sequence": ("subset wrong-variable axis", {
            "states": lambda outer, axis: 0 * outer + total(outer, axis)}),
        "state-of-the-step-before": ("wrong-variable chain-term", {"states": _before}),
        "state-transposed": ("axis", {
            "dv": lambda S_bar, k: einsum("bed,bd->be", S_bar, k)}),
    }),
)  # fmt: skip

SUBJECTS = (PADDED_HEADS, BIASED, LINEAR)
"""What is checked."""
