"""Large vocabularies: a tree of words, samples of words, and words that are copied.

What is wrong here is met in issues of a library for word vectors, in solutions of a course on
word vectors, and in recommenders and summarisers that were written from papers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.checker.numerics import log_softmax, one_hot, softmax
from benchmarks.checker.sixth_batch.parts import (
    drawn,
    edited,
    ids,
    like_sigmoid,
    one,
    sigmoid,
    softmax_back,
)
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]


def _path(word: int, depth: int) -> Iterator[tuple[int, int]]:
    """Yield the inner nodes of a complete tree on the way to a word, and the turns there."""
    node = 1
    for level in reversed(range(depth)):
        turn = int(word) >> level & 1
        yield node - 1, turn
        node = 2 * node + turn


def _depth(U: Array) -> int:
    return (len(U) + 1).bit_length() - 1


def _tree(h: Array, U: Array, words: Array) -> Any:
    """Return the summed loss of words under hierarchical softmax; U has a row for every node."""
    loss = 0 * h[0, 0]
    for x, word in zip(h, words, strict=True):
        for node, turn in _path(word, _depth(U)):
            loss = loss + _surprise((1 - 2 * turn) * (U[node] @ x))
    return loss


def _surprise(s: Array) -> Any:
    """Return −log σ(s), which a sigmoid near 0 does not spoil."""
    return np.log(1 + np.exp(-np.abs(s))) + np.maximum(-s, 0 * s)


def _tree_backward(
    h: Array,
    U: Array,
    words: Array,
    g: Array,
    error: Function = lambda s, turn: s - (1 - turn),
    path: Function = lambda path: path,
    added: Function = lambda to, value: to + value,
    into_node: Function = lambda to, value: to + value,
    learnt: Function = lambda node, d: None,
) -> Any:
    dh, dU = np.zeros_like(h), np.zeros_like(U)
    for n, word in enumerate(words):
        for node, turn in path(list(_path(word, _depth(U)))):
            d = g * error(sigmoid(U[node] @ h[n]), turn)
            dU[node] = into_node(dU[node], d * h[n])
            learnt(U[node], d * h[n])
            dh[n] = added(dh[n], d * U[node])
    return dh, dU


def _step(node: Array, d: Array) -> None:
    """Take the node's step before the hidden vector has had its gradient."""
    node -= 0.3 * d


def _tree_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, depth, D = shape
    return *drawn(rng, (N, D), (2**depth - 1, D), scale=scale), ids(rng, N, 2**depth)


TREE = Subject(
    "hierarchical-softmax", _tree, _tree_backward, _tree_sample,
    ((3, 2, 3), (4, 2, 5), (5, 3, 2), (9, 4, 6), (20, 6, 16)), scales=(0.3, 1.0, 2.0),
    edits=edited(_tree_backward, {
        # A library's issue: −1.0**code is −1 for every code.
        "all-turns-alike": ("subset chain-term", {"error": lambda s, turn: s}),
        "turns-the-other-way": ("subset wrong-variable", {"error": lambda s, turn: s - turn}),
        "reversed": ("sign", {"error": lambda s, turn: 1 - turn - s}),
        "sigmoid's-slope-once-more": ("chain-term", {
            "error": lambda s, turn: (s - (1 - turn)) * s * (1 - s)}),
        "hidden-vector-by-the-last-node": ("unreduced-broadcast", {
            "added": lambda to, value: value}),
        "nodes-assigned": ("unreduced-broadcast", {"into_node": lambda to, value: value}),
        # Another issue of that library: a row that is a view is stepped too early.
        "nodes-stepped-too-early": ("aliasing wrong-variable", {"learnt": _step}),
        "root-left-out": ("subset chain-term", {"path": lambda path: path[1:]}),
    }),
)  # fmt: skip


def _log_q(words: Array, like: Array) -> Any:
    """Return the logarithm of the chance that a word is sampled."""
    return -np.log(2 + words % 5).astype(like.dtype)


def _sampled(h: Array, W: Array, labels: Array, negatives: Array) -> Any:
    """Return the mean loss of labels among sampled words, whose logits are corrected."""
    loss = 0 * h[0, 0]
    for x, label in zip(h, labels, strict=True):
        words = np.concatenate([[label], negatives])
        loss = loss - log_softmax(W[words] @ x - _log_q(words, W))[0] / len(h)
    return loss


def _scattered(dW: Array, words: Array, value: Array) -> None:
    for word, row in zip(words, value, strict=True):
        dW[word] += row


def _by_fancy_index(dW: Array, words: Array, value: Array) -> None:
    dW[words] += value


def _assigned(dW: Array, words: Array, value: Array) -> None:
    dW[words] = value


def _sampled_backward(
    h: Array,
    W: Array,
    labels: Array,
    negatives: Array,
    g: Array,
    correction: Function = _log_q,
    error: Function = lambda p: p - one_hot(np.array(0), p),
    scattered: Function = _scattered,
    count: Function = len,
) -> Any:
    dh, dW = np.zeros_like(h), np.zeros_like(W)
    for n, label in enumerate(labels):
        words = np.concatenate([[label], negatives])
        p = softmax(W[words] @ h[n] - correction(words, W))
        d = g * error(p) / count(h)
        dh[n] = W[words].T @ d
        scattered(dW, words, np.outer(d, h[n]))
    return dh, dW


def _sampled_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, M, V, D = shape
    negatives = rng.integers(V, size=M)
    negatives[1] = negatives[0]
    return *drawn(rng, (N, D), (V, D), scale=scale), ids(rng, N, V), negatives


SAMPLED = Subject(
    "sampled-softmax-with-corrected-logits", _sampled, _sampled_backward, _sampled_sample,
    ((3, 2, 4, 3), (4, 3, 6, 2), (3, 4, 5, 3), (6, 5, 20, 8), (12, 9, 50, 12)),
    scales=(0.3, 1.0, 2.0),
    edits=edited(_sampled_backward, {
        "correction-forgotten": ("wrong-variable", {"correction": lambda words, W: 0}),
        "correction-added": ("wrong-variable sign", {
            "correction": lambda words, W: -_log_q(words, W)}),
        # NumPy's += at repeated places counts one of them.
        "repeated-words-once": ("unreduced-broadcast", {"scattered": _by_fancy_index}),
        "words-assigned": ("unreduced-broadcast", {"scattered": _assigned}),
        "label-not-subtracted": ("subset chain-term", {"error": lambda p: p}),
        "label-alone": ("projection-term chain-term", {
            "error": lambda p: -one_hot(np.array(0), p)}),
        "slope-of-the-output-too": ("chain-term diagonal-only", {
            "error": lambda p: (p - one_hot(np.array(0), p)) * p * (1 - p)}),
        "not-averaged": ("scale", {"count": one}),
    }),
)  # fmt: skip


def _copying(z: Array, a: Array, s: Array, source: Array, labels: Array) -> Any:
    """Return the mean loss of words that are generated, or copied from their source [N, S]."""
    words, _, copied, gate = _mixture(z, a, s, source, labels)
    return -np.mean(np.log(gate * words + (1 - gate) * copied))


def _mixture(z: Array, a: Array, s: Array, source: Array, labels: Array) -> Any:
    hit = (source == labels[:, None]).astype(a.dtype)
    words = softmax(z)[np.arange(len(z)), labels]
    return words, hit, np.sum(softmax(a) * hit, axis=1), sigmoid(s)


def _copying_backward(
    z: Array,
    a: Array,
    s: Array,
    source: Array,
    labels: Array,
    g: Array,
    over: Function = lambda P: 1 / P,
    to_words: Function = lambda p, t, words: words[:, None] * (t - p),
    to_places: Function = softmax_back,
    hits: Function = lambda hit: hit,
    to_gate: Function = lambda words, copied: words - copied,
) -> Any:
    words, hit, copied, gate = _mixture(z, a, s, source, labels)
    dP = -g * over(gate * words + (1 - gate) * copied) / len(z)
    p = softmax(z)
    dz = (dP * gate)[:, None] * to_words(p, one_hot(labels, p), words)
    da = to_places(softmax(a), (dP * (1 - gate))[:, None] * hits(hit))
    return dz, da, dP * to_gate(words, copied) * gate * (1 - gate)


def _copying_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, V, S = shape
    source, labels = rng.integers(V, size=(N, S)), ids(rng, N, V)
    source[:, :2] = labels[:, None]
    return *drawn(rng, (N, V), (N, S), (N,), scale=scale), source, labels


COPYING = Subject(
    "words-generated-or-copied", _copying, _copying_backward, _copying_sample,
    ((2, 4, 3), (3, 5, 4), (4, 3, 5), (6, 17, 9), (12, 50, 20)), scales=(0.3, 1.0, 3.0),
    edits=edited(_copying_backward, {
        "gate-by-the-words-alone": ("chain-term", {"to_gate": lambda words, copied: words}),
        "gate's-second-sign": ("sign chain-term", {
            "to_gate": lambda words, copied: words + copied}),
        "logarithm's-slope-forgotten": ("chain-term", {"over": lambda P: 1 + 0 * P}),
        # The rule of plain cross entropy, where the logarithm is of a sum.
        "words-like-cross-entropy": ("wrong-variable chain-term", {
            "to_words": lambda p, t, words: t - p}),
        "copies-of-the-last-place": ("unreduced-broadcast subset", {
            "hits": lambda hit: hit * (np.cumsum(hit[:, ::-1], axis=1)[:, ::-1] == 1)}),
        "places-like-sigmoid": ("diagonal-only", {"to_places": like_sigmoid}),
        "places'-inner-product-forgotten": ("projection-term", {
            "to_places": lambda p, d: p * d}),
        "places-are-their-logits": ("identity chain-term", {"to_places": lambda p, d: d}),
    }),
)  # fmt: skip

SUBJECTS = (TREE, SAMPLED, COPYING)
"""What is checked."""
