"""A policy that is trained by its returns.

What is wrong here is met in reinforcement learning written from scratch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.fifth_batch.parts import (
    edited,
    ids,
    matrix,
    one,
)
from benchmarks.checker.numerics import log_softmax, one_hot, softmax, total
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]


BONUS, BASELINE = 0.3, 1


def _policy(theta: Array, states: Array, actions: Array, returns: Array) -> Any:
    """Return the loss of REINFORCE with a baseline and an entropy bonus, for a linear policy."""
    lp = log_softmax(states @ theta)
    chosen = lp[np.arange(len(actions)), actions]
    entropy = -np.sum(np.exp(lp) * lp, axis=1)
    return np.mean(-(returns - BASELINE) * chosen - BONUS * entropy)


def _entropy_back(p: Array) -> Any:
    """Return the gradient of the entropy at the logits."""
    lp = np.log(p)
    return -p * (lp - total(p * lp))


def _policy_backward(
    theta: Array,
    states: Array,
    actions: Array,
    returns: Array,
    g: Array,
    score: Function = lambda p, t: t - p,
    advantage: Function = lambda returns: returns - BASELINE,
    bonus: Function = _entropy_back,
    count: Function = len,
) -> Any:
    p = softmax(states @ theta)
    A = advantage(returns).astype(theta.dtype)[:, None]
    d = -A * score(p, one_hot(actions, p)) - BONUS * bonus(p)
    d = g * d / count(p)
    return states.T @ d, d @ theta.T


def _policy_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, K = shape
    theta, states = matrix(rng, D, K), scale * rng.normal(size=(N, D))
    return theta, states, ids(rng, N, K), 3 - np.arange(N) % 5


POLICY = Subject(
    "reinforce-with-baseline-and-entropy", _policy, _policy_backward, _policy_sample,
    ((4, 2, 3), (5, 3, 4), (7, 4, 3), (10, 6, 12), (30, 10, 20)), scales=(0.3, 1.0, 3.0),
    edits=edited(_policy_backward, {
        "ascent-for-descent": ("sign chain-term", {"score": lambda p, t: p - t}),
        "expectation-forgotten": ("projection-term chain-term", {"score": lambda p, t: t}),
        "chosen-action-alone": ("diagonal-only subset chain-term", {
            "score": lambda p, t: t * (1 - p)}),
        "probability-for-its-logarithm": ("wrong-variable chain-term", {
            "score": lambda p, t: total(p * t) * (t - p)}),
        "baseline-forgotten": ("chain-term wrong-variable", {"advantage": lambda r: r}),
        "advantage-forgotten": ("chain-term", {"advantage": lambda r: 0 * r + 1}),
        "entropy-forgotten": ("chain-term", {"bonus": lambda p: 0}),
        "entropy's-sign": ("sign chain-term", {"bonus": lambda p: -_entropy_back(p)}),
        "entropy-at-the-probabilities": ("wrong-variable chain-term", {
            "bonus": lambda p: -(np.log(p) + 1)}),
        "summed-over-the-episode": ("scale", {"count": one}),
    }),
)  # fmt: skip

SUBJECTS = (POLICY,)
"""What is checked."""
