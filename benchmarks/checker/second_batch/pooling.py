"""Many vectors become one: means under a mask, soft maxima, attention to a query."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import softmax, total
from benchmarks.checker.second_batch.parts import drawn, edited
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

SHAPES: tuple[Shape, ...] = ((2, 4, 3), (3, 5, 5), (4, 7, 11), (5, 30, 20), (3, 100, 40))


def _kept(mask: Array, x: Array) -> tuple[Array, Array]:
    kept = mask[..., None].astype(x.dtype)
    return kept, total(kept, 1)


def _masked_mean(x: Array, mask: Array) -> Array:
    kept, count = _kept(mask, x)
    return np.asarray(((x * kept).sum(axis=1, keepdims=True) / count)[:, 0])


def _masked_mean_backward(
    x: Array, mask: Array, g: Array, share: Function = lambda kept, count: kept / count
) -> Any:
    return g[:, None] * (share(*_kept(mask, x)) + 0 * x)


def _lengths(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    N, T, _ = shape
    mask = np.arange(T) <= (np.arange(N)[:, None] + T // 3) % T
    return scale * rng.normal(size=shape), mask.astype(np.int64)


MASKED_MEAN = Subject(
    "masked-mean-pool", _masked_mean, _masked_mean_backward, _lengths, SHAPES,
    edits=edited(_masked_mean_backward, {
        "padding-fed": ("subset", {"share": lambda kept, count: 1 / count}),
        "divided-by-all": ("scale", {"share": lambda kept, count: kept / kept.shape[1]}),
        "not-divided": ("scale", {"share": lambda kept, count: kept}),
        "last-token-alone": ("subset", {
            "share": lambda kept, count: kept / count * (np.cumsum(kept, axis=1) == count)}),
    }),
)  # fmt: skip

SHARP = 3.0


def _lse_pool(x: Array) -> Array:
    top = x.max(axis=1, keepdims=True)
    summed = np.exp(SHARP * (x - top)).mean(axis=1, keepdims=True)
    return np.asarray((top + np.log(summed) / SHARP)[:, 0])


def _lse_pool_backward(
    x: Array, g: Array, weights: Function = lambda x: softmax(SHARP * x, 1)
) -> Any:  # fmt: skip
    return g[:, None] * weights(x)


LSE_POOL = Subject(
    "log-mean-exp-pool", _lse_pool, _lse_pool_backward,
    lambda rng, shape, scale: drawn(rng, shape, scale=scale), SHAPES,
    edits=edited(_lse_pool_backward, {
        "sharpness-again": ("scale", {"weights": lambda x: SHARP * softmax(SHARP * x, 1)}),
        "sharpness-forgotten-inside": ("wrong-variable", {"weights": lambda x: softmax(x, 1)}),
        "over-features": ("axis", {"weights": lambda x: softmax(SHARP * x, -1)}),
        "mean-again": ("scale", {"weights": lambda x: softmax(SHARP * x, 1) / x.shape[1]}),
        "not-normalised": ("chain-term", {
            "weights": lambda x: np.exp(SHARP * (x - x.max(axis=1, keepdims=True)))}),
        "softmax-differentiated": ("chain-term wrong-variable", {
            "weights": lambda x: (p := softmax(SHARP * x, 1)) * (1 - p)}),
    }),
)  # fmt: skip


def _attended(x: Array, w: Array) -> tuple[Array, Array]:
    p = softmax(x @ w)[..., None]  # [N, T, 1]
    return p, (p * x).sum(axis=1)


def _attended_backward(
    x: Array,
    w: Array,
    g: Array,
    values: Function = lambda p, g: p * g,
    scores: Function = lambda p, p_bar: p * (p_bar - total(p * p_bar, 1)),
    to_scores: Function = lambda s_bar, w: s_bar * w,
    w_bar: Function = lambda s_bar, x: (s_bar * x).sum(axis=(0, 1)),
) -> Any:
    g = g[:, None]
    p, _ = _attended(x, w)
    s_bar = scores(p, total(g * x))  # [N, T, 1]
    return values(p, g) + to_scores(s_bar, w), w_bar(s_bar, x)


def _attended_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    return scale * rng.normal(size=shape), rng.normal(size=shape[-1]) / np.sqrt(shape[-1])


ATTENTION_POOL = Subject(
    "attention-pool", lambda x, w: _attended(x, w)[1], _attended_backward, _attended_sample,
    SHAPES, scales=(0.1, 1.0, 5.0),
    edits=edited(_attended_backward, {
        "weights-constant": ("chain-term", {"to_scores": lambda s_bar, w: 0}),
        "values-constant": ("chain-term", {"values": lambda p, g: 0}),
        "inner-product-dropped": ("projection-term", {"scores": lambda p, p_bar: p * p_bar}),
        "diagonal": ("diagonal-only", {"scores": lambda p, p_bar: p * (1 - p) * p_bar}),
        "softmax-passed-over": ("identity chain-term", {"scores": lambda p, p_bar: p_bar}),
        "inner-product-over-the-batch": ("axis projection-term", {
            "scores": lambda p, p_bar: p * (p_bar - total(p * p_bar, 0))}),
        "query-of-the-last-sequence": ("unreduced-broadcast", {
            "w_bar": lambda s_bar, x: (s_bar * x).sum(axis=1)[-1]}),
        "query-by-sequence": ("unreduced-broadcast", {
            "w_bar": lambda s_bar, x: (s_bar * x).sum(axis=1)}),
    }),
)  # fmt: skip

BETA = 2.0


def _places(z: Array) -> Array:
    return (np.arange(z.shape[-1]) / z.shape[-1]).astype(z.dtype)


def _soft_argmax_backward(
    z: Array,
    g: Array,
    slope: Function = lambda p, c: BETA * p * (c - total(p * c)),
    heated: Function = lambda z: BETA * z,
) -> Any:
    return g[..., None] * slope(softmax(heated(z)), _places(z))


SOFT_ARGMAX = Subject(
    "soft-argmax", lambda z: (softmax(BETA * z) * _places(z)).sum(axis=-1), _soft_argmax_backward,
    lambda rng, shape, scale: drawn(rng, shape, scale=scale),
    ((3,), (2, 4), (3, 5), (4, 37), (7, 130), (2, 400)),
    edits=edited(_soft_argmax_backward, {
        "expected-place-dropped": ("projection-term", {"slope": lambda p, c: BETA * p * c}),
        "middle-for-expected-place": ("projection-term", {
            "slope": lambda p, c: BETA * p * (c - c.mean())}),
        "diagonal": ("diagonal-only", {"slope": lambda p, c: BETA * p * (1 - p) * c}),
        "beta-forgotten": ("scale", {"slope": lambda p, c: p * (c - total(p * c))}),
        "beta-forgotten-inside": ("wrong-variable", {"heated": lambda z: z}),
        "argmax-for-expected-place": ("projection-term", {
            "slope": lambda p, c: BETA * p * (c - c[p.argmax(axis=-1)][..., None])}),
    }),
)  # fmt: skip

SUBJECTS = (MASKED_MEAN, LSE_POOL, ATTENTION_POOL, SOFT_ARGMAX)
"""What is checked."""
