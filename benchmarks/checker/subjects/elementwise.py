"""Maps of every number by itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.checker.numerics import logits
from benchmarks.checker.subject import Array, Rng, Shape, Subject, edit

__all__ = ["SUBJECTS"]

SHAPES: tuple[Shape, ...] = ((3,), (1, 2), (3, 5), (4, 4), (4, 37), (2, 3, 4), (2, 400), (3, 20000))


def _sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


SIGMOID = Subject(
    "sigmoid", _sigmoid, lambda x, g: g * (s := _sigmoid(x)) * (1 - s), logits, SHAPES,
    scales=(0.02, 1.0, 5.0),
    also_right={"of both signs": lambda x, g: g * _sigmoid(x) * _sigmoid(-x)},
    edits=(
        edit("no-complement", "chain-term", lambda x, g: g * _sigmoid(x)),
        edit("plus", "chain-term sign", lambda x, g: g * (s := _sigmoid(x)) * (1 + s)),
        edit("at-the-output", "wrong-variable", lambda x, g: (
            g * (s := _sigmoid(_sigmoid(x))) * (1 - s))),
        edit("of-the-input", "wrong-variable", lambda x, g: g * x * (1 - x)),
        edit("complement-alone", "chain-term", lambda x, g: g * (1 - _sigmoid(x))),
        edit("tanh's", "wrong-variable chain-term", lambda x, g: g * (1 - _sigmoid(x) ** 2)),
        edit("no-cotangent", "cotangent", lambda x, g: (s := _sigmoid(x)) * (1 - s)),
        edit("squared", "chain-term cotangent", lambda x, g: (
            g * ((s := _sigmoid(x)) * (1 - s)) ** 2)),
    ),
)  # fmt: skip

TANH = Subject(
    "tanh", np.tanh, lambda x, g: g * (1 - np.tanh(x) ** 2), logits, SHAPES,
    scales=(0.02, 1.0, 3.0),
    also_right={"cosh": lambda x, g: g / np.cosh(x) ** 2},
    accepts={"identity": "chain-term"},
    edits=(
        edit("no-slope", "identity chain-term", lambda x, g: 1 * g),
        edit("not-squared", "chain-term", lambda x, g: g * (1 - np.tanh(x))),
        edit("plus", "chain-term sign", lambda x, g: g * (1 + np.tanh(x) ** 2)),
        edit("of-the-input", "wrong-variable", lambda x, g: g * (1 - x**2)),
        edit("at-the-output", "wrong-variable", lambda x, g: g * (1 - np.tanh(np.tanh(x)) ** 2)),
        edit("sigmoid's", "wrong-variable chain-term", lambda x, g: (
            g * (y := np.tanh(x)) * (1 - y))),
    ),
)  # fmt: skip

ROOT = math.sqrt(2 / math.pi)
CUBE = 0.044715


def _gelu(x: Array) -> Array:
    return 0.5 * x * (1 + np.tanh(ROOT * (x + CUBE * x**3)))


def _gelu_parts(x: Array) -> tuple[Array, Array]:
    """Return the hyperbolic tangent and the slope of what it is taken of."""
    return np.tanh(ROOT * (x + CUBE * x**3)), ROOT * (1 + 3 * CUBE * x**2)


def _gelu_backward(x: Array, g: Array) -> Array:
    t, slope = _gelu_parts(x)
    return g * (0.5 * (1 + t) + 0.5 * x * (1 - t**2) * slope)


def _gelu_edit(term: Any) -> Any:
    """Return a backward whose slope is made of x, tanh and its argument's slope."""
    return lambda x, g: g * term(x, *_gelu_parts(x))


GELU = Subject(
    "gelu", _gelu, _gelu_backward, logits, SHAPES, scales=(0.02, 1.0, 3.0),
    edits=(
        edit("first-term-alone", "chain-term", _gelu_edit(lambda x, t, d: 0.5 * (1 + t))),
        edit("second-term-alone", "chain-term", _gelu_edit(
            lambda x, t, d: 0.5 * x * (1 - t**2) * d)),
        edit("no-inner-slope", "chain-term", _gelu_edit(
            lambda x, t, d: 0.5 * (1 + t) + 0.5 * x * (1 - t**2) * ROOT)),
        edit("no-root", "chain-term", _gelu_edit(
            lambda x, t, d: 0.5 * (1 + t) + 0.5 * x * (1 - t**2) * d / ROOT)),
        edit("cube-not-three", "chain-term", _gelu_edit(
            lambda x, t, d: 0.5 * (1 + t) + 0.5 * x * (1 - t**2) * ROOT * (1 + CUBE * x**2))),
        edit("minus", "chain-term sign", _gelu_edit(
            lambda x, t, d: 0.5 * (1 + t) - 0.5 * x * (1 - t**2) * d)),
        edit("no-half", "chain-term scale", _gelu_edit(
            lambda x, t, d: 0.5 * (1 + t) + x * (1 - t**2) * d)),
    ),
)  # fmt: skip


def _relu(x: Array) -> Array:
    return np.maximum(x, 0)


RELU = Subject(
    "relu", _relu, lambda x, g: g * (x > 0), logits, SHAPES, kinked=True,
    also_right={"of the output": lambda x, g: np.where(_relu(x) > 0, g, 0)},
    accepts={"identity": "chain-term subset", "at-negated": "subset sign"},
    edits=(
        edit("no-gate", "identity chain-term subset", lambda x, g: 1 * g),
        edit("gate-inverted", "subset sign wrong-variable chain-term", lambda x, g: g * (x < 0)),
        edit("leaky", "subset chain-term", lambda x, g: np.where(x > 0, g, 0.1 * g)),
        edit("gate-of-g", "cotangent", lambda x, g: g * (g > 0)),
        edit("gate-of-both", "cotangent", lambda x, g: g * (x > 0) * (g > 0)),
        edit("gate-above-one", "subset wrong-variable", lambda x, g: g * (x > 1)),
        edit("times-x", "chain-term wrong-variable", lambda x, g: g * _relu(x)),
    ),
)  # fmt: skip

CAP = 2.5


def _capped(x: Array) -> Array:
    return CAP * np.tanh(x / CAP)


SOFT_CAP = Subject(
    "soft-cap", _capped, lambda x, g: g * (1 - np.tanh(x / CAP) ** 2), logits, SHAPES[:7],
    scales=(0.02, 1.0, 5.0),
    also_right={"of the output": lambda x, g: g * (1 - (_capped(x) / CAP) ** 2)},
    accepts={"identity": "chain-term"},
    edits=(
        edit("no-slope", "identity chain-term", lambda x, g: 1 * g),
        edit("times-cap", "scale", lambda x, g: g * (1 - np.tanh(x / CAP) ** 2) * CAP),
        edit("over-cap", "scale", lambda x, g: g * (1 - np.tanh(x / CAP) ** 2) / CAP),
        edit("output-not-over-cap", "chain-term wrong-variable", lambda x, g: (
            g * (1 - _capped(x) ** 2))),
        edit("input-not-over-cap", "chain-term wrong-variable", lambda x, g: (
            g * (1 - np.tanh(x) ** 2))),
        edit("not-squared", "chain-term", lambda x, g: g * (1 - np.tanh(x / CAP))),
    ),
)  # fmt: skip

DROPPED = 0.3


def _kept(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    keep = rng.random(shape) >= DROPPED
    keep.flat[0], keep.flat[-1] = True, False
    return scale * rng.normal(size=shape), keep


DROPOUT = Subject(
    "dropout", lambda x, keep: x * keep / (1 - DROPPED),
    lambda x, keep, g: g * keep / (1 - DROPPED), _kept, SHAPES[:7],
    also_right={"divided first": lambda x, keep, g: np.where(keep, g / (1 - DROPPED), 0)},
    accepts={"identity": "chain-term subset", "plus-g": "subset"},
    edits=(
        edit("not-scaled", "scale chain-term", lambda x, keep, g: g * keep),
        edit("over-p", "scale", lambda x, keep, g: g * keep / DROPPED),
        edit("scaled-twice", "scale chain-term", lambda x, keep, g: g * keep / (1 - DROPPED) ** 2),
        edit("times-1-p", "scale", lambda x, keep, g: g * keep * (1 - DROPPED)),
        edit("no-mask", "subset chain-term", lambda x, keep, g: g / (1 - DROPPED)),
        edit("no-mask-no-scale", "identity chain-term", lambda x, keep, g: 1 * g),
        edit("mask-inverted", "subset sign axis chain-term wrong-variable", lambda x, keep, g: (
            g * ~keep / (1 - DROPPED))),
        edit("mask-of-next", "axis cotangent", lambda x, keep, g: (
            g * np.roll(keep, 1, -1) / (1 - DROPPED))),
    ),
)  # fmt: skip

SUBJECTS = (SIGMOID, TANH, GELU, RELU, SOFT_CAP, DROPOUT)
