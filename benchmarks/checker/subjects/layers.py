"""Linear layers, broadcasts, gathers and sums: where shapes and axes go wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import logits, numbers
from benchmarks.checker.subject import Array, Rng, Shape, Subject, edit

__all__ = ["SUBJECTS"]

ROWS: tuple[Shape, ...] = ((1, 2), (2, 3), (5, 5), (4, 37), (2, 400), (20, 5000))


def _linear_inputs(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, K = shape
    x, W, b = numbers(rng, (N, D), (K, D), (K,))
    return scale * x, W, b


LINEAR = Subject(
    "linear", lambda x, W, b: x @ W.T + b,
    lambda x, W, b, g: (g @ W, g.T @ x, g.sum(axis=0)), _linear_inputs,
    ((1, 2, 1), (2, 3, 5), (4, 4, 4), (7, 13, 11), (8, 64, 40), (30, 150, 100)),
    also_right={"einsum": lambda x, W, b, g: (
        np.einsum("nk,kd->nd", g, W), np.einsum("nk,nd->kd", g, x), np.einsum("nk->k", g))},
    edits=(
        edit("b-not-summed", "unreduced-broadcast", lambda x, W, b, g: (g @ W, g.T @ x, g)),
        edit("b-mean", "scale", lambda x, W, b, g: (g @ W, g.T @ x, g.mean(axis=0))),
        edit("b-last-row", "unreduced-broadcast subset", lambda x, W, b, g: (
            g @ W, g.T @ x, g[-1])),
        edit("b-summed-over-K", "axis unreduced-broadcast", lambda x, W, b, g: (
            g @ W, g.T @ x, np.resize(g.sum(axis=-1), b.shape))),
        edit("W-over-N", "scale", lambda x, W, b, g: (g @ W, g.T @ x / len(x), g.sum(axis=0))),
        edit("W-transposed", "axis", lambda x, W, b, g: (g @ W, x.T @ g, g.sum(axis=0))),
        edit("W-reshaped", "axis", lambda x, W, b, g: (
            g @ W, (x.T @ g).reshape(W.shape), g.sum(axis=0))),
        edit("W-of-first-row", "subset unreduced-broadcast", lambda x, W, b, g: (
            g @ W, np.outer(g[0], x[0]), g.sum(axis=0))),
        edit("W-of-sums", "cotangent unreduced-broadcast wrong-variable axis chain-term",
             lambda x, W, b, g: (
                 g @ W, np.outer(g.sum(axis=0), x.sum(axis=0)), g.sum(axis=0))),
        edit("x-reshaped-W", "axis", lambda x, W, b, g: (
            g @ W.T.reshape(W.shape), g.T @ x, g.sum(axis=0))),
        edit("x-missing", "severed zero", lambda x, W, b, g: (0 * x, g.T @ x, g.sum(axis=0))),
        edit("x-plus-b", "cotangent wrong-variable chain-term", lambda x, W, b, g: (
            (g + b) @ W, g.T @ x, g.sum(axis=0))),
        edit("W-negated", "sign", lambda x, W, b, g: (g @ W, -g.T @ x, g.sum(axis=0))),
    ),
)  # fmt: skip


def _row_and(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    x, b = numbers(rng, shape, shape[-1:])
    return scale * x, b


ADD = Subject(
    "broadcast-add", lambda x, b: x + b, lambda x, b, g: (1 * g, g.sum(axis=0)), _row_and, ROWS,
    accepts={"identity": "unreduced-broadcast"},
    edits=(
        edit("not-summed", "unreduced-broadcast", lambda x, b, g: (1 * g, 1 * g)),
        edit("last-slice", "unreduced-broadcast subset", lambda x, b, g: (1 * g, g[-1])),
        edit("mean", "scale unreduced-broadcast", lambda x, b, g: (1 * g, g.mean(axis=0))),
        edit("keepdims", "unreduced-broadcast axis", lambda x, b, g: (
            1 * g, g.sum(axis=0, keepdims=True))),
        edit("summed-to-a-number", "unreduced-broadcast axis cotangent", lambda x, b, g: (
            1 * g, np.full_like(b, g.sum()))),
        edit("times-x", "wrong-variable chain-term", lambda x, b, g: (1 * g, (g * x).sum(axis=0))),
    ),
)  # fmt: skip

MULTIPLY = Subject(
    "broadcast-multiply", lambda x, a: x * a, lambda x, a, g: (g * a, (g * x).sum(axis=0)),
    _row_and, ROWS,
    also_right={"factors first": lambda x, a, g: ((a[:, None] * g.T).T, (g * x).T.sum(axis=1))},
    accepts={"identity": "chain-term", "plus-g": "chain-term"},
    edits=(
        edit("not-summed", "unreduced-broadcast", lambda x, a, g: (g * a, g * x)),
        edit("last-slice", "unreduced-broadcast subset", lambda x, a, g: (g * a, (g * x)[-1])),
        edit("no-x", "chain-term wrong-variable identity", lambda x, a, g: (g * a, g.sum(axis=0))),
        edit("no-a", "chain-term identity", lambda x, a, g: (1 * g, (g * x).sum(axis=0))),
        edit("sums-multiplied", "cotangent chain-term wrong-variable unreduced-broadcast",
             lambda x, a, g: (g * a, g.sum(axis=0) * x.sum(axis=0))),
        edit("x-for-a", "wrong-variable", lambda x, a, g: (g * x, (g * x).sum(axis=0))),
        edit("mean", "scale", lambda x, a, g: (g * a, (g * x).mean(axis=0))),
    ),
)  # fmt: skip


def _table(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    V, D, N = shape
    ids = rng.integers(V, size=N)
    ids[-1] = ids[0]  # some row is read twice
    return scale * rng.normal(size=(V, D)), ids


def _scattered(E: Array, ids: Array, g: Array) -> Array:
    E_bar = np.zeros_like(E)
    np.add.at(E_bar, ids, g)
    return E_bar


def _assigned(E: Array, ids: Array, g: Array) -> Array:
    E_bar = np.zeros_like(E)
    E_bar[ids] = g
    return E_bar


def _buffered(E: Array, ids: Array, g: Array) -> Array:
    E_bar = np.zeros_like(E)
    E_bar[ids] += g
    return E_bar


EMBEDDING = Subject(
    "embedding", lambda E, ids: E[ids], _scattered, _table,
    ((2, 2, 3), (5, 3, 7), (30, 4, 20), (100, 50, 200)),
    also_right={"one-hot": lambda E, ids, g: (
        (np.arange(len(E))[:, None] == ids).astype(E.dtype) @ g)},
    edits=(
        edit("assigned", "unreduced-broadcast subset chain-term", _assigned),
        edit("buffered-add", "unreduced-broadcast subset chain-term", _buffered),
        edit("mean-of-repeats", "scale unreduced-broadcast subset chain-term", lambda E, ids, g: (
            _scattered(E, ids, g)
            / np.maximum(np.bincount(ids, minlength=len(E)), 1).astype(E.dtype)[:, None])),
        edit("id-off-by-one", "axis subset", lambda E, ids, g: (
            _scattered(E, (ids + 1) % len(E), g))),
        edit("first-row-frozen", "subset", lambda E, ids, g: (
            _scattered(E, ids, g) * (np.arange(len(E)) != ids[0])[:, None])),
    ),
)  # fmt: skip

CUMSUM = Subject(
    "cumsum", lambda x: np.cumsum(x, axis=-1),
    lambda x, g: np.cumsum(g[..., ::-1], axis=-1)[..., ::-1], logits, ((3,), *ROWS),
    also_right={"from the total": lambda x, g: (
        g.sum(axis=-1, keepdims=True) - np.cumsum(g, axis=-1) + g)},
    edits=(
        edit("not-reversed", "axis", lambda x, g: np.cumsum(g, axis=-1)),
        edit("not-turned-back", "axis", lambda x, g: np.cumsum(g[..., ::-1], axis=-1)),
        edit("exclusive", "chain-term subset identity", lambda x, g: (
            np.cumsum(g[..., ::-1], axis=-1)[..., ::-1] - g)),
        edit("other-axis", "axis", lambda x, g: np.cumsum(g[::-1], axis=0)[::-1]),
        edit("identity", "identity diagonal-only", lambda x, g: 1 * g),
        edit("all-ones", "axis subset cotangent projection-term", lambda x, g: (
            g.sum(axis=-1, keepdims=True) + 0 * g)),
    ),
)  # fmt: skip

POOL = Subject(
    "mean-pool", lambda x: x.mean(axis=-1),
    lambda x, g: (g / x.shape[-1])[..., None] + 0 * x, logits, ROWS,
    edits=(
        edit("not-over-K", "scale", lambda x, g: g[..., None] + 0 * x),
        edit("over-all", "scale", lambda x, g: (g / x.size)[..., None] + 0 * x),
        edit("to-the-first", "subset unreduced-broadcast", lambda x, g: (
            (g / x.shape[-1])[..., None] * (np.arange(x.shape[-1]) == 0))),
        edit("not-broadcast", "unreduced-broadcast", lambda x, g: (g / x.shape[-1])[..., None]),
        edit("mean-of-g", "cotangent axis unreduced-broadcast", lambda x, g: (
            g.mean() / x.shape[-1] + 0 * x)),
        edit("to-the-maximum", "subset wrong-variable", lambda x, g: (
            g[..., None] * (x == x.max(axis=-1, keepdims=True)))),
    ),
)  # fmt: skip

SUBJECTS = (LINEAR, ADD, MULTIPLY, EMBEDDING, CUMSUM, POOL)
