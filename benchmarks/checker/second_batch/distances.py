"""How near vectors are: cosines, squared distances, bilinear forms; and a rotation."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import total
from benchmarks.checker.second_batch.parts import drawn, edited, matrix
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

PAIRS: tuple[Shape, ...] = ((3, 4), (5, 5), (4, 37), (7, 130), (2, 400), (20, 2500))


def _unit(x: Array) -> tuple[Array, Array]:
    r = np.sqrt(total(x * x))
    return x / r, r


def _cosine(a: Array, b: Array) -> Array:
    return np.asarray((_unit(a)[0] * _unit(b)[0]).sum(axis=-1))


def _cosine_backward(
    a: Array,
    b: Array,
    g: Array,
    pulled: Function = lambda u, w, c: w - c * u,
    shortened: Function = lambda r, other: r,
    ordered: Function = lambda a_bar, b_bar: (a_bar, b_bar),
) -> Any:
    (u, r), (w, q) = _unit(a), _unit(b)
    c, g = total(u * w), g[..., None]
    return ordered(g * pulled(u, w, c) / shortened(r, q), g * pulled(w, u, c) / shortened(q, r))


COSINE = Subject(
    "cosine-similarity", _cosine, _cosine_backward,
    lambda rng, shape, scale: drawn(rng, shape, shape, scale=scale), PAIRS,
    scales=(0.1, 1.0, 30.0), extremes=(0.01,),
    edits=edited(_cosine_backward, {
        "lengths-constant": ("chain-term projection-term", {"pulled": lambda u, w, c: w}),
        "projected-off-the-other": ("projection-term", {"pulled": lambda u, w, c: w - c * w}),
        "projection-added": ("projection-term", {"pulled": lambda u, w, c: w + c * u}),
        "own-length-forgotten": ("chain-term", {"shortened": lambda r, other: 1}),
        "length-of-the-other": ("wrong-variable", {"shortened": lambda r, other: other}),
        "answers-swapped": ("axis", {"ordered": lambda a_bar, b_bar: (b_bar, a_bar)}),
        "second-severed": ("severed", {"ordered": lambda a_bar, b_bar: (a_bar, None)}),
    }),
)  # fmt: skip


def _distances(x: Array, c: Array) -> Array:
    gaps = x[:, None, :] - c  # [N, K, D]
    return np.asarray((gaps * gaps).sum(axis=-1))


def _distances_backward(
    x: Array,
    c: Array,
    g: Array,
    x_bar: Function = lambda x, c, g: 2 * (x * total(g) - g @ c),
    c_bar: Function = lambda x, c, g: 2 * (c * g.sum(axis=0)[:, None] - g.T @ x),
) -> Any:
    return x_bar(x, c, g), c_bar(x, c, g)


DISTANCES = Subject(
    "squared-distances", _distances, _distances_backward,
    lambda rng, shape, scale: drawn(
        rng, (shape[0], shape[2]), (shape[1], shape[2]), scale=scale),
    ((2, 3, 4), (5, 4, 5), (7, 6, 20), (30, 10, 60)),
    edits=edited(_distances_backward, {
        "no-2-for-the-centres": ("scale", {
            "c_bar": lambda x, c, g: c * g.sum(axis=0)[:, None] - g.T @ x}),
        "centres-like-points": ("sign", {
            "c_bar": lambda x, c, g: 2 * (g.T @ x - c * g.sum(axis=0)[:, None])}),
        "cross-term-alone": ("chain-term", {"x_bar": lambda x, c, g: -2 * (g @ c)}),
        "square-of-x-alone": ("chain-term", {"x_bar": lambda x, c, g: 2 * x * total(g)}),
        "classes-counted": ("cotangent", {
            "x_bar": lambda x, c, g: 2 * (x * len(c) - g @ c)}),
        "nearest-centre-alone": ("subset", {
            "x_bar": lambda x, c, g: 2 * (
                x - c[(k := _distances(x, c).argmin(axis=-1))]
            ) * np.take_along_axis(g, k[:, None], axis=-1)}),
    }),
)  # fmt: skip


def _bilinear_backward(
    x: Array,
    W: Array,
    z: Array,
    g: Array,
    x_bar: Function = lambda W, z, g: g * (z @ W.T),
    z_bar: Function = lambda x, W, g: g * (x @ W),
    W_bar: Function = lambda x, z, g: x.T @ (g * z),
    ordered: Function = lambda x_bar, z_bar: (x_bar, z_bar),
) -> Any:
    g = g[:, None]
    first, last = ordered(x_bar(W, z, g), z_bar(x, W, g))
    return first, W_bar(x, z, g), last


def _bilinear_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    x, z = drawn(rng, shape, shape, scale=scale)
    return x, matrix(rng, shape[-1], shape[-1]), z


BILINEAR = Subject(
    "bilinear-form", lambda x, W, z: ((x @ W) * z).sum(axis=-1), _bilinear_backward,
    _bilinear_sample, ((2, 3), (5, 4), (4, 19), (9, 60)),
    edits=edited(_bilinear_backward, {
        "x-by-the-wrong-side": ("axis", {"x_bar": lambda W, z, g: g * (z @ W)}),
        "weight-transposed": ("axis", {"W_bar": lambda x, z, g: (g * z).T @ x}),
        "weight-without-cotangent": ("cotangent", {"W_bar": lambda x, z, g: x.T @ z}),
        "weight-mean": ("scale", {"W_bar": lambda x, z, g: x.T @ (g * z) / len(x)}),
        "answers-swapped": ("axis", {"ordered": lambda x_bar, z_bar: (z_bar, x_bar)}),
        "weight-by-rows": ("unreduced-broadcast", {
            "W_bar": lambda x, z, g: x[:, :, None] * (g * z)[:, None, :]}),
        "weight-forgotten": ("chain-term", {"z_bar": lambda x, W, g: g * x}),
    }),
)  # fmt: skip


def _angles(x: Array) -> tuple[Array, Array]:
    T, half = x.shape[-2], x.shape[-1] // 2
    turns = np.arange(T)[:, None] / 10.0 ** (np.arange(half) / half)
    return np.cos(turns).astype(x.dtype), np.sin(turns).astype(x.dtype)


def _turned(x: Array, direction: int) -> Array:
    cos, sin = _angles(x)
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    return np.concatenate((a * cos - direction * b * sin, b * cos + direction * a * sin), axis=-1)


def _turned_interleaved(x: Array) -> Array:
    cos, sin = _angles(x)
    a, b = x[..., ::2], x[..., 1::2]
    return np.stack((a * cos + b * sin, b * cos - a * sin), axis=-1).reshape(x.shape)


ROTARY = Subject(
    "rotary-positions", lambda x: _turned(x, 1), lambda x, g: _turned(g, -1),
    lambda rng, shape, scale: drawn(rng, shape, scale=scale),
    ((2, 3, 4), (3, 5, 6), (2, 7, 18), (2, 13, 40), (4, 50, 64)),
    edits=edited(lambda x, g, rule: rule(g), {
        "turned-the-same-way": ("axis", {"rule": lambda g: _turned(g, 1)}),
        "not-turned": ("identity", {"rule": lambda g: g}),
        "pairs-interleaved": ("axis", {"rule": _turned_interleaved}),
        "cosines-alone": ("diagonal-only", {
            "rule": lambda g: g * np.concatenate((_angles(g)[0],) * 2, axis=-1)}),
    }),
)  # fmt: skip

SUBJECTS = (COSINE, DISTANCES, BILINEAR, ROTARY)
"""What is checked."""
