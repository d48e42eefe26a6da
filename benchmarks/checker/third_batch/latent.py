"""Distributions: their likelihoods, samples and weights, and heads that are centred."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.checker.subject import Array, Function, Shape, Subject
from benchmarks.checker.third_batch.parts import drawn, edited, sigmoid

__all__ = ["SUBJECTS"]

SHAPES: tuple[Shape, ...] = ((3, 2), (4, 5), (5, 5), (6, 17), (20, 40))


def _likelihood(mu: Array, log_var: Array, y: Array) -> float:
    """Return the mean negative log likelihood of normal numbers, with learnt variances."""
    terms = 0.5 * (math.log(2 * math.pi) + log_var + (y - mu) ** 2 / np.exp(log_var))
    return float(np.mean(terms))


def _likelihood_backward(
    mu: Array,
    log_var: Array,
    y: Array,
    g: Array,
    mu_bar: Function = lambda e, v: -e / v,
    v_bar: Function = lambda e, v: 0.5 * (1 - e**2 / v),
    y_bar: Function = lambda e, v: e / v,
    count: Function = np.size,
) -> Any:
    e, v, n = y - mu, np.exp(log_var), count(mu)
    return g * mu_bar(e, v) / n, g * v_bar(e, v) / n, g * y_bar(e, v) / n


LIKELIHOOD = Subject(
    "gaussian-likelihood", _likelihood, _likelihood_backward,
    lambda rng, shape, scale: drawn(rng, shape, shape, shape, scale=scale), SHAPES,
    scales=(0.3, 1.0, 2.0),
    edits=edited(_likelihood_backward, {
        "mean-reversed": ("sign", {"mu_bar": lambda e, v: e / v}),
        "variance-forgotten-for-the-mean": ("chain-term", {"mu_bar": lambda e, v: -e}),
        "deviation-for-variance": ("wrong-variable chain-term", {
            "mu_bar": lambda e, v: -e / np.sqrt(v)}),
        "variance-for-its-logarithm": ("wrong-variable chain-term", {
            "v_bar": lambda e, v: 0.5 * (1 / v - e**2 / v**2)}),
        "log-determinant-forgotten": ("chain-term", {"v_bar": lambda e, v: -0.5 * e**2 / v}),
        "error-forgotten-for-the-variance": ("chain-term", {"v_bar": lambda e, v: 0.5 + 0 * v}),
        "error-not-squared": ("chain-term", {"v_bar": lambda e, v: 0.5 * (1 - e / v)}),
        "half-forgotten": ("scale", {"v_bar": lambda e, v: 1 - e**2 / v}),
        "averaged-over-rows": ("scale", {"count": len}),
        "target-like-mean": ("sign", {"y_bar": lambda e, v: -e / v}),
    }),
)  # fmt: skip


def _noise(mu: Array) -> Any:
    """Return the noise of a run, the same one every time."""
    return np.cos(1.0 + 3 * np.arange(mu.size)).reshape(mu.shape).astype(mu.dtype)


def _encoded(mu: Array, log_var: Array) -> tuple[Array, Array]:
    """Return a sample for every row, and how far its distribution is from a normal one."""
    sigma = np.exp(0.5 * log_var)
    kl = -0.5 * np.sum(1 + log_var - mu**2 - sigma**2, axis=1)
    return mu + sigma * _noise(mu), kl


def _encoded_backward(
    mu: Array,
    log_var: Array,
    g: Any,
    from_z: Function = lambda dz, sigma, eps: 0.5 * dz * sigma * eps,
    mu_kl: Function = lambda mu: mu,
    v_kl: Function = lambda sigma: 0.5 * (sigma**2 - 1),
    upstream: Function = lambda dz, dkl: (dz, dkl[:, None]),
) -> Any:
    dz, dkl = upstream(*g)
    sigma = np.exp(0.5 * log_var)
    return dz + dkl * mu_kl(mu), from_z(dz, sigma, _noise(mu)) + dkl * v_kl(sigma)


ENCODED = Subject(
    "reparameterised-sample-and-kl", _encoded, _encoded_backward,
    lambda rng, shape, scale: drawn(rng, shape, shape, scale=scale), SHAPES,
    scales=(0.3, 1.0, 2.0),
    edits=edited(_encoded_backward, {
        "noise-forgotten": ("chain-term", {"from_z": lambda dz, sigma, eps: 0.5 * dz * sigma}),
        "half-of-the-deviation-forgotten": ("chain-term", {
            "from_z": lambda dz, sigma, eps: dz * sigma * eps}),
        "deviation-forgotten": ("chain-term", {"from_z": lambda dz, sigma, eps: 0.5 * dz * eps}),
        "sample-detached-from-the-variance": ("chain-term", {
            "from_z": lambda dz, sigma, eps: 0}),
        "kl-mean-doubled": ("chain-term", {"mu_kl": lambda mu: 2 * mu}),
        "kl-reversed-for-the-variance": ("chain-term", {
            "v_kl": lambda sigma: 0.5 * (1 - sigma**2)}),
        "kl-without-its-1": ("chain-term", {"v_kl": lambda sigma: 0.5 * sigma**2}),
        "kl-of-the-deviation": ("wrong-variable chain-term", {
            "v_kl": lambda sigma: sigma - 1 / sigma}),
        "kl-ignored": ("cotangent chain-term", {"upstream": lambda dz, dkl: (dz, 0)}),
        "kl's-cotangent-is-1": ("cotangent", {"upstream": lambda dz, dkl: (dz, 1)}),
    }),
)  # fmt: skip


def _broken(z: Array) -> Array:
    """Return the weights v_k Π_{j<k} (1 − v_j) of a broken stick, v = σ(z); the rest comes last."""
    v = sigmoid(np.asarray(z))
    out = np.zeros((*z.shape[:-1], z.shape[-1] + 1), z.dtype)
    left = np.ones_like(z[..., 0])
    for k in range(z.shape[-1]):
        out[..., k] = left * v[..., k]
        left = left * (1 - v[..., k])
    out[..., -1] = left
    return out


def _broken_backward(
    z: Array,
    g: Array,
    own: Function = lambda g, left: g * left,
    later: Function = lambda left_bar, left: left_bar * left,
    left_bar: Function = lambda so_far, g, v: so_far * (1 - v) + g * v,
    slope: Function = lambda v: v * (1 - v),
    last: Function = lambda g: g[..., -1],
) -> Any:
    v = sigmoid(z)
    before = np.ones_like(v)
    before[..., 1:] = np.cumprod(1 - v, axis=-1)[..., :-1]
    dv, d = np.zeros_like(v), last(g)
    for k in reversed(range(v.shape[-1])):
        dv[..., k] = own(g[..., k], before[..., k]) - later(d, before[..., k])
        d = left_bar(d, g[..., k], v[..., k])
    return dv * slope(v)


BROKEN = Subject(
    "stick-breaking", _broken, _broken_backward,
    lambda rng, shape, scale: drawn(rng, shape, scale=scale),
    ((2, 3), (3, 4), (5, 5), (4, 11), (7, 16)), scales=(0.1, 0.5, 1.0),
    edits=edited(_broken_backward, {
        "later-pieces-forgotten": ("diagonal-only chain-term", {
            "later": lambda left_bar, left: 0}),
        "own-piece-forgotten": ("chain-term", {"own": lambda g, left: 0}),
        "later-pieces-added": ("sign chain-term", {
            "later": lambda left_bar, left: -left_bar * left}),
        "remainder-not-shortened": ("chain-term", {
            "left_bar": lambda so_far, g, v: so_far + g * v}),
        "pieces-between-forgotten": ("chain-term", {
            "left_bar": lambda so_far, g, v: so_far * (1 - v)}),
        "sigmoid's-slope-forgotten": ("chain-term", {"slope": lambda v: 1}),
        "sigmoid's-slope-of-its-output": ("wrong-variable", {
            "slope": lambda v: sigmoid(v) * (1 - sigmoid(v))}),
        "last-piece-ignored": ("cotangent", {"last": lambda g: 0}),
    }),
)  # fmt: skip


def _dueling(V: Array, A: Array) -> Array:
    """Return state values [N, 1] with advantages [N, K] about their mean."""
    Q = np.zeros_like(A)
    for n in range(A.shape[0]):
        Q[n] = V[n, 0] + A[n] - A[n].mean()
    return Q


def _dueling_backward(
    V: Array,
    A: Array,
    g: Array,
    V_bar: Function = lambda g: g.sum(axis=1, keepdims=True),
    A_bar: Function = lambda g: g - g.mean(axis=1, keepdims=True),
) -> Any:
    return V_bar(g), A_bar(g)


DUELING = Subject(
    "dueling-head", _dueling, _dueling_backward,
    lambda rng, shape, scale: drawn(rng, (shape[0], 1), shape, scale=scale),
    ((2, 3), (3, 4), (5, 5), (4, 37), (20, 100)),
    edits=edited(_dueling_backward, {
        "mean-constant": ("identity projection-term chain-term", {"A_bar": lambda g: g}),
        "mean-over-the-batch": ("axis projection-term", {"A_bar": lambda g: g - g.mean(axis=0)}),
        "sum-for-mean": ("projection-term chain-term", {
            "A_bar": lambda g: g - g.sum(axis=1, keepdims=True)}),
        "mean-added": ("projection-term chain-term", {
            "A_bar": lambda g: g + g.mean(axis=1, keepdims=True)}),
        "value-averaged": ("scale", {"V_bar": lambda g: g.mean(axis=1, keepdims=True)}),
        "value-not-summed": ("unreduced-broadcast", {"V_bar": lambda g: g}),
        "value-of-the-last-action": ("unreduced-broadcast", {"V_bar": lambda g: g[:, -1:]}),
    }),
)  # fmt: skip

SUBJECTS = (LIKELIHOOD, ENCODED, BROKEN, DUELING)
"""What is checked."""
