"""Statistics: a flat vector for an optimiser, and Gaussians with weights.

What is wrong here is met in homework whose cost and gradient go to an optimiser, in gradients that
were taken over from expectation maximisation, and in an issue on a bias that gets one sum.
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
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

DECAY = 0.4


def _with_ones(X: Array) -> Any:
    return np.concatenate([X, np.ones_like(X[:, :1])], axis=1)


def _scores(theta: Array, X: Array) -> Any:
    """Return scores of all classes by the flat theta [(K − 1)(D + 1)]; the last one's are 0."""
    free = _with_ones(X) @ theta.reshape(-1, X.shape[1] + 1).T
    return np.concatenate([free, 0 * X[:, :1]], axis=1)


def _flat(theta: Array, X: Array, y: Array) -> Any:
    """Return the mean loss, and half the squares of the weights without intercepts."""
    weights = theta.reshape(-1, X.shape[1] + 1)[:, :-1]
    own = log_softmax(_scores(theta, X))[np.arange(len(y)), y]
    return DECAY / 2 * np.sum(weights**2) - np.mean(own)


def _without_intercepts(Theta: Array) -> Any:
    decayed = Theta.copy()
    decayed[:, -1] = 0
    return decayed


def _flat_backward(
    theta: Array,
    X: Array,
    y: Array,
    g: Array,
    probabilities: Function = lambda scores: softmax(scores),
    targets: Function = one_hot,
    error: Function = lambda p, t: p - t,
    decay: Function = lambda Theta, m: DECAY * _without_intercepts(Theta),
    unrolled: Function = lambda dTheta: dTheta.reshape(-1),
    count: Function = len,
) -> Any:
    Theta, scores = theta.reshape(-1, X.shape[1] + 1), _scores(theta, X)
    m = count(y)
    d = g * error(probabilities(scores), targets(y, scores))[:, :-1] / m
    dTheta = d.T @ _with_ones(X) + g * decay(Theta, m)
    return unrolled(dTheta), d @ Theta[:, :-1]


def _without_the_reference(scores: Array) -> Any:
    free = softmax(scores[:, :-1])
    return np.concatenate([free, 0 * free[:, :1]], axis=1)


def _flat_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, K = shape
    theta, X = drawn(rng, ((K - 1) * (D + 1),), (N, D), scale=scale)
    return theta, X, ids(rng, N, K)


FLAT = Subject(
    "flat-regression-with-a-reference-class", _flat, _flat_backward, _flat_sample,
    ((4, 2, 3), (5, 3, 4), (7, 4, 3), (9, 6, 5), (30, 9, 8)), scales=(0.3, 1.0, 2.0),
    edits=edited(_flat_backward, {
        "intercepts-decayed-too": ("subset chain-term", {
            "decay": lambda Theta, m: DECAY * Theta}),
        "decay-with-a-2": ("chain-term", {
            "decay": lambda Theta, m: 2 * DECAY * _without_intercepts(Theta)}),
        "decay-forgotten": ("chain-term", {"decay": lambda Theta, m: 0 * Theta}),
        "unrolled-column-by-column": ("axis", {
            "unrolled": lambda dTheta: dTheta.reshape(-1, order="F")}),
        "intercepts-first": ("axis", {
            "unrolled": lambda dTheta: np.roll(dTheta, 1, axis=1).reshape(-1)}),
        "not-unrolled": ("axis unreduced-broadcast", {"unrolled": lambda dTheta: dTheta}),
        "normalised-without-the-reference": ("wrong-variable", {
            "probabilities": _without_the_reference}),
        "labels-counted-from-one": ("subset wrong-variable axis", {
            "targets": lambda y, scores: one_hot(y - 1, scores)}),
        "score-for-gradient": ("sign chain-term", {"error": lambda p, t: t - p}),
        "loss-summed": ("scale chain-term", {
            "count": one}),
    }),
)  # fmt: skip


def _gaps(X: Array, mu: Array) -> Any:
    """Return every sample less every centre: [N, K, D]."""
    return X[:, None] - mu


def _joint(X: Array, a: Array, mu: Array, rho: Array) -> Any:
    """Return log π + log density, up to a constant, of samples and Gaussians of width exp(ρ)."""
    squares = np.sum(_gaps(X, mu) ** 2, axis=-1)
    return log_softmax(a) - squares * np.exp(-2 * rho) / 2 - X.shape[1] * rho


def _gaussians(X: Array, a: Array, mu: Array, rho: Array) -> Any:
    """Return minus the log-likelihood of samples."""
    joint = _joint(X, a, mu, rho)
    m = joint.max(axis=1, keepdims=True)
    return -np.sum(m + np.log(total(np.exp(joint - m))))


def _gaussians_backward(
    X: Array,
    a: Array,
    mu: Array,
    rho: Array,
    g: Array,
    shares: Function = lambda joint, pi: softmax(joint),
    of_weights: Function = lambda r, pi: np.sum(pi - r, axis=0),
    precision: Function = lambda rho: np.exp(-2 * rho),
    of_mu: Function = lambda pulled: -np.sum(pulled, axis=0),
    of_rho: Function = lambda r, squares, D: np.sum(r * (D - squares), axis=0),
    of_X: Function = lambda pulled: np.sum(pulled, axis=1),
    count: Function = lambda X: 1,
) -> Any:
    joint, pi = _joint(X, a, mu, rho), softmax(a)
    r = shares(joint, pi)
    h = g / count(X)
    pulled = (r * precision(rho))[..., None] * _gaps(X, mu)
    squares = np.sum(_gaps(X, mu) ** 2, axis=-1) * np.exp(-2 * rho)
    return h * of_X(pulled), h * of_weights(r, pi), h * of_mu(pulled), (
        h * of_rho(r, squares, X.shape[1]))  # fmt: skip


def _gaussians_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, K, D = shape
    X, mu = drawn(rng, (N, D), (K, D), scale=scale)
    return X, rng.normal(size=K), mu, 0.3 * rng.normal(size=K)


GAUSSIANS = Subject(
    "gaussians-with-softmax-weights", _gaussians, _gaussians_backward, _gaussians_sample,
    ((4, 3, 2), (5, 2, 3), (7, 3, 4), (9, 5, 3), (40, 6, 8)), scales=(0.3, 1.0, 2.0),
    edits=edited(_gaussians_backward, {
        # What the step of expectation maximisation sums up, for the gradient at the logits.
        "weights-by-responsibilities-alone": ("projection-term chain-term", {
            "of_weights": lambda r, pi: -np.sum(r, axis=0)}),
        "weights-like-sigmoids": ("diagonal-only", {
            "of_weights": lambda r, pi: -np.sum(r * (1 - pi), axis=0)}),
        "uniform-expectation": ("projection-term wrong-variable", {
            "of_weights": lambda r, pi: np.sum(1 / len(pi) - r, axis=0)}),
        "priors-for-responsibilities": ("wrong-variable", {
            "shares": lambda joint, pi: pi + 0 * joint}),
        "responsibilities-over-samples": ("axis wrong-variable", {
            "shares": lambda joint, pi: softmax(joint, 0)}),
        "width-not-squared": ("chain-term", {"precision": lambda rho: np.exp(-rho)}),
        "centres-added": ("sign", {"of_mu": lambda pulled: np.sum(pulled, axis=0)}),
        "width-of-one-dimension": ("chain-term", {
            "of_rho": lambda r, squares, D: np.sum(r * (1 - squares), axis=0)}),
        "samples-held-constant": ("zero", {"of_X": lambda pulled: 0 * pulled[:, 0]}),
        "averaged-over-samples": ("scale", {"count": len}),
    }),
)  # fmt: skip


SUBJECTS = (FLAT, GAUSSIANS)
"""What is checked."""
