"""Heads: in shards of a vocabulary, with perplexity, behind a norm, calibrated afterwards.

What is wrong here is met in issues and pull requests on heads that many machines share, on fused
norms, and in scripts that calibrate a trained network.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.eighth_batch.parts import (
    drawn,
    edited,
    ids,
    log_softmax,
    matrix,
    mean,
    one,
    one_hot,
    softmax,
    total,
)
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

SMOOTHING = 0.2


def _shards(logits: Array) -> list[slice]:
    """Return the classes of two machines; the second has the odd one."""
    half = logits.shape[1] // 2
    return [slice(0, half), slice(half, logits.shape[1])]


def _sharded(logits: Array, y: Array) -> Any:
    """Return the smoothed cross entropy of every row."""
    t = (1 - SMOOTHING) * one_hot(y, logits) + SMOOTHING / logits.shape[1]
    return -np.sum(t * log_softmax(logits), axis=1)


def _owned(y: Array, start: int, like: Array) -> Any:
    """Return ones at the labels that lie within a shard."""
    return one_hot(y - start, like)


def _sharded_backward(
    logits: Array,
    y: Array,
    g: Array,
    local: Function = lambda part, lse: np.exp(part - lse),
    target: Function = _owned,
    smoothing: Function = lambda part, K: SMOOTHING / K,
    owner: Function = lambda y, rows: 1,
    joined: Function = lambda parts: parts,
    upstream: Function = lambda g: g[:, None],
) -> Any:
    m = logits.max(axis=1, keepdims=True)
    lse = m + np.log(total(np.exp(logits - m)))
    parts = []
    for shard in _shards(logits):
        part = logits[:, shard]
        d = local(part, lse) - (1 - SMOOTHING) * target(y, shard.start, part)
        d = d - smoothing(part, logits.shape[1])
        parts.append(upstream(g) * d * owner(y, shard))
    return np.concatenate(joined(parts), axis=1)


def _masked_to_first(y: Array, start: int, like: Array) -> Any:
    """Subtract at the shard's first class for labels of another shard."""
    inside = (y >= start) & (y < start + like.shape[1])
    return one_hot(np.where(inside, y - start, 0), like)


def _sharded_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    return *drawn(rng, shape, scale=scale), ids(rng, *shape)


SHARDED = Subject(
    "cross-entropy-of-a-vocabulary-in-shards", _sharded, _sharded_backward, _sharded_sample,
    ((4, 4), (5, 6), (7, 5), (9, 20), (24, 80)), scales=(0.1, 1.0, 4.0),
    edits=edited(_sharded_backward, {
        "normalised-within-the-shard": ("wrong-variable axis", {
            "local": lambda part, lse: softmax(part)}),
        # The mask of labels that are elsewhere is made, and not used.
        "labels-elsewhere-at-the-first-class": ("subset", {"target": _masked_to_first}),
        "labels-not-shifted": ("subset wrong-variable", {
            "target": lambda y, start, like: one_hot(y, like)}),
        # An open issue: the shard's size for the vocabulary's.
        "smoothing-by-the-shard's-size": ("chain-term", {
            "smoothing": lambda part, K: SMOOTHING / part.shape[1]}),
        "smoothing-forgotten": ("chain-term", {"smoothing": lambda part, K: 0}),
        # A sum over machines that knows no gradient: other shards than the label's get none.
        "label's-shard-alone": ("subset", {
            "owner": lambda y, shard: (
                (y >= shard.start) & (y < shard.stop)).astype(float)[:, None]}),
        "summed-over-machines-once-more": ("scale", {"upstream": lambda g: 2 * g[:, None]}),
        "joined-in-another-order": ("axis", {"joined": lambda parts: parts[::-1]}),
    }),
)  # fmt: skip


def _nll(z: Array, tokens: Array, mask: Array) -> Any:
    """Return the mean loss of the next tokens where the mask is 1, and the mask."""
    kept = mask[:, 1:].astype(z.dtype)
    own = np.sum(one_hot(tokens[:, 1:], z) * log_softmax(z), axis=-1)
    return -np.sum(own * kept) / np.sum(kept), kept


def _perplexity(z: Array, tokens: Array, mask: Array) -> Any:
    """Return the perplexity, by logits [B, T, V] for tokens [B, T + 1]."""
    return np.exp(_nll(z, tokens, mask)[0])


def _perplexity_backward(
    z: Array,
    tokens: Array,
    mask: Array,
    g: Array,
    outer: Function = lambda loss: np.exp(loss),
    targets: Function = lambda tokens: tokens[:, 1:],
    weights: Function = lambda kept: kept,
    count: Function = lambda kept: np.sum(kept),
    error: Function = lambda p, t: p - t,
) -> Any:
    loss, kept = _nll(z, tokens, mask)
    d = error(softmax(z), one_hot(targets(tokens), z)) * weights(kept)[..., None]
    return g * outer(loss) * d / count(kept)


def _perplexity_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    B, T, V = shape
    tokens = (rng.integers(V) + np.arange(B)[:, None] + 2 * np.arange(T + 1)) % V
    lengths = T + 1 - np.arange(B) % 3
    mask = (np.arange(T + 1) < lengths[:, None]).astype(int)
    return *drawn(rng, shape, scale=scale), tokens, mask


PERPLEXITY = Subject(
    "perplexity-of-padded-tokens", _perplexity, _perplexity_backward, _perplexity_sample,
    ((3, 4, 5), (3, 5, 4), (4, 6, 3), (5, 7, 10), (6, 12, 30)), scales=(0.1, 1.0, 2.0),
    edits=edited(_perplexity_backward, {
        "loss's-gradient": ("chain-term scale", {"outer": lambda loss: 1}),
        "exponential's-slope-by-the-loss": ("wrong-variable chain-term scale", {
            "outer": lambda loss: loss}),
        "same-tokens-for-the-next": ("wrong-variable axis", {
            "targets": lambda tokens: tokens[:, :-1]}),
        "padding-learnt": ("subset", {"weights": lambda kept: 0 * kept + 1}),
        "averaged-over-padding-too": ("scale", {"count": lambda kept: kept.size}),
        "averaged-over-sequences": ("scale", {"count": len}),
        "every-sequence-by-its-own-length": ("chain-term scale", {
            "count": lambda kept: (len(kept) * total(kept))[..., None]}),
        "token-not-subtracted": ("subset chain-term", {"error": lambda p, t: p}),
    }),
)  # fmt: skip


def _statistics(x: Array) -> tuple[Any, Any]:
    """Return rows less their mean, and what they are multiplied by."""
    centred = x - mean(x)
    return centred, 1 / np.sqrt(mean(centred**2) + 1e-3)


def _viewed(x: Array, gain: Array, bias: Array, W: Array, b: Array, y: Array) -> Any:
    """Return the mean loss of a head on the first token of [B, T, D], layer-normalised."""
    centred, r = _statistics(x)
    first = (centred * r * gain + bias)[:, 0]
    return -np.mean(log_softmax(first @ W + b)[np.arange(len(y)), y])


def _norm_by_steps(d: Array, centred: Array, r: Array, **parts: Function) -> Any:
    """Pull back through the variance, then the mean, as in a paper's appendix."""
    D = centred.shape[-1]
    by_variance = parts.get("variance", lambda d, c, r: total(d * c) * -0.5 * r**3)(d, centred, r)
    d = d * r + parts.get("square", lambda v, c, D: v * 2 * c / D)(by_variance, centred, D)
    return d - parts.get("by_mean", lambda d: mean(d))(d)


def _to_the_first(d: Array, x: Array) -> Any:
    dx = np.zeros_like(x)
    dx[:, 0] = d
    return dx


def _viewed_backward(
    x: Array,
    gain: Array,
    bias: Array,
    W: Array,
    b: Array,
    y: Array,
    g: Array,
    placed: Function = _to_the_first,
    with_gain: Function = lambda d, gain: d * gain,
    of_gain: Function = lambda d, hat, x: np.sum(d * hat, axis=(0, 1)),
    of_bias: Function = lambda d: np.sum(d, axis=(0, 1)),
    inputs: Function = lambda normed, x: normed,
    count: Function = len,
    **parts: Function,
) -> Any:
    centred, r = _statistics(x)
    normed = centred * r * gain + bias
    p = softmax(normed[:, 0] @ W + b)
    dlogits = g * (p - one_hot(y, p)) / count(y)
    d = placed(dlogits @ W.T, x)
    dx = _norm_by_steps(with_gain(d, gain), centred, r, **parts)
    dW = inputs(normed, x)[:, 0].T @ dlogits
    return dx, of_gain(d, centred * r, x), of_bias(d), dW, np.sum(dlogits, axis=0)


def _viewed_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    B, T, D, K = shape
    x, bias, b = drawn(rng, (B, T, D), (D,), (K,), scale=scale)
    return x, 0.7 + 0.4 * rng.normal(size=D), bias, matrix(rng, D, K), b, ids(rng, B, K)


VIEWED = Subject(
    "first-token-behind-a-norm-and-a-head", _viewed, _viewed_backward, _viewed_sample,
    ((2, 3, 4, 5), (3, 2, 5, 4), (4, 3, 6, 3), (5, 4, 9, 6), (8, 6, 16, 10)),
    scales=(0.5, 1.0, 3.0), extremes=(),
    edits=edited(_viewed_backward, {
        # What indexing takes out is put back everywhere, by broadcasting.
        "first-token's-gradient-for-all": ("subset axis", {
            "placed": lambda d, x: d[:, None] + 0 * x}),
        "last-token-for-the-first": ("subset axis", {
            "placed": lambda d, x: _to_the_first(d, x)[:, ::-1]}),
        "variance-held-constant": ("chain-term projection-term", {
            "variance": lambda d, c, r: 0 * r}),
        "mean-held-constant": ("chain-term projection-term", {"by_mean": lambda d: 0}),
        "mean's-path-summed": ("chain-term projection-term scale", {"by_mean": total}),
        "power-of-the-variance": ("chain-term projection-term", {
            "variance": lambda d, c, r: total(d * c) * -0.5 * r}),
        "minus-of-the-variance-forgotten": ("chain-term projection-term sign", {
            "variance": lambda d, c, r: total(d * c) * 0.5 * r**3}),
        "square's-2-forgotten": ("chain-term projection-term scale", {
            "square": lambda v, c, D: v * c / D}),
        "batch-size-for-features": ("chain-term projection-term scale", {
            "square": lambda v, c, D: v * 2 * c / len(c)}),
        "gain-forgotten": ("chain-term", {"with_gain": lambda d, gain: d}),
        "gain-by-what-is-not-normalised": ("wrong-variable chain-term", {
            "of_gain": lambda d, hat, x: np.sum(d * x, axis=(0, 1))}),
        "gain-of-every-sample": ("unreduced-broadcast", {
            "of_gain": lambda d, hat, x: np.sum(d * hat, axis=1)}),
        "bias-averaged": ("scale", {
            "of_bias": lambda d: np.mean(d, axis=(0, 1))}),
        "head-by-what-goes-into-the-norm": ("wrong-variable", {"inputs": lambda normed, x: x}),
    }),
)  # fmt: skip


def _calibrated(a: Array, b: Array, T: Array, z: Array, y: Array) -> Any:
    """Return the mean loss of logits (a z + b) / T, with a and b [K], and T [1]."""
    return -np.mean(log_softmax((a * z + b) / T)[np.arange(len(y)), y])


def _calibrated_backward(
    a: Array,
    b: Array,
    T: Array,
    z: Array,
    y: Array,
    g: Array,
    of_T: Function = lambda d, u, T: -np.sum(d * u, keepdims=True)[0] / T**2,
    of_a: Function = lambda d, z: np.sum(d * z, axis=0),
    of_b: Function = lambda d, T: np.sum(d, axis=0) / T,
    of_z: Function = lambda d, a: d * a,
    cool: Function = lambda d, T: d / T,
    count: Function = len,
) -> Any:
    u = a * z + b
    p = softmax(u / T)
    d = g * (p - one_hot(y, p)) / count(y)
    du = cool(d, T)
    return of_a(du, z), of_b(d, T), of_T(d, u, T), of_z(du, a)


def _calibrated_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, K = shape
    (z,) = drawn(rng, shape, scale=scale)
    return 1 + 0.3 * rng.normal(size=K), 0.3 * rng.normal(size=K), np.array([1.6]), z, (
        ids(rng, N, K))  # fmt: skip


CALIBRATED = Subject(
    "calibration-with-a-temperature-and-a-vector", _calibrated, _calibrated_backward,
    _calibrated_sample, ((3, 4), (5, 3), (4, 6), (9, 8), (30, 20)), scales=(0.3, 1.0, 4.0),
    edits=edited(_calibrated_backward, {
        "temperature's-square-forgotten": ("chain-term scale", {
            "of_T": lambda d, u, T: -np.sum(d * u, keepdims=True)[0] / T}),
        "temperature's-minus-forgotten": ("sign", {
            "of_T": lambda d, u, T: np.sum(d * u, keepdims=True)[0] / T**2}),
        "temperature-of-every-sample": ("unreduced-broadcast", {
            "of_T": lambda d, u, T: -np.sum(d * u, axis=1) / T**2}),
        "temperature-by-the-last-sample": ("unreduced-broadcast subset", {
            "of_T": lambda d, u, T: -np.sum(d[-1] * u[-1], keepdims=True) / T**2}),
        "temperature-by-cooled-logits": ("wrong-variable scale chain-term", {
            "of_T": lambda d, u, T: -np.sum(d * u / T, keepdims=True)[0] / T**2}),
        "vector-like-the-bias": ("chain-term wrong-variable", {
            "of_a": lambda d, z: np.sum(d, axis=0)}),
        "bias-not-cooled": ("scale chain-term", {"of_b": lambda d, T: np.sum(d, axis=0)}),
        "logits-without-the-vector": ("chain-term", {"of_z": lambda d, a: d}),
        "temperature-forgotten": ("scale chain-term", {"cool": lambda d, T: d}),
        "not-averaged": ("scale", {"count": one}),
    }),
)  # fmt: skip

SUBJECTS = (SHARDED, PERPLEXITY, VIEWED, CALIBRATED)
"""What is checked."""
