"""A conditional random field, by its messages.

What is wrong here is met in reports on libraries that tag sequences.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.checker.fifth_batch.parts import (
    drawn,
    edited,
    ids,
)
from benchmarks.checker.numerics import one_hot, softmax
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]


def _tagged(emissions: Array, transitions: Array, start: Array, tags: Array) -> Any:
    """Return minus the log-likelihood of tags [T] under a chain, by the forward algorithm."""
    alpha = start + emissions[0]
    for row in emissions[1:]:
        alpha = _lse(alpha[:, None] + transitions, 0) + row
    score = start[tags[0]] + np.sum(emissions[np.arange(len(tags)), tags])
    score = score + np.sum(transitions[tags[:-1], tags[1:]])
    return _lse(alpha, 0) - score


def _lse(x: Array, axis: int) -> Any:
    top = np.max(x, axis=axis)
    return top + np.log(np.sum(np.exp(x - np.expand_dims(top, axis)), axis=axis))


def _messages(emissions: Array, transitions: Array, start: Array) -> Any:
    """Return the forward and the backward messages [T, K]."""
    alpha = [start + emissions[0]]
    for row in emissions[1:]:
        alpha.append(_lse(alpha[-1][:, None] + transitions, 0) + row)
    beta = [0 * start]
    for row in emissions[:0:-1]:
        beta.insert(0, _lse(transitions + (row + beta[0]), 1))
    return np.stack(alpha), np.stack(beta)


def _tagged_backward(
    emissions: Array,
    transitions: Array,
    start: Array,
    tags: Array,
    g: Array,
    unary: Function = lambda alpha, beta, e: softmax(alpha + beta),
    pairs: Function = lambda a, T, e, b, ma, mb: softmax((a[:, None] + T + e + b).reshape(-1)),
    gold: Function = lambda moves: moves,
    observed: Function = lambda t: t,
    first: Function = lambda marginals, t: marginals[0] - t[0],
) -> Any:
    alpha, beta = _messages(emissions, transitions, start)
    marginals, t = unary(alpha, beta, emissions), one_hot(tags, emissions)
    d_transitions = np.zeros_like(transitions)
    for i, (a, b) in enumerate(pairwise(range(len(tags)))):
        expected = pairs(alpha[a], transitions, emissions[b], beta[b], marginals[a], marginals[b])
        d_transitions += expected.reshape(transitions.shape)
        d_transitions[tags[i], tags[i + 1]] -= gold(1)
    return g * (marginals - observed(t)), g * d_transitions, g * first(marginals, t)


def _tagged_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    T, K = shape
    return *drawn(rng, (T, K), (K, K), (K,), scale=scale), ids(rng, T, K)


TAGGED = Subject(
    "conditional-random-field", _tagged, _tagged_backward, _tagged_sample,
    ((3, 2), (4, 3), (3, 4), (6, 5), (12, 8)), scales=(0.3, 1.0, 2.0),
    edits=edited(_tagged_backward, {
        "emissions-by-forward-messages": ("wrong-variable", {
            "unary": lambda alpha, beta, e: softmax(alpha)}),
        "emissions-as-if-independent": ("wrong-variable chain-term", {
            "unary": lambda alpha, beta, e: softmax(e)}),
        "marginals-exponentiated-again": ("wrong-variable", {
            "unary": lambda alpha, beta, e: np.exp(softmax(alpha + beta))}),
        "pairs-as-if-independent": ("wrong-variable chain-term", {
            "pairs": lambda a, T, e, b, ma, mb: np.outer(ma, mb)}),
        "pairs-transposed": ("axis", {
            "pairs": lambda a, T, e, b, ma, mb: softmax((a[:, None] + T + e + b).T.reshape(-1))}),
        "observed-transitions-forgotten": ("subset chain-term", {"gold": lambda moves: 0}),
        "observed-tags-forgotten": ("subset chain-term", {"observed": lambda t: 0}),
        "start-without-the-first-tag": ("subset chain-term", {"first": lambda m, t: m[0]}),
    }),
)  # fmt: skip

SUBJECTS = (TAGGED,)
"""What is checked."""
