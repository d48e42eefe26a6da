"""Softmax and log_softmax as they are first written: loops, Jacobians, in place, a learnt heat."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import total
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject
from benchmarks.checker.third_batch.parts import drawn, edited

__all__ = ["SUBJECTS"]

ROWS: tuple[Shape, ...] = ((2, 3), (3, 5), (5, 5), (4, 37), (7, 130), (2, 400))


def _softmax(z: Array) -> Array:
    z = np.asarray(z)
    out = np.zeros_like(z)
    for i in range(z.shape[0]):
        e = np.exp(z[i] - np.max(z[i]))
        out[i] = e / np.sum(e)
    return out


def _softmax_backward(
    z: Array,
    g: Array,
    jacobian: Function = lambda s: np.diag(s) - np.outer(s, s),
    pulled: Function = lambda J, v: J.T @ v,
    arriving: Function = lambda g, i: g[i],
    at: Function = lambda z, s: s,
    rows: Function = len,
) -> Any:
    s = at(z, _softmax(z))
    dz = np.zeros_like(z)
    for i in range(rows(z)):
        dz[i] = pulled(jacobian(s[i]), arriving(g, i))
    return dz


LOOPED = Subject(
    "softmax-row-by-row", _softmax, _softmax_backward,
    lambda rng, shape, scale: drawn(rng, shape, scale=scale), ROWS, scales=(0.02, 1.0, 10.0),
    edits=edited(_softmax_backward, {
        "i-equals-j-alone": ("diagonal-only", {"jacobian": lambda s: np.diag(s * (1 - s))}),
        "diagonal-of-jacobian-read": ("diagonal-only", {"pulled": lambda J, v: np.diag(J) * v}),
        "jacobian-rows-summed": ("zero projection-term", {"pulled": lambda J, v: J.sum(1) * v}),
        "outer-product-added": ("projection-term", {
            "jacobian": lambda s: np.diag(s) + np.outer(s, s)}),
        "outer-product-forgotten": ("projection-term", {"jacobian": np.diag}),
        "eye-minus-s": ("wrong-variable chain-term", {
            "jacobian": lambda s: np.eye(len(s), dtype=s.dtype) - s}),
        "jacobian-of-the-logits": ("wrong-variable", {"at": lambda z, s: z}),
        "first-row-of-the-cotangent": ("cotangent", {"arriving": lambda g, i: g[0]}),
        "slopes-without-the-cotangent": ("cotangent diagonal-only", {
            "pulled": lambda J, v: np.diag(J)}),
        "returned-in-the-loop": ("subset", {"rows": lambda z: 1}),
        "jacobian-reversed": ("sign", {
            "jacobian": lambda s: np.outer(s, s) - np.diag(s)}),
        "probabilities-rounded": ("arithmetic", {"at": lambda z, s: np.round(s, 3)}),
    }),
)  # fmt: skip


def _log_softmax(x: Array) -> Array:
    x = np.array(x)
    x -= x.max(axis=1)[:, None]
    x -= np.log(np.exp(x).sum(axis=1))[:, None]
    return x


def _log_softmax_backward(
    x: Array,
    g: Array,
    probs: Function = np.exp,
    summed: Function = lambda g: g.sum(axis=1)[:, None],
    joined: Function = lambda g, p, s: g - p * s,
) -> Any:
    return joined(g, probs(_log_softmax(x)), summed(g))


LOG_SOFTMAX = Subject(
    "log-softmax-in-place", _log_softmax, _log_softmax_backward,
    lambda rng, shape, scale: drawn(rng, shape, scale=scale), ROWS, scales=(0.02, 1.0, 10.0),
    edits=edited(_log_softmax_backward, {
        "exponential-forgotten": ("projection-term wrong-variable", {"probs": lambda y: y}),
        "mean-for-sum": ("projection-term", {"summed": lambda g: g.mean(axis=1)[:, None]}),
        "summed-over-the-batch": ("axis projection-term", {
            "summed": lambda g: g.sum(axis=0)[None, :]}),
        "not-summed": ("diagonal-only", {"summed": lambda g: g}),
        "sum-added": ("projection-term", {"joined": lambda g, p, s: g + p * s}),
        "softmax's": ("wrong-variable", {"joined": lambda g, p, s: p * (g - total(p * g))}),
        "multiplied-by-p": ("chain-term wrong-variable", {
            "joined": lambda g, p, s: p * (g - p * s)}),
    }),
)  # fmt: skip


def _heated(z: Array, T: Array) -> Array:
    e = np.exp((z - z.max(axis=-1, keepdims=True)) / T)
    e /= e.sum(axis=-1, keepdims=True)
    return np.asarray(e)


def _heated_backward(
    z: Array,
    T: Array,
    g: Array,
    weights: Function = _heated,
    rule: Function = lambda p, g: p * (g - (g * p).sum(axis=-1, keepdims=True)),
    z_bar: Function = lambda d, T: d / T,
    T_bar: Function = lambda d, z, T: -np.sum(d * z / T**2, keepdims=True)[0],
) -> Any:
    d = rule(weights(z, T), g)
    return z_bar(d, T), T_bar(d, z, T)


def _heated_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    return scale * rng.normal(size=shape), 1.5 + rng.random(1)


def _overwritten(z: Array, T: Array) -> Array:
    """Compute the weights in the memory of the logits."""
    z /= T
    np.exp(z - z.max(axis=-1, keepdims=True), out=z)
    z /= z.sum(axis=-1, keepdims=True)
    return z


HEATED = Subject(
    "softmax-with-learnt-temperature", _heated, _heated_backward, _heated_sample, ROWS,
    scales=(0.3, 1.0, 5.0),
    edits=edited(_heated_backward, {
        "diagonal": ("diagonal-only", {"rule": lambda p, g: g * p * (1 - p)}),
        "logits-not-divided": ("scale", {"z_bar": lambda d, T: d}),
        "temperature-not-squared": ("scale", {
            "T_bar": lambda d, z, T: -np.sum(d * z / T, keepdims=True)[0]}),
        "temperature-sign": ("sign", {
            "T_bar": lambda d, z, T: np.sum(d * z / T**2, keepdims=True)[0]}),
        "temperature-by-entry": ("unreduced-broadcast", {
            "T_bar": lambda d, z, T: -d * z / T**2}),
        "temperature-without-z": ("zero chain-term", {
            "T_bar": lambda d, z, T: -np.sum(d / T**2, keepdims=True)[0]}),
        "temperature-of-the-last-row": ("unreduced-broadcast", {
            "T_bar": lambda d, z, T: -np.sum(d[-1:] * z[-1:] / T**2, keepdims=True)[0]}),
        "unheated-probabilities": ("wrong-variable", {
            "weights": lambda z, T: _heated(z, np.ones_like(T))}),
        "computed-in-the-logits'-memory": ("aliasing wrong-variable", {"weights": _overwritten}),
    }),
)  # fmt: skip

CAP = 2.0


def _capped(s: Array) -> tuple[Array, Array]:
    t = np.tanh(s / CAP)
    e = np.exp(CAP * t)
    return t, e / np.sum(e, axis=-1)[..., None]


def _capped_backward(
    s: Array,
    g: Array,
    rule: Function = lambda p, g: p * (g - np.sum(g * p, axis=-1)[..., None]),
    slope: Function = lambda t, s: 1 - t**2,
) -> Any:
    t, p = _capped(s)
    return rule(p, g) * slope(t, s)


CAPPED = Subject(
    "softmax-of-capped-scores", lambda s: _capped(s)[1], _capped_backward,
    lambda rng, shape, scale: drawn(rng, shape, scale=scale), ROWS, scales=(0.5, 1.0, 3.0),
    edits=edited(_capped_backward, {
        "cap's-slope-forgotten": ("chain-term", {"slope": lambda t, s: 1}),
        "cap's-slope-over-cap": ("scale", {"slope": lambda t, s: (1 - t**2) / CAP}),
        "cap's-slope-at-the-scores": ("wrong-variable", {"slope": lambda t, s: 1 - s**2}),
        "cap's-slope-of-undivided-scores": ("wrong-variable", {
            "slope": lambda t, s: 1 - np.tanh(s) ** 2}),
        "cap's-slope-not-squared": ("chain-term", {"slope": lambda t, s: 1 - t}),
        "diagonal": ("diagonal-only", {"rule": lambda p, g: g * p * (1 - p)}),
        "inner-product-over-rows": ("axis projection-term", {
            "rule": lambda p, g: p * (g - np.sum(g * p, axis=0))}),
        "softmax-passed-over": ("identity chain-term", {"rule": lambda p, g: g}),
    }),
)  # fmt: skip

SUBJECTS = (LOOPED, LOG_SOFTMAX, HEATED, CAPPED)
"""What is checked."""
