"""Attention of a sequence to itself, its causal weights, and a contrast of two views."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import log_softmax, mean, softmax, total
from benchmarks.checker.second_batch.parts import drawn, edited, matrix, swapped
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

SHAPES: tuple[Shape, ...] = ((2, 3, 4), (3, 5, 5), (2, 7, 11), (3, 12, 40))


def _attend(x: Array, Wq: Array, Wk: Array, Wv: Array) -> tuple[Array, ...]:
    q, k, v = x @ Wq, x @ Wk, x @ Wv
    return q, k, v, softmax(q @ swapped(k) / np.sqrt(x.shape[-1]).astype(x.dtype))


def _attention(x: Array, Wq: Array, Wk: Array, Wv: Array) -> Array:
    _, _, v, p = _attend(x, Wq, Wk, Wv)
    return p @ v


def _over_batch(x: Array, d: Array) -> Array:
    return np.asarray((swapped(x) @ d).sum(axis=0))


def _attention_backward(
    x: Array,
    Wq: Array,
    Wk: Array,
    Wv: Array,
    g: Array,
    scores: Function = lambda p, p_bar: p * (p_bar - total(p * p_bar)),
    root: Function = lambda x: np.sqrt(x.shape[-1]).astype(x.dtype),
    to_keys: Function = lambda s_bar, q: swapped(s_bar) @ q,
    to_values: Function = lambda p, g: swapped(p) @ g,
    joined: Function = lambda by_q, by_k, by_v: by_q + by_k + by_v,
    ordered: Function = lambda q_bar, k_bar: (q_bar, k_bar),
    weight: Function = _over_batch,
) -> Any:
    q, k, v, p = _attend(x, Wq, Wk, Wv)
    v_bar = to_values(p, g)
    s_bar = scores(p, g @ swapped(v)) / root(x)
    q_bar, k_bar = ordered(s_bar @ k, to_keys(s_bar, q))
    x_bar = joined(q_bar @ Wq.T, k_bar @ Wk.T, v_bar @ Wv.T)
    return x_bar, weight(x, q_bar), weight(x, k_bar), weight(x, v_bar)


def _attention_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    D = shape[-1]
    return scale * rng.normal(size=shape), *(matrix(rng, D, D) for _ in range(3))


SELF_ATTENTION = Subject(
    "self-attention", _attention, _attention_backward, _attention_sample, SHAPES,
    scales=(0.3, 1.0, 3.0),
    edits=edited(_attention_backward, {
        "diagonal": ("diagonal-only", {"scores": lambda p, p_bar: p * (1 - p) * p_bar}),
        "softmax-passed-over": ("identity chain-term", {"scores": lambda p, p_bar: p_bar}),
        "inner-product-dropped": ("projection-term", {"scores": lambda p, p_bar: p * p_bar}),
        "inner-product-over-queries": ("axis projection-term", {
            "scores": lambda p, p_bar: p * (p_bar - total(p * p_bar, -2))}),
        "root-forgotten": ("scale", {"root": lambda x: 1}),
        "width-for-root": ("scale", {"root": lambda x: x.shape[-1]}),
        "keys-not-transposed": ("axis", {"to_keys": lambda s_bar, q: s_bar @ q}),
        "values-not-transposed": ("axis", {"to_values": lambda p, g: p @ g}),
        "values-alone": ("chain-term", {"joined": lambda by_q, by_k, by_v: by_v}),
        "keys-forgotten-in-x": ("chain-term", {"joined": lambda by_q, by_k, by_v: by_q + by_v}),
        "queries-and-keys-swapped": ("axis", {"ordered": lambda q_bar, k_bar: (k_bar, q_bar)}),
        "weights-of-the-last-sequence": ("unreduced-broadcast", {
            "weight": lambda x, d: swapped(x[-1]) @ d[-1]}),
    }),
)  # fmt: skip


def _allowed(s: Array) -> Array:
    return np.tril(np.ones(s.shape[-2:], bool))


def _causal(s: Array) -> Array:
    return softmax(np.where(_allowed(s), s, np.full_like(s, -np.inf)))


def _causal_backward(
    s: Array,
    g: Array,
    rule: Function = lambda p, g: p * (g - total(g * p)),
    weights: Function = _causal,
) -> Any:
    return rule(weights(s), g)


CAUSAL = Subject(
    "causal-softmax", _causal, _causal_backward,
    lambda rng, shape, scale: drawn(rng, shape, scale=scale),
    ((4, 4), (2, 5, 5), (3, 17, 17), (2, 60, 60)),
    edits=edited(_causal_backward, {
        "diagonal": ("diagonal-only", {"rule": lambda p, g: p * (1 - p) * g}),
        "mask-forgotten": ("wrong-variable", {"weights": softmax}),
        "mask-of-the-past": ("axis", {"weights": lambda s: swapped(_causal(swapped(s)))}),
        "inner-product-averaged": ("projection-term", {
            "rule": lambda p, g: p * (g - mean(g * p))}),
        "inner-product-without-p": ("projection-term", {
            "rule": lambda p, g: p * (g - mean(g))}),
        "only-the-mask": ("identity", {"rule": lambda p, g: np.where(_allowed(p), g, 0 * g)}),
        "one-p-too-few": ("chain-term", {"rule": lambda p, g: g - total(g * p)}),
    }),
)  # fmt: skip

HEAT = 0.5


def _similar(a: Array, b: Array) -> Array:
    return a @ b.T / (HEAT * np.sqrt(a.shape[-1]).astype(a.dtype))


def _contrast(a: Array, b: Array) -> Array:
    S = _similar(a, b)
    both = log_softmax(S) + log_softmax(S, 0)
    return np.asarray(-np.trace(both) / (2 * len(a)))


def _contrast_backward(
    a: Array,
    b: Array,
    g: Array,
    over: Function = lambda S: softmax(S) + softmax(S, 0),
    pairs: Function = lambda S: 2 * np.eye(len(S), dtype=S.dtype),
    heat: Function = lambda a: HEAT * np.sqrt(a.shape[-1]).astype(a.dtype),
    b_bar: Function = lambda S_bar, a: S_bar.T @ a,
) -> Any:
    S = _similar(a, b)
    S_bar = g * (over(S) - pairs(S)) / (2 * len(a) * heat(a))
    return S_bar @ b, b_bar(S_bar, a)


CONTRAST = Subject(
    "contrastive-loss", _contrast, _contrast_backward,
    lambda rng, shape, scale: drawn(rng, shape, shape, scale=scale),
    ((3, 4), (5, 5), (4, 37), (17, 20), (40, 60)), scales=(0.3, 1.0, 3.0),
    edits=edited(_contrast_backward, {
        "one-direction-twice": ("chain-term", {"over": lambda S: 2 * softmax(S)}),
        "one-direction": ("chain-term", {
            "over": softmax, "pairs": lambda S: np.eye(len(S), dtype=S.dtype)}),
        "second-direction-along-rows": ("axis", {
            "over": lambda S: softmax(S) + softmax(S, 0).T}),
        "negatives-forgotten": ("chain-term", {"over": lambda S: 0 * S}),
        "positives-forgotten": ("chain-term", {"pairs": lambda S: 0 * S}),
        "temperature-forgotten": ("scale", {
            "heat": lambda a: np.sqrt(a.shape[-1]).astype(a.dtype)}),
        "temperature-multiplied": ("scale", {
            "heat": lambda a: np.sqrt(a.shape[-1]).astype(a.dtype) / HEAT}),
        "keys-not-transposed": ("axis", {"b_bar": lambda S_bar, a: S_bar @ a}),
        "keys-detached": ("zero", {"b_bar": lambda S_bar, a: 0 * a}),
    }),
)  # fmt: skip

SUBJECTS = (SELF_ATTENTION, CAUSAL, CONTRAST)
"""What is checked."""
