"""Policies: a table of preferences, a game's two heads, and returns that are spread over atoms.

What is wrong here is met in bandits that were typed from a textbook, where the probability of an
action and its complement change places, and in networks for games.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.ninth_batch.parts import (
    drawn,
    edited,
    like_sigmoid,
    log_softmax,
    matrix,
    mean,
    one,
    positive,
    relu,
    softmax,
    softmax_back,
    total,
)
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

HEAT = 1.5


def _so_far(rewards: Array, like: Array) -> Any:
    """Return the mean of the rewards before every step; 0 before the first."""
    means = [np.mean(rewards[:t]) if t else 0.0 for t in range(len(rewards))]
    return np.asarray(means, like.dtype)


def _with_its_own(rewards: Array, like: Array) -> Any:
    """Return the mean up to and with every step."""
    means = [np.mean(rewards[: t + 1]) for t in range(len(rewards))]
    return np.asarray(means, like.dtype)


def _bandit(H: Array, states: Array, actions: Array, rewards: Array) -> Any:
    """Return −Σ (R − baseline) log π(a), for a table of preferences [S, A] and a temperature."""
    own = log_softmax(H[states] / HEAT)[np.arange(len(actions)), actions]
    return -np.sum((rewards.astype(H.dtype) - _so_far(rewards, H)) * own)


def _bandit_backward(
    H: Array,
    states: Array,
    actions: Array,
    rewards: Array,
    g: Array,
    baseline: Function = _so_far,
    slope: Function = lambda p, own: own - p,
    chance: Function = lambda row: softmax(row / HEAT),
    cool: Function = lambda d: d / HEAT,
    added: Function = lambda so_far, d: so_far + d,
    sign: float = -1.0,
    count: Function = lambda actions: 1,
) -> Any:
    dH = np.zeros_like(H)
    advantages = rewards.astype(H.dtype) - baseline(rewards, H)
    for s, a, advantage in zip(states, actions, advantages, strict=True):
        p = chance(H[s])
        own = (np.arange(len(p)) == a).astype(p.dtype)
        d = sign * g * advantage * cool(slope(p, own)) / count(actions)
        dH[s] = added(dH[s], d)
    return dH


def _bandit_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    S, A, T = shape
    (H,) = drawn(rng, (S, A), scale=scale)
    actions = (2 * np.arange(T) + np.arange(T) // 3) % A
    return H, (np.arange(T) + 1) % S, actions, 2 + (3 * np.arange(T)) % 5


BANDIT = Subject(
    "table-of-preferences-with-a-running-baseline", _bandit, _bandit_backward, _bandit_sample,
    ((2, 3, 5), (3, 4, 7), (4, 3, 9), (6, 5, 20), (20, 8, 60)), scales=(0.1, 1.0, 3.0),
    edits=edited(_bandit_backward, {
        # Met as it stands: p for the action that was taken, 1 − p for the others.
        "probability-and-complement-exchanged": ("wrong-variable projection-term", {
            "slope": lambda p, own: own * p - (1 - own) * (1 - p)}),
        # Met in a class that asks for one probability alone.
        "other-actions-by-the-taken-one's-p": ("wrong-variable projection-term", {
            "slope": lambda p, own: own - np.sum(p * own)}),
        "taken-action-alone": ("diagonal-only subset", {
            "slope": lambda p, own: own * (1 - p)}),
        "other-actions-alone": ("subset chain-term", {"slope": lambda p, own: -(1 - own) * p}),
        "expectation-forgotten": ("projection-term chain-term", {"slope": lambda p, own: own}),
        "gradient-of-the-probability": ("chain-term wrong-variable", {
            "slope": lambda p, own: (own - p) * np.sum(p * own)}),
        "baseline-with-the-reward-itself": ("wrong-variable chain-term", {
            "baseline": _with_its_own}),
        "baseline-forgotten": ("chain-term wrong-variable", {"baseline": lambda rewards, H: 0}),
        "temperature-forgotten-outside": ("scale", {"cool": lambda d: d}),
        "temperature-forgotten-inside": ("wrong-variable", {"chance": softmax}),
        "states-met-again-assigned": ("unreduced-broadcast", {"added": lambda so_far, d: d}),
        "ascent": ("sign", {"sign": 1.0}),
        "averaged-over-steps": ("scale", {"count": len}),
    }),
)  # fmt: skip

DECAY = 0.3


def _game_outputs(X: Array, W: Array, Wp: Array, wv: Array) -> tuple[Any, Any, Any]:
    """Return the hidden units, the moves' scores, and the value between −1 and 1."""
    hidden = relu(X @ W)
    return hidden, hidden @ Wp, np.tanh(hidden @ wv)


def _visited(counts: Array, like: Array) -> Any:
    """Return the share of visits of every move."""
    shares = counts.astype(like.dtype)
    return shares / total(shares)


def _game(X: Array, W: Array, Wp: Array, wv: Array, counts: Array, outcome: Array) -> Any:
    """Return the mean of (z − v)² − Σ π log p, and the squares of the weights."""
    _, scores, v = _game_outputs(X, W, Wp, wv)
    policy = -np.sum(_visited(counts, X) * log_softmax(scores), axis=1)
    squares = np.sum(W**2) + np.sum(Wp**2) + np.sum(wv**2)
    return np.mean((outcome.astype(X.dtype) - v) ** 2 + policy) + DECAY * squares


def _game_backward(
    X: Array,
    W: Array,
    Wp: Array,
    wv: Array,
    counts: Array,
    outcome: Array,
    g: Array,
    targets: Function = _visited,
    error: Function = lambda p, t: p - t,
    of_value: Function = lambda v, z: 2 * (v - z),
    tanh_slope: Function = lambda v: 1 - v**2,
    trunk: Function = lambda by_policy, by_value: by_policy + by_value,
    relu_slope: Function = positive,
    decay: Function = lambda W: 2 * DECAY * W,
) -> Any:
    hidden, scores, v = _game_outputs(X, W, Wp, wv)
    d_scores = g * error(softmax(scores), targets(counts, X)) / len(X)
    d_value = g * of_value(v, outcome.astype(X.dtype)) * tanh_slope(v) / len(X)
    d_hidden = trunk(d_scores @ Wp.T, np.outer(d_value, wv)) * relu_slope(hidden)
    return (
        d_hidden @ W.T,
        X.T @ d_hidden + g * decay(W),
        hidden.T @ d_scores + g * decay(Wp),
        hidden.T @ d_value + g * decay(wv),
    )


def _game_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, H, A = shape
    (X,) = drawn(rng, (N, D), scale=scale)
    counts = 1 + rng.integers(6, size=(N, A))
    return X, matrix(rng, D, H), matrix(rng, H, A), matrix(rng, H, 1)[:, 0], counts, (
        np.arange(N) % 3 - 1)  # fmt: skip


GAME = Subject(
    "game-network-of-moves-and-a-value", _game, _game_backward, _game_sample,
    ((3, 2, 4, 5), (4, 3, 5, 3), (5, 4, 6, 3), (8, 6, 9, 7), (20, 12, 10, 15)),
    scales=(0.3, 1.0, 2.0), kinked=True,
    edits=edited(_game_backward, {
        "value's-2-forgotten": ("chain-term scale", {"of_value": lambda v, z: v - z}),
        "value's-sign": ("sign chain-term", {"of_value": lambda v, z: 2 * (z - v)}),
        "value-without-tanh's-slope": ("chain-term", {"tanh_slope": lambda v: 1}),
        "trunk-by-the-policy-alone": ("chain-term unreduced-broadcast", {
            "trunk": lambda by_policy, by_value: by_policy}),
        "trunk-by-the-value-alone": ("chain-term unreduced-broadcast", {
            "trunk": lambda by_policy, by_value: by_value}),
        "visits-not-normalised": ("chain-term wrong-variable", {
            "targets": lambda counts, like: counts.astype(like.dtype)}),
        "moves-through-softmax-again": ("wrong-variable chain-term", {
            "error": lambda p, t: softmax_back(p, p - t)}),
        "shares-less-output": ("sign chain-term", {"error": lambda p, t: t - p}),
        "decay-without-its-2": ("chain-term", {"decay": lambda W: DECAY * W}),
        "decay-forgotten": ("chain-term", {"decay": lambda W: 0 * W}),
        "relu's-slope-forgotten": ("chain-term", {"relu_slope": one}),
    }),
)  # fmt: skip


def _expected(logits: Array, atoms: Array) -> Any:
    """Return every action's expected return, of logits [N, A, Z] and the values of atoms [Z]."""
    return np.sum(softmax(logits) * atoms, axis=-1)


def _expected_backward(
    logits: Array,
    atoms: Array,
    g: Array,
    chance: Function = softmax,
    values: Function = lambda atoms, p: atoms,
    rule: Function = softmax_back,
    of_atoms: Function = lambda p, g: np.sum(p * g, axis=(0, 1)),
) -> Any:
    p = chance(logits)
    d = rule(p, g[..., None] * values(atoms, p))
    return d, of_atoms(p, g[..., None])


def _expected_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    (logits,) = drawn(rng, shape, scale=scale)
    return logits, np.linspace(-1, 2, shape[-1]) + 0.1 * rng.normal(size=shape[-1])


EXPECTED = Subject(
    "expected-returns-of-atoms", _expected, _expected_backward, _expected_sample,
    ((2, 3, 4), (3, 2, 5), (4, 3, 6), (5, 4, 11), (8, 6, 25)), scales=(0.1, 1.0, 3.0),
    edits=edited(_expected_backward, {
        "expectation-not-subtracted": ("projection-term", {"rule": lambda p, d: p * d}),
        "like-sigmoid": ("diagonal-only", {"rule": like_sigmoid}),
        "plain-mean-of-the-atoms": ("projection-term", {"rule": lambda p, d: p * (d - mean(d))}),
        "expectation-of-all-actions": ("projection-term axis", {
            "rule": lambda p, d: p * (d - np.sum(p * d, axis=(1, 2), keepdims=True))}),
        "softmax-passed-over": ("identity chain-term", {"rule": lambda p, d: d}),
        "normalised-over-actions": ("axis wrong-variable", {
            "chance": lambda logits: softmax(logits, 1)}),
        "atoms-forgotten": ("zero chain-term projection-term", {
            "values": lambda atoms, p: 1 + 0 * atoms}),
        "atoms'-gradient-none": ("severed", {"of_atoms": lambda p, g: None}),
        "atoms-of-every-action": ("unreduced-broadcast", {
            "of_atoms": lambda p, g: np.sum(p * g, axis=0)}),
    }),
)  # fmt: skip

SUBJECTS = (BANDIT, GAME, EXPECTED)
"""What is checked."""
