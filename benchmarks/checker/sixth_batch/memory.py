"""A decoder's look at its encoder: cross-attention with everything that a layer has.

What is wrong here is met in transformers written in NumPy, one of whose pages lists what most of
the others get wrong.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.checker.numerics import softmax
from benchmarks.checker.sixth_batch.parts import (
    drawn,
    edited,
    like_sigmoid,
    matrix,
    softmax_back,
    swapped,
)
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

HEADS = 2


def _split(x: Array) -> Any:
    B, T, D = x.shape
    return x.reshape(B, T, HEADS, D // HEADS).transpose(0, 2, 1, 3)


def _merged(x: Array) -> Any:
    B, H, T, d = x.shape
    return x.transpose(0, 2, 1, 3).reshape(B, T, H * d)


def _run(x: Array, memory: Array, Wq: Array, Wk: Array, Wv: Array, Wo: Array, bo: Array) -> Any:
    """Return x + attention to a memory, and a dictionary of what the backward needs."""
    q, k, v = _split(x @ Wq), _split(memory @ Wk), _split(memory @ Wv)
    attn = softmax(q @ swapped(k) / math.sqrt(q.shape[-1]))
    context = _merged(attn @ v)
    return x + context @ Wo + bo, {"q": q, "k": k, "v": v, "attn": attn, "context": context}


def _over_tokens(a: Array, d: Array) -> Any:
    return a.reshape(-1, a.shape[-1]).T @ d.reshape(-1, d.shape[-1])


_BIASES: dict[Any, Array] = {}
"""What a layer keeps between two calls."""


def _added_up(g: Array) -> Any:
    key = (g.shape, g.dtype)
    _BIASES[key] = _BIASES.get(key, 0) + np.sum(g, axis=(0, 1))
    return np.array(_BIASES[key])


def _backward(
    x: Array,
    memory: Array,
    Wq: Array,
    Wk: Array,
    Wv: Array,
    Wo: Array,
    bo: Array,
    g: Array,
    residual: Function = lambda g, d: g + d,
    rule: Function = softmax_back,
    scaled: Function = lambda d, width: d / math.sqrt(width),
    split: Function = _split,
    weights: Function = _over_tokens,
    bias: Function = lambda g: np.sum(g, axis=(0, 1)),
    of_memory: Function = lambda by_keys, by_values: by_keys + by_values,
    projected: Function = lambda d, W: d @ W.T,
) -> Any:
    _, cache = _run(x, memory, Wq, Wk, Wv, Wo, bo)
    dcontext = split(projected(g, Wo))
    ds = rule(cache["attn"], dcontext @ swapped(cache["v"]))
    ds = scaled(ds, cache["q"].shape[-1])
    dq, dk = _merged(ds @ cache["k"]), _merged(swapped(ds) @ cache["q"])
    dv = _merged(swapped(cache["attn"]) @ dcontext)
    return (
        residual(g, dq @ Wq.T),
        of_memory(dk @ Wk.T, dv @ Wv.T),
        weights(x, dq),
        weights(memory, dk),
        weights(memory, dv),
        weights(cache["context"], g),
        bias(g),
    )


def _sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    B, T, S, D = shape
    x, memory = drawn(rng, (B, T, D), (B, S, D), scale=scale)
    return x, memory, *(1.5 * matrix(rng, D, D) for _ in range(4)), rng.normal(size=D)


MEMORY = Subject(
    "attention-to-a-memory", lambda *inputs: _run(*inputs)[0], _backward, _sample,
    ((2, 2, 3, 4), (3, 3, 2, 4), (2, 3, 4, 6), (2, 5, 7, 8), (3, 9, 12, 12)),
    scales=(0.5, 1.0, 1.5), extremes=(),
    edits=edited(_backward, {
        "residual-forgotten": ("chain-term", {"residual": lambda g, d: d}),
        "like-sigmoid": ("diagonal-only", {"rule": like_sigmoid}),
        "inner-product-forgotten": ("projection-term", {"rule": lambda p, d: p * d}),
        "softmax-passed-over": ("chain-term identity", {"rule": lambda p, d: d}),
        "root-forgotten": ("scale chain-term", {"scaled": lambda d, width: d}),
        "heads-not-transposed": ("axis", {
            "split": lambda x: x.reshape(len(x), HEADS, x.shape[1], -1)}),
        # Weights' gradients [B, D, D] are brought into shape by a mean; met in three layers.
        "weights-averaged-over-sequences": ("scale", {
            "weights": lambda a, d: np.mean(swapped(a) @ d, axis=0)}),
        "weights'-gradients-clipped": ("cotangent arithmetic", {
            "weights": lambda a, d: np.clip(_over_tokens(a, d), -1, 1)}),
        # A class adds to its gradients, and nobody clears them.
        "bias-of-all-calls": ("aliasing", {"bias": _added_up}),
        "bias-averaged-over-tokens": ("scale", {"bias": lambda g: np.mean(g, axis=(0, 1))}),
        "bias-summed-over-sequences-alone": ("unreduced-broadcast", {
            "bias": lambda g: np.sum(g, axis=0)}),
        "memory-by-values-alone": ("chain-term", {
            "of_memory": lambda by_keys, by_values: by_values}),
        "output-weights-not-transposed": ("axis", {"projected": lambda d, W: d @ W}),
    }),
)  # fmt: skip

SUBJECTS = (MEMORY,)
"""What is checked."""
