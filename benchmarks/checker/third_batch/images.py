"""Images: a convolution in loops, channels that gate themselves, and channels laid out as space."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject
from benchmarks.checker.third_batch.parts import drawn, edited, matrix, sigmoid

__all__ = ["SUBJECTS"]

SIZE, STRIDE = 2, 2


def _filtered(x: Array, w: Array, b: Array) -> Array:
    """Return a strided convolution of [N, H, W, C] with filters [2, 2, C, F]."""
    N, height, width, _ = x.shape
    rows, columns = (height - SIZE) // STRIDE + 1, (width - SIZE) // STRIDE + 1
    out = np.zeros((N, rows, columns, w.shape[-1]), x.dtype)
    for i in range(rows):
        for j in range(columns):
            h, v = i * STRIDE, j * STRIDE
            patch = x[:, h : h + SIZE, v : v + SIZE, :]
            out[:, i, j, :] = np.tensordot(patch, w, axes=((1, 2, 3), (0, 1, 2))) + b
    return out


def _filtered_backward(
    x: Array,
    w: Array,
    b: Array,
    g: Array,
    filters: Function = lambda w: w,
    w_added: Function = lambda so_far, now: so_far + now,
    b_bar: Function = lambda g: g.sum(axis=(0, 1, 2)),
    stride: Function = lambda: STRIDE,
) -> Any:
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i in range(g.shape[1]):
        for j in range(g.shape[2]):
            at = np.s_[:, i * STRIDE : i * STRIDE + SIZE, j * STRIDE : j * STRIDE + SIZE]
            h, v = i * stride(), j * stride()
            pulled = np.tensordot(g[:, i, j], filters(w), axes=(1, 3))
            dx[:, h : h + SIZE, v : v + SIZE] += pulled
            dw = w_added(dw, np.tensordot(x[at], g[:, i, j], axes=(0, 0)))
    return dx, dw, b_bar(g)


def _filtered_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    C, F = shape[-1], shape[-1] + 1
    return *drawn(rng, shape, scale=scale), rng.normal(size=(SIZE, SIZE, C, F)), rng.normal(size=F)


FILTERED = Subject(
    "strided-convolution-in-loops", _filtered, _filtered_backward, _filtered_sample,
    ((2, 4, 5, 1), (2, 4, 4, 2), (2, 5, 4, 2), (2, 8, 9, 3), (3, 12, 12, 5)),
    scales=(0.3, 1.0, 10.0),
    edits=edited(_filtered_backward, {
        "filters-flipped": ("axis", {"filters": lambda w: w[::-1, ::-1]}),
        "filters-transposed-in-space": ("axis", {"filters": lambda w: w.transpose(1, 0, 2, 3)}),
        "filters-of-the-last-place": ("unreduced-broadcast", {"w_added": lambda so_far, now: now}),
        "stride-forgotten": ("axis", {"stride": lambda: 1}),
        "bias-averaged-over-the-batch": ("scale", {
            "b_bar": lambda g: g.mean(axis=0).sum(axis=(0, 1))}),
        "bias-not-summed-over-space": ("unreduced-broadcast", {"b_bar": lambda g: g.sum(axis=0)}),
    }),
)  # fmt: skip


def _gated(x: Array, W1: Array, W2: Array) -> Array:
    """Weigh the channels of [N, H, W, C] by gates that see their means."""
    pooled = x.mean(axis=(1, 2))
    gates = sigmoid(np.maximum(pooled @ W1, 0) @ W2)
    return x * gates[:, None, None, :]


def _gated_backward(
    x: Array,
    W1: Array,
    W2: Array,
    g: Array,
    direct: Function = lambda g, s: g * s,
    spread: Function = lambda d, x: d[:, None, None] / (x.shape[1] * x.shape[2]),
    s_bar: Function = lambda g, x: (g * x).sum(axis=(1, 2)),
    slope: Function = lambda s: s * (1 - s),
    mask: Function = lambda h: h > 0,
) -> Any:
    h = np.maximum(x.mean(axis=(1, 2)) @ W1, 0)
    s = sigmoid(h @ W2)
    d = s_bar(g, x) * slope(s)
    dh = d @ W2.T * mask(h)
    dx = direct(g, s[:, None, None]) + spread(dh @ W1.T, x)
    return dx, x.mean(axis=(1, 2)).T @ dh, h.T @ d


GATED = Subject(
    "squeeze-and-excitation", _gated, _gated_backward,
    lambda rng, shape, scale: (
        1 + scale * rng.normal(size=shape), matrix(rng, shape[-1], 6), matrix(rng, 6, shape[-1])),
    ((2, 2, 3, 4), (3, 3, 2, 4), (4, 2, 2, 3), (4, 6, 6, 8), (5, 8, 8, 16)),
    scales=(0.3, 1.0, 3.0), kinked=True,
    edits=edited(_gated_backward, {
        "gates-constant": ("chain-term", {"spread": lambda d, x: 0}),
        "channels-constant": ("chain-term", {"direct": lambda g, s: 0 * g}),
        "mean-of-the-pool-forgotten": ("chain-term", {
            "spread": lambda d, x: d[:, None, None] + 0 * x}),
        "gates-averaged-over-space": ("scale chain-term", {
            "s_bar": lambda g, x: (g * x).mean(axis=(1, 2))}),
        "gates-without-the-image": ("chain-term", {"s_bar": lambda g, x: g.sum(axis=(1, 2))}),
        "gates'-slope-forgotten": ("chain-term", {"slope": lambda s: 1}),
        "gates'-slope-at-the-output": ("wrong-variable", {
            "slope": lambda s: sigmoid(s) * (1 - sigmoid(s))}),
        "relu's-mask-forgotten": ("chain-term", {"mask": lambda h: 1}),
    }),
)  # fmt: skip


def _shuffled(x: Array) -> Array:
    """Return [N, H, W, 4C] as [N, 2H, 2W, C]."""
    N, height, width, C = x.shape
    x = x.reshape(N, height, width, 2, 2, C // 4)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(N, 2 * height, 2 * width, C // 4)


def _shuffled_backward(
    x: Array,
    g: Array,
    order: Function = lambda: (0, 1, 3, 2, 4, 5),
    blocks: Function = lambda g: g.reshape(
        g.shape[0], g.shape[1] // 2, 2, g.shape[2] // 2, 2, g.shape[3]),
) -> Any:  # fmt: skip
    return blocks(g).transpose(order()).reshape(x.shape)


SHUFFLED = Subject(
    "channels-to-space", _shuffled, _shuffled_backward,
    lambda rng, shape, scale: drawn(rng, shape, scale=scale),
    ((2, 2, 3, 8), (1, 3, 2, 8), (2, 3, 2, 12), (2, 6, 5, 12), (3, 10, 10, 20)),
    edits=edited(_shuffled_backward, {
        "reshaped-alone": ("axis", {"order": lambda: (0, 1, 2, 3, 4, 5)}),
        "rows-and-columns-of-a-block-swapped": ("axis", {"order": lambda: (0, 1, 3, 4, 2, 5)}),
        "channels-first": ("axis", {"order": lambda: (0, 1, 3, 5, 2, 4)}),
        "blocks-cut-the-other-way": ("axis", {
            "blocks": lambda g: g.reshape(
                g.shape[0], 2, g.shape[1] // 2, g.shape[2] // 2, 2, g.shape[3])
            .transpose(0, 2, 1, 3, 4, 5)}),
    }),
)  # fmt: skip

SUBJECTS = (FILTERED, GATED, SHUFFLED)
"""What is checked."""
