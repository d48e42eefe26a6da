"""Features that meet: graphs, pairs of factors, low-rank weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject
from benchmarks.checker.third_batch.parts import drawn, edited, einsum, matrix

__all__ = ["SUBJECTS"]


def _spread(edges: Array, like: Array) -> Any:
    """Return every node's mean over those it hears, itself among them, as a matrix."""
    A = (edges + np.eye(len(edges), dtype=edges.dtype) > 0).astype(like.dtype)
    return A / A.sum(axis=1, keepdims=True)


def _graph(X: Array, W: Array, edges: Array) -> Any:
    S = _spread(edges, X)
    return np.maximum(S @ X @ W, 0.1 * (S @ X @ W))


def _graph_backward(
    X: Array,
    W: Array,
    edges: Array,
    g: Array,
    back: Function = lambda S, d: S.T @ d,
    slope: Function = lambda z: np.where(z > 0, np.ones_like(z), 0.1 * np.ones_like(z)),
    seen: Function = lambda S, X: S @ X,
    spread: Function = _spread,
    W_back: Function = lambda d, W: d @ W.T,
) -> Any:
    S = spread(edges, X)
    d = g * slope(_spread(edges, X) @ X @ W)
    return back(S, W_back(d, W)), seen(S, X).T @ d


def _unnormalised(edges: Array, like: Array) -> Any:
    return (edges + np.eye(len(edges), dtype=edges.dtype) > 0).astype(like.dtype)


def _graph_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    N, D, K = shape
    edges = np.triu((rng.random((N, N)) < 0.4).astype(np.int64), 1)
    edges[0, 1] = 1
    return scale * rng.normal(size=(N, D)), matrix(rng, D, K), edges


GRAPH = Subject(
    "graph-convolution", _graph, _graph_backward, _graph_sample,
    ((4, 3, 5), (5, 3, 6), (5, 4, 7), (12, 8, 7), (40, 20, 10)), scales=(0.3, 1.0, 10.0),
    kinked=True,
    edits=edited(_graph_backward, {
        "neighbours-not-transposed": ("axis", {"back": lambda S, d: S @ d}),
        "neighbours-forgotten": ("chain-term", {"back": lambda S, d: d}),
        "weights-from-lone-nodes": ("wrong-variable chain-term", {"seen": lambda S, X: X}),
        "degrees-forgotten": ("chain-term", {"spread": _unnormalised}),
        "leak-forgotten": ("subset", {"slope": lambda z: (z > 0).astype(z.dtype)}),
        "slope-forgotten": ("chain-term", {"slope": lambda z: 1}),
        "slope-reversed": ("subset", {
            "slope": lambda z: np.where(z > 0, 0.1 * np.ones_like(z), np.ones_like(z))}),
    }),
)  # fmt: skip


def _pairs(x: Array, w: Array, V: Array) -> Array:
    """Return w·x + Σ_{i<j} ⟨v_i, v_j⟩ x_i x_j for every row."""
    out = np.zeros_like(x[:, 0])
    for n in range(len(x)):
        s = x[n] @ V
        out[n] = x[n] @ w + 0.5 * ((s * s).sum() - ((x[n] ** 2) @ (V**2)).sum())
    return out


def _pairs_backward(
    x: Array,
    w: Array,
    V: Array,
    g: Array,
    own: Function = lambda x, V: x * (V**2).sum(axis=1),
    V_own: Function = lambda x, V, g: V * ((g[:, None] * x**2).sum(axis=0))[:, None],
    both: Function = lambda s, V: s @ V.T,
    linear: Function = lambda w: w,
    w_bar: Function = lambda x, g: x.T @ g,
) -> Any:
    s = x @ V
    dx = g[:, None] * (linear(w) + both(s, V) - own(x, V))
    dV = einsum("nd,nf->df", x, g[:, None] * s) - V_own(x, V, g)
    return dx, w_bar(x, g), dV


PAIRS = Subject(
    "factorisation-machine", _pairs, _pairs_backward,
    lambda rng, shape, scale: (
        *drawn(rng, shape[:2], scale=scale), rng.normal(size=shape[1]),
        matrix(rng, shape[1], shape[2])),
    ((3, 4, 2), (4, 5, 3), (4, 5, 5), (7, 20, 8), (20, 60, 10)), scales=(0.3, 1.0, 10.0),
    edits=edited(_pairs_backward, {
        "own-square-kept": ("chain-term", {"own": lambda x, V: 0 * x}),
        "own-square-doubled": ("chain-term", {"own": lambda x, V: 2 * x * (V**2).sum(axis=1)}),
        "own-square-kept-for-factors": ("chain-term", {"V_own": lambda x, V, g: 0 * V}),
        "half-kept": ("chain-term", {"both": lambda s, V: 0.5 * s @ V.T}),
        "linear-part-forgotten": ("chain-term", {"linear": lambda w: 0}),
        "weights-by-row": ("unreduced-broadcast", {"w_bar": lambda x, g: x * g[:, None]}),
    }),
)  # fmt: skip

ALPHA = 3.0


def _adapted(x: Array, A: Array, B: Array, frozen: Array) -> Any:
    """Return x (W + (α/r) A B) with a frozen W of integers."""
    r = A.shape[1]
    return x @ frozen.astype(x.dtype) + (ALPHA / r) * ((x @ A) @ B)


def _adapted_backward(
    x: Array,
    A: Array,
    B: Array,
    frozen: Array,
    g: Array,
    ratio: Function = lambda A: ALPHA / A.shape[1],
    base: Function = lambda g, W: g @ W.T,
    adapter: Function = lambda g, A, B: (g @ B.T) @ A.T,
    A_bar: Function = lambda x, g, B: x.T @ (g @ B.T),
    B_bar: Function = lambda x, A, g: (x @ A).T @ g,
) -> Any:
    c = ratio(A)
    dx = base(g, frozen.astype(x.dtype)) + ALPHA / A.shape[1] * adapter(g, A, B)
    return dx, A_bar(c * x, g, B), B_bar(c * x, A, g)


def _adapted_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    N, D, r = shape
    frozen = rng.integers(-2, 3, size=(D, D))
    frozen[0, 1] = frozen[1, 0] + 1
    return scale * rng.normal(size=(N, D)), matrix(rng, D, r), matrix(rng, r, D), frozen


ADAPTED = Subject(
    "low-rank-adapter", _adapted, _adapted_backward, _adapted_sample,
    ((3, 4, 2), (4, 5, 2), (3, 6, 4), (7, 20, 4), (30, 40, 8)), scales=(0.3, 1.0, 10.0),
    edits=edited(_adapted_backward, {
        "alpha-forgotten": ("scale", {"ratio": lambda A: 1}),
        "rank-forgotten": ("scale", {"ratio": lambda A: ALPHA}),
        "base-forgotten": ("chain-term", {"base": lambda g, W: 0}),
        "adapter-forgotten-in-x": ("chain-term", {"adapter": lambda g, A, B: 0}),
        "base-not-transposed": ("axis", {"base": lambda g, W: g @ W}),
        "first-factor-frozen": ("zero", {"A_bar": lambda x, g, B: 0 * x.T @ (g @ B.T)}),
        "second-factor-severed": ("severed", {"B_bar": lambda x, A, g: None}),
    }),
)  # fmt: skip

SUBJECTS = (GRAPH, PAIRS, ADAPTED)
"""What is checked."""
