"""Losses beside cross entropy: of choices, of noisy labels, of mixed samples, of whole rankings.

What is wrong here is met in estimators of choice models, whose solvers ended abnormally until their
gradients were compared with differences, and in losses written from papers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.eighth_batch.parts import (
    drawn,
    edited,
    einsum,
    ids,
    log_softmax,
    matrix,
    one,
    one_hot,
    sigmoid,
    softmax,
    total,
)
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

LOW = -1e4


def _utilities(beta: Array, constants: Array, X: Array, open_: Array) -> Any:
    """Return the utilities of alternatives; the first one's constant is 0."""
    free = (np.arange(len(constants)) > 0).astype(X.dtype)
    u = einsum("njd,d->nj", X, beta) + constants * free
    return np.where(open_ > 0, u, LOW + 0 * u)


def _choices(beta: Array, constants: Array, X: Array, open_: Array, chosen: Array) -> Any:
    """Return minus the log-likelihood of the chosen alternatives, of attributes X [N, J, D]."""
    logp = log_softmax(_utilities(beta, constants, X, open_))
    return -np.sum(logp[np.arange(len(chosen)), chosen])


def _choices_backward(
    beta: Array,
    constants: Array,
    X: Array,
    open_: Array,
    chosen: Array,
    g: Array,
    probabilities: Function = lambda u, open_: softmax(u),
    error: Function = lambda p, own, open_: p - own,
    of_beta: Function = lambda d, X: einsum("nj,njd->d", d, X),
    fixed: Function = lambda d: d * (np.arange(len(d)) > 0).astype(d.dtype),
    count: Function = lambda chosen: 1,
) -> Any:
    u = _utilities(beta, constants, X, open_)
    p = probabilities(u, open_)
    d = g * error(p, one_hot(chosen, p), open_) / count(chosen)
    return of_beta(d, X), fixed(np.sum(d, axis=0)), d[..., None] * beta


def _choices_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, J, D = shape
    beta, constants, X = drawn(rng, (D,), (J,), (N, J, D), scale=scale)
    open_ = ((np.arange(N)[:, None] + np.arange(J)) % 4 != 0).astype(int)
    chosen = np.argmax(open_ * (1 + rng.random((N, J))), axis=1)
    return beta, constants, X, open_, chosen


CHOICES = Subject(
    "choices-among-available-alternatives", _choices, _choices_backward, _choices_sample,
    ((3, 4, 2), (4, 5, 3), (5, 4, 3), (9, 6, 4), (30, 8, 6)), scales=(0.3, 1.0, 1.5),
    edits=edited(_choices_backward, {
        # A pull request mends exactly this: missing alternatives in the analytic gradient.
        "unavailable-alternatives-weighted": ("wrong-variable subset", {
            "probabilities": lambda u, open_: softmax(np.where(open_ > 0, u, 0 * u))}),
        "mean-attribute-for-the-expected": ("projection-term wrong-variable", {
            "error": lambda p, own, open_: open_ / total(open_) - own}),
        "expected-attribute-forgotten": ("projection-term chain-term", {
            "error": lambda p, own, open_: -own}),
        "chosen-attribute-forgotten": ("subset chain-term", {
            "error": lambda p, own, open_: p}),
        "reference's-constant-learnt": ("subset", {"fixed": lambda d: d}),
        "log-likelihood's-sign": ("sign", {"error": lambda p, own, open_: own - p}),
        "averaged": ("scale", {"count": len}),
        "scores-of-every-person": ("unreduced-broadcast", {
            "of_beta": lambda d, X: einsum("nj,njd->nd", d, X)}),
        "likelihood-without-its-logarithm": ("chain-term wrong-variable", {
            "error": lambda p, own, open_: (p - own) * total(p * own)}),
    }),
)  # fmt: skip

Q = 0.6


def _noisy(z: Array, y: Array) -> Any:
    """Return the mean of (1 − pᵠ)/q, of every label's probability p."""
    return np.mean((1 - softmax(z)[np.arange(len(y)), y] ** Q) / Q)


def _noisy_backward(
    z: Array,
    y: Array,
    g: Array,
    weight: Function = lambda own, p: own**Q,
    rule: Function = lambda p, t: p - t,
    count: Function = len,
) -> Any:
    p = softmax(z)
    t = one_hot(y, p)
    return g * weight(total(p * t), p) * rule(p, t) / count(z)


def _classified(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    return *drawn(rng, shape, scale=scale), ids(rng, *shape)


NOISY = Subject(
    "generalised-cross-entropy-of-noisy-labels", _noisy, _noisy_backward, _classified,
    ((3, 4), (5, 3), (4, 7), (9, 20), (20, 60)), scales=(0.1, 1.0, 4.0),
    edits=edited(_noisy_backward, {
        "cross-entropy's-gradient": ("chain-term", {"weight": lambda own, p: 1}),
        "power-less-one": ("chain-term", {"weight": lambda own, p: own ** (Q - 1)}),
        "every-class-by-its-own-p": ("wrong-variable", {"weight": lambda own, p: p**Q}),
        "q-not-divided": ("scale", {"weight": lambda own, p: Q * own**Q}),
        "label's-own-slope": ("diagonal-only", {"rule": lambda p, t: -t * (1 - p)}),
        "expectation-forgotten": ("projection-term chain-term", {"rule": lambda p, t: -t}),
        "label-minus-output": ("sign", {"rule": lambda p, t: t - p}),
        "averaged-over-classes-too": ("scale", {"count": np.size}),
    }),
)  # fmt: skip

LAMBDA = 0.7


def _mixed(X: Array, W: Array, b: Array, order: Array, y: Array) -> Any:
    """Return the mean loss of mixed samples, by both of their labels."""
    logp = log_softmax((LAMBDA * X + (1 - LAMBDA) * X[order]) @ W + b)
    rows = np.arange(len(y))
    return -np.mean(LAMBDA * logp[rows, y] + (1 - LAMBDA) * logp[rows, y[order]])


def _scattered(d: Array, order: Array) -> Any:
    back = np.zeros_like(d)
    back[order] = d
    return back


def _mixed_backward(
    X: Array,
    W: Array,
    b: Array,
    order: Array,
    y: Array,
    g: Array,
    targets: Function = lambda t, other: LAMBDA * t + (1 - LAMBDA) * other,
    samples: Function = lambda X, mixed: mixed,
    back: Function = _scattered,
    own: Function = lambda d: LAMBDA * d,
    partner: Function = lambda d: (1 - LAMBDA) * d,
    count: Function = len,
) -> Any:
    mixed = LAMBDA * X + (1 - LAMBDA) * X[order]
    p = softmax(mixed @ W + b)
    d = g * (p - targets(one_hot(y, p), one_hot(y[order], p))) / count(y)
    dmixed = d @ W.T
    dX = own(dmixed) + back(partner(dmixed), order)
    return dX, samples(X, mixed).T @ d, np.sum(d, axis=0)


def _mixed_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, K = shape
    X, b = drawn(rng, (N, D), (K,), scale=scale)
    return X, matrix(rng, D, K), b, (np.arange(N) + 1) % N, ids(rng, N, K)


MIXED = Subject(
    "mixed-samples-with-two-labels", _mixed, _mixed_backward, _mixed_sample,
    ((3, 2, 4), (5, 3, 4), (4, 5, 3), (8, 6, 9), (24, 10, 12)), scales=(0.3, 1.0, 3.0),
    edits=edited(_mixed_backward, {
        "first-label-alone": ("wrong-variable chain-term", {"targets": lambda t, other: t}),
        "labels'-weights-exchanged": ("wrong-variable axis", {
            "targets": lambda t, other: (1 - LAMBDA) * t + LAMBDA * other}),
        "weights-by-the-unmixed": ("wrong-variable chain-term", {
            "samples": lambda X, mixed: X}),
        "partner's-path-forgotten": ("chain-term unreduced-broadcast", {
            "partner": lambda d: 0 * d}),
        "order-not-undone": ("axis", {"back": lambda d, order: d[order]}),
        "order-forgotten": ("axis", {"back": lambda d, order: d}),
        "shares-forgotten-going-back": ("chain-term scale", {
            "own": lambda d: d, "partner": lambda d: d}),
        "not-averaged": ("scale", {"count": one}),
    }),
)  # fmt: skip


def _ranked(s: Array, order: Array) -> Any:
    """Return the mean over lists [N, L] of minus the log-probability of a whole ranking."""
    sorted_ = np.take_along_axis(s, order, 1)
    loss = 0 * s[0, 0]
    for i in range(s.shape[1]):
        loss = loss - np.sum(log_softmax(sorted_[:, i:])[:, 0])
    return loss / len(s)


def _unsorted(d: Array, order: Array) -> Any:
    back = np.zeros_like(d)
    np.put_along_axis(back, order, d, 1)
    return back


def _ranked_backward(
    s: Array,
    order: Array,
    g: Array,
    places: Function = lambda L: range(L),
    rest: Function = lambda sorted_, i: sorted_[:, i:],
    start: Function = lambda i: i,
    chance: Function = softmax,
    label: Function = lambda i: 1,
    back: Function = _unsorted,
    count: Function = len,
) -> Any:
    sorted_ = np.take_along_axis(s, order, 1)
    d = np.zeros_like(s)
    for i in places(s.shape[1]):
        p = chance(rest(sorted_, i))
        d[:, start(i) : start(i) + p.shape[1]] += p
        d[:, i] -= label(i)
    return back(g * d / count(s), order)


def _ranked_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, L = shape
    order = (np.arange(L) * (L - 1) + np.arange(N)[:, None] + 1) % L
    order[:, [0, 1, 2]] = order[:, [1, 2, 0]]
    return *drawn(rng, shape, scale=scale), order


RANKED = Subject(
    "likelihood-of-whole-rankings", _ranked, _ranked_backward, _ranked_sample,
    ((2, 4), (3, 5), (4, 6), (5, 9), (8, 16)), scales=(0.1, 1.0, 3.0),
    edits=edited(_ranked_backward, {
        # The loss of the first place alone is another one, of the same paper's family.
        "first-place-alone": ("chain-term unreduced-broadcast", {"places": lambda L: range(1)}),
        "all-items-at-every-place": ("wrong-variable", {
            "rest": lambda sorted_, i: sorted_, "start": lambda i: 0}),
        "items-before-for-items-left": ("axis wrong-variable", {
            "rest": lambda sorted_, i: sorted_[:, : i + 1], "start": lambda i: 0}),
        "chances-like-sigmoids": ("wrong-variable", {"chance": sigmoid}),
        "own-place-not-subtracted": ("chain-term subset", {"label": lambda i: 0}),
        "left-in-sorted-order": ("axis", {"back": lambda d, order: d}),
        "sorted-once-more": ("axis", {
            "back": lambda d, order: np.take_along_axis(d, order, 1)}),
        "averaged-over-places-too": ("scale", {"count": np.size}),
    }),
)  # fmt: skip

SUBJECTS = (CHOICES, NOISY, MIXED, RANKED)
"""What is checked."""
