"""Wrong backwards as public code has them: softmax under other names, sparse maps, losses."""

from __future__ import annotations

import numpy as np

from mistakes import Mistake, collector
from wrong_rules import log_softmax, sigmoid, softmax

FOURTH_MISTAKES: list[Mistake] = []
mistake = collector(FOURTH_MISTAKES)


def rule(s, g, axis=-1):
    return s * (g - (s * g).sum(axis=axis, keepdims=True))


# --- the rule of softmax with other numbers for s ------------------------------------------------


@mistake("softmax: z·(1 − z)", softmax, "diagonal-only", (4, 6))
def _(z, g):
    return g * z * (1 - z)


@mistake("softmax: slope of softmax twice", softmax, "diagonal-only", (4, 6))
def _(z, g):
    s = softmax(softmax(z))
    return g * s * (1 - s)


@mistake("softmax: sigmoid's slope", softmax, "diagonal-only", (4, 6))
def _(z, g):
    return g * sigmoid(z) * (1 - sigmoid(z))


@mistake("softmax: s of the last row", softmax, "wrong-variable", (4, 6))
def _(z, g):
    return rule(np.broadcast_to(softmax(z)[-1:], z.shape), g)


@mistake("softmax: diagonal negated", softmax, "projection-term", (4, 6))
def _(z, g):
    s = softmax(z)
    return rule(s, g) - 2 * g * s * (1 - s)


def _tempered(z):
    return softmax(z / 0.7)


@mistake("softmax at a temperature: s over the rows", _tempered, "axis", (4, 6))
def _(z, g):
    return rule(softmax(z.T / 0.7).T, g) / 0.7


def _layer(x, W, V):
    return softmax(x @ W) @ V


def _layer_backward(x, W, V, g, slope):
    s = softmax(x @ W)
    d = slope(x @ W, s, g @ V.T)
    return d @ W.T, x.T @ d, s.T @ g


_SIZES = ((3, 4), (4, 5), (5, 6))


@mistake("hidden softmax: z·(1 − z)", _layer, "diagonal-only", *_SIZES)
def _(x, W, V, g):
    return _layer_backward(x, W, V, g, lambda z, s, d: d * z * (1 - z))


@mistake("hidden softmax: s of the first row", _layer, "wrong-variable", *_SIZES)
def _(x, W, V, g):
    return _layer_backward(x, W, V, g, lambda z, s, d: rule(np.broadcast_to(s[:1], s.shape), d))


@mistake("hidden softmax: z for the slope", _layer, "wrong-variable", *_SIZES)
def _(x, W, V, g):
    return _layer_backward(x, W, V, g, lambda z, s, d: d * z)


@mistake("hidden softmax: rows of the Jacobian summed", _layer, "projection-term", *_SIZES)
def _(x, W, V, g):
    return _layer_backward(x, W, V, g, lambda z, s, d: d * (s - s * s.sum(axis=1, keepdims=True)))


@mistake("log_softmax: the logarithm alone", log_softmax, "chain-term", (4, 6))
def _(z, g):
    return g / softmax(z)


# --- sparse maps ---------------------------------------------------------------------------------


def sparsemax(z):
    ordered = -np.sort(-z, axis=-1)
    sums = np.cumsum(ordered, axis=-1) - 1
    k = (ordered * np.arange(1, z.shape[-1] + 1) > sums).sum(axis=-1, keepdims=True)
    return np.maximum(z - np.take_along_axis(sums, k - 1, axis=-1) / k, 0)


def _support(z):
    return (sparsemax(z) > 0).astype(z.dtype)


def _mean(z, g, count):
    s = _support(z)
    return s * (g - (s * g).sum(axis=-1, keepdims=True) / count(s))


@mistake("sparsemax: mean over all classes", sparsemax, "projection-term", (4, 6))
def _(z, g):
    return _mean(z, g, lambda s: s.shape[-1])


@mistake("sparsemax: one class too many", sparsemax, "projection-term", (4, 6))
def _(z, g):
    return _mean(z, g, lambda s: s.sum(axis=-1, keepdims=True) + 1)


@mistake("sparsemax: sum for mean", sparsemax, "projection-term", (4, 6))
def _(z, g):
    return _mean(z, g, lambda s: 1)


@mistake("sparsemax: mean over the rows", sparsemax, "axis", (4, 6))
def _(z, g):
    s = _support(z)
    return s * (g - (s * g).sum(axis=0) / np.maximum(s.sum(axis=0), 1))


@mistake("sparsemax: softmax's rule", sparsemax, "wrong-variable", (4, 6))
def _(z, g):
    return rule(sparsemax(z), g)


@mistake("sparsemax: support forgotten", sparsemax, "subset", (4, 6))
def _(z, g):
    s = _support(z)
    return g - (s * g).sum(axis=-1, keepdims=True) / s.sum(axis=-1, keepdims=True)


# --- losses --------------------------------------------------------------------------------------


_P = softmax(np.random.default_rng(2).normal(size=(4, 5)))
_ONE_HOT = np.eye(5, dtype=int)[[0, 3, 3, 1]]


def _of_outputs(p, t):
    return -np.sum(t * np.log(p + 1e-3)) / len(p)


@mistake(
    "cross-entropy of probabilities: p − t", _of_outputs, "wrong-variable", extra=(_P, _ONE_HOT)
)
def _(p, t, g):
    return g * (p - t) / len(p)


def _divergence(x, shares):
    t = shares / shares.sum(axis=1, keepdims=True)
    return np.sum(t * (np.log(t) - x)) / len(x)


_SHARES = np.random.default_rng(1).integers(1, 9, size=(4, 5))


@mistake(
    "divergence of log-probabilities: at the logits", _divergence, "wrong-variable", (4, 5),
    extra=(_SHARES,),
)  # fmt: skip
def _(x, shares, g):
    t = shares / shares.sum(axis=1, keepdims=True)
    return g * (np.exp(x) - t) / len(x)


@mistake(
    "divergence of log-probabilities: at the targets", _divergence, "wrong-variable", (4, 5),
    extra=(_SHARES,),
)  # fmt: skip
def _(x, shares, g):
    t = shares / shares.sum(axis=1, keepdims=True)
    return g * (np.log(t) - x + 1) / len(x)


def _smoothed(z, y):
    t = 0.8 * np.eye(z.shape[1])[y] + 0.2 / z.shape[1]
    return -(t * log_softmax(z)).sum() / len(z)


@mistake("smoothing: shared among the others", _smoothed, "chain-term", (4, 6), labels=4)
def _(z, y, g):
    hard = np.eye(z.shape[1])[y]
    t = 0.8 * hard + 0.2 / (z.shape[1] - 1) * (1 - hard)
    return g * (softmax(z) - t) / len(z)


def _regression(x, W, b, y):
    return -log_softmax(x @ W + b)[np.arange(len(y)), y].mean() + 0.5 * 0.3 * (W * W).sum()


def _regression_backward(x, W, b, y, g, decay, bias):
    d = g * (softmax(x @ W + b) - np.eye(len(b))[y]) / len(y)
    return d @ W.T, x.T @ d + g * decay * W, d.sum(axis=0) + g * bias * b


@mistake("penalty: half", _regression, "chain-term", (4, 3), (3, 5), (5,), labels=4)
def _(x, W, b, y, g):
    return _regression_backward(x, W, b, y, g, 0.15, 0)


@mistake("penalty: of the bias too", _regression, "chain-term", (4, 3), (3, 5), (5,), labels=4)
def _(x, W, b, y, g):
    return _regression_backward(x, W, b, y, g, 0.3, 0.3)


_RETURNS = np.array([3, -1, 2, 4])


def _policy(theta, states, y, returns):
    lp = log_softmax(states @ theta)
    entropy = -(np.exp(lp) * lp).sum(axis=1)
    return (-(returns - 1) * lp[np.arange(len(y)), y] - 0.3 * entropy).mean()


def _policy_backward(theta, states, y, returns, g, score, advantage):
    p = softmax(states @ theta)
    t, lp = np.eye(p.shape[1])[y], log_softmax(states @ theta)
    d = -advantage(returns)[:, None] * score(p, t)
    d = d + 0.3 * p * (lp - (p * lp).sum(axis=1, keepdims=True))
    return states.T @ (g * d / len(y)), g * d @ theta.T / len(y)


_DRAWN = {"labels": 4, "extra": (_RETURNS,)}


@mistake("policy: no expectation", _policy, "projection-term", (6, 5), (4, 6), **_DRAWN)
def _(theta, states, y, returns, g):
    score, advantage = lambda p, t: t, lambda r: r - 1
    return _policy_backward(theta, states, y, returns, g, score, advantage)


@mistake("policy: the action alone", _policy, "diagonal-only", (6, 5), (4, 6), **_DRAWN)
def _(theta, states, y, returns, g):
    score, advantage = lambda p, t: t * (1 - p), lambda r: r - 1
    return _policy_backward(theta, states, y, returns, g, score, advantage)


@mistake("policy: no baseline", _policy, "wrong-variable", (6, 5), (4, 6), **_DRAWN)
def _(theta, states, y, returns, g):
    score, advantage = lambda p, t: t - p, lambda r: r
    return _policy_backward(theta, states, y, returns, g, score, advantage)


@mistake("policy: no advantage", _policy, "chain-term", (6, 5), (4, 6), **_DRAWN)
def _(theta, states, y, returns, g):
    score, advantage = lambda p, t: t - p, np.ones_like
    return _policy_backward(theta, states, y, returns, g, score, advantage)


# --- normalisation -------------------------------------------------------------------------------


def _moments(x, axis):
    centred = x - x.mean(axis=axis, keepdims=True)
    return centred, 1 / np.sqrt((centred**2).mean(axis=axis, keepdims=True) + 1e-5)


def _layer_norm(x):
    centred, r = _moments(x, -1)
    return centred * r


@mistake("layer norm: moments of the rows", _layer_norm, "axis", (4, 6))
def _(x, g):
    centred, r = _moments(x, 0)
    mean = lambda v: v.mean(axis=-1, keepdims=True)  # noqa: E731
    return r * (g - mean(g) - centred * r * mean(g * centred * r))


@mistake("layer norm: moments of the rows, by parts", _layer_norm, "axis", (4, 6))
def _(x, g):
    centred, r = _moments(x, 0)
    variance = (-0.5 * g * centred * r**3).sum(axis=-1, keepdims=True)
    return g * r + (2 * variance * centred - (g * r).sum(axis=-1, keepdims=True)) / x.shape[-1]


@mistake("layer norm: batch norm's rule", _layer_norm, "axis", (4, 6))
def _(x, g):
    centred, r = _moments(x, 0)
    return r * (g - g.mean(axis=0) - centred * r * (g * centred * r).mean(axis=0))


# --- constants -----------------------------------------------------------------------------------


def _scores(x, U, V):
    return -log_softmax(np.tanh(x @ U) @ V)[:, 0].mean()


@mistake("network: mean over the classes", _scores, "scale", (7, 6), (6, 6), (6, 5))
def _(x, U, V, g):
    h = np.tanh(x @ U)
    d = g * (softmax(h @ V) - np.eye(5)[0]) / 5
    e = d @ V.T * (1 - h * h)
    return e @ U.T, x.T @ e, h.T @ d


# --- a step that moves entries -------------------------------------------------------------------


def _both_ways(z):
    """Return the loss of pairs that are to find each other, by rows and by columns."""
    return -np.trace(log_softmax(z)) - np.trace(log_softmax(z.T))


@mistake("pairs: columns not transposed back", _both_ways, "axis", (5, 5))
def _(z, g):
    t = np.eye(len(z))
    return g * (softmax(z) - t + softmax(z.T) - t)
