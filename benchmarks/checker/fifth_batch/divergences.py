"""Divergences: of log-probabilities, and from a teacher.

What is wrong here is met in issues on knowledge distillation, and in threads on reductions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.fifth_batch.parts import (
    edited,
    labelled,
    one,
)
from benchmarks.checker.numerics import log_softmax, one_hot, softmax, total
from benchmarks.checker.subject import Array, Function, Shape, Subject

__all__ = ["SUBJECTS"]


ROWS: tuple[Shape, ...] = ((3, 2), (4, 5), (5, 3), (6, 17), (12, 50))


def _divergence(lp: Array, shares: Array) -> Any:
    """Return KL(targets‖exp(lp)) averaged over rows, of log-probabilities and integer shares."""
    t = _targets(lp, shares)
    return np.sum(t * (np.log(t) - lp)) / len(lp)


def _targets(lp: Array, shares: Array) -> Any:
    return (shares / shares.sum(axis=1, keepdims=True)).astype(lp.dtype)


def _divergence_backward(
    lp: Array,
    shares: Array,
    g: Array,
    rule: Function = lambda lp, t: -t,
    count: Function = len,
) -> Any:
    return g * rule(lp, _targets(lp, shares)) / count(lp)


DIVERGENCE = Subject(
    "kl-divergence-of-log-probabilities", _divergence, _divergence_backward,
    lambda rng, shape, scale: (
        log_softmax(scale * rng.normal(size=shape)), rng.integers(1, 9, size=shape)),
    ROWS, scales=(0.3, 1.0, 5.0),
    edits=edited(_divergence_backward, {
        # Threads on the reductions of PyTorch's KLDivLoss: "mean" against "batchmean".
        "averaged-over-the-classes-too": ("scale", {"count": np.size}),
        "summed": ("scale", {"count": one}),
        "gradient-at-the-logits": ("wrong-variable", {"rule": lambda lp, t: np.exp(lp) - t}),
        "gradient-at-the-probabilities": ("wrong-variable", {
            "rule": lambda lp, t: -t / np.exp(lp)}),
        "gradient-at-the-targets": ("wrong-variable", {"rule": lambda lp, t: np.log(t) - lp + 1}),
        "sign-lost": ("sign", {"rule": lambda lp, t: t}),
    }),
)  # fmt: skip

HOT, MIX = 3.0, 0.7


def _distilled(z: Array, labels: Array, teacher: Array) -> Any:
    """Return T² KL to a teacher with integer logits, mixed with the cross entropy of labels."""
    q = softmax(teacher.astype(z.dtype) / HOT)
    soft = np.sum(q * (np.log(q) - log_softmax(z / HOT)), axis=1)
    hard = -log_softmax(z)[np.arange(len(z)), labels]
    return np.mean(MIX * HOT**2 * soft + (1 - MIX) * hard)


def _distilled_backward(
    z: Array,
    labels: Array,
    teacher: Array,
    g: Array,
    soft: Function = lambda p, q, logs: HOT * (p - q),
    hard: Function = lambda z, t: softmax(z) - t,
    taught: Function = lambda teacher: softmax(teacher / HOT),
    count: Function = len,
) -> Any:
    q = taught(teacher.astype(z.dtype))
    p = softmax(z / HOT)
    d = MIX * soft(p, q, np.log(p) - np.log(q)) + (1 - MIX) * hard(z, one_hot(labels, z))
    return g * d / count(z)


DISTILLED = Subject(
    "distillation-with-hard-labels", _distilled, _distilled_backward,
    lambda rng, shape, scale: (
        *labelled(rng, shape, scale), rng.integers(-3, 4, size=shape)),
    ROWS, scales=(0.3, 1.0, 5.0),
    edits=edited(_distilled_backward, {
        # Issues about the factor T², which the loss has and the gradient often has not.
        "temperature's-square-forgotten": ("chain-term scale", {
            "soft": lambda p, q, logs: (p - q) / HOT}),
        "averaged-over-the-classes-too": ("scale", {"count": np.size}),
        "teacher-not-tempered": ("wrong-variable", {"taught": softmax}),
        "hard-labels-tempered": ("wrong-variable", {"hard": lambda z, t: softmax(z / HOT) - t}),
        "hard-labels-forgotten": ("chain-term", {"hard": lambda z, t: 0}),
        "teacher-minus-student": ("sign chain-term", {"soft": lambda p, q, logs: HOT * (q - p)}),
        "reverse-divergence": ("wrong-variable", {
            "soft": lambda p, q, logs: HOT * p * (logs - total(p * logs))}),
    }),
)  # fmt: skip

SUBJECTS = (DIVERGENCE, DISTILLED)
"""What is checked."""
