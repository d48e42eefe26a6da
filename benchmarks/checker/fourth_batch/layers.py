"""Layers with gates, and a smooth activation."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject
from benchmarks.checker.third_batch.parts import drawn, edited, matrix, sigmoid

__all__ = ["SUBJECTS"]


def _softplus(x: Array) -> Any:
    return np.logaddexp(0 * x, x)


def _mish_backward(
    x: Array,
    g: Array,
    outer: Function = lambda w: w,
    inner: Function = lambda x, w: x * (1 - w**2) * sigmoid(x),
    upstream: Function = lambda g: g,
) -> Any:
    w = np.tanh(_softplus(x))
    return upstream(g) * (outer(w) + inner(x, w))


MISH = Subject(
    "mish", lambda x: x * np.tanh(_softplus(x)), _mish_backward,
    lambda rng, shape, scale: drawn(rng, shape, scale=scale),
    ((5,), (2, 3), (4, 5), (7, 130), (2, 5000)), scales=(0.5, 1.0, 3.0),
    edits=edited(_mish_backward, {
        "x-held": ("chain-term", {"inner": lambda x, w: 0}),
        "gate-held": ("chain-term", {"outer": lambda w: 0}),
        "sigmoid-forgotten": ("chain-term", {"inner": lambda x, w: x * (1 - w**2)}),
        "x-forgotten": ("chain-term", {"inner": lambda x, w: (1 - w**2) * sigmoid(x)}),
        "tanh's-slope-of-x": ("wrong-variable", {
            "inner": lambda x, w: x * (1 - np.tanh(x) ** 2) * sigmoid(x)}),
        "softplus-for-its-slope": ("wrong-variable", {
            "inner": lambda x, w: x * (1 - w**2) * _softplus(x)}),
        "cotangent-ignored": ("cotangent", {"upstream": lambda g: np.ones_like(g)}),
    }),
)  # fmt: skip


def _highway(x: Array, Wh: Array, bh: Array, Wt: Array, bt: Array) -> Any:
    h, t = np.tanh(x @ Wh + bh), sigmoid(x @ Wt + bt)
    return t * h + (1 - t) * x


def _highway_backward(
    x: Array,
    Wh: Array,
    bh: Array,
    Wt: Array,
    bt: Array,
    g: Array,
    carried: Function = lambda g, t: g * (1 - t),
    into_gate: Function = lambda g, h, x: g * (h - x),
    gate_slope: Function = lambda t: t * (1 - t),
    slope: Function = lambda h: 1 - h**2,
    transformed: Function = lambda g, t: g * t,
    through: Function = lambda da, Wh, ds, Wt: da @ Wh.T + ds @ Wt.T,
    bias: Function = lambda d: d.sum(axis=0),
) -> Any:
    h, t = np.tanh(x @ Wh + bh), sigmoid(x @ Wt + bt)
    da = transformed(g, t) * slope(h)
    ds = into_gate(g, h, x) * gate_slope(t)
    dx = carried(g, t) + through(da, Wh, ds, Wt)
    return dx, x.T @ da, bias(da), x.T @ ds, bias(ds)


def _highway_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D = shape
    bh, bt = drawn(rng, (D,), (D,))
    return *drawn(rng, (N, D), scale=scale), matrix(rng, D, D), bh, matrix(rng, D, D), bt


HIGHWAY = Subject(
    "highway-layer", _highway, _highway_backward, _highway_sample,
    ((2, 3), (3, 5), (5, 4), (7, 20), (30, 16)), scales=(0.3, 1.0, 2.0),
    edits=edited(_highway_backward, {
        "carry-forgotten": ("chain-term", {"carried": lambda g, t: 0}),
        "carry-ungated": ("chain-term", {"carried": lambda g, t: g}),
        "gate's-carry-forgotten": ("chain-term", {"into_gate": lambda g, h, x: g * h}),
        "gate's-carry-added": ("chain-term sign", {"into_gate": lambda g, h, x: g * (h + x)}),
        "gate's-slope-forgotten": ("chain-term", {"gate_slope": lambda t: 1}),
        "gate's-slope-of-the-gate": ("wrong-variable", {
            "gate_slope": lambda t: sigmoid(t) * (1 - sigmoid(t))}),
        "tanh's-slope-forgotten": ("chain-term", {"slope": lambda h: 1}),
        "transform-ungated": ("chain-term", {"transformed": lambda g, t: g}),
        "cotangent-gated-in-place": ("aliasing", {
            "transformed": lambda g, t: np.multiply(g, t, out=g)}),
        "gate's-path-forgotten": ("chain-term", {
            "through": lambda da, Wh, ds, Wt: da @ Wh.T}),
        "bias-averaged": ("scale", {"bias": lambda d: d.mean(axis=0)}),
    }),
)  # fmt: skip


def _glu(x: Array) -> Any:
    a, b = np.split(x, 2, axis=-1)
    return a * sigmoid(b)


def _glu_backward(
    x: Array,
    g: Array,
    a_bar: Function = lambda g, s: g * s,
    b_bar: Function = lambda g, a, s: g * a * s * (1 - s),
    joined: Function = lambda da, db: np.concatenate([da, db], axis=-1),
) -> Any:
    a, b = np.split(x, 2, axis=-1)
    s = sigmoid(b)
    return joined(a_bar(g, s), b_bar(g, a, s))


GLU = Subject(
    "gated-linear-unit-of-halves", _glu, _glu_backward,
    lambda rng, shape, scale: drawn(rng, (*shape[:-1], 2 * shape[-1]), scale=scale),
    ((2, 3), (3, 5), (2, 3, 4), (7, 40), (4, 500)), scales=(0.3, 1.0, 5.0),
    edits=edited(_glu_backward, {
        "halves-swapped": ("axis", {"joined": lambda a, b: np.concatenate([b, a], axis=-1)}),
        "halves-interleaved": ("axis", {
            "joined": lambda a, b: np.stack([a, b], axis=-1).reshape(*a.shape[:-1], -1)}),
        "gate-held": ("chain-term zero subset", {"b_bar": lambda g, a, s: 0 * g}),
        "gate's-slope-forgotten": ("chain-term", {"b_bar": lambda g, a, s: g * a}),
        "gate-without-the-value": ("chain-term", {"b_bar": lambda g, a, s: g * s * (1 - s)}),
        "gate-without-one-minus": ("chain-term", {"b_bar": lambda g, a, s: g * a * s}),
        "value-ungated": ("chain-term identity", {"a_bar": lambda g, s: g}),
    }),
)  # fmt: skip


SUBJECTS = (MISH, HIGHWAY, GLU)
"""What is checked."""
