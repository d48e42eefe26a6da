"""Cross entropies that return one float: of probabilities, smoothed labels, unpadded tokens."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import one_hot, softmax
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject
from benchmarks.checker.third_batch.parts import (
    edited,
    labelled,
    probabilities,
)

__all__ = ["SUBJECTS"]

ROWS: tuple[Shape, ...] = ((2, 3), (3, 5), (5, 5), (4, 37), (7, 130))
TINY = 1e-4


def _of_probabilities(p: Array, t: Array) -> float:
    p = np.asarray(p)
    return float(-np.sum(t * np.log(p + TINY)) / p.shape[0])


def _of_probabilities_backward(
    p: Array,
    t: Array,
    g: Array,
    p_bar: Function = lambda p, t: -t / (p + TINY),
    t_bar: Function = lambda p: -np.log(p + TINY),
    count: Function = len,
) -> Any:
    return g * p_bar(p, t) / count(p), g * t_bar(p) / count(p)


OF_PROBABILITIES = Subject(
    "cross-entropy-from-probabilities", _of_probabilities, _of_probabilities_backward,
    lambda rng, shape, scale: (probabilities(rng, shape, scale), probabilities(rng, shape)),
    ROWS, scales=(0.3, 1.0, 2.0), extremes=(),
    edits=edited(_of_probabilities_backward, {
        "at-the-logits": ("wrong-variable", {"p_bar": lambda p, t: p - t}),
        "binary's": ("wrong-variable chain-term", {
            "p_bar": lambda p, t: (p - t) / ((p + TINY) * (1 - p + TINY))}),
        "p-forgotten": ("chain-term", {"p_bar": lambda p, t: -t}),
        "target-forgotten": ("chain-term", {"p_bar": lambda p, t: -1 / (p + TINY)}),
        "reversed": ("sign", {"p_bar": lambda p, t: t / (p + TINY)}),
        "averaged-over-all": ("scale", {"count": np.size}),
        "summed": ("scale", {"count": lambda p: 1}),
        "target-detached": ("severed", {"t_bar": lambda p: None}),
    }),
)  # fmt: skip

HEAT, SMOOTHING = 2.5, 0.2


def _smooth(z: Array, labels: Array) -> Array:
    N, K = z.shape
    t = np.full_like(z, SMOOTHING / K)
    t[np.arange(N), labels] += 1 - SMOOTHING
    return t


def _smoothed(z: Array, labels: Array) -> float:
    z = np.asarray(z) / HEAT
    z = z - z.max(axis=1, keepdims=True)
    log_probs = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return float(-(_smooth(z, labels) * log_probs).sum(axis=1).mean())


def _smoothed_backward(
    z: Array,
    labels: Array,
    g: Array,
    target: Function = _smooth,
    weights: Function = lambda z: softmax(z / HEAT),
    heat: Function = lambda: HEAT,
    count: Function = len,
    upstream: Function = lambda g: g,
) -> Any:
    d = weights(z)
    d -= target(z, labels)
    d /= count(z) * heat()
    return d * upstream(g)


def _hard(z: Array, labels: Array) -> Array:
    return one_hot(labels, z)


def _smooth_elsewhere(z: Array, labels: Array) -> Any:
    """Spread the smoothing over the wrong classes alone."""
    t = one_hot(labels, z)
    return t * (1 - SMOOTHING) + (1 - t) * SMOOTHING / (z.shape[1] - 1)


SMOOTHED = Subject(
    "label-smoothing-with-temperature", _smoothed, _smoothed_backward, labelled, ROWS,
    scales=(0.1, 1.0, 10.0),
    edits=edited(_smoothed_backward, {
        "smoothing-forgotten": ("subset chain-term", {"target": _hard}),
        "smoothing-over-the-other-classes": ("subset chain-term unnamed", {
            "target": _smooth_elsewhere}),
        "smoothing-not-over-K": ("subset chain-term", {
            "target": lambda z, y: one_hot(y, z) * (1 - SMOOTHING) + SMOOTHING}),
        "label's-share-alone": ("subset chain-term", {
            "target": lambda z, y: one_hot(y, z) * (1 - SMOOTHING)}),
        "heat-forgotten-outside": ("scale", {"heat": lambda: 1}),
        "heat-forgotten-inside": ("wrong-variable", {"weights": softmax}),
        "cotangent-ignored": ("cotangent", {"upstream": lambda g: 1}),
        "cotangent-twice": ("cotangent", {"upstream": lambda g: g * g}),
        "softmax-over-rows": ("axis", {"weights": lambda z: softmax(z / HEAT, 0)}),
        "label-off-by-one": ("subset axis", {
            "target": lambda z, y: _smooth(z, (y + 1) % z.shape[1])}),
        "weights-rounded": ("arithmetic", {"weights": lambda z: np.round(softmax(z / HEAT), 2)}),
    }),
)  # fmt: skip


def _tokens(z: Array, labels: Array, mask: Array) -> float:
    """Return the loss a token of [B, T, V] logits; padding is not counted."""
    B, T, V = z.shape
    logits, y, m = z.reshape(B * T, V), labels.reshape(-1), mask.reshape(-1)
    loss = 0
    for i in range(B * T):
        if m[i]:
            row = logits[i] - logits[i].max()
            loss = loss + np.log(np.exp(row).sum()) - row[y[i]]
    return float(loss / m.sum())


def _tokens_backward(
    z: Array,
    labels: Array,
    mask: Array,
    g: Array,
    kept: Function = lambda m, dz: m,
    count: Function = lambda m, z: float(m.sum()),
    picked: Function = lambda y: y,
    shaped: Function = lambda dz, z: dz.reshape(z.shape),
) -> Any:
    B, T, V = z.shape
    y, m = picked(labels).reshape(-1), mask.reshape(-1)
    dz = softmax(z.reshape(-1, V))
    dz[np.arange(B * T), y] -= 1
    dz *= kept(m, dz)[:, None]
    dz /= count(m, z)
    return shaped(dz, z) * g


def _tokens_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    B, T, V = shape
    mask = (np.arange(T) < T - 1 - np.arange(B)[:, None] % 2).astype(np.int64)
    labels = (np.arange(B * T).reshape(B, T) * 2 + rng.integers(V)) % V
    return scale * rng.normal(size=shape), labels, mask


TOKENS = Subject(
    "cross-entropy-of-unpadded-tokens", _tokens, _tokens_backward, _tokens_sample,
    ((2, 3, 4), (3, 4, 5), (2, 5, 5), (3, 6, 17), (4, 10, 50)),
    edits=edited(_tokens_backward, {
        "padding-kept": ("subset", {"kept": lambda m, dz: np.ones_like(m)}),
        "averaged-over-all-tokens": ("scale", {"count": lambda m, z: m.size}),
        "summed": ("scale", {"count": lambda m, z: 1}),
        "labels-of-the-next-token": ("subset axis", {"picked": lambda y: np.roll(y, -1, axis=1)}),
        "labels-of-transposed-tokens": ("subset axis", {"picked": np.transpose}),
        "time-and-batch-confused": ("axis", {
            "shaped": lambda dz, z: dz.reshape(z.shape[1], z.shape[0], -1).transpose(1, 0, 2)}),
        "first-token-dropped": ("subset", {
            "kept": lambda m, dz: m * (np.arange(len(m)) > 0)}),
    }),
)  # fmt: skip

SUBJECTS = (OF_PROBABILITIES, SMOOTHED, TOKENS)
"""What is checked."""
