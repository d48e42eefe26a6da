"""Softmax by its Jacobians, and log_softmax as an object."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import softmax, total
from benchmarks.checker.subject import Array, Function, Shape, Subject
from benchmarks.checker.third_batch.parts import drawn, edited, einsum

__all__ = ["SUBJECTS"]

ROWS: tuple[Shape, ...] = ((2, 3), (3, 5), (5, 4), (4, 37), (7, 130))


def _softmax(x: Array) -> Any:
    x = np.asarray(x)
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def _jacobians(s: Array) -> Array:
    """Return a Jacobian for every token of [B, T, K]."""
    eye = np.eye(s.shape[-1], dtype=s.dtype)
    return np.asarray(s[..., None] * eye - einsum("btk,btl->btkl", s, s))


def _softmax_backward(
    x: Array,
    g: Array,
    at: Function = _softmax,
    jacobians: Function = _jacobians,
    pulled: Function = lambda J, g: einsum("btkl,btk->btl", J, g),
    arriving: Function = lambda g: g,
) -> Any:
    return pulled(jacobians(at(x)), arriving(g))


def _over_everything(x: Array) -> Any:
    e = np.exp(x - x.max())
    return e / np.sum(e)


JACOBIANS = Subject(
    "softmax-of-tokens-by-jacobians", _softmax, _softmax_backward,
    lambda rng, shape, scale: drawn(rng, shape, scale=scale),
    ((2, 3, 4), (3, 4, 5), (2, 5, 3), (3, 6, 17), (4, 10, 50)), scales=(0.1, 1.0, 5.0),
    edits=edited(_softmax_backward, {
        "diagonal-read": ("diagonal-only", {
            "pulled": lambda J, g: einsum("btkk,btk->btk", J, g)}),
        "rows-summed": ("zero projection-term", {"pulled": lambda J, g: J.sum(axis=-1) * g}),
        "outer-product-forgotten": ("projection-term", {
            "jacobians": lambda s: s[..., None] * np.eye(s.shape[-1], dtype=s.dtype)}),
        "outer-product-with-all-tokens": ("projection-term axis", {
            "jacobians": lambda s: s[..., None] * np.eye(s.shape[-1], dtype=s.dtype)
            - einsum("btk,bsl->btkl", s, s)}),
        "summed-over-everything": ("axis", {"at": _over_everything}),
        "softmax-over-time": ("axis", {"at": lambda x: softmax(x, 1)}),
        "softmax-twice": ("wrong-variable", {"at": lambda x: _softmax(_softmax(x))}),
        "not-normalised": ("wrong-variable chain-term", {
            "at": lambda x: np.exp(x - x.max(axis=-1, keepdims=True))}),
        "cotangent-of-the-first-sequence": ("cotangent", {
            "arriving": lambda g: np.broadcast_to(g[:1], g.shape)}),
    }),
)  # fmt: skip


class LogSoftmax:
    """A layer that keeps its output."""

    def forward(self, x: Array) -> Array:
        c = np.max(x, axis=1)[:, None]
        self.out = x - c - np.log(np.sum(np.exp(x - c), axis=1))[:, None]
        return np.asarray(self.out)

    def backward(self, g: Array, rule: Function) -> Any:
        return rule(g, np.exp(self.out))


def _log_softmax_backward(
    x: Array,
    g: Array,
    rule: Function = lambda g, p: g - p * np.sum(g, axis=1)[:, None],
) -> Any:
    layer = LogSoftmax()
    layer.forward(x)
    return layer.backward(g, rule)


LOG_SOFTMAX = Subject(
    "log-softmax-layer-object", lambda x: LogSoftmax().forward(x), _log_softmax_backward,
    lambda rng, shape, scale: drawn(rng, shape, scale=scale), ROWS, scales=(0.1, 1.0, 3.0),
    edits=edited(_log_softmax_backward, {
        "one-minus-p": ("diagonal-only", {"rule": lambda g, p: g * (1 - p)}),
        "passed-on": ("identity projection-term", {"rule": lambda g, p: g}),
        "gradient-minus-p": ("cotangent projection-term wrong-variable", {
            "rule": lambda g, p: g - p}),
        "divided-by-p": ("wrong-variable chain-term", {"rule": lambda g, p: g / p}),
        "sum-of-the-batch": ("projection-term axis", {"rule": lambda g, p: g - p * np.sum(g)}),
        "sum-of-products": ("projection-term", {"rule": lambda g, p: g - p * total(g * p)}),
        "sum-forgets-p": ("projection-term", {"rule": lambda g, p: g - total(g)}),
        "probabilities-rounded": ("arithmetic", {
            "rule": lambda g, p: g - np.round(p, 2) * np.sum(g, axis=1)[:, None]}),
    }),
)  # fmt: skip

SUBJECTS = (JACOBIANS, LOG_SOFTMAX)
"""What is checked."""
