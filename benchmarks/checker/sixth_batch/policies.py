"""Policies: actor and critic on one trunk, ratios of groups, and preferences.

What is wrong here is met in reinforcement learning without a framework, in repairs of surrogate
losses, and in reports on trainers of language models.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import log_softmax, one_hot, softmax, total
from benchmarks.checker.sixth_batch.parts import drawn, edited, ids, matrix, one, sigmoid
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

VALUE, BONUS = 0.5, 0.3


def _actor_critic(
    x: Array, W: Array, Wp: Array, wv: Array, actions: Array, advantages: Array, returns: Array
) -> Any:
    """Return policy loss + half of the squared error of values − bonus · entropy, averaged."""
    h = np.tanh(x @ W)
    lp, v = log_softmax(h @ Wp), h @ wv
    policy = -advantages.astype(x.dtype) * lp[np.arange(len(x)), actions]
    value = VALUE * (v - returns.astype(x.dtype)) ** 2
    return np.mean(policy + value + BONUS * np.sum(np.exp(lp) * lp, axis=1))


def _entropy_back(p: Array, t: Array) -> Any:
    """Return the gradient of −entropy at the logits."""
    lp = np.log(p)
    return p * (lp - total(p * lp))


def _actor_critic_backward(
    x: Array,
    W: Array,
    Wp: Array,
    wv: Array,
    actions: Array,
    advantages: Array,
    returns: Array,
    g: Array,
    score: Function = lambda p, t, A: A * (p - t),
    entropy: Function = _entropy_back,
    value: Function = lambda v, R: 2 * VALUE * (v - R),
    trunk: Function = lambda by_policy, by_value: by_policy + by_value,
    slope: Function = lambda h: 1 - h**2,
) -> Any:
    h = np.tanh(x @ W)
    p = softmax(h @ Wp)
    A = advantages.astype(x.dtype)[:, None]
    t = one_hot(actions, p)
    dz = g * (score(p, t, A) + BONUS * entropy(p, t)) / len(x)
    dv = g * value(h @ wv, returns.astype(x.dtype)) / len(x)
    dh = trunk(dz @ Wp.T, np.outer(dv, wv)) * slope(h)
    return dh @ W.T, x.T @ dh, h.T @ dz, h.T @ dv


def _actor_critic_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, H, K = shape
    weights = matrix(rng, D, H), 2 * matrix(rng, H, K), matrix(rng, H, 1)[:, 0]
    advantages, returns = 2 - np.arange(N) % 5, np.arange(N) % 3
    return scale * rng.normal(size=(N, D)), *weights, ids(rng, N, K), advantages, returns


ACTOR_CRITIC = Subject(
    "actor-and-critic-on-one-trunk", _actor_critic, _actor_critic_backward, _actor_critic_sample,
    ((4, 2, 3, 4), (5, 3, 2, 3), (6, 3, 4, 5), (9, 6, 8, 7), (30, 10, 16, 12)),
    scales=(0.3, 1.0, 2.0),
    edits=edited(_actor_critic_backward, {
        "trunk-by-the-policy-alone": ("chain-term", {
            "trunk": lambda by_policy, by_value: by_policy}),
        "value's-2-forgotten": ("scale chain-term", {"value": lambda v, R: VALUE * (v - R)}),
        # Threads in several repositories: plus or minus?
        "entropy's-sign": ("sign chain-term", {
            "entropy": lambda p, t: -_entropy_back(p, t)}),
        "entropy-of-the-chosen-action": ("chain-term wrong-variable", {
            "entropy": lambda p, t: total(t * p * (np.log(p) + 1)) * (t - p)}),
        "entropy-at-the-probabilities": ("wrong-variable chain-term", {
            "entropy": lambda p, t: np.log(p) + 1}),
        "entropy-by-distance-to-uniform": ("wrong-variable chain-term", {
            "entropy": lambda p, t: p - 1 / p.shape[1]}),
        "entropy-without-its-mean": ("projection-term chain-term", {
            "entropy": lambda p, t: p * np.log(p)}),
        # A thread: the derivative of sigmoid, divided by the probability.
        "score-of-the-chosen-action-alone": ("diagonal-only chain-term subset", {
            "score": lambda p, t, A: -A * t * (1 - p)}),
        "tanh's-slope-forgotten": ("chain-term", {"slope": lambda h: 1}),
    }),
)  # fmt: skip

CLIP, PULL = 0.2, 0.4


def _logs(logits: Array, tokens: Array) -> Any:
    """Return log-probabilities of the tokens [N, T]."""
    return np.sum(log_softmax(logits) * one_hot(tokens, logits), axis=-1)


def _tenths(x: Array, like: Array) -> Any:
    return (x / 10).astype(like.dtype)


def _group(
    logits: Array, tokens: Array, old: Array, ref: Array, advantages: Array, mask: Array
) -> Any:
    """Return the clipped loss of groups with a pull to a reference, sequence by sequence."""
    lp = _logs(logits, tokens)
    A, m = advantages.astype(lp.dtype)[:, None], mask.astype(lp.dtype)
    ratio = np.exp(lp - _tenths(old, lp))
    gain = np.minimum(ratio * A, np.clip(ratio, 1 - CLIP, 1 + CLIP) * A)
    away = _tenths(ref, lp) - lp
    loss = PULL * (np.exp(away) - away - 1) - gain
    return np.mean(np.sum(loss * m, axis=1) / np.sum(m, axis=1))


def _open(ratio: Array, A: Array) -> Any:
    """Return where the clipped ratio is not the smaller gain."""
    return np.where(A > 0, ratio < 1 + CLIP, ratio > 1 - CLIP)


def _per_sequence(m: Array) -> Any:
    return total(m) * len(m)


def _group_backward(
    logits: Array,
    tokens: Array,
    old: Array,
    ref: Array,
    advantages: Array,
    mask: Array,
    g: Array,
    passes: Function = _open,
    surrogate: Function = lambda ratio, A: -ratio * A,
    pull: Function = lambda away: PULL * (1 - np.exp(away)),
    count: Function = _per_sequence,
    kept: Function = lambda m: m,
    score: Function = lambda t, p: t - p,
) -> Any:
    lp, p = _logs(logits, tokens), softmax(logits)
    A, m = advantages.astype(lp.dtype)[:, None], mask.astype(lp.dtype)
    ratio = np.exp(lp - _tenths(old, lp))
    d = passes(ratio, A).astype(lp.dtype) * surrogate(ratio, A) + pull(_tenths(ref, lp) - lp)
    d = g * d * kept(m) / count(m)
    return d[..., None] * score(one_hot(tokens, p), p)


def _group_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, T, V = shape
    old, ref = (rng.integers(-4, 5, size=(N, T)) - round(10 * np.log(V)) for _ in range(2))
    mask = (np.arange(T) < T - np.arange(N)[:, None] % 2).astype(int)
    tokens = ids(rng, N * T, V).reshape(N, T)
    return scale * rng.normal(size=shape), tokens, old, ref, 1 - 3 * (np.arange(N) % 2), mask


GROUP = Subject(
    "clipped-ratios-with-a-reference", _group, _group_backward, _group_sample,
    ((2, 3, 4), (3, 4, 3), (4, 3, 5), (5, 6, 9), (8, 12, 20)), scales=(0.1, 0.5, 1.0),
    kinked=True,
    edits=edited(_group_backward, {
        "clipping-not-felt": ("chain-term subset", {"passes": lambda ratio, A: ratio == ratio}),
        # Repairs in several libraries: the side of the clip depends on the advantage's sign.
        "clipped-on-both-sides": ("subset chain-term", {
            "passes": lambda ratio, A: np.abs(ratio - 1) < CLIP}),
        "ratio-forgotten": ("chain-term", {"surrogate": lambda ratio, A: -A + 0 * ratio}),
        # A report: training collapses.
        "pull's-sign": ("sign chain-term", {"pull": lambda away: -PULL * (1 - np.exp(away))}),
        "pull-by-the-difference": ("wrong-variable chain-term", {
            "pull": lambda away: -PULL * away}),
        # Reports on normalisers: tokens of the batch, or the longest sequence.
        "averaged-over-all-tokens": ("scale chain-term", {"count": np.sum}),
        "averaged-over-padding-too": ("scale chain-term", {"count": np.size}),
        "mask-forgotten": ("subset", {"kept": lambda m: 1}),
        "expectation-forgotten": ("projection-term", {"score": lambda t, p: t}),
    }),
)  # fmt: skip

BETA = 0.7


def _preferred(
    chosen: Array, rejected: Array, yc: Array, yr: Array, ref: Array
) -> Any:  # fmt: skip
    """Return the mean of −log σ(β (log-ratio of the chosen − log-ratio of the rejected))."""
    return -np.mean(np.log(sigmoid(_margin(chosen, rejected, yc, yr, ref))))


def _margin(chosen: Array, rejected: Array, yc: Array, yr: Array, ref: Array) -> Any:
    won = np.sum(_logs(chosen, yc), axis=1)
    lost = np.sum(_logs(rejected, yr), axis=1)
    return BETA * (won - lost - _tenths(ref, won))


def _preferred_backward(
    chosen: Array,
    rejected: Array,
    yc: Array,
    yr: Array,
    ref: Array,
    g: Array,
    margin: Function = _margin,
    weight: Function = lambda m: -sigmoid(-m),
    beta: Function = lambda: BETA,
    of_rejected: Function = lambda d: -d,
    score: Function = lambda t, p: t - p,
) -> Any:
    w = g * weight(margin(chosen, rejected, yc, yr, ref)) * beta() / len(chosen)
    grads = []
    for d, z, y in ((w, chosen, yc), (of_rejected(w), rejected, yr)):
        grad = np.zeros_like(z)
        for n in range(len(z)):
            for step in range(z.shape[1]):
                p = softmax(z[n, step])
                grad[n, step] = d[n] * score(one_hot(y[n, step], p), p)
        grads.append(grad)
    return tuple(grads)


def _all_tokens(chosen: Array, rejected: Array, yc: Array, yr: Array, ref: Array, g: Array) -> Any:
    w = -g * sigmoid(-_margin(chosen, rejected, yc, yr, ref))[:, None, None] * BETA / len(chosen)
    by_chosen = w * (one_hot(yc, chosen) - softmax(chosen))
    return by_chosen, w * (softmax(rejected) - one_hot(yr, rejected))


def _preferred_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, T, V = shape
    tokens = (rng.integers(V, size=(N, T)) for _ in range(2))
    return *drawn(rng, shape, shape, scale=scale), *tokens, rng.integers(-9, 10, size=N)


PREFERRED = Subject(
    "direct-preferences-of-sequences", _preferred, _preferred_backward, _preferred_sample,
    ((2, 3, 4), (3, 2, 5), (4, 3, 3), (5, 4, 9), (6, 8, 20)), scales=(0.1, 0.5, 1.0),
    also_right={"all tokens at once": _all_tokens},
    edits=edited(_preferred_backward, {
        "weight-of-the-right-order": ("sign chain-term wrong-variable", {
            "weight": lambda m: -sigmoid(m)}),
        "weight-forgotten": ("chain-term", {"weight": lambda m: -1 + 0 * m}),
        "ascent-for-descent": ("sign", {"weight": lambda m: sigmoid(-m)}),
        "beta-forgotten": ("scale", {"beta": one}),
        "rejected-like-chosen": ("sign", {"of_rejected": lambda d: d}),
        "rejected-not-felt": ("zero severed", {"of_rejected": lambda d: 0 * d}),
        "reference-forgotten": ("wrong-variable", {
            "margin": lambda chosen, rejected, yc, yr, ref: _margin(
                chosen, rejected, yc, yr, 0 * ref)}),
        "expectation-forgotten": ("projection-term", {"score": lambda t, p: t}),
    }),
)  # fmt: skip

SUBJECTS = (ACTOR_CRITIC, GROUP, PREFERRED)
"""What is checked."""
