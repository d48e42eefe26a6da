"""Attention: with slopes and dropout, with a sink and a cap, and without softmax.

What is wrong here is met in transformers written in NumPy, and in issues and pull requests on
fused kernels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.checker.numerics import softmax, total
from benchmarks.checker.sixth_batch.parts import (
    drawn,
    edited,
    einsum,
    like_sigmoid,
    one,
    overridden,
    softmax_back,
    swapped,
    through,
)
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

RATE, MASKED = 0.25, -1e4


class Attention:
    """Causal heads [H, T, d] with a slope for distances, and dropout of the weights."""

    def forward(self, q: Array, k: Array, v: Array, slopes: Array, keep: Array) -> Any:
        T = q.shape[1]
        self.q, self.k, self.v = q, k, v
        self.kept = keep.astype(q.dtype)
        self.distance = (np.arange(T)[:, None] - np.arange(T)).astype(q.dtype)
        scores = q @ swapped(k) / math.sqrt(q.shape[2]) - slopes[:, None, None] * self.distance
        self.weights = softmax(np.where(self.distance >= 0, scores, np.full_like(scores, MASKED)))
        return self.dropped() @ v

    def dropped(self) -> Any:
        return self.weights * self.kept / (1 - RATE)

    def backward(self, dout: Array) -> Any:
        dscores = self.rule(self.weights, self.undropped(dout @ swapped(self.v)))
        dq, dk = self.of_products(self.scaled(dscores))
        return dq, dk, self.of_values(dout), self.of_slopes(dscores)

    def undropped(self, d: Array) -> Any:
        return d * self.kept / (1 - RATE)

    def rule(self, p: Array, d: Array) -> Any:
        return softmax_back(p, d)

    def scaled(self, d: Array) -> Any:
        return d / math.sqrt(self.q.shape[2])

    def of_products(self, d: Array) -> Any:
        return d @ self.k, swapped(d) @ self.q

    def of_values(self, dout: Array) -> Any:
        return swapped(self.dropped()) @ dout

    def of_slopes(self, d: Array) -> Any:
        return -np.sum(d * self.distance, axis=(1, 2))


def _by_the_output(self: Attention, dout: Array) -> Any:
    """Take every row's inner product from the output, as fused kernels do."""
    delta = total(dout * (self.dropped() @ self.v))
    dscores = self.weights * (self.undropped(dout @ swapped(self.v)) - delta)
    return *self.of_products(self.scaled(dscores)), self.of_values(dout), self.of_slopes(dscores)


def _attention_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    H, T, D = shape
    keep = (rng.random((H, T, T)) > RATE).astype(int)
    keep[:, :, 0], keep[0, -1, -1] = 1, 0
    return *drawn(rng, (H, T, D), (H, T, D), (H, T, D), (H,), scale=scale), keep


SLOPES = Subject(
    "attention-object-with-slopes-and-dropout", lambda *inputs: Attention().forward(*inputs),
    through(Attention), _attention_sample,
    ((2, 3, 4), (2, 4, 3), (3, 4, 2), (2, 9, 5), (3, 16, 8)), scales=(0.5, 1.0, 1.5),
    also_right={"by the output": through(type("ByOutput", (Attention,), {
        "backward": _by_the_output}))},
    edits=overridden(Attention, {
        # Met in a dozen hand-written layers.
        "like-sigmoid": ("diagonal-only", {"rule": lambda self, p, d: like_sigmoid(p, d)}),
        "inner-product-forgotten": ("projection-term", {"rule": lambda self, p, d: p * d}),
        "dropped-weights-in-softmax's-rule": ("wrong-variable", {
            "rule": lambda self, p, d: softmax_back(self.dropped(), d)}),
        # Repaired in a library of fused layers: the mask is scaled by p, not by 1/(1 − p).
        "mask-scaled-by-the-rate": ("scale", {"undropped": lambda self, d: d * self.kept * RATE}),
        "mask-not-scaled": ("scale", {"undropped": lambda self, d: d * self.kept}),
        "dropout-forgotten": ("chain-term subset", {"undropped": lambda self, d: d}),
        "values-by-undropped-weights": ("wrong-variable subset", {
            "of_values": lambda self, dout: swapped(self.weights) @ dout}),
        "root-forgotten": ("scale", {"scaled": lambda self, d: d}),
        # One notebook's dK = dS Q and dQ = dSᵀ K.
        "scores-transposed": ("axis", {
            "of_products": lambda self, d: (swapped(d) @ self.k, d @ self.q)}),
        # Rows of the scores' gradient sum to 0.
        "slopes-without-distances": ("zero chain-term projection-term", {
            "of_slopes": lambda self, d: -np.sum(d, axis=(1, 2))}),
        "slopes'-sign": ("sign", {
            "of_slopes": lambda self, d: np.sum(d * self.distance, axis=(1, 2))}),
        "slopes-of-the-last-query": ("unreduced-broadcast", {
            "of_slopes": lambda self, d: -np.sum((d * self.distance)[:, -1], axis=1)}),
    }),
)  # fmt: skip

CAP = 2.0


def _weights(q: Array, k: Array, sink: Array) -> Any:
    """Return weights [B, H, T, S + 1], the last one of the sink, and the capped scores."""
    scores = einsum("bhtd,bhsd->bhts", q, k) / math.sqrt(q.shape[3])
    capped = CAP * np.tanh(scores / CAP)
    last = sink[:, None, None] + 0 * capped[..., :1]
    return softmax(np.concatenate([capped, last], axis=-1)), capped


def _sunk(q: Array, k: Array, v: Array, sink: Array) -> Any:
    """Return attention with capped scores, where a learnt sink takes a share."""
    return einsum("bhts,bhsd->bhtd", _weights(q, k, sink)[0][..., :-1], v)


def _sunk_backward(
    q: Array,
    k: Array,
    v: Array,
    sink: Array,
    g: Array,
    weights: Function = lambda p: p,
    rule: Function = softmax_back,
    of_sink: Function = lambda d: np.sum(d, axis=(0, 2)),
    cap_slope: Function = lambda capped: 1 - (capped / CAP) ** 2,
    root: Function = math.sqrt,
) -> Any:
    p, capped = _weights(q, k, sink)
    p = weights(p)
    dp = einsum("bhtd,bhsd->bhts", g, v)
    d = rule(p, np.concatenate([dp, 0 * dp[..., :1]], axis=-1))
    ds = d[..., :-1] * cap_slope(capped) / root(q.shape[3])
    dq, dk = einsum("bhts,bhsd->bhtd", ds, k), einsum("bhts,bhtd->bhsd", ds, q)
    return dq, dk, einsum("bhts,bhtd->bhsd", p[..., :-1], g), of_sink(d[..., -1])


def _without_sink(p: Array) -> Any:
    """Normalise among the keys alone."""
    keys = p[..., :-1] / (1 - p[..., -1:])
    return np.concatenate([keys, p[..., -1:]], axis=-1)


def _sunk_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    B, H, T, S, D = shape
    keys = (B, H, S, D)
    return drawn(rng, (B, H, T, D), keys, keys, (H,), scale=scale)


SUNK = Subject(
    "attention-with-a-sink-and-a-cap", _sunk, _sunk_backward, _sunk_sample,
    ((2, 2, 2, 3, 4), (2, 3, 3, 4, 2), (2, 2, 4, 3, 5), (2, 2, 5, 9, 4), (2, 3, 8, 16, 8)),
    scales=(0.5, 1.0, 2.0),
    edits=edited(_sunk_backward, {
        # Repaired in a library: for some widths, the sum of the sink was never launched.
        "sink-zero": ("zero", {"of_sink": lambda d: 0 * np.sum(d, axis=(0, 2))}),
        "sink-none": ("severed", {"of_sink": lambda d: None}),
        "sink-of-every-sequence": ("unreduced-broadcast", {"of_sink": lambda d: np.sum(d, axis=2)}),
        "sink-averaged-over-sequences": ("scale", {
            "of_sink": lambda d: np.mean(np.sum(d, axis=2), axis=0)}),
        "weights-without-the-sink": ("wrong-variable", {"weights": _without_sink}),
        # Requests for a cap in the backward of kernels that have it in their forward.
        "cap's-slope-forgotten": ("chain-term", {"cap_slope": one}),
        "cap's-slope-of-the-capped-score": ("wrong-variable", {
            "cap_slope": lambda capped: 1 - capped**2}),
        "like-sigmoid": ("diagonal-only", {"rule": like_sigmoid}),
        "root-twice": ("scale", {"root": float}),
    }),
)  # fmt: skip


def _feature(x: Array) -> Any:
    """Return elu(x) + 1."""
    return np.where(x > 0, x + 1, np.exp(np.minimum(x, 0 * x)))


def _feature_slope(x: Array) -> Any:
    return np.where(x > 0, 1 + 0 * x, np.exp(np.minimum(x, 0 * x)))


def _linear(q: Array, k: Array, v: Array) -> Any:
    """Return φ(q) Σ φ(k) vᵀ over φ(q)·Σ φ(k), for [B, T, D]; every query sees all keys."""
    Q, K = _feature(q), _feature(k)
    return einsum("btd,bde->bte", Q, einsum("bsd,bse->bde", K, v)) / total(Q * K.sum(1)[:, None])


def _linear_backward(
    q: Array,
    k: Array,
    v: Array,
    g: Array,
    slope: Function = _feature_slope,
    through_z: Function = lambda g, top, z: -total(g * top) / z**2,
    z_to_k: Function = lambda dz, Q: np.sum(dz * Q, axis=1)[:, None],
) -> Any:
    Q, K = _feature(q), _feature(k)
    state = einsum("bsd,bse->bde", K, v)
    top, z = einsum("btd,bde->bte", Q, state), total(Q * K.sum(1)[:, None])
    d_top, dz = g / z, through_z(g, top, z)
    d_state = einsum("btd,bte->bde", Q, d_top)
    dQ = einsum("bte,bde->btd", d_top, state) + dz * K.sum(1)[:, None]
    dK = einsum("bse,bde->bsd", v, d_state) + z_to_k(dz, Q)
    return dQ * slope(q), dK * slope(k), einsum("bsd,bde->bse", K, d_state)


def _dense(q: Array, k: Array, v: Array, g: Array) -> Any:
    """Write the weights out, [T, S]."""
    Q, K = _feature(q), _feature(k)
    z = total(Q @ swapped(K))
    p, dp = Q @ swapped(K) / z, g @ swapped(v)
    ds = (dp - total(p * dp)) / z
    return ds @ K * _feature_slope(q), swapped(ds) @ Q * _feature_slope(k), swapped(p) @ g


def _linear_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    B, T, S, D = shape
    return drawn(rng, (B, T, D), (B, S, D), (B, S, D), scale=scale)


LINEAR = Subject(
    "linear-attention-with-its-normaliser", _linear, _linear_backward, _linear_sample,
    ((2, 3, 4, 2), (2, 4, 3, 5), (3, 2, 5, 3), (2, 5, 9, 6), (2, 12, 20, 8)),
    scales=(0.5, 1.0, 2.0),
    also_right={"with weights": _dense},
    edits=edited(_linear_backward, {
        # Repaired in a library: the keys' sum in the normaliser was cut off from them.
        "normaliser-constant-for-keys": ("chain-term", {"z_to_k": lambda dz, Q: 0}),
        "normaliser-constant": ("chain-term projection-term", {
            "through_z": lambda g, top, z: 0 * z}),
        "normaliser's-sign": ("sign chain-term", {
            "through_z": lambda g, top, z: total(g * top) / z**2}),
        "normaliser-not-squared": ("chain-term", {
            "through_z": lambda g, top, z: -total(g * top) / z}),
        "feature's-slope-forgotten": ("chain-term", {"slope": one}),
        "feature's-slope-of-relu": ("subset wrong-variable", {
            "slope": lambda x: (x > 0).astype(x.dtype)}),
    }),
)  # fmt: skip

SUBJECTS = (SLOPES, SUNK, LINEAR)
"""What is checked."""
