"""Softmax and its relatives: a row of logits in, a row or a number out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.checker import numerics
from benchmarks.checker.numerics import logits, mean, softmax, total
from benchmarks.checker.subject import Array, Edit, Function, Rng, Shape, Subject, codes, edit

__all__ = ["SUBJECTS"]

ROWS: tuple[Shape, ...] = (
    (3,), (1, 2), (2, 2), (3, 5), (5, 5), (4, 37), (2, 3, 4), (7, 130), (2, 400), (2, 5000),
    (20, 5000),
)  # fmt: skip


def _rules(
    output: Callable[[Array], Array], table: dict[str, tuple[str, Function]]
) -> tuple[Edit, ...]:
    """Return edits whose rules take the output and the cotangent, as most people write them."""

    def backward(rule: Function) -> Function:
        return lambda z, g: rule(output(z), g)

    return tuple(Edit(name, codes(known), backward(rule)) for name, (known, rule) in table.items())


def _softmax_backward(z: Array, g: Array) -> Array:
    s = softmax(z)
    return s * (g - total(g * s))


def _softmax_by_matrix(z: Array, g: Array) -> Array:
    s = softmax(z)
    if z.shape[-1] > 500:
        return s * g - s * total(g * s)
    J = s[..., :, None] * np.eye(z.shape[-1], dtype=z.dtype) - s[..., :, None] * s[..., None, :]
    return (J * g[..., :, None]).sum(axis=-2)


def _row_summed(s: Array, g: Array) -> Array:
    J = s[..., None] * np.eye(s.shape[-1], dtype=s.dtype) - s[..., None] * s[..., None, :]
    return J.sum(axis=-1) * g


SOFTMAX = Subject(
    "softmax", softmax, _softmax_backward, logits, ROWS,
    extremes=(1e-8, 1e4),
    also_right={"matrix": _softmax_by_matrix},
    accepts={"centred": "projection-term"},
    edits=(*_rules(softmax, {
        "diagonal": ("diagonal-only", lambda s, g: g * s * (1 - s)),
        "no-inner-product": ("projection-term", lambda s, g: s * g),
        "plus-inner-product": ("projection-term", lambda s, g: s * (g + total(g * s))),
        "sum-of-g": ("projection-term", lambda s, g: s * (g - total(g))),
        "mean-of-gs": ("projection-term scale", lambda s, g: s * (g - mean(g * s))),
        "inner-of-s-with-s": ("projection-term cotangent", lambda s, g: s * (g - total(s * s))),
        "inner-over-all": ("projection-term axis", lambda s, g: s * (g - total(g * s, None))),
        "inner-over-first-axis": ("projection-term axis", lambda s, g: s * (g - total(g * s, 0))),
        "s-twice-in-inner": ("projection-term", lambda s, g: s * (g - total(g * s * s))),
        "inner-not-times-s": ("projection-term", lambda s, g: s * g - total(g * s)),
        "row-summed": ("projection-term zero", lambda s, g: (
            _row_summed(s, g) if s.shape[-1] < 500 else 0 * g)),
        "log-softmax's": ("wrong-variable projection-term", lambda s, g: g - s * total(g)),
        "minus-cotangent": ("wrong-variable cotangent", lambda s, g: s - g),
        "slopes-without-g": ("cotangent", lambda s, g: s * (1 - s)),
        "softmax-again": ("wrong-variable", lambda s, g: _softmax_backward(s, g)),
        "sigmoid-of-z's": ("diagonal-only wrong-variable", lambda s, g: (
            g * softmax(np.log(s)) * (1 - s))),
        "off-diagonal-only": ("projection-term chain-term", lambda s, g: (
            -s * (total(g * s) - g * s))),
        "off-diagonal-sign": ("projection-term", lambda s, g: (
            s * (1 - s) * g + s * (total(g * s) - g * s))),
        "inner-product-squared": ("projection-term", lambda s, g: s * g - s * s * total(g * s)),
    }),
        edit("exp-without-sum", "scale chain-term", lambda z, g: (
            total(np.exp(z - z.max())) * _softmax_backward(z, g))),
    ),
)  # fmt: skip


def _first(z: Array) -> Array:
    return softmax(z, 0)


FIRST_AXIS = Subject(
    "softmax-axis0", _first, lambda z, g: (s := _first(z)) * (g - total(g * s, 0)),
    logits, ((2, 3), (5, 5), (37, 4), (400, 2), (2, 3, 4)),
    extremes=(1e-8, 1e4),
    edits=(*_rules(_first, {
        "inner-over-last-axis": ("axis projection-term", lambda s, g: s * (g - total(g * s))),
        "inner-over-all": ("axis projection-term", lambda s, g: s * (g - total(g * s, None))),
        "diagonal": ("diagonal-only", lambda s, g: g * s * (1 - s)),
        "no-inner-product": ("projection-term", lambda s, g: g * s),
    }),
        edit("softmax-of-last-axis", "axis wrong-variable", lambda z, g: (
            _softmax_backward(z, g))),
    ),
)  # fmt: skip


def _warm(z: Array, temperature: float = 0.35) -> Array:
    return softmax(z / temperature)


def _warm_backward(z: Array, g: Array, temperature: float = 0.35) -> Array:
    return _softmax_backward(z / temperature, g) / temperature


TEMPERATURE = Subject(
    "softmax-temperature", _warm, _warm_backward, logits, ROWS[2:9],
    scales=(0.02, 1.0, 10.0),
    edits=(
        edit("forgotten", "scale chain-term", lambda z, g: _softmax_backward(z / 0.35, g)),
        edit("times", "scale", lambda z, g: 0.35 * _softmax_backward(z / 0.35, g)),
        edit("twice", "scale", lambda z, g: _softmax_backward(z / 0.35, g) / 0.35**2),
        edit("not-in-the-logits", "wrong-variable", lambda z, g: _softmax_backward(z, g) / 0.35),
        edit("nowhere", "wrong-variable chain-term", _softmax_backward),
        edit("diagonal", "diagonal-only", lambda z, g: (s := _warm(z)) * (1 - s) * g / 0.35),
    ),
)  # fmt: skip


def _log_backward(z: Array, g: Array) -> Array:
    return g - softmax(z) * total(g)


LOG_SOFTMAX = Subject(
    "log_softmax", numerics.log_softmax, _log_backward, logits, ROWS,
    extremes=(1e-8, 1e4),
    also_right={"exp of the output": lambda z, g: g - np.exp(numerics.log_softmax(z)) * total(g)},
    accepts={"identity": "projection-term", "plus-g": "scale projection-term"},
    edits=_rules(numerics.log_softmax, {
        "sum-forgotten": ("projection-term cotangent", lambda y, g: g - np.exp(y)),
        "no-softmax-term": ("projection-term identity", lambda y, g: 1 * g),
        "plus": ("projection-term", lambda y, g: g + np.exp(y) * total(g)),
        "inner-product": ("projection-term", lambda y, g: g - np.exp(y) * total(g * np.exp(y))),
        "no-exp": ("projection-term wrong-variable", lambda y, g: g - y * total(g)),
        "mean": ("projection-term scale", lambda y, g: g - np.exp(y) * mean(g)),
        "sum-over-first-axis": ("projection-term axis", lambda y, g: g - np.exp(y) * total(g, 0)),
        "sum-over-all": ("projection-term axis", lambda y, g: g - np.exp(y) * total(g, None)),
        "diagonal": ("diagonal-only", lambda y, g: g * (1 - np.exp(y))),
        "softmax's": ("wrong-variable", lambda y, g: _softmax_backward(y, g)),
        "over-p": ("wrong-variable chain-term projection-term", lambda y, g: g / np.exp(y)),
        "times-p": ("projection-term wrong-variable chain-term", lambda y, g: np.exp(y) * g),
        "uniform": ("projection-term wrong-variable", lambda y, g: g - mean(g)),
    }),
)  # fmt: skip


def _logsumexp(z: Array) -> Array:
    top = z.max(axis=-1, keepdims=True)
    return np.asarray((np.log(total(np.exp(z - top))) + top)[..., 0])


LOGSUMEXP = Subject(
    "logsumexp", _logsumexp, lambda z, g: softmax(z) * g[..., None], logits, ROWS,
    extremes=(1e-8, 1e4),
    also_right={"exp of the difference": lambda z, g: (
        np.exp(z - _logsumexp(z)[..., None]) * g[..., None])},
    edits=(
        edit("no-cotangent", "cotangent", lambda z, g: softmax(z)),
        edit("ones", "projection-term wrong-variable chain-term identity", lambda z, g: (
            np.ones_like(z) * g[..., None])),
        edit("uniform", "projection-term wrong-variable scale chain-term", lambda z, g: (
            np.ones_like(z) * (g / z.shape[-1])[..., None])),
        edit("not-normalised", "scale chain-term wrong-variable", lambda z, g: (
            np.exp(z - z.max(axis=-1, keepdims=True)) * g[..., None])),
        edit("over-all", "axis", lambda z, g: softmax(z.ravel()).reshape(z.shape) * g[..., None]),
        edit("softmax's", "wrong-variable projection-term", lambda z, g: (
            (s := softmax(z)) * (1 - s) * g[..., None])),
        edit("softmax-twice", "wrong-variable", lambda z, g: softmax(softmax(z)) * g[..., None]),
    ),
)  # fmt: skip


def _with_mask(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    keep = rng.random(shape) < 0.7
    keep[..., 0] = True
    return scale * rng.normal(size=shape), keep


def _masked(z: Array, keep: Array) -> Array:
    return softmax(np.where(keep, z, -np.inf))


MASKED = Subject(
    "masked-softmax", _masked,
    lambda z, keep, g: (s := _masked(z, keep)) * (g - total(g * s)),
    _with_mask, ROWS[3:9],
    also_right={"masked at the end": lambda z, keep, g: (
        np.where(keep, (s := _masked(z, keep)) * (g - total(g * s)), 0).astype(z.dtype))},
    edits=(
        edit("mask-forgotten", "wrong-variable subset chain-term", lambda z, keep, g: (
            _softmax_backward(z, g))),
        edit("gradient-at-masked", "subset identity", lambda z, keep, g: (
            (s := _masked(z, keep)) * (g - total(g * s)) + ~keep * g)),
        edit("inner-product-at-masked", "subset projection-term", lambda z, keep, g: (
            np.where(keep, (s := _masked(z, keep)) * g, 0) - (s + ~keep) * total(g * s))),
        edit("diagonal", "diagonal-only", lambda z, keep, g: (
            g * (s := _masked(z, keep)) * (1 - s))),
        edit("mask-inverted", "subset axis zero wrong-variable", lambda z, keep, g: (
            np.where(~keep, (s := softmax(z)) * (g - total(g * s)), 0))),
        edit("no-inner-product", "projection-term", lambda z, keep, g: g * _masked(z, keep)),
        edit("masked-after-softmax", "wrong-variable chain-term projection-term subset",
             lambda z, keep, g: np.where(keep, _softmax_backward(z, g), 0)),
    ),
)  # fmt: skip


def _with_infinities(rng: Rng, shape: Shape, scale: float) -> tuple[Array]:
    z, keep = _with_mask(rng, shape, scale)
    return (np.where(keep, z, -np.inf),)


INFINITE = Subject(
    "softmax-of-minus-infinity", softmax, _softmax_backward, _with_infinities, ROWS[3:9],
    extremes=(1e-8, 1e4), masked=True,
    edits=SOFTMAX.edits[:4],
)  # fmt: skip


def _threshold(z: Array) -> Array:
    falling = -np.sort(-z, axis=-1)
    sums = np.cumsum(falling, axis=-1) - 1
    counts = np.arange(1, z.shape[-1] + 1)
    size = np.sum(counts * falling > sums, axis=-1, keepdims=True)
    chosen = np.take_along_axis(sums, size - 1, axis=-1)
    return np.asarray((chosen / size).astype(z.dtype))


def _sparsemax(z: Array) -> Array:
    return np.maximum(z - _threshold(z), 0)


def _sparse_rule(p: Array, g: Array) -> Array:
    on = p > 0
    return np.where(on, g - (total(g * on) / total(on)).astype(g.dtype), 0)


SPARSEMAX = Subject(
    "sparsemax", _sparsemax, lambda z, g: _sparse_rule(_sparsemax(z), g), logits, ROWS[2:9],
    kinked=True,
    edits=(*_rules(_sparsemax, {
        "no-mean": ("projection-term", lambda p, g: g * (p > 0)),
        "mean-of-all": ("projection-term scale", lambda p, g: (p > 0) * (g - mean(g))),
        "no-support": ("subset projection-term", lambda p, g: g - mean(g)),
        "mean-over-K": ("projection-term scale", lambda p, g: (
            (p > 0) * (g - mean(g * (p > 0))))),
        "sum-for-mean": ("projection-term scale", lambda p, g: (
            (p > 0) * (g - total(g * (p > 0))))),
        "weighted-mean": ("projection-term wrong-variable", lambda p, g: (
            (p > 0) * (g - total(g * p)))),
        "plus": ("projection-term sign", lambda p, g: (p > 0) * g * 2 - _sparse_rule(p, g)),
    }),
        edit("softmax's", "wrong-variable", _softmax_backward),
    ),
)  # fmt: skip

SUBJECTS = (
    SOFTMAX, FIRST_AXIS, TEMPERATURE, LOG_SOFTMAX, LOGSUMEXP, MASKED, INFINITE, SPARSEMAX,
)  # fmt: skip
