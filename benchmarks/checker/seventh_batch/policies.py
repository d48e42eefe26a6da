"""Policies and preferences: by hand, with an entropy, by ratios of sequences, by odds.

What is wrong here is met in agents written in NumPy and a thread on one, and in issues and pull
requests on trainers and fused losses for language models.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import log_softmax, one_hot, softmax, total
from benchmarks.checker.seventh_batch.parts import (
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

GAMMA = 0.8


def _returns(rewards: Array, like: Array, gamma: float = GAMMA) -> Any:
    """Return what is still to come at every step, discounted."""
    G, to_come = np.zeros(len(rewards), like.dtype), 0.0
    for t in reversed(range(len(rewards))):
        to_come = float(rewards[t]) + gamma * to_come
        G[t] = to_come
    return G


def _episode(theta: Array, states: Array, actions: Array, rewards: Array) -> Any:
    """Return minus the return-weighted log-probabilities of an episode's actions."""
    loss, G = 0 * theta[0, 0], _returns(rewards, theta)
    for t, action in enumerate(actions):
        loss = loss - G[t] * log_softmax(states[t] @ theta)[action]
    return loss


def _jacobian_row(p: Array, action: int) -> Any:
    return p[action] * ((np.arange(len(p)) == action).astype(p.dtype) - p)


def _episode_backward(
    theta: Array,
    states: Array,
    actions: Array,
    rewards: Array,
    g: Array,
    returns: Function = _returns,
    dsoftmax: Function = _jacobian_row,
    dlog: Function = lambda d, p, action: d / p[action],
    sign: float = -1.0,
    count: Function = lambda states: 1,
) -> Any:
    d_theta, d_states = np.zeros_like(theta), np.zeros_like(states)
    G = returns(rewards, theta)
    for t, action in enumerate(actions):
        p = softmax(states[t] @ theta)
        grad = sign * g * G[t] * dlog(dsoftmax(p, action), p, action) / count(states)
        d_theta += np.outer(states[t], grad)
        d_states[t] = theta @ grad
    return d_theta, d_states


def _centred(rewards: Array, like: Array) -> Any:
    G = _returns(rewards, like)
    return (G - np.mean(G)) / (np.std(G) + 1e-3)


def _from_the_start(rewards: Array, like: Array) -> Any:
    return _returns(rewards[::-1], like)[::-1]


def _episode_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    T, D, A = shape
    theta, states = drawn(rng, (D, A), (T, D), scale=scale)
    return theta, states, ids(rng, T, A), 1 + np.arange(T) % 3


EPISODE = Subject(
    "reinforce-of-an-episode-by-hand", _episode, _episode_backward, _episode_sample,
    ((3, 2, 4), (4, 3, 5), (5, 4, 3), (8, 6, 4), (20, 10, 6)), scales=(0.3, 1.0, 1.5),
    also_right={"one-hot minus p": lambda theta, states, actions, rewards, g: _episode_backward(
        theta, states, actions, rewards, g, dlog=lambda d, p, action: d,
        dsoftmax=lambda p, action: (np.arange(len(p)) == action).astype(p.dtype) - p)},
    edits=edited(_episode_backward, {
        # Agents: π's gradient for log π's, a diagonal, the slope of the chosen action for all.
        "probability's-gradient": ("chain-term wrong-variable", {"dlog": lambda d, p, action: d}),
        "like-sigmoid": ("diagonal-only", {"dsoftmax": lambda p, action: p * (1 - p)}),
        "chosen-action's-complement": ("diagonal-only wrong-variable", {
            "dsoftmax": lambda p, action: p * (1 - p[action])}),
        "every-action-by-its-own-p": ("wrong-variable", {"dlog": lambda d, p, action: d / p}),
        "expectation-forgotten": ("projection-term", {
            "dlog": lambda d, p, action: (np.arange(len(p)) == action).astype(p.dtype)}),
        "ascent-for-descent": ("sign", {"sign": 1.0}),
        "rewards-for-returns": ("wrong-variable chain-term", {
            "returns": lambda rewards, like: rewards.astype(like.dtype)}),
        "not-discounted": ("wrong-variable chain-term", {
            "returns": lambda rewards, like: _returns(rewards, like, 1.0)}),
        "returns-from-the-start": ("axis wrong-variable", {"returns": _from_the_start}),
        "returns-normalised": ("wrong-variable chain-term", {"returns": _centred}),
        "averaged-over-steps": ("scale", {"count": len}),
    }),
)  # fmt: skip

ALPHA = 0.4


def _soft_actor(z: Array, Q: Array) -> Any:
    """Return the mean over states of Σ π (α log π − Q)."""
    return np.sum(softmax(z) * (ALPHA * log_softmax(z) - Q)) / len(z)


def _soft_actor_backward(
    z: Array,
    Q: Array,
    g: Array,
    score: Function = lambda z, Q: ALPHA * log_softmax(z) - Q,
    rule: Function = softmax_back,
    of_Q: Function = lambda p, d: -d * p,
    count: Function = len,
) -> Any:
    p, d = softmax(z), g / count(z)
    return d * rule(p, score(z, Q)), of_Q(p, d)


SOFT_ACTOR = Subject(
    "soft-actor-of-discrete-actions", _soft_actor, _soft_actor_backward,
    lambda rng, shape, scale: drawn(rng, shape, shape, scale=scale),
    ((3, 4), (4, 3), (5, 2), (6, 9), (12, 30)), scales=(0.3, 1.0, 3.0),
    # What is the same for all actions of a state goes away.
    also_right={
        "with the logarithm's own slope": lambda z, Q, g: _soft_actor_backward(
            z, Q, g, score=lambda z, Q: ALPHA * (log_softmax(z) + 1) - Q),
        "by the logits": lambda z, Q, g: _soft_actor_backward(
            z, Q, g, score=lambda z, Q: ALPHA * z - Q),
    },
    edits=edited(_soft_actor_backward, {
        "value-not-subtracted": ("projection-term", {"rule": lambda p, f: p * f}),
        "like-sigmoid": ("diagonal-only", {"rule": like_sigmoid}),
        # Only log π is differentiated, under an expectation that is held: nothing is left.
        "expectation-held-constant": ("zero", {"rule": lambda p, f: 0 * f}),
        "entropy-forgotten": ("chain-term", {"score": lambda z, Q: -Q}),
        "values-added": ("sign chain-term", {
            "score": lambda z, Q: ALPHA * log_softmax(z) + Q}),
        "values-cut-off": ("severed", {"of_Q": lambda p, d: None}),
        "not-averaged": ("scale", {"count": one}),
    }),
)  # fmt: skip

CLIP = 0.2


def _log_probabilities(z: Array, tokens: Array) -> Any:
    """Return the tokens' log-probabilities [N, T]."""
    N, T = tokens.shape
    return log_softmax(z)[np.arange(N)[:, None], np.arange(T), tokens]


def _given(values: Array, like: Array) -> Any:
    """Return what is given in eighths."""
    return values.astype(like.dtype) / 8


def _ratio(z: Array, tokens: Array, old: Array, mask: Array) -> Any:
    """Return every sequence's ratio: its mean log-ratio's exponential."""
    m = mask.astype(z.dtype)
    gaps = (_log_probabilities(z, tokens) - _given(old, z)) * m
    return np.exp(np.sum(gaps, axis=1) / np.sum(m, axis=1))


def _sequences(z: Array, tokens: Array, old: Array, advantages: Array, mask: Array) -> Any:
    """Return the clipped loss of a group's sequences, whose ratio is a geometric mean."""
    s, A = _ratio(z, tokens, old, mask), _given(advantages, z)
    clipped = np.minimum(np.maximum(s, 1 - CLIP + 0 * s), 1 + CLIP + 0 * s)
    return -np.mean(np.minimum(s * A, clipped * A))


def _unclipped(s: Array, A: Array) -> Any:
    return np.where(A > 0, s < 1 + CLIP, s > 1 - CLIP).astype(s.dtype)


def _sequences_backward(
    z: Array,
    tokens: Array,
    old: Array,
    advantages: Array,
    mask: Array,
    g: Array,
    active: Function = _unclipped,
    ratio: Function = lambda s, token_ratios: s[:, None],
    lengths: Function = lambda m: total(m),
    filled: Function = lambda m: m,
    negated: Function = lambda d: -d,
    spread: Function = lambda t, p: t - p,
    count: Function = len,
) -> Any:
    m, A = mask.astype(z.dtype), _given(advantages, z)
    s = _ratio(z, tokens, old, mask)
    token_ratios = np.exp(_log_probabilities(z, tokens) - _given(old, z))
    d = negated(A * active(s, A))[:, None] * ratio(s, token_ratios) / lengths(m)
    d = g * d * filled(m) / count(z)
    return d[..., None] * spread(one_hot(tokens, z), softmax(z))


def _sequences_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, T, V = shape
    z, tokens = scale * rng.normal(size=shape), rng.integers(V, size=(N, T))
    mask = (np.arange(T) < T - np.arange(N)[:, None] % 2).astype(int)
    gaps = np.where(np.arange(N)[:, None] % 3 == 2, 5, np.arange(T) % 3 - 1)
    old = np.round(8 * _log_probabilities(z, tokens)).astype(int) - gaps
    return z, tokens, old, np.array([4, -4, 8])[np.arange(N) % 3], mask


SEQUENCES = Subject(
    "clipped-ratios-of-sequences", _sequences, _sequences_backward, _sequences_sample,
    ((3, 3, 4), (4, 4, 3), (5, 3, 5), (6, 6, 9), (9, 10, 30)), scales=(0.3, 1.0, 2.0),
    kinked=True, extremes=(),
    edits=edited(_sequences_backward, {
        # A fused loss, repaired: the objective had been negated already.
        "negated-twice": ("sign", {"negated": lambda d: d}),
        "clip-forgotten": ("subset chain-term", {"active": lambda s, A: 1}),
        "ratio-forgotten": ("chain-term", {"ratio": lambda s, token_ratios: 1}),
        "tokens'-own-ratios": ("wrong-variable", {"ratio": lambda s, token_ratios: token_ratios}),
        "length-forgotten": ("scale chain-term", {"lengths": lambda m: 1}),
        "length-of-the-padded": ("scale chain-term", {"lengths": lambda m: m.shape[1]}),
        "padding-learnt": ("subset", {"filled": lambda m: 1}),
        "probabilities-not-subtracted": ("projection-term", {
            "spread": lambda t, p: t}),
    }),
)  # fmt: skip

LAMBDA = 0.7


def _mean_logp(z: Array, tokens: Array) -> Any:
    return np.sum(_log_probabilities(z, tokens), axis=1) / tokens.shape[1]


def _log_odds(logp: Array) -> Any:
    return logp - np.log(1 - np.exp(logp))


def _odds(z_w: Array, z_l: Array, chosen: Array, rejected: Array) -> Any:
    """Return the chosen sequences' loss, and λ times that of their odds against the rejected."""
    w, lost = _mean_logp(z_w, chosen), _mean_logp(z_l, rejected)
    gap = _log_odds(w) - _log_odds(lost)
    return np.mean(-w + LAMBDA * np.log(1 + np.exp(-gap)))


def _odds_backward(
    z_w: Array,
    z_l: Array,
    chosen: Array,
    rejected: Array,
    g: Array,
    slope: Function = lambda logp: 1 / (1 - np.exp(logp)),
    weight: Function = lambda gap: LAMBDA * sigmoid(-gap),
    likelihood: Function = lambda w: -1,
    rejected_sign: float = 1.0,
    length: Function = lambda tokens: tokens.shape[1],
    spread: Function = lambda t, p: t - p,
) -> Any:
    w, lost = _mean_logp(z_w, chosen), _mean_logp(z_l, rejected)
    push = weight(_log_odds(w) - _log_odds(lost))
    dw = g * (likelihood(w) - push * slope(w)) / len(w)
    dl = g * rejected_sign * push * slope(lost) / len(w)
    answers = []
    for z, tokens, d in ((z_w, chosen, dw), (z_l, rejected, dl)):
        steps = spread(one_hot(tokens, z), softmax(z))
        answers.append(d[:, None, None] * steps / length(tokens))
    return tuple(answers)


def _odds_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, T, V = shape
    tokens = rng.integers(V, size=(2, N, T))
    return *drawn(rng, shape, shape, scale=scale), *tokens


ODDS = Subject(
    "preferences-by-odds-ratios", _odds, _odds_backward, _odds_sample,
    ((3, 2, 4), (4, 3, 3), (2, 4, 5), (5, 6, 9), (8, 10, 30)), scales=(0.3, 1.0, 2.0),
    edits=edited(_odds_backward, {
        "odds-held-to-be-probabilities": ("chain-term", {"slope": lambda logp: 1}),
        "quotient's-sign": ("chain-term sign", {
            "slope": lambda logp: 1 / (1 + np.exp(logp))}),
        # An issue on a paper's formula: σ of the wrong difference.
        "sigmoid-of-the-gap": ("wrong-variable sign chain-term", {
            "weight": lambda gap: LAMBDA * sigmoid(gap)}),
        "lambda-forgotten": ("scale chain-term", {"weight": lambda gap: sigmoid(-gap)}),
        "odds-forgotten": ("chain-term zero", {"weight": lambda gap: 0 * gap}),
        "rejected-like-chosen": ("sign", {"rejected_sign": -1.0}),
        "rejected-not-learnt": ("zero", {"rejected_sign": 0.0}),
        "tokens-not-averaged": ("scale", {"length": one}),
        "probabilities-not-subtracted": ("projection-term", {
            "spread": lambda t, p: t}),
    }),
)  # fmt: skip

SUBJECTS = (EPISODE, SOFT_ACTOR, SEQUENCES, ODDS)
"""What is checked."""
