"""Graphs and trees: attention to neighbours, a tree of soft gates, labels that nobody gave.

What is wrong here is met in layers for graphs, in a soft tree by hand, and in losses of entropies.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.checker.ninth_batch.parts import (
    drawn,
    edited,
    ids,
    like_sigmoid,
    log_softmax,
    matrix,
    one,
    positive,
    sigmoid,
    softmax,
    softmax_back,
    total,
    without_inner,
)
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

LEAK, LOW = 0.2, -1e4


def _of_edges(X: Array, W: Array, a: Array, b: Array, edges: Array) -> tuple[Any, ...]:
    """Return the nodes' messages, the raw scores of all pairs, and the neighbours' weights."""
    h = X @ W
    raw = (h @ a)[:, None] + (h @ b)
    leaky = np.where(raw > 0, raw, LEAK * raw)
    return h, raw, softmax(np.where(edges > 0, leaky, LOW + 0 * leaky))


def _graph(X: Array, W: Array, a: Array, b: Array, edges: Array) -> Any:
    """Return every node's mean of its neighbours' messages, by attention."""
    h, _, weights = _of_edges(X, W, a, b, edges)
    return weights @ h


def _graph_backward(
    X: Array,
    W: Array,
    a: Array,
    b: Array,
    edges: Array,
    g: Array,
    rule: Function = softmax_back,
    leak: Function = lambda raw, d: np.where(raw > 0, d, LEAK * d),
    senders: Function = lambda d: np.sum(d, axis=1),
    receivers: Function = lambda d: np.sum(d, axis=0),
    messages: Function = lambda weights, g: weights.T @ g,
    by_scores: Function = lambda d_own, d_other, a, b: np.outer(d_own, a) + np.outer(d_other, b),
    chance: Function = lambda raw, weights: weights,
) -> Any:
    h, raw, weights = _of_edges(X, W, a, b, edges)
    d_raw = leak(raw, rule(chance(raw, weights), g @ h.T))
    d_own, d_other = senders(d_raw), receivers(d_raw)
    d_h = messages(weights, g) + by_scores(d_own, d_other, a, b)
    return d_h @ W.T, X.T @ d_h, h.T @ d_own, h.T @ d_other


def _graph_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, F = shape
    X, a, b = drawn(rng, (N, D), (F,), (F,), scale=scale)
    places = np.arange(N)
    edges = (places[:, None] + 2 * places) % 3 != 1
    return X, matrix(rng, D, F), a, b, (edges | (places[:, None] == places)).astype(int)


GRAPH = Subject(
    "attention-to-neighbours-in-a-graph", _graph, _graph_backward, _graph_sample,
    ((4, 3, 2), (5, 2, 3), (6, 4, 3), (8, 5, 6), (14, 9, 8)), scales=(0.3, 1.0, 2.0), kinked=True,
    edits=edited(_graph_backward, {
        "like-sigmoid": ("diagonal-only", {"rule": like_sigmoid}),
        "inner-product-forgotten": ("projection-term", {"rule": without_inner}),
        "leak-forgotten": ("chain-term", {"leak": lambda raw, d: d}),
        "leak-of-a-relu": ("chain-term subset", {"leak": lambda raw, d: d * positive(raw)}),
        "leak-by-the-gradient": ("cotangent wrong-variable", {
            "leak": lambda raw, d: np.where(d > 0, d, LEAK * d)}),
        "two-ends-exchanged": ("axis", {
            "senders": lambda d: np.sum(d, axis=0), "receivers": lambda d: np.sum(d, axis=1)}),
        "messages-by-weights-not-transposed": ("axis", {
            "messages": lambda weights, g: weights @ g}),
        "weights-held-constant": ("chain-term unreduced-broadcast", {
            "by_scores": lambda d_own, d_other, a, b: 0 * np.outer(d_own, a)}),
        "messages-held-constant": ("chain-term unreduced-broadcast", {
            "messages": lambda weights, g: 0 * g}),
        "neighbours-forgotten": ("wrong-variable subset", {
            "chance": lambda raw, weights: softmax(np.where(raw > 0, raw, LEAK * raw))}),
    }),
)  # fmt: skip


def _gates(X: Array, W: Array, b: Array) -> Any:
    """Return how far to the right a sample goes at the root and below it: [N, 3]."""
    return sigmoid(X @ W + b)


def _paths(s: Array) -> Any:
    """Return the shares of the four leaves."""
    root, left, right = s.T
    return np.stack(
        [(1 - root) * (1 - left), (1 - root) * left, root * (1 - right), root * right], axis=1
    )


def _tree(X: Array, W: Array, b: Array, leaves: Array, y: Array) -> Any:
    """Return the mean loss of leaves [4, K] that are mixed by soft gates."""
    p = _paths(_gates(X, W, b)) @ softmax(leaves)
    return -np.mean(np.log(p[np.arange(len(y)), y]))


def _by_product(s: Array, d: Array) -> Any:
    """Pull shares of leaves back to the gates."""
    root, left, right = s.T
    d_root = -(1 - left) * d[:, 0] - left * d[:, 1] + (1 - right) * d[:, 2] + right * d[:, 3]
    d_left, d_right = (1 - root) * (d[:, 1] - d[:, 0]), root * (d[:, 3] - d[:, 2])
    return np.stack([d_root, d_left, d_right], axis=1)


def _to_the_right_alone(s: Array, d: Array) -> Any:
    """Leave the complements of the gates out."""
    root, _, right = s.T
    d_root = (1 - right) * d[:, 2] + right * d[:, 3]
    return np.stack([d_root, (1 - root) * d[:, 1], root * d[:, 3]], axis=1)


def _root_as_it_is(s: Array, d: Array) -> Any:
    """Forget that what is below the root has a share of its own."""
    gates = _by_product(s, d)
    gates[:, 0] = d[:, 2] + d[:, 3] - d[:, 0] - d[:, 1]
    return gates


def _tree_backward(
    X: Array,
    W: Array,
    b: Array,
    leaves: Array,
    y: Array,
    g: Array,
    at_leaves: Function = softmax,
    rule: Function = softmax_back,
    of_log: Function = lambda own: -1 / own,
    product: Function = _by_product,
    slope: Function = lambda s: s * (1 - s),
    of_bias: Function = lambda d: np.sum(d, axis=0),
    count: Function = len,
) -> Any:
    s, q = _gates(X, W, b), at_leaves(leaves)
    own = softmax(leaves)[:, y].T
    weight = g * of_log(total(_paths(s) * own)) / count(y)
    d_gates = product(s, weight * own) * slope(s)
    labels = (y[:, None] == np.arange(leaves.shape[1])).astype(X.dtype)
    d_leaves = rule(q, (_paths(s) * weight).T @ labels)
    return d_gates @ W.T, X.T @ d_gates, of_bias(d_gates), d_leaves


def _tree_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, K = shape
    X, b, leaves = drawn(rng, (N, D), (3,), (4, K), scale=scale)
    return X, matrix(rng, D, 3), b, leaves, ids(rng, N, K)


TREE = Subject(
    "tree-of-soft-gates-and-leaves", _tree, _tree_backward, _tree_sample,
    ((3, 2, 5), (5, 4, 3), (6, 5, 7), (9, 6, 5), (30, 8, 10)), scales=(0.3, 1.0, 2.0), extremes=(),
    edits=edited(_tree_backward, {
        "leaves-like-sigmoids": ("diagonal-only", {"rule": like_sigmoid}),
        "leaves'-inner-product-forgotten": ("projection-term", {"rule": without_inner}),
        "leaves-normalised-over-leaves": ("axis wrong-variable", {
            "at_leaves": lambda leaves: softmax(leaves, 0)}),
        "softmax-of-leaves-passed-over": ("identity chain-term", {"rule": lambda q, d: d}),
        "logarithm's-slope-forgotten": ("chain-term", {"of_log": lambda own: -1 + 0 * own}),
        "likelihood's-sign": ("sign", {"of_log": lambda own: 1 / own}),
        "gates-by-the-way-right-alone": ("chain-term unreduced-broadcast", {
            "product": _to_the_right_alone}),
        "root-without-the-gates-below": ("chain-term", {"product": _root_as_it_is}),
        "gates'-slope-forgotten": ("chain-term", {"slope": one}),
        "bias-one-sum": ("axis unreduced-broadcast", {"of_bias": np.sum}),
        "not-averaged": ("scale", {"count": one}),
    }),
)  # fmt: skip


def _informed(z: Array) -> Any:
    """Return the mean entropy of rows less the entropy of the mean row."""
    p, marginal = softmax(z), softmax(z).mean(axis=0)
    return np.sum(marginal * np.log(marginal)) - np.sum(p * log_softmax(z)) / len(z)


def _informed_backward(
    z: Array,
    g: Array,
    rule: Function = softmax_back,
    of_rows: Function = lambda p, logp: -(logp + 1),
    of_marginal: Function = lambda marginal: np.log(marginal) + 1,
    share: Function = len,
    base: float = 1.0,
) -> Any:
    p, marginal = softmax(z), softmax(z).mean(axis=0)
    d = of_rows(p, log_softmax(z)) / len(z) + of_marginal(marginal) / share(z)
    return g * rule(p, d) / base


INFORMED = Subject(
    "entropies-of-rows-and-of-their-mean", _informed, _informed_backward,
    lambda rng, shape, scale: drawn(rng, shape, scale=scale),
    ((3, 4), (5, 3), (4, 6), (9, 8), (24, 20)), scales=(0.3, 1.0, 3.0), extremes=(),
    also_right={"without the ones": lambda z, g: _informed_backward(
        z, g, of_rows=lambda p, logp: -logp, of_marginal=np.log)},
    edits=edited(_informed_backward, {
        "like-sigmoid": ("diagonal-only", {"rule": like_sigmoid}),
        "inner-product-forgotten": ("projection-term", {"rule": without_inner}),
        "softmax-passed-over": ("chain-term identity", {"rule": lambda p, d: d}),
        "entropy-of-the-mean-forgotten": ("chain-term", {"of_marginal": lambda marginal: 0}),
        "entropy-of-the-mean-reversed": ("chain-term sign", {
            "of_marginal": lambda marginal: -np.log(marginal) - 1}),
        "rows-forgotten": ("chain-term", {"of_rows": lambda p, logp: 0 * p}),
        "rows-weighted-once-more": ("wrong-variable chain-term", {
            "of_rows": lambda p, logp: -p * (logp + 1)}),
        "mean-not-divided": ("chain-term scale", {"share": one}),
        "logarithm-of-base-two": ("scale", {"base": math.log(2)}),
    }),
)  # fmt: skip

SUBJECTS = (GRAPH, TREE, INFORMED)
"""What is checked."""
