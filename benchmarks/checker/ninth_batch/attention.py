"""Attention: a block with a tied head, and what returns its log-sum-exp as well.

What is wrong here is met in small language models by hand, and in six issues on attention whose
second output had no gradient.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.checker.ninth_batch.parts import (
    added_rows,
    drawn,
    edited,
    einsum,
    like_sigmoid,
    log_softmax,
    matrix,
    mean,
    one,
    one_hot,
    softmax,
    softmax_back,
    swapped,
    total,
    with_fancy_indices,
)
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]


def _statistics(x: Array) -> tuple[Any, Any]:
    """Return rows less their mean, and what they are multiplied by."""
    centred = x - mean(x)
    return centred, 1 / np.sqrt(mean(centred**2) + 1e-3)


def _late(T: int) -> Any:
    """Return ones where a token may not look: at what comes after it."""
    return np.triu(np.ones((T, T), int), 1)


def _block(E: Array, P: Array, gain: Array, Wq: Array, Wk: Array, Wv: Array, x: Array) -> Any:
    """Return the stream, its norm's parts, queries, keys, values, weights, and the block's end."""
    stream = E[x] + P
    centred, r = _statistics(stream)
    normed = centred * r * gain
    q, k, v = normed @ Wq, normed @ Wk, normed @ Wv
    scores = q @ swapped(k) / math.sqrt(q.shape[-1])
    a = softmax(np.where(_late(x.shape[1]) > 0, -1e4 + 0 * scores, scores))
    return centred, r, normed, q, k, v, a, stream + a @ v


def _tied(*inputs: Any) -> Any:
    """Return the mean loss of the next tokens, by a head that is the embedding."""
    *rest, y = inputs
    end = _block(*rest)[-1]
    return -np.mean(np.sum(one_hot(y, rest[0].T) * log_softmax(end @ rest[0].T), axis=-1))


def _norm_back(d: Array, centred: Array, r: Array) -> Any:
    hat = centred * r
    return r * (d - mean(d) - hat * mean(d * hat))


def _tied_backward(
    *arguments: Any,
    rule: Function = softmax_back,
    root: Function = lambda d: math.sqrt(d),
    keys: Function = lambda ds, q: swapped(ds) @ q,
    norm: Function = _norm_back,
    with_gain: Function = lambda d, gain: d * gain,
    shortcut: Function = lambda d: d,
    by_block: Function = lambda d: d,
    of_P: Function = lambda d: np.sum(d, axis=0),
    of_head: Function = lambda d, end: einsum("btv,btd->vd", d, end),
    of_words: Function = lambda E, x, d: added_rows(E, x, d),
    count: Function = lambda y: y.size,
) -> Any:
    *inputs, y, g = arguments
    E, _, gain, Wq, Wk, Wv, x = inputs
    centred, r, normed, q, k, v, a, end = _block(*inputs)
    logits = end @ E.T
    d_logits = g * (softmax(logits) - one_hot(y, logits)) / count(y)
    d_end = d_logits @ E
    ds = rule(a, d_end @ swapped(v)) / root(q.shape[-1])
    dq, dk, dv = ds @ k, keys(ds, q), swapped(a) @ d_end
    d_normed = dq @ Wq.T + dk @ Wk.T + dv @ Wv.T
    d_gain = np.sum(d_normed * centred * r, axis=(0, 1))
    d_stream = shortcut(d_end) + by_block(norm(with_gain(d_normed, gain), centred, r))
    dE = of_head(d_logits, end) + of_words(E, x, d_stream)
    dW = (einsum("btd,bte->de", normed, d) for d in (dq, dk, dv))
    return dE, of_P(d_stream), d_gain, *dW


def _tied_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    B, T, D, V = shape
    E, P = drawn(rng, (V, D), (T, D), scale=scale)
    x = (np.arange(B)[:, None] + 2 * np.arange(T) + rng.integers(V)) % V
    weights = (matrix(rng, D, D) for _ in range(3))
    return E, P, 0.7 + 0.4 * rng.normal(size=D), *weights, x, (x + 2) % V


TIED = Subject(
    "one-block-language-model-with-a-tied-head", _tied, _tied_backward, _tied_sample,
    ((2, 3, 4, 5), (3, 4, 3, 6), (2, 4, 5, 7), (3, 6, 8, 10), (4, 8, 12, 30)),
    scales=(0.5, 1.0, 2.0), extremes=(),
    edits=edited(_tied_backward, {
        "shortcut-forgotten": ("chain-term unreduced-broadcast", {"shortcut": lambda d: 0 * d}),
        "stream-past-the-block-alone": ("chain-term unreduced-broadcast", {
            "by_block": lambda d: 0 * d}),
        "embedding-by-its-head-alone": ("chain-term unreduced-broadcast", {
            "of_words": lambda E, x, d: 0 * E}),
        "embedding-by-its-words-alone": ("chain-term unreduced-broadcast", {
            "of_head": lambda d, end: 0 * end[0, :1]}),
        "words-by-fancy-indices": ("unreduced-broadcast", {"of_words": with_fancy_indices}),
        "positions-of-every-sequence": ("unreduced-broadcast", {"of_P": lambda d: d}),
        "norm's-variance-held-constant": ("chain-term projection-term", {
            "norm": lambda d, centred, r: r * (d - mean(d))}),
        "gain-forgotten": ("chain-term", {"with_gain": lambda d, gain: d}),
        "like-sigmoid": ("diagonal-only", {"rule": like_sigmoid}),
        "inner-product-along-queries": ("projection-term axis", {
            "rule": lambda a, d: a * (d - total(a * d, -2))}),
        "root-forgotten": ("scale chain-term", {"root": lambda d: 1}),
        "keys-by-scores-not-transposed": ("axis", {"keys": lambda ds, q: ds @ q}),
        "averaged-over-sequences": ("scale", {"count": len}),
    }),
)  # fmt: skip

TILE = 2


def _scores(q: Array, k: Array) -> Any:
    return q @ swapped(k) / math.sqrt(q.shape[-1])


def _with_sums(q: Array, k: Array, v: Array) -> tuple[Any, Any]:
    """Return attention's output [B, T, D], and the log-sum-exps of its scores [B, T]."""
    s = _scores(q, k)
    m = s.max(axis=-1, keepdims=True)
    lse = m + np.log(total(np.exp(s - m)))
    return np.exp(s - lse) @ v, lse[..., 0]


def _tiles(S: int) -> list[slice]:
    """Return tiles of keys; the last one may be shorter."""
    return [slice(start, min(start + TILE, S)) for start in range(0, S, TILE)]


def _with_sums_backward(
    q: Array,
    k: Array,
    v: Array,
    g: tuple[Array, Array],
    delta: Function = lambda do, o: total(do * o),
    by_sums: Function = lambda dlse: dlse[..., None],
    chance: Function = lambda s, lse: np.exp(s - lse),
    rule: Function = lambda p, dp, delta, dlse: p * (dp - delta + dlse),
    tiles: Function = _tiles,
    of_q: Function = lambda so_far, part: so_far + part,
    root_of_keys: Function = lambda d: math.sqrt(d),
) -> Any:
    do, dlse = g
    o, lse = _with_sums(q, k, v)
    root = math.sqrt(q.shape[-1])
    dq, dk, dv = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
    for tile in tiles(k.shape[1]):
        p = chance(_scores(q, k[:, tile]), lse[..., None])
        ds = rule(p, do @ swapped(v[:, tile]), delta(do, o), by_sums(dlse))
        dq = of_q(dq, ds @ k[:, tile] / root)
        dk[:, tile] = swapped(ds) @ q / root_of_keys(q.shape[-1])
        dv[:, tile] = swapped(p) @ do
    return dq, dk, dv


def _with_sums_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    B, T, S, D = shape
    return drawn(rng, (B, T, D), (B, S, D), (B, S, D), scale=scale)


WITH_SUMS = Subject(
    "attention-that-returns-its-log-sum-exp", _with_sums, _with_sums_backward, _with_sums_sample,
    ((2, 3, 5, 4), (3, 2, 3, 5), (2, 4, 5, 3), (3, 5, 7, 6), (4, 8, 11, 12)),
    scales=(0.5, 1.0, 2.0),
    edits=edited(_with_sums_backward, {
        # Silently so in a library, by three of its issues.
        "second-output's-gradient-ignored": ("cotangent chain-term", {
            "by_sums": lambda dlse: 0 * dlse[..., None]}),
        "second-output's-gradient-subtracted": ("sign chain-term", {
            "by_sums": lambda dlse: -dlse[..., None]}),
        "delta-forgotten": ("projection-term", {"delta": lambda do, o: 0 * total(o)}),
        "delta-along-queries": ("projection-term axis", {
            "delta": lambda do, o: np.sum(do * o, axis=(-2, -1), keepdims=True)}),
        "delta-of-the-tile": ("projection-term", {
            "rule": lambda p, dp, delta, dlse: p * (dp - total(p * dp) + dlse)}),
        "like-sigmoid": ("diagonal-only", {
            "rule": lambda p, dp, delta, dlse: like_sigmoid(p, dp) + p * dlse}),
        # The other sums are kept in units of base two.
        "sums-of-base-two": ("wrong-variable", {
            "chance": lambda s, lse: np.exp(s - lse * math.log(2))}),
        "normalised-within-the-tile": ("wrong-variable axis", {
            "chance": lambda s, lse: softmax(s)}),
        "last-tile-left-out": ("subset", {"tiles": lambda S: _tiles(S)[: S // TILE]}),
        "queries-by-the-last-tile": ("unreduced-broadcast", {
            "of_q": lambda so_far, part: part}),
        "root-forgotten-for-keys": ("scale", {"root_of_keys": one}),
    }),
)  # fmt: skip

SUBJECTS = (TIED, WITH_SUMS)
"""What is checked."""
