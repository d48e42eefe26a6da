"""Word vectors with a full softmax, and a large head that is taken in chunks.

What is wrong here is met in solutions of a course on word vectors, in a library's issues about
repeated words, and in issues about fused heads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.fifth_batch.parts import drawn, edited, ids, one
from benchmarks.checker.numerics import log_softmax, one_hot, softmax
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]


def _window(center: Array, outside: Array, words: Array) -> Any:
    """Return the loss of all words around a center [D], among outside vectors [V, D]."""
    lp = log_softmax(outside @ center)
    return -np.sum(lp[words])


def _window_backward(
    center: Array,
    outside: Array,
    words: Array,
    g: Array,
    error: Function = lambda p, t: p - t,
    added: Function = lambda to, value: to + value,
    to_center: Function = lambda outside, d: outside.T @ d,
    to_outside: Function = lambda d, center, outside: np.outer(d, center),
    seen: Function = lambda words: words,
) -> Any:
    d_center, d_outside = np.zeros_like(center), np.zeros_like(outside)
    for word in seen(words):
        p = softmax(outside @ center)
        d = error(p, one_hot(word, p))
        d_center = added(d_center, to_center(outside, d))
        d_outside = added(d_outside, to_outside(d, center, outside))
    return g * d_center, g * d_outside


def _window_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    m, V, D = shape
    words = ids(rng, m, V)
    words[1] = words[0]
    return *drawn(rng, (D,), (V, D), scale=scale), words


WINDOW = Subject(
    "skip-gram-with-full-softmax", _window, _window_backward, _window_sample,
    ((3, 4, 2), (4, 5, 3), (3, 7, 4), (5, 20, 8), (6, 60, 16)), scales=(0.3, 0.7, 1.0),
    also_right={"counts at once": lambda center, outside, words, g: (
        g * outside.T @ (d := len(words) * softmax(outside @ center)
                         - one_hot(words, outside.T).sum(axis=0)), g * np.outer(d, center))},
    edits=edited(_window_backward, {
        "last-word-of-the-window": ("unreduced-broadcast", {"added": lambda to, value: value}),
        "repeated-words-once": ("unreduced-broadcast subset", {"seen": np.unique}),
        "word-not-subtracted": ("subset chain-term", {"error": lambda p, t: p}),
        "word-alone": ("projection-term chain-term", {"error": lambda p, t: -t}),
        "target-minus-p": ("sign", {"error": lambda p, t: t - p}),
        "center-without-expectation": ("projection-term chain-term", {
            "to_center": lambda outside, d: -outside[np.argmin(d)]}),
        "outside-from-itself": ("wrong-variable", {
            "to_outside": lambda d, center, outside: d[:, None] * outside}),
    }),
)  # fmt: skip


def _bag(E: Array, U: Array, contexts: Array, words: Array) -> Any:
    """Return the mean loss of words, each from the mean vector of its context [N, m]."""
    h = np.mean(E[contexts], axis=1)
    return -np.mean(log_softmax(h @ U.T)[np.arange(len(words)), words])


def _scattered(like: Array, contexts: Array, d: Array) -> Any:
    dE = np.zeros_like(like)
    for row, value in zip(contexts, d, strict=True):
        for word in row:
            dE[word] += value
    return dE


def _indexed(like: Array, contexts: Array, d: Array) -> Any:
    """Add by fancy indexing: a word that is met twice is changed once."""
    dE = np.zeros_like(like)
    for row, value in zip(contexts, d, strict=True):
        dE[row] += value
    return dE


def _assigned(like: Array, contexts: Array, d: Array) -> Any:
    dE = np.zeros_like(like)
    for row, value in zip(contexts, d, strict=True):
        dE[row] = value
    return dE


def _bag_backward(
    E: Array,
    U: Array,
    contexts: Array,
    words: Array,
    g: Array,
    scattered: Function = _scattered,
    share: Function = lambda contexts: contexts.shape[1],
    error: Function = lambda p, t: p - t,
    count: Function = len,
    hidden: Function = lambda E, contexts: np.mean(E[contexts], axis=1),
) -> Any:
    h = hidden(E, contexts)
    p = softmax(np.mean(E[contexts], axis=1) @ U.T)
    d = g * error(p, one_hot(words, p)) / count(p)
    return scattered(E, contexts, d @ U / share(contexts)), d.T @ h


def _bag_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, m, V, D = shape
    contexts = rng.integers(V, size=(N, m))
    contexts[:, 1] = contexts[:, 0]
    return *drawn(rng, (V, D), (V, D), scale=scale), contexts, ids(rng, N, V)


BAG = Subject(
    "bag-of-words-with-full-softmax", _bag, _bag_backward, _bag_sample,
    ((3, 2, 4, 3), (3, 4, 6, 2), (4, 3, 5, 4), (6, 4, 20, 8), (10, 5, 50, 12)),
    scales=(0.3, 1.0, 2.0),
    edits=edited(_bag_backward, {
        "repeated-words-once": ("unreduced-broadcast", {"scattered": _indexed}),
        "last-context-of-a-word": ("unreduced-broadcast", {"scattered": _assigned}),
        "mean's-share-forgotten": ("scale", {"share": one}),
        "not-averaged": ("scale", {"count": one}),
        "outputs-from-the-sum": ("scale wrong-variable", {
            "hidden": lambda E, contexts: np.sum(E[contexts], axis=1)}),
        "target-minus-p": ("sign", {"error": lambda p, t: t - p}),
    }),
)  # fmt: skip

IGNORE, CHUNK = -1, 2


def _head(x: Array, W: Array, labels: Array) -> Any:
    """Return the loss of a linear head, averaged over the labels that are not ignored."""
    kept = labels != IGNORE
    lp = log_softmax(x[kept] @ W.T)
    return -np.sum(lp[np.arange(len(lp)), labels[kept]]) / len(lp)


def _head_backward(
    x: Array,
    W: Array,
    labels: Array,
    g: Array,
    into_W: Function = lambda to, value: to + value,
    count: Function = lambda labels, block: (labels != IGNORE).sum(),
    blocks: Function = lambda blocks: blocks,
    kept: Function = lambda labels: labels != IGNORE,
    arriving: Function = lambda g: g,
    error: Function = lambda p, t: p - t,
) -> Any:
    """Take rows in chunks, so that no matrix of all logits is made."""
    dx, dW = np.zeros_like(x), np.zeros_like(W)
    chunks = [slice(start, start + CHUNK) for start in range(0, len(x), CHUNK)]
    for block in blocks(chunks):
        p = softmax(x[block] @ W.T)
        d = error(p, one_hot(labels[block], p)) * kept(labels[block])[:, None]
        d = (d / count(labels, block)).astype(x.dtype)
        dx[block] = d @ W
        dW = into_W(dW, d.T @ x[block])
    return arriving(g) * dx, arriving(g) * dW


def _head_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, K = shape
    labels = ids(rng, N, K)
    labels[2] = IGNORE
    return *drawn(rng, (N, D), (K, D), scale=scale), labels


HEAD = Subject(
    "linear-cross-entropy-in-chunks", _head, _head_backward, _head_sample,
    ((5, 2, 4), (5, 3, 2), (7, 4, 3), (9, 6, 20), (21, 10, 60)), scales=(0.3, 0.7, 1.0),
    edits=edited(_head_backward, {
        "weights-of-the-last-chunk": ("unreduced-broadcast", {"into_W": lambda to, value: value}),
        "mean-of-every-chunk": ("scale chain-term", {
            "count": lambda labels, block: max((labels[block] != IGNORE).sum(), 1)}),
        "ignored-rows-counted": ("scale", {"count": lambda labels, block: len(labels)}),
        "summed": ("scale", {"count": one}),
        "last-chunk-left-out": ("subset", {"blocks": lambda blocks: blocks[:-1]}),
        "ignored-rows-not-silenced": ("subset", {"kept": lambda labels: labels == labels}),
        "upstream-ignored": ("cotangent", {"arriving": one}),
        "label-not-subtracted": ("subset chain-term", {"error": lambda p, t: p}),
    }),
)  # fmt: skip

SUBJECTS = (WINDOW, BAG, HEAD)
"""What is checked."""
