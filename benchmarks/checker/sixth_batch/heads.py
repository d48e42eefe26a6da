"""A language model's two ends: one matrix embeds the tokens and, after a layer norm, scores them.

What is wrong here is met in models written from scratch, in reports on trainers that share
weights, and in issues on kernels for layer norm.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import log_softmax, mean, one_hot, softmax
from benchmarks.checker.sixth_batch.parts import edited, ids, one
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

EPS = 1e-5


def _normed(x: Array) -> Any:
    centred = x - mean(x)
    rstd = 1 / np.sqrt(mean(centred**2) + EPS)
    return centred * rstd, rstd


def _tied(E: Array, gamma: Array, beta: Array, tokens: Array, labels: Array) -> Any:
    """Return the mean loss of labels [N, T] given tokens [N, T], with E on both ends."""
    x_hat, _ = _normed(E[tokens])
    lp = log_softmax((gamma * x_hat + beta) @ E.T)
    return -np.mean(np.sum(lp * one_hot(labels, lp), axis=-1))


def _back(d: Array, x_hat: Array, rstd: Array) -> Any:
    return rstd * (d - mean(d) - x_hat * mean(d * x_hat))


def _scattered(E: Array, tokens: Array, d: Array) -> Any:
    dE = np.zeros_like(E)
    for token, row in zip(tokens.reshape(-1), d.reshape(-1, E.shape[1]), strict=True):
        dE[token] += row
    return dE


def _by_fancy_index(E: Array, tokens: Array, d: Array) -> Any:
    dE = np.zeros_like(E)
    dE[tokens.reshape(-1)] += d.reshape(-1, E.shape[1])
    return dE


def _tied_backward(
    E: Array,
    gamma: Array,
    beta: Array,
    tokens: Array,
    labels: Array,
    g: Array,
    norm: Function = _back,
    gained: Function = lambda dh, gamma: dh * gamma,
    both: Function = lambda by_head, by_lookup: by_head + by_lookup,
    lookup: Function = _scattered,
    states: Function = lambda h, x_hat: h,
    summed: Function = lambda d: np.sum(d, axis=(0, 1)),
    from_hat: Function = lambda x_hat, x: x_hat,
    upstream: Function = lambda dh, dx: dh,
    error: Function = lambda p, t: p - t,
    count: Function = np.size,
) -> Any:
    x = E[tokens]
    x_hat, rstd = _normed(x)
    h = gamma * x_hat + beta
    p = softmax(h @ E.T)
    dz = g * error(p, one_hot(labels, p)) / count(labels)
    dh = dz @ E
    flat = dz.reshape(-1, len(E))
    by_head = flat.T @ states(h, x_hat).reshape(-1, E.shape[1])
    dx = norm(gained(dh, gamma), x_hat, rstd)
    own = upstream(dh, dx)
    dE = both(by_head, lookup(E, tokens, dx))
    return dE, summed(own * from_hat(x_hat, x)), summed(own)


def _tied_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, T, V, D = shape
    tokens = rng.integers(V, size=(N, T))
    tokens[:, 1] = tokens[:, 0]
    gamma = 1 + 0.4 * rng.normal(size=D)
    labels = ids(rng, N * T, V).reshape(N, T)
    return scale * rng.normal(size=(V, D)), gamma, rng.normal(size=D), tokens, labels


TIED = Subject(
    "layer-norm-before-a-tied-head", _tied, _tied_backward, _tied_sample,
    ((2, 2, 4, 3), (2, 3, 5, 4), (3, 2, 4, 5), (3, 4, 20, 8), (4, 6, 50, 16)),
    scales=(0.3, 1.0, 2.0), extremes=(),
    edits=edited(_tied_backward, {
        # Reports on trainers: one of the two gradients is lost.
        "head-alone": ("chain-term", {"both": lambda by_head, by_lookup: by_head}),
        "lookup-alone": ("chain-term", {"both": lambda by_head, by_lookup: by_lookup}),
        "repeated-tokens-once": ("unreduced-broadcast", {"lookup": _by_fancy_index}),
        # "Simplified" layer norms, and one whose mean was subtracted twice by a kernel.
        "statistics-constant": ("chain-term projection-term", {
            "norm": lambda d, x_hat, rstd: d * rstd}),
        "norm-passed-over": ("chain-term identity", {"norm": lambda d, x_hat, rstd: d}),
        "mean-subtracted-twice": ("chain-term projection-term", {
            "norm": lambda d, x_hat, rstd: rstd * (d - 2 * mean(d) - x_hat * mean(d * x_hat))}),
        "gain-forgotten": ("chain-term", {"gained": lambda dh, gamma: dh}),
        "gain-from-the-input": ("wrong-variable chain-term", {"from_hat": lambda x_hat, x: x}),
        "gain-and-shift-kept-by-step": ("unreduced-broadcast", {
            "summed": lambda d: np.sum(d, axis=0)}),
        # A fused norm writes the input's gradient where the upstream was, which is read again.
        "gain-by-the-overwritten-upstream": ("wrong-variable aliasing", {
            "upstream": lambda dh, dx: dx}),
        # Two libraries: gain and shift are no inputs of the recorded operation.
        "gain-and-shift-none": ("severed", {"summed": lambda d: None}),
        "head-from-before-the-gain": ("wrong-variable", {"states": lambda h, x_hat: x_hat}),
        "softmax's-slope-once-more": ("chain-term diagonal-only", {
            "error": lambda p, t: (p - t) * p * (1 - p)}),
        "not-averaged": ("scale", {"count": one}),
    }),
)  # fmt: skip

SUBJECTS = (TIED,)
"""What is checked."""
