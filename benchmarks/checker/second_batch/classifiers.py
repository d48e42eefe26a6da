"""Classifiers: layers and losses that end in a softmax."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import log_softmax, mean, one_hot, softmax, total
from benchmarks.checker.second_batch.parts import drawn, edited, matrix
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

ROWS: tuple[Shape, ...] = ((2, 3), (3, 5), (5, 5), (4, 37), (7, 130), (2, 400))
LAYERS: tuple[Shape, ...] = ((2, 3, 4), (5, 5, 5), (7, 6, 20), (30, 20, 60))
"""Rows, features, classes."""


def _layer_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, K = shape
    return scale * rng.normal(size=(N, D)), matrix(rng, D, K), rng.normal(size=K)


def _layer_backward(
    x: Array,
    W: Array,
    b: Array,
    g: Array,
    z_bar: Function = lambda p, g: p * (g - total(g * p)),
    b_bar: Function = lambda z_bar: z_bar.sum(axis=0),
) -> Any:
    d = z_bar(softmax(x @ W + b), g)
    return d @ W.T, x.T @ d, b_bar(d)


OUTPUT_LAYER = Subject(
    "softmax-output-layer", lambda x, W, b: softmax(x @ W + b), _layer_backward, _layer_sample,
    LAYERS, scales=(0.1, 1.0, 5.0),
    edits=edited(_layer_backward, {
        "diagonal": ("diagonal-only", {"z_bar": lambda p, g: g * p * (1 - p)}),
        "softmax-passed-over": ("identity chain-term", {"z_bar": lambda p, g: g}),
        "cotangent-as-target": ("cotangent", {"z_bar": lambda p, g: p - g}),
        "rows-of-the-jacobian-summed": ("zero projection-term", {
            "z_bar": lambda p, g: g * (p - p * total(p))}),
        "inner-product-over-the-batch": ("axis projection-term", {
            "z_bar": lambda p, g: p * (g - total(g * p, 0))}),
        "cotangent-summed-without-p": ("projection-term", {
            "z_bar": lambda p, g: p * (g - total(g))}),
        "squared-probabilities": ("projection-term", {
            "z_bar": lambda p, g: p * g - p * p * total(g)}),
        "log-softmax's": ("wrong-variable", {"z_bar": lambda p, g: g - p * total(g)}),
        "softmax-again": ("wrong-variable", {
            "z_bar": lambda p, g: (s := softmax(p)) * (g - total(g * s))}),
        "bias-mean": ("scale", {"b_bar": lambda z_bar: z_bar.mean(axis=0)}),
    }),
)  # fmt: skip

DECAY = 0.1


def _regression_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    x, W, b = _layer_sample(rng, shape, scale)
    return x, W, b, rng.integers(shape[2], size=shape[0])


def _regression(x: Array, W: Array, b: Array, labels: Array) -> Array:
    log_p = log_softmax(x @ W + b)
    return np.asarray(-(one_hot(labels, b) * log_p).sum() / len(x) + DECAY / 2 * (W * W).sum())


def _regression_backward(
    x: Array,
    W: Array,
    b: Array,
    labels: Array,
    g: Array,
    z_bar: Function = lambda p, t: p - t,
    count: Function = len,
    decay: Function = lambda W: DECAY * W,
    b_bar: Function = lambda z_bar: z_bar.sum(axis=0),
    upstream: Function = lambda g: g,
) -> Any:
    g = upstream(g)
    d = g * z_bar(softmax(x @ W + b), one_hot(labels, b)) / count(x)
    return d @ W.T, x.T @ d + g * decay(W), b_bar(d)


REGRESSION = Subject(
    "softmax-regression", _regression, _regression_backward, _regression_sample, LAYERS,
    scales=(0.1, 1.0, 5.0),
    edits=edited(_regression_backward, {
        "decay-forgotten": ("chain-term", {"decay": lambda W: 0}),
        "decay-doubled": ("chain-term", {"decay": lambda W: 2 * DECAY * W}),
        "label-not-subtracted": ("chain-term subset", {"z_bar": lambda p, t: p}),
        "one-minus-p-at-the-label": ("subset sign", {
            "z_bar": lambda p, t: p * (1 - t) + (1 - p) * t}),
        "label-alone": ("diagonal-only subset", {"z_bar": lambda p, t: (p - 1) * t}),
        "softmax's-diagonal-too": ("wrong-variable chain-term", {
            "z_bar": lambda p, t: (p - t) * p * (1 - p)}),
        "not-averaged": ("scale", {"count": lambda x: 1}),
        "bias-mean": ("scale", {"b_bar": lambda z_bar: z_bar.mean(axis=0)}),
        "cotangent-ignored": ("cotangent", {"upstream": lambda g: 1}),
    }),
)  # fmt: skip


def _rated(labels: Array, z: Array) -> tuple[Array, Array]:
    """Return the rows' targets and their classes' weights; a label of −1 weighs nothing."""
    weights = (0.5 + np.arange(z.shape[-1]) % 3).astype(z.dtype)
    return one_hot(labels, z), np.where(labels >= 0, weights[labels], 0 * weights[0])[:, None]


def _ignoring(z: Array, labels: Array) -> Array:
    t, w = _rated(labels, z)
    return np.asarray(-(w * t * log_softmax(z)).sum() / w.sum())


def _ignoring_backward(
    z: Array,
    labels: Array,
    g: Array,
    weight: Function = lambda w, z: w,
    target: Function = lambda t, z: t,
    count: Function = lambda w: w.sum(),
) -> Any:
    t, w = _rated(labels, z)
    return g * weight(w, z) * (softmax(z) - target(t, z)) / count(w)


def _some_ignored(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    labels = rng.integers(shape[-1], size=shape[0])
    labels[1::3] = -1
    return scale * rng.normal(size=shape), labels


IGNORING = Subject(
    "weighted-cross-entropy-ignoring", _ignoring, _ignoring_backward, _some_ignored,
    ((3, 5), (5, 5), (4, 37), (7, 130), (20, 5000)),
    edits=edited(_ignoring_backward, {
        "ignored-rows-kept": ("subset", {
            "weight": lambda w, z: np.where(w > 0, w, np.ones_like(w))}),
        "weights-forgotten": ("chain-term", {
            "weight": lambda w, z: (w > 0).astype(w.dtype)}),
        "weights-by-column": ("axis", {
            "weight": lambda w, z: (w > 0) * (0.5 + np.arange(z.shape[-1]) % 3).astype(z.dtype)}),
        "divided-by-rows": ("scale", {"count": len}),
        "divided-by-kept-rows": ("scale", {"count": lambda w: (w > 0).sum()}),
        "label-off-by-one": ("subset", {"target": lambda t, z: np.roll(t, 1, axis=-1)}),
    }),
)  # fmt: skip

HEAT = 4.0


def _distilled(z: Array, u: Array) -> Array:
    log_p, log_q = log_softmax(z / HEAT), log_softmax(u / HEAT)
    return np.asarray(HEAT**2 * (np.exp(log_q) * (log_q - log_p)).sum() / len(z))


def _distilled_backward(
    z: Array,
    u: Array,
    g: Array,
    student: Function = lambda p, q: HEAT * (p - q),
    teacher: Function = lambda p, q, gap: HEAT * q * (gap - total(q * gap)),
    heat: Function = lambda: HEAT,
    count: Function = len,
) -> Any:
    T = heat()
    p, q = softmax(z / T), softmax(u / T)
    gap = log_softmax(u / T) - log_softmax(z / T)
    u_bar = teacher(p, q, gap)
    return g * student(p, q) / count(z), u_bar if u_bar is None else g * u_bar / count(z)


DISTILLATION = Subject(
    "distillation-loss", _distilled, _distilled_backward,
    lambda rng, shape, scale: drawn(rng, shape, shape, scale=scale), ROWS, scales=(0.3, 1.0, 30.0),
    edits=edited(_distilled_backward, {
        "one-temperature-too-few": ("scale", {"student": lambda p, q: p - q}),
        "teacher-detached": ("severed", {"teacher": lambda p, q, gap: None}),
        "teacher-zero": ("zero", {"teacher": lambda p, q, gap: 0 * q}),
        "teacher-mean-dropped": ("projection-term", {"teacher": lambda p, q, gap: HEAT * q * gap}),
        "teacher-like-student": ("unnamed", {
            "teacher": lambda p, q, gap: HEAT * (q - p)}),
        "student-reversed": ("sign", {"student": lambda p, q: HEAT * (q - p)}),
        "untempered": ("wrong-variable", {"heat": lambda: 1.0}),
        "averaged-over-classes": ("scale", {"count": lambda z: z.size}),
    }),
)  # fmt: skip

BONUS = 0.3


def _policy(z: Array, chosen: Array, rewards: Array) -> Array:
    log_p = log_softmax(z)
    entropy = -(np.exp(log_p) * log_p).sum(axis=-1)
    return np.asarray(-(rewards * (one_hot(chosen, z) * log_p).sum(-1) + BONUS * entropy).mean())


def _policy_backward(
    z: Array,
    chosen: Array,
    rewards: Array,
    g: Array,
    surprise: Function = lambda t, p: p - t,
    entropy: Function = lambda p, log_p: BONUS * p * (log_p - total(p * log_p)),
    weight: Function = lambda rewards: rewards,
    rewards_bar: Function = lambda chosen_log_p: -chosen_log_p,
) -> Any:
    log_p, t = log_softmax(z), one_hot(chosen, z)
    p = np.exp(log_p)
    z_bar = weight(rewards)[:, None] * surprise(t, p) + entropy(p, log_p)
    pulled = rewards_bar((t * log_p).sum(axis=-1))
    return g * z_bar / len(z), None if pulled is None else g * pulled / len(z)


def _policy_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    chosen = rng.integers(shape[-1], size=shape[0])
    return scale * rng.normal(size=shape), chosen, rng.normal(size=shape[0])


POLICY = Subject(
    "policy-gradient-with-entropy", _policy, _policy_backward, _policy_sample, ROWS,
    scales=(0.1, 1.0, 4.0),
    edits=edited(_policy_backward, {
        "entropy-forgotten": ("chain-term", {"entropy": lambda p, log_p: 0}),
        "entropy-reversed": ("chain-term", {
            "entropy": lambda p, log_p: -BONUS * p * (log_p - total(p * log_p))}),
        "entropy-mean-dropped": ("projection-term", {
            "entropy": lambda p, log_p: BONUS * p * log_p}),
        "entropy-with-plus-1": ("projection-term", {
            "entropy": lambda p, log_p: BONUS * p * (log_p + 1)}),
        "chosen-alone": ("projection-term", {"surprise": lambda t, p: -t}),
        "rewards-forgotten": ("chain-term", {"weight": np.ones_like}),
        "rewards-standardised-again": ("wrong-variable", {
            "weight": lambda r: (r - r.mean()) / (r.std() + 1e-4)}),
        "rewards-severed": ("severed", {"rewards_bar": lambda chosen_log_p: None}),
        "rewards-reversed": ("sign", {"rewards_bar": lambda chosen_log_p: chosen_log_p}),
    }),
)  # fmt: skip


def _entropy(z: Array) -> Array:
    log_p = log_softmax(z)
    return np.asarray(-(np.exp(log_p) * log_p).sum(axis=-1))


def _entropy_backward(
    z: Array,
    g: Array,
    slope: Function = lambda p, log_p: -p * (log_p - total(p * log_p)),
) -> Any:
    log_p = log_softmax(z)
    return g[..., None] * slope(np.exp(log_p), log_p)


ENTROPY = Subject(
    "entropy-of-softmax", _entropy, _entropy_backward,
    lambda rng, shape, scale: drawn(rng, shape, scale=scale), ROWS, scales=(0.3, 1.0, 5.0),
    edits=edited(_entropy_backward, {
        "at-the-probabilities": ("wrong-variable chain-term", {
            "slope": lambda p, log_p: -(log_p + 1)}),
        "diagonal": ("diagonal-only", {"slope": lambda p, log_p: -(log_p + 1) * p * (1 - p)}),
        "mean-dropped": ("projection-term", {"slope": lambda p, log_p: -p * log_p}),
        "mean-added": ("projection-term", {
            "slope": lambda p, log_p: -p * (log_p + total(p * log_p))}),
        "plain-mean": ("projection-term", {"slope": lambda p, log_p: -p * (log_p - mean(log_p))}),
        "of-the-negative": ("sign", {"slope": lambda p, log_p: p * (log_p - total(p * log_p))}),
    }),
)  # fmt: skip


def _scattered(ids: Array, rows: Array, like: Array) -> Array:
    """Add rows up at their ids."""
    into = np.zeros_like(like)
    np.add.at(into, ids, rows)
    return into


def _assigned(ids: Array, rows: Array, like: Array) -> Array:
    into = np.zeros_like(like)
    into[ids] = rows
    return into


def _tied_backward(
    E: Array,
    ids: Array,
    g: Array,
    looked_up: Function = _scattered,
    output: Function = lambda E, ids, g: g.T @ E[ids],
    rows: Function = lambda E, g: g @ E,
) -> Any:
    return looked_up(ids, rows(E, g), E) + output(E, ids, g)


def _tied_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    N, V, D = shape
    return scale * rng.normal(size=(V, D)), rng.integers(V, size=N)


TIED = Subject(
    "tied-embedding", lambda E, ids: E[ids] @ E.T, _tied_backward, _tied_sample,
    ((4, 3, 2), (9, 5, 5), (20, 13, 8), (50, 40, 30)),
    edits=edited(_tied_backward, {
        "output-side-alone": ("chain-term", {"looked_up": lambda ids, rows, E: 0 * E}),
        "input-side-alone": ("chain-term", {"output": lambda E, ids, g: 0 * E}),
        "looked-up-assigned": ("unreduced-broadcast", {"looked_up": _assigned}),
        "padding-row-frozen": ("subset", {
            "looked_up": lambda ids, rows, E: _scattered(
                ids, np.where(ids[:, None] == 0, 0 * rows, rows), E)}),
        "ids-shifted": ("axis", {
            "looked_up": lambda ids, rows, E: _scattered((ids + 1) % len(E), rows, E)}),
    }),
)  # fmt: skip

SUBJECTS = (OUTPUT_LAYER, REGRESSION, IGNORING, DISTILLATION, POLICY, ENTROPY, TIED)
"""What is checked."""
