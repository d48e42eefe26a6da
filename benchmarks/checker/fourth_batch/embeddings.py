"""Rows that are looked up: tokens with positions, words with negatives, users with items."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject
from benchmarks.checker.third_batch.parts import drawn, edited, sigmoid

__all__ = ["SUBJECTS"]


def _placed(wte: Array, wpe: Array, ids: Array) -> Any:
    return wte[ids] * math.sqrt(wte.shape[1]) + wpe


def _scattered(into: Array, ids: Array, values: Array) -> Array:
    """Add every value to its row, however often a row is met."""
    into = np.zeros_like(into)
    for i, value in zip(ids.reshape(-1), values.reshape(-1, values.shape[-1]), strict=True):
        into[i] += value
    return into


def _indexed(into: Array, ids: Array, values: Array) -> Array:
    """Add by fancy indexing, which keeps the last of a row's values."""
    into = np.zeros_like(into)
    into[ids] += values
    return into


def _placed_backward(
    wte: Array,
    wpe: Array,
    ids: Array,
    g: Array,
    scattered: Function = _scattered,
    root: Function = math.sqrt,
    positions: Function = lambda g: g.sum(axis=0),
    order: Function = lambda ids: ids,
) -> Any:
    return scattered(wte, order(ids), g * root(wte.shape[1])), positions(g)


def _ids(rng: Rng, rows: int, columns: int, V: int) -> Array:
    """Return ids that differ along every axis, some of them met twice."""
    ids = rng.integers(V, size=(rows, columns))
    ids[1, 0] = ids[0, 0]
    ids[0, 1] = (ids[0, 0] + 1) % V
    ids[1, 1] = (ids[0, 0] + 2) % V
    return ids


def _placed_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    B, T, V, C = shape
    return *drawn(rng, (V, C), (T, C), scale=scale), _ids(rng, B, T, V)


PLACED = Subject(
    "token-and-position-embeddings", _placed, _placed_backward, _placed_sample,
    ((2, 3, 5, 4), (3, 4, 6, 2), (2, 4, 5, 3), (5, 8, 30, 10), (6, 16, 90, 12)),
    edits=edited(_placed_backward, {
        "tokens-by-fancy-indexing": ("unreduced-broadcast", {"scattered": _indexed}),
        "root-forgotten": ("scale", {"root": lambda C: 1}),
        "root-divided": ("scale", {"root": lambda C: 1 / math.sqrt(C)}),
        "positions-not-summed": ("unreduced-broadcast", {"positions": lambda g: g}),
        "positions-of-the-last-sequence": ("unreduced-broadcast", {"positions": lambda g: g[-1]}),
        "positions-averaged": ("scale", {"positions": lambda g: g.mean(axis=0)}),
        "positions-summed-over-time": ("axis", {
            "positions": lambda g: np.broadcast_to(g.sum(axis=(0, 1)), g.shape[1:])}),
        "tokens-shifted": ("axis subset", {"order": lambda ids: np.roll(ids, 1, axis=1)}),
        "one-token-frozen": ("subset", {
            "scattered": lambda E, ids, v: _scattered(E, ids, v)
            * (np.arange(len(E)) != ids[0, 0])[:, None]}),
    }),
)  # fmt: skip


def _skip_gram(V: Array, U: Array, centre: Array, outside: Array, negative: Array) -> float:
    """Return the mean loss of word2vec; a word may be drawn twice among the negatives."""
    loss: Any = 0.0
    for n in range(len(centre)):
        v = V[centre[n]]
        loss = loss - np.log(sigmoid(U[outside[n]] @ v))
        for k in negative[n]:
            loss = loss - np.log(sigmoid(-(U[k] @ v)))
    return float(loss / len(centre))


def _skip_gram_backward(
    V: Array,
    U: Array,
    centre: Array,
    outside: Array,
    negative: Array,
    g: Array,
    pulling: Function = lambda s: s - 1,
    pushing: Function = lambda s: s,
    added: Function = _scattered,
    into_v: Function = lambda from_outside, from_negative: from_outside + from_negative,
    seen: Function = lambda v, u: v,
    count: Function = len,
) -> Any:
    v, u, w = V[centre], U[outside], U[negative]  # [B, D], [B, D], [B, K, D]
    d = pulling(sigmoid((u * v).sum(axis=1)))[:, None] * g / count(centre)
    e = pushing(sigmoid((w * v[:, None]).sum(axis=2)))[:, :, None] * g / count(centre)
    dV = _scattered(V, centre, into_v(d * u, (e * w).sum(axis=1)))
    dU = _scattered(U, outside, d * seen(v, u)) + added(U, negative, e * seen(v[:, None], w))
    return dV, dU


def _skip_gram_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    B, K, words, D = shape
    negative = _ids(rng, B, K, words)
    negative[0, 1] = negative[0, 0]
    centre, outside = (np.arange(B) * 2) % words, rng.integers(words, size=B)
    return *drawn(rng, (words, D), (words, D), scale=scale), centre, outside, negative


SKIP_GRAM = Subject(
    "skip-gram-with-negative-samples", _skip_gram, _skip_gram_backward, _skip_gram_sample,
    ((2, 3, 5, 4), (3, 2, 6, 4), (4, 3, 7, 2), (6, 5, 30, 10), (10, 8, 60, 20)),
    scales=(0.3, 1.0), extremes=(),
    edits=edited(_skip_gram_backward, {
        "repeated-negatives-assigned": ("unreduced-broadcast", {"added": _indexed}),
        "negatives-reversed": ("sign chain-term", {"pushing": lambda s: -s}),
        "negatives'-one-minus": ("wrong-variable", {"pushing": lambda s: 1 - s}),
        "negatives-forgotten-for-the-centre": ("chain-term", {"into_v": lambda a, b: a}),
        "outside-forgotten-for-the-centre": ("chain-term", {"into_v": lambda a, b: b}),
        "sigmoid's-slope-too": ("wrong-variable chain-term", {
            "pulling": lambda s: (s - 1) * s * (1 - s)}),
        "pulled-to-zero": ("chain-term", {"pulling": lambda s: s}),
        "outside-from-outside": ("wrong-variable", {"seen": lambda v, u: u}),
        "summed": ("scale", {"count": lambda c: 1}),
    }),
)  # fmt: skip

DECAY = 0.5


def _rated(P: Array, Q: Array, bu: Array, bi: Array, pairs: Array) -> float:
    """Return half the squared errors of ratings (user, item, stars), and of the factors."""
    loss = 0.0
    for u, i, stars in pairs:
        loss = loss + 0.5 * (P[u] @ Q[i] + bu[u] + bi[i] - float(stars)) ** 2
    return float(loss + 0.5 * DECAY * (np.sum(P**2) + np.sum(Q**2)))


def _rated_backward(
    P: Array,
    Q: Array,
    bu: Array,
    bi: Array,
    pairs: Array,
    g: Array,
    error: Function = lambda s, stars: s - stars,
    added: Function = lambda to, value: to + value,
    into_P: Function = lambda p, q: q,
    first: Function = lambda p, step: p,
    decayed: Function = lambda F: DECAY * F,
    item_bias: Function = lambda d: d,
    biases: Function = lambda bu, bi: bu + bi,
) -> Any:
    dP, dQ, du, di = (np.zeros_like(x) for x in (P, Q, bu, bi))
    for u, i, stars in pairs:
        e = error(P[u] @ Q[i] + biases(bu[u], bi[i]), float(stars))
        dP[u] = added(dP[u], e * into_P(P[u], Q[i]))
        dQ[i] = added(dQ[i], e * first(P[u], e * Q[i]))
        du[u] += e
        di[i] += e
    return g * (dP + decayed(P)), g * (dQ + decayed(Q)), g * du, item_bias(g * di)


def _rated_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    users, items, F, n = shape
    pairs = np.stack([np.arange(n) % users, (2 * np.arange(n)) % items, rng.integers(1, 6, n)], 1)
    factors = drawn(rng, (users, F), (items, F), scale=scale)
    return *factors, rng.normal(size=users), rng.normal(size=items), pairs


RATED = Subject(
    "matrix-factorisation-with-biases", _rated, _rated_backward, _rated_sample,
    ((3, 5, 2, 8), (4, 3, 2, 9), (5, 4, 3, 12), (9, 11, 4, 60), (20, 30, 8, 200)),
    scales=(0.5, 1.0, 3.0),
    edits=edited(_rated_backward, {
        "assigned": ("unreduced-broadcast", {"added": lambda to, value: value}),
        "stars-minus-score": ("sign chain-term", {"error": lambda s, stars: stars - s}),
        "users'-factors-from-users": ("wrong-variable", {"into_P": lambda p, q: p}),
        "items-after-the-users'-step": ("wrong-variable", {
            "first": lambda p, step: p - 0.1 * step}),
        "decay-forgotten": ("chain-term", {"decayed": lambda F: 0}),
        "decay-subtracted": ("sign chain-term", {"decayed": lambda F: -DECAY * F}),
        "biases-forgotten-in-the-score": ("chain-term wrong-variable", {
            "biases": lambda bu, bi: 0}),
        "item-bias-severed": ("severed", {"item_bias": lambda d: None}),
    }),
)  # fmt: skip

SUBJECTS = (PLACED, SKIP_GRAM, RATED)
"""What is checked."""
