"""Softmax by itself: of columns, with a temperature, of padded scores.

Most of what is wrong here is met in small networks written from scratch, in functions that are
called softmax_derivative, softmax_prime, d_softmax or softmax_backward.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.fifth_batch.parts import drawn, edited, softmax_back
from benchmarks.checker.numerics import softmax, total
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]


def _columns(Z: Array) -> Any:
    """Return softmax of every column."""
    e = np.exp(Z - np.max(Z, axis=0))
    return e / np.sum(e, axis=0)


def _columns_backward(
    Z: Array,
    dA: Array,
    at: Function = _columns,
    rule: Function = lambda A, dA, Z: A * (dA - np.sum(A * dA, axis=0)),
) -> Any:
    return rule(at(Z), dA, Z)


def _by_jacobians(A: Array, dA: Array, Z: Array, sign: int = -1) -> Any:
    """Build the Jacobian of every column in two loops; `sign` is that of the cross derivatives."""
    dZ = np.zeros_like(dA)
    K, m = A.shape
    for n in range(m):
        for i in range(K):
            for j in range(K):
                a, b = A[i, n], A[j, n]
                dZ[i, n] += (a * (1 - a) if i == j else sign * a * b) * dA[j, n]
    return dZ


def _flattened(A: Array, dA: Array, Z: Array) -> Any:
    """Take the batch for one long sample."""
    s = A.reshape(-1, 1)
    jacobian = np.diagflat(s[:, 0]) - s @ s.T
    return (jacobian @ dA.reshape(-1, 1)).reshape(dA.shape)


COLUMNS = Subject(
    "softmax-of-columns", _columns, _columns_backward,
    lambda rng, shape, scale: drawn(rng, shape, scale=scale),
    ((3, 2), (4, 5), (5, 3), (20, 4), (11, 30)), scales=(0.1, 1.0, 5.0),
    also_right={
        "in two loops": lambda Z, dA: _by_jacobians(_columns(Z), dA, Z),
        "of the transpose": lambda Z, dA: softmax_back(softmax(Z.T), dA.T).T,
    },
    edits=edited(_columns_backward, {
        # By far the most frequent one, copied from the sigmoid's derivative.
        "like-sigmoid": ("diagonal-only", {"rule": lambda A, dA, Z: dA * A * (1 - A)}),
        # The derivative is written for activations and gets the weighted input, or the reverse.
        "like-sigmoid-of-Z": ("diagonal-only wrong-variable", {
            "rule": lambda A, dA, Z: dA * Z * (1 - Z)}),
        "jacobian-of-Z": ("wrong-variable", {
            "rule": lambda A, dA, Z: Z * (dA - np.sum(Z * dA, axis=0))}),
        "softmax-of-the-activation": ("wrong-variable", {"at": lambda Z: _columns(_columns(Z))}),
        "like-sigmoid-of-the-activation": ("diagonal-only wrong-variable", {
            "at": lambda Z: _columns(_columns(Z)), "rule": lambda A, dA, Z: dA * A * (1 - A)}),
        # A derivative "that the loss has taken care of", in a layer that has no loss.
        "passed-on": ("identity", {"rule": lambda A, dA, Z: dA}),
        "not-returned": ("severed", {"rule": lambda A, dA, Z: None}),
        "the-output-is-its-derivative": ("projection-term", {"rule": lambda A, dA, Z: A * dA}),
        # Made up as it went: there is no better word for these than "wrong".
        "odds": ("unnamed", {"rule": lambda A, dA, Z: dA * A / (1 - A)}),
        "one-hot-of-the-largest": ("unnamed", {
            "rule": lambda A, dA, Z: dA * (A.max(axis=0) == A)}),
        # Q&A threads: the Jacobian is summed so that the shapes fit.
        "jacobian's-rows-summed": ("zero projection-term", {
            "rule": lambda A, dA, Z: dA * (A - A * np.sum(A, axis=0))}),
        # Jacobians in loops, with a wrong sign on or off the diagonal.
        "cross-derivatives-added": ("projection-term sign", {
            "rule": lambda A, dA, Z: _by_jacobians(A, dA, Z, +1)}),
        "diagonal-negated": ("sign projection-term", {
            "rule": lambda A, dA, Z: -_by_jacobians(A, dA, Z, +1)}),
        # One sample's formula meets a batch.
        "first-sample's-jacobian": ("wrong-variable axis", {
            "at": lambda Z: np.broadcast_to(_columns(Z)[:, :1], Z.shape)}),
        "batch-flattened": ("projection-term axis", {"rule": _flattened}),
        # The argument is taken for the input of the layer.
        "softmax-of-the-upstream": ("cotangent", {
            "rule": lambda A, dA, Z: _columns(dA) * (1 - _columns(dA))}),
    }),
)  # fmt: skip

T = 0.7


def _tempered(x: Array) -> Any:
    """Return softmax over axis 1 of [N, C, L] at a temperature."""
    e = np.exp((x - x.max(axis=1, keepdims=True)) / T)
    return e / e.sum(axis=1, keepdims=True)


def _tempered_backward(
    x: Array,
    g: Array,
    at: Function = _tempered,
    inner: Function = lambda p, g: total(p * g, 1),
    rule: Function = lambda p, g, inner: p * (g - inner),
    temperature: Function = lambda d: d / T,
) -> Any:
    p = at(x)
    return temperature(rule(p, g, inner(p, g)))


TEMPERED = Subject(
    "softmax-of-channels-with-temperature", _tempered, _tempered_backward,
    lambda rng, shape, scale: drawn(rng, shape, scale=scale),
    ((2, 3, 4), (3, 4, 2), (2, 5, 3), (3, 17, 4), (2, 40, 9)), scales=(0.1, 1.0, 3.0),
    also_right={"channels last": lambda x, g: np.moveaxis(
        softmax_back(softmax(np.moveaxis(x, 1, -1) / T), np.moveaxis(g, 1, -1)), -1, 1) / T},
    edits=edited(_tempered_backward, {
        # Pull requests that add a temperature to the forward.
        "temperature-forgotten": ("scale", {"temperature": lambda d: d}),
        "temperature-multiplied": ("scale", {"temperature": lambda d: d * T}),
        "temperature-forgotten-in-p": ("wrong-variable", {"at": lambda x: softmax(x, 1)}),
        # Kernels whose default axis is the last one.
        "inner-product-along-the-last-axis": ("axis projection-term", {
            "inner": lambda p, g: total(p * g)}),
        "inner-product-over-everything": ("axis projection-term", {
            "inner": lambda p, g: total(p * g, None)}),
        "normalised-along-the-last-axis": ("axis", {"at": lambda x: softmax(x / T)}),
        "inner-product-without-p": ("projection-term", {"inner": lambda p, g: total(g, 1)}),
        "like-sigmoid": ("diagonal-only", {"rule": lambda p, g, inner: g * p * (1 - p)}),
    }),
)  # fmt: skip

MASKED = -1e4


def _padded(scores: Array, keep: Array) -> Any:
    """Return softmax of scores [B, T, S] over the keys that are kept [B, S]."""
    return softmax(np.where(keep[:, None, :] > 0, scores, np.full_like(scores, MASKED)))


def _padded_backward(
    scores: Array,
    keep: Array,
    g: Array,
    at: Function = _padded,
    rule: Function = softmax_back,
    masked: Function = lambda d, keep: np.where(keep[:, None, :] > 0, d, 0 * d),
) -> Any:
    return masked(rule(at(scores, keep), g), keep)


def _padded_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    B, T_, S = shape
    keep = (np.arange(S) < np.array([[S - 1 - b % 2] for b in range(B)])).astype(int)
    return scale * rng.normal(size=(B, T_, S)), keep


PADDED = Subject(
    "softmax-of-padded-scores", _padded, _padded_backward, _padded_sample,
    ((2, 3, 4), (2, 5, 5), (3, 4, 6), (3, 4, 17), (2, 12, 30)), scales=(0.1, 1.0, 5.0),
    also_right={"not masked again": lambda scores, keep, g: softmax_back(_padded(scores, keep), g)},
    edits=edited(_padded_backward, {
        # A mask that means "kept" in the forward and "masked" in the backward.
        "mask-inverted": ("subset zero", {
            "masked": lambda d, keep: np.where(keep[:, None, :] > 0, 0 * d, d)}),
        # Kernels that compute the weights anew and leave the padding in.
        "weights-without-the-mask": ("subset wrong-variable", {
            "at": lambda scores, keep: softmax(scores)}),
        "mask-multiplied-before-softmax": ("subset wrong-variable", {
            "at": lambda scores, keep: softmax(scores * keep[:, None, :])}),
        "inner-product-over-queries": ("axis projection-term", {
            "rule": lambda p, g: p * (g - total(p * g, -2))}),
        "like-sigmoid": ("diagonal-only", {"rule": lambda p, g: g * p * (1 - p)}),
        "mask-alone": ("identity chain-term", {"rule": lambda p, g: g}),
    }),
)  # fmt: skip


SUBJECTS = (COLUMNS, TEMPERED, PADDED)
"""What is checked."""
