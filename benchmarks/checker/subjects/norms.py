"""Normalisations: over a row, over its squares, over a batch, to length 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks.checker.numerics import logits, mean, total
from benchmarks.checker.subject import Array, Edit, Rng, Shape, Subject, edit

__all__ = ["SUBJECTS"]

EPSILON = 1e-5
SHAPES: tuple[Shape, ...] = ((2, 3), (3, 5), (5, 5), (4, 37), (7, 130), (2, 400), (20, 5000))


class Normed(NamedTuple):
    """What a backward of a normalisation needs; `axis` is what it normalises over."""

    xhat: Array
    inverse: Array
    gain: Array
    g: Array
    axis: int


def _affine(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    D = shape[-1]
    return scale * rng.normal(size=shape) + 0.3, rng.normal(size=D) + 1.5, rng.normal(size=D)


def _normed(x: Array, axis: int) -> tuple[Array, Array]:
    centred = x - mean(x, axis)
    inverse = 1 / np.sqrt(mean(centred**2, axis) + EPSILON)
    return centred * inverse, inverse


def _norm(axis: int) -> Callable[..., Array]:
    return lambda x, gain, bias: _normed(x, axis)[0] * gain + bias


def _gradient(n: Normed) -> Array:
    """Return the input's gradient, the right one."""
    h = n.g * n.gain
    return n.inverse * (h - mean(h, n.axis) - n.xhat * mean(h * n.xhat, n.axis))


def _backward(
    axis: int,
    x_bar: Callable[[Normed], Array] = _gradient,
    gain_bar: Callable[[Normed], Array] = lambda n: (n.g * n.xhat).sum(axis=0),
    bias_bar: Callable[[Normed], Array] = lambda n: n.g.sum(axis=0),
) -> Callable[..., Any]:
    """Return a backward, of which one formula may be replaced."""

    def backward(x: Array, gain: Array, bias: Array, g: Array) -> tuple[Array, ...]:
        n = Normed(*_normed(x, axis), gain, g, axis)
        return x_bar(n), gain_bar(n), bias_bar(n)

    return backward


def _edits(axis: int) -> tuple[Edit, ...]:
    """Return the mistakes that are made with both norms."""
    inputs: dict[str, tuple[str, Callable[[Normed], Array]]] = {
        "no-mean-term": ("chain-term projection-term", lambda n: n.inverse * (
            (h := n.g * n.gain) - n.xhat * mean(h * n.xhat, n.axis))),
        "no-variance-term": ("chain-term projection-term", lambda n: n.inverse * (
            (h := n.g * n.gain) - mean(h, n.axis))),
        "statistics-constant": ("chain-term", lambda n: n.inverse * n.g * n.gain),
        "no-inverse": ("chain-term scale", lambda n: _gradient(n) / n.inverse),
        "inverse-squared": ("chain-term scale", lambda n: _gradient(n) * n.inverse),
        "no-gain": ("chain-term", lambda n: _gradient(n._replace(gain=0 * n.gain + 1))),
        "variance-term-plus": ("chain-term projection-term sign", lambda n: n.inverse * (
            (h := n.g * n.gain) - mean(h, n.axis) + n.xhat * mean(h * n.xhat, n.axis))),
        "sum-for-mean": ("chain-term projection-term scale", lambda n: n.inverse * (
            (h := n.g * n.gain) - mean(h, n.axis) - n.xhat * total(h * n.xhat, n.axis))),
        "other-axis": ("axis chain-term projection-term", lambda n: (
            _gradient(n._replace(axis=-1 - n.axis)))),
        "variance-term-twice": ("chain-term projection-term", lambda n: n.inverse * (
            (h := n.g * n.gain) - mean(h, n.axis) - 2 * n.xhat * mean(h * n.xhat, n.axis))),
    }  # fmt: skip
    found = [edit(f"x-{k}", known, _backward(axis, rule)) for k, (known, rule) in inputs.items()]
    return (
        *found,
        edit("gain-not-summed", "unreduced-broadcast", _backward(
            axis, gain_bar=lambda n: n.g * n.xhat)),
        edit("gain-mean", "scale", _backward(axis, gain_bar=lambda n: (n.g * n.xhat).mean(axis=0))),
        edit("gain-no-xhat", "chain-term wrong-variable identity axis", _backward(
            axis, gain_bar=lambda n: n.g.sum(axis=0))),
        edit("gain-last-row", "unreduced-broadcast subset", _backward(
            axis, gain_bar=lambda n: (n.g * n.xhat)[-1])),
        edit("gain-of-output", "wrong-variable", _backward(
            axis, gain_bar=lambda n: (n.g * n.xhat * n.gain).sum(axis=0))),
        edit("bias-not-summed", "unreduced-broadcast", _backward(axis, bias_bar=lambda n: n.g)),
        edit("bias-mean", "scale", _backward(axis, bias_bar=lambda n: n.g.mean(axis=0))),
    )  # fmt: skip


LAYER_NORM = Subject(
    "layer-norm", _norm(-1), _backward(-1), _affine, SHAPES, scales=(0.1, 1.0, 30.0),
    also_right={"three terms over D": _backward(-1, lambda n: n.inverse / n.g.shape[-1] * (
        n.g.shape[-1] * (h := n.g * n.gain) - total(h) - n.xhat * total(h * n.xhat)))},
    edits=(
        *_edits(-1),
        edit("x-gain-after", "chain-term axis", _backward(-1, lambda n: (
            n.gain * _gradient(n._replace(gain=0 * n.gain + 1))))),
    ),
)  # fmt: skip

BATCH_NORM = Subject(
    "batch-norm", _norm(0), _backward(0), _affine,
    ((3, 2), (5, 3), (5, 5), (37, 4), (130, 7), (5000, 20)),
    scales=(0.1, 1.0, 30.0), edits=_edits(0),
)  # fmt: skip


def _rms_parts(x: Array) -> tuple[Array, Array]:
    inverse = 1 / np.sqrt(mean(x**2) + EPSILON)
    return x * inverse, inverse


def _rms_backward(
    rule: Callable[[Array, Array, Array], Array] = lambda h, y, r: r * (h - y * mean(h * y)),
    gained: Callable[[Array, Array], Array] = lambda g, y: (g * y).sum(axis=0),
) -> Callable[..., Any]:
    def backward(x: Array, gain: Array, g: Array) -> tuple[Array, Array]:
        y, inverse = _rms_parts(x)
        return rule(g * gain, y, inverse), gained(g, y)

    return backward


RMS_NORM = Subject(
    "rms-norm", lambda x, gain: _rms_parts(x)[0] * gain, _rms_backward(),
    lambda rng, shape, scale: _affine(rng, shape, scale)[:2], SHAPES, scales=(0.1, 1.0, 30.0),
    edits=(
        edit("no-term", "chain-term projection-term", _rms_backward(lambda h, y, r: r * h)),
        edit("plus", "chain-term projection-term sign", _rms_backward(
            lambda h, y, r: r * (h + y * mean(h * y)))),
        edit("sum-for-mean", "chain-term projection-term scale", _rms_backward(
            lambda h, y, r: r * (h - y * total(h * y)))),
        edit("no-inverse", "chain-term scale", _rms_backward(
            lambda h, y, r: h - y * mean(h * y))),
        edit("layer-norm's", "wrong-variable chain-term projection-term", _rms_backward(
            lambda h, y, r: r * (h - mean(h) - y * mean(h * y)))),
        edit("inverse-cubed", "chain-term projection-term", _rms_backward(
            lambda h, y, r: r * h - r**2 * y * mean(h * y))),
        edit("gain-not-summed", "unreduced-broadcast", _rms_backward(gained=lambda g, y: g * y)),
        edit("gain-no-y", "chain-term wrong-variable identity", _rms_backward(
            gained=lambda g, y: g.sum(axis=0))),
        edit("gain-mean", "scale", _rms_backward(gained=lambda g, y: (g * y).mean(axis=0))),
    ),
)  # fmt: skip


def _length(x: Array) -> Array:
    return np.sqrt(total(x**2))


UNIT = Subject(
    "unit-length", lambda x: x / _length(x),
    lambda x, g: (g - (y := x / (r := _length(x))) * total(g * y)) / r,
    logits, ((3,), *SHAPES), scales=(0.1, 1.0, 30.0), extremes=(1e-3,),
    accepts={"at-output": "chain-term"},  # of length 1, it lacks 1/‖x‖ there
    also_right={"over r³": lambda x, g: g / (r := _length(x)) - x / r * total(g * x / r) / r},
    edits=(
        edit("no-projection", "chain-term projection-term", lambda x, g: g / _length(x)),
        edit("no-length", "chain-term scale", lambda x, g: (
            g - (y := x / _length(x)) * total(g * y))),
        edit("length-squared", "chain-term scale wrong-variable", lambda x, g: (
            (g - (y := x / (r := _length(x))) * total(g * y)) / r**2)),
        edit("projected-off-x", "chain-term projection-term wrong-variable", lambda x, g: (
            (g - x * total(g * x)) / _length(x))),
        edit("plus", "chain-term projection-term sign", lambda x, g: (
            (g + (y := x / (r := _length(x))) * total(g * y)) / r)),
        edit("diagonal", "diagonal-only", lambda x, g: (
            g * (1 - (x / (r := _length(x))) ** 2) / r)),
        edit("over-all", "axis projection-term chain-term", lambda x, g: (
            (g - (y := x / (r := _length(x))) * total(g * y, None)) / r)),
    ),
)  # fmt: skip

SUBJECTS = (LAYER_NORM, BATCH_NORM, RMS_NORM, UNIT)
