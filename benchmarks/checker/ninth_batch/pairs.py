"""Pairs: a queue of keys, and prototypes of a few samples.

What is wrong here is met in contrastive losses by hand, and in examples that momentum encoders and
their queues were taken over from.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.ninth_batch.parts import (
    drawn,
    edited,
    ids,
    log_softmax,
    one,
    one_hot,
    softmax,
    total,
)
from benchmarks.checker.seventh_batch.parts import softmax_columns
from benchmarks.checker.sixth_batch.parts import unit, unit_back
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

HEAT = 0.4


def _compared(q: Array, k: Array, queue: Array) -> Any:
    """Return logits [N, 1 + M]: of every query's own key, then of the queue's."""
    u = unit(q)
    return np.concatenate([total(u * k), u @ queue.T], axis=1) / HEAT


def _queued(q: Array, k: Array, queue: Array) -> Any:
    """Return the mean loss of queries [N, D] whose own keys stand first."""
    return -np.mean(log_softmax(_compared(q, k, queue))[:, 0])


def _first(logits: Array) -> Any:
    return one_hot(np.zeros(len(logits), int), logits)


def _queued_backward(
    q: Array,
    k: Array,
    queue: Array,
    g: Array,
    chance: Function = softmax,
    targets: Function = _first,
    heat: Function = lambda d: d / HEAT,
    count: Function = len,
    positives: Function = lambda d, k: d[:, :1] * k,
    negatives: Function = lambda d, queue: d[:, 1:] @ queue,
    of_queue: Function = lambda d, u: d.T @ u,
    through_unit: Function = unit_back,
) -> Any:
    logits = _compared(q, k, queue)
    d = heat(g * (chance(logits) - targets(logits)) / count(q))
    d_u = positives(d, k) + negatives(d, queue)
    u = unit(q)
    return through_unit(d_u, q), d[:, :1] * u, of_queue(d[:, 1:], u)


def _in_order(logits: Array) -> Any:
    """Return the labels of a loss within a batch: every row's own place."""
    return one_hot(np.arange(len(logits)) % logits.shape[1], logits)


def _queued_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, M, D = shape
    q, k, queue = drawn(rng, (N, D), (N, D), (M, D), scale=scale)
    return q, k, queue


QUEUED = Subject(
    "contrastive-loss-with-a-queue", _queued, _queued_backward, _queued_sample,
    ((3, 4, 2), (4, 3, 5), (5, 6, 3), (6, 9, 8), (10, 30, 12)), scales=(0.3, 1.0, 2.0),
    edits=edited(_queued_backward, {
        "labels-of-a-batch": ("subset wrong-variable axis", {"targets": _in_order}),
        "own-key-not-subtracted": ("subset chain-term", {"targets": lambda logits: 0 * logits}),
        "temperature-forgotten": ("scale", {"heat": lambda d: d}),
        "normalised-over-queries": ("axis wrong-variable", {"chance": softmax_columns}),
        "positives-alone": ("chain-term unreduced-broadcast", {
            "negatives": lambda d, queue: 0 * d[:, :1]}),
        "negatives-alone": ("chain-term unreduced-broadcast", {
            "positives": lambda d, k: 0 * k}),
        "length-held-constant": ("projection-term chain-term", {
            "through_unit": lambda d, q: d / np.sqrt(total(q * q) + 1e-6)}),
        "unit-passed-over": ("chain-term identity", {"through_unit": lambda d, q: d}),
        # What momentum encoders and queues are for: right in training, and no gradient.
        "queue-detached": ("zero", {"of_queue": lambda d, u: 0 * d.T @ u}),
        "queue-none": ("severed", {"of_queue": lambda d, u: None}),
        "not-averaged": ("scale", {"count": one}),
    }),
)  # fmt: skip


def _distances(support: Array, queries: Array) -> Any:
    """Return queries less prototypes, the means of the support [K, S, D]: [N, K, D]."""
    return queries[:, None] - support.mean(axis=1)


def _few(support: Array, queries: Array, y: Array) -> Any:
    """Return the mean loss of queries, by minus their squared distances to prototypes."""
    logits = -np.sum(_distances(support, queries) ** 2, axis=-1)
    return -np.mean(log_softmax(logits)[np.arange(len(y)), y])


def _few_backward(
    support: Array,
    queries: Array,
    y: Array,
    g: Array,
    chance: Function = softmax,
    error: Function = lambda p, t: p - t,
    square: Function = lambda gap: -2 * gap,
    of_prototypes: Function = lambda d: -np.sum(d, axis=0),
    shared: Function = lambda d, support: d[:, None] / support.shape[1] + 0 * support,
    count: Function = lambda y, p: len(y),
) -> Any:
    gap = _distances(support, queries)
    p = chance(-np.sum(gap**2, axis=-1))
    d_logits = g * error(p, one_hot(y, p)) / count(y, p)
    d = d_logits[..., None] * square(gap)
    return shared(of_prototypes(d), support), np.sum(d, axis=1)


def _to_the_first(d: Array, support: Array) -> Any:
    shared = np.zeros_like(support)
    shared[:, 0] = d
    return shared


def _few_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    K, S, D, N = shape
    return *drawn(rng, (K, S, D), (N, D), scale=scale), ids(rng, N, K)


FEW = Subject(
    "prototypes-of-a-few-samples", _few, _few_backward, _few_sample,
    ((2, 3, 4, 5), (3, 2, 4, 5), (4, 3, 2, 6), (5, 4, 6, 9), (8, 5, 10, 20)),
    scales=(0.3, 1.0, 1.5),
    edits=edited(_few_backward, {
        "mean-not-divided": ("scale chain-term", {
            "shared": lambda d, support: d[:, None] + 0 * support}),
        "prototypes-held-constant": ("zero", {"of_prototypes": lambda d: 0 * np.sum(d, axis=0)}),
        "prototypes-like-queries": ("sign", {"of_prototypes": lambda d: np.sum(d, axis=0)}),
        "prototypes-by-the-last-query": ("unreduced-broadcast", {
            "of_prototypes": lambda d: -d[-1]}),
        "square's-2-forgotten": ("scale", {"square": lambda gap: -gap}),
        "minus-of-the-distance-forgotten": ("sign", {"square": lambda gap: 2 * gap}),
        "chances-of-distances-not-negated": ("wrong-variable sign", {
            "chance": lambda logits: softmax(-logits)}),
        "normalised-over-queries": ("axis wrong-variable", {
            "chance": lambda logits: softmax(logits, 0)}),
        "expectation-forgotten": ("projection-term chain-term", {"error": lambda p, t: -t}),
        "averaged-over-entries": ("scale", {"count": lambda y, p: p.size}),
    }),
)  # fmt: skip

SUBJECTS = (QUEUED, FEW)
"""What is checked."""
