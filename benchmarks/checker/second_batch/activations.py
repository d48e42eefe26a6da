"""Activations, entry by entry and with gates."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import logits
from benchmarks.checker.second_batch.parts import drawn, edited, sigmoid
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

SHAPES: tuple[Shape, ...] = ((3, 4), (5, 6), (4, 38), (7, 130), (2, 400), (20, 5000))
SCALES = (0.1, 1.0, 4.0)

ROOT, CUBIC = 0.7978845608028654, 0.044715
"""√(2/π), and the factor of the cube, of the usual approximation of GELU."""


def _gelu_tanh(x: Array) -> Array:
    return np.tanh(ROOT * (x + CUBIC * x * x * x))


def _gelu_backward(
    x: Array,
    g: Array,
    inner: Function = lambda x: ROOT * (1 + 3 * CUBIC * x * x),
    outer: Function = lambda t: 1 - t * t,
    first: Function = lambda t: 0.5 * (1 + t),
) -> Any:
    t = _gelu_tanh(x)
    return g * (first(t) + 0.5 * x * outer(t) * inner(x))


GELU = Subject(
    "gelu-by-tanh", lambda x: 0.5 * x * (1 + _gelu_tanh(x)), _gelu_backward, logits, SHAPES,
    scales=SCALES,
    edits=edited(_gelu_backward, {
        "inner-slope-of-the-line": ("chain-term", {"inner": lambda x: ROOT}),
        "cube-without-its-3": ("chain-term", {"inner": lambda x: ROOT * (1 + CUBIC * x * x)}),
        "no-inner-derivative": ("chain-term", {"inner": lambda x: 1}),
        "gate-not-differentiated": ("chain-term", {"outer": lambda t: 0}),
        "first-term-dropped": ("chain-term", {"first": lambda t: 0}),
    }),
)  # fmt: skip


def _silu(x: Array) -> Array:
    return x * sigmoid(x)


def _silu_backward(
    x: Array,
    g: Array,
    slope: Function = lambda x, s: s + x * s * (1 - s),
    point: Function = lambda x: x,
) -> Any:
    x = point(x)
    return g * slope(x, sigmoid(x))


SILU = Subject(
    "silu", _silu, _silu_backward, logits, SHAPES, scales=SCALES,
    also_right={"from the output": lambda x, g: g * ((y := _silu(x)) + sigmoid(x) * (1 - y))},
    edits=edited(_silu_backward, {
        "sigmoid-alone": ("chain-term", {"slope": lambda x, s: s}),
        "sigmoid-slope-alone": ("chain-term", {"slope": lambda x, s: x * s * (1 - s)}),
        "no-x-in-the-product": ("chain-term", {"slope": lambda x, s: s + s * (1 - s)}),
        "at-the-output": ("wrong-variable", {"point": _silu}),
    }),
)  # fmt: skip

ALPHA = 0.7


def _elu(x: Array) -> Array:
    return np.where(x > 0, x, ALPHA * np.expm1(np.minimum(x, 0)))


def _elu_backward(
    x: Array, g: Array, negative: Function = lambda x: ALPHA * np.exp(np.minimum(x, 0)),
    positive: Function = np.ones_like,
) -> Any:  # fmt: skip
    return g * np.where(x > 0, positive(x), negative(x))


ELU = Subject(
    "elu", _elu, _elu_backward, logits, SHAPES, scales=SCALES, kinked=True,
    also_right={"from the output": lambda x, g: g * np.where(
        x > 0, np.ones_like(x), _elu(x) + ALPHA)},
    edits=edited(_elu_backward, {
        "alpha-forgotten": ("subset", {"negative": lambda x: np.exp(np.minimum(x, 0))}),
        "output-without-alpha": ("subset", {"negative": _elu}),
        "negatives-dropped": ("subset", {"negative": np.zeros_like}),
        "slope-1-everywhere": ("identity", {"negative": np.ones_like}),
        "x-for-its-slope": ("subset", {"positive": lambda x: x}),
    }),
)  # fmt: skip


def _prelu_backward(
    x: Array,
    slope: Array,
    g: Array,
    falls: Function = lambda x, g: x <= 0,
    slope_bar: Function = lambda x, g: np.where(x <= 0, g * x, np.zeros_like(g)).sum(axis=0),
) -> Any:
    return np.where(falls(x, g), slope * g, g), slope_bar(x, g)


def _prelu_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    return scale * rng.normal(size=shape), 0.25 + 0.1 * rng.normal(size=shape[-1])


PRELU = Subject(
    "prelu", lambda x, slope: np.where(x > 0, x, slope * x), _prelu_backward, _prelu_sample,
    SHAPES, kinked=True,
    edits=edited(_prelu_backward, {
        "mask-of-the-cotangent": ("cotangent", {"falls": lambda x, g: g <= 0}),
        "slope-not-summed": ("unreduced-broadcast", {
            "slope_bar": lambda x, g: np.where(x <= 0, g * x, np.zeros_like(g))}),
        "slope-mean": ("scale", {
            "slope_bar": lambda x, g: np.where(x <= 0, g * x, np.zeros_like(g)).mean(axis=0)}),
        "slope-of-all-entries": ("chain-term subset", {
            "slope_bar": lambda x, g: (g * x).sum(axis=0)}),
        "slope-without-x": ("chain-term", {
            "slope_bar": lambda x, g: np.where(x <= 0, g, np.zeros_like(g)).sum(axis=0)}),
    }),
)  # fmt: skip


def _halves(x: Array) -> tuple[Array, Array]:
    D = x.shape[-1] // 2
    return x[..., :D], x[..., D:]


def _swiglu(x: Array) -> Array:
    a, b = _halves(x)
    return _silu(a) * b


def _swiglu_backward(
    x: Array,
    g: Array,
    a_bar: Function = lambda a, b, s, g: g * b * (s + a * s * (1 - s)),
    b_bar: Function = lambda a, b, s, g: g * a * s,
    joined: Function = lambda a_bar, b_bar: (a_bar, b_bar),
) -> Any:
    a, b = _halves(x)
    s = sigmoid(a)
    return np.concatenate(joined(a_bar(a, b, s, g), b_bar(a, b, s, g)), axis=-1)


SWIGLU = Subject(
    "swiglu", _swiglu, _swiglu_backward, lambda rng, shape, scale: drawn(rng, shape, scale=scale),
    SHAPES, scales=SCALES,
    edits=edited(_swiglu_backward, {
        "halves-swapped": ("axis", {"joined": lambda a_bar, b_bar: (b_bar, a_bar)}),
        "gate-as-sigmoid": ("chain-term", {"a_bar": lambda a, b, s, g: g * b * s}),
        "value-by-sigmoid": ("chain-term", {"b_bar": lambda a, b, s, g: g * s}),
        "gate-detached": ("subset", {"a_bar": lambda a, b, s, g: 0 * g}),
        "b-forgotten-for-a": ("chain-term", {
            "a_bar": lambda a, b, s, g: g * (s + a * s * (1 - s))}),
    }),
)  # fmt: skip

SUBJECTS = (GELU, SILU, ELU, PRELU, SWIGLU)
"""What is checked."""
