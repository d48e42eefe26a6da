"""A loss as an engine of single operations sees it.

What is wrong here is met in issues of small engines of automatic differentiation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.fifth_batch.parts import (
    edited,
    ids,
)
from benchmarks.checker.numerics import one_hot
from benchmarks.checker.subject import Array, Function, Subject

__all__ = ["SUBJECTS"]


def _engine(z: Array, y: Array) -> Any:
    """Return the cross entropy as an engine sees it: max, subtract, exp, sum, divide, log, pick."""
    e = np.exp(z - np.max(z, axis=1)[:, None])
    p = e / np.sum(e, axis=1)[:, None]
    return -np.sum(np.log(p)[np.arange(len(y)), y])


def _engine_backward(
    z: Array,
    y: Array,
    g: Array,
    log: Function = lambda d, p: d / p,
    into_sum: Function = lambda d, e, s: -np.sum(d * e, axis=1)[:, None] / s**2,
    both: Function = lambda by_quotient, by_sum: by_quotient + by_sum,
    exp: Function = lambda d, e, z: d * e,
    into_max: Function = lambda d, z: d,
) -> Any:
    e = np.exp(z - np.max(z, axis=1)[:, None])
    s = np.sum(e, axis=1)[:, None]
    picked = one_hot(y, z)
    d_p = log(-g * picked, e / s)
    d_e = both(d_p / s, into_sum(d_p, e, s) + 0 * e)
    return into_max(exp(d_e, e, z), z)


def _with_the_max(d: Array, z: Array) -> Any:
    """Send what was subtracted back to the largest logit."""
    return d - (z == np.max(z, axis=1)[:, None]) * np.sum(d, axis=1)[:, None]


ENGINE = Subject(
    "cross-entropy-operation-by-operation", _engine, _engine_backward,
    lambda rng, shape, scale: (scale * rng.normal(size=shape), ids(rng, *shape)),
    ((3, 2), (4, 5), (5, 3), (6, 17), (12, 50)), scales=(0.3, 1.0, 3.0),
    also_right={"through the maximum": lambda z, y, g: _engine_backward(
        z, y, g, into_max=_with_the_max)},
    edits=edited(_engine_backward, {
        # Issues of tiny engines: a gradient is assigned where it should be added.
        "quotient-overwrites-sum": ("chain-term unreduced-broadcast projection-term", {
            "both": lambda by_quotient, by_sum: by_quotient}),
        "sum-overwrites-quotient": ("chain-term unreduced-broadcast", {
            "both": lambda by_quotient, by_sum: by_sum}),
        "log's-slope-forgotten": ("chain-term", {"log": lambda d, p: d}),
        "log's-slope-upside-down": ("chain-term wrong-variable", {"log": lambda d, p: d * p}),
        "divisor's-sign": ("chain-term projection-term", {
            "into_sum": lambda d, e, s: np.sum(d * e, axis=1)[:, None] / s**2}),
        "divisor-not-squared": ("chain-term projection-term", {
            "into_sum": lambda d, e, s: -np.sum(d * e, axis=1)[:, None] / s}),
        "divisor's-gradient-not-summed": ("unreduced-broadcast", {
            "into_sum": lambda d, e, s: -d * e / s**2}),
        "exp-times-its-argument": ("wrong-variable", {"exp": lambda d, e, z: d * z}),
        "exp's-slope-forgotten": ("chain-term", {"exp": lambda d, e, z: d}),
    }),
)  # fmt: skip

SUBJECTS = (ENGINE,)
"""What is checked."""
