"""A convolution along a line, and what makes lines shorter and longer."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import logits
from benchmarks.checker.second_batch.parts import edited, swapped
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

WIDTH = 3
SHAPES: tuple[Shape, ...] = ((3, 4), (5, 6), (4, 38), (7, 130), (2, 400), (20, 5000))


def _conv(x: Array, w: Array, b: Array) -> Array:
    M = x.shape[-1] - WIDTH + 1
    return b[:, None] + sum(w[:, :, j] @ x[:, :, j : j + M] for j in range(WIDTH))  # [N, O, M]


def _added(into: Array, place: slice, part: Array) -> None:
    into[:, :, place] += part


def _assigned(into: Array, place: slice, part: Array) -> None:
    into[:, :, place] = part


def _conv_backward(
    x: Array,
    w: Array,
    b: Array,
    g: Array,
    scattered: Function = _added,
    kernel: Function = lambda w: w,
    to_inputs: Function = lambda w_j: w_j.T,
    over_batch: Function = lambda parts: parts.sum(axis=0),
    b_bar: Function = lambda g: g.sum(axis=(0, 2)),
) -> Any:
    M = g.shape[-1]
    x_bar, w_bar = np.zeros_like(x), np.zeros_like(w)
    for j in range(WIDTH):
        window = slice(j, j + M)
        scattered(x_bar, window, to_inputs(kernel(w)[:, :, j]) @ g)
        w_bar[:, :, j] = over_batch(g @ swapped(x[:, :, window]))
    return x_bar, w_bar, b_bar(g)


def _conv_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    C = shape[1]
    w = rng.normal(size=(C, C, WIDTH)) / np.sqrt(C * WIDTH)
    return scale * rng.normal(size=shape), w, rng.normal(size=C)


CONV = Subject(
    "conv1d", _conv, _conv_backward, _conv_sample,
    ((2, 2, 5), (3, 2, 7), (2, 5, 8), (5, 3, 37), (4, 8, 130)),
    edits=edited(_conv_backward, {
        "kernel-reversed": ("axis", {"kernel": lambda w: w[:, :, ::-1]}),
        "channels-not-transposed": ("axis", {"to_inputs": lambda w_j: w_j}),
        "windows-assigned-not-added": ("unreduced-broadcast", {"scattered": _assigned}),
        "weight-mean-over-batch": ("scale", {"over_batch": lambda parts: parts.mean(axis=0)}),
        "weight-of-the-last-sample": ("unreduced-broadcast", {"over_batch": lambda p: p[-1]}),
        "bias-over-batch-alone": ("unreduced-broadcast", {"b_bar": lambda g: g.sum(axis=0)}),
    }),
)  # fmt: skip


def _pairs(x: Array) -> Array:
    return x.reshape(*x.shape[:-1], -1, 2)


def _flat(pairs: Array) -> Array:
    return pairs.reshape(*pairs.shape[:-2], -1)


def _winners(x: Array) -> Array:
    """Return 1 at the first of the largest in every pair."""
    return (_pairs(x).argmax(axis=-1)[..., None] == np.arange(2)).astype(x.dtype)


def _in_the_first_window(x: Array, g: Array) -> Array:
    """Add up by the place in the window, whose own offset is forgotten."""
    x_bar = np.zeros_like(x)
    x_bar[..., :2] = (_winners(x) * g[..., None]).sum(axis=-2)
    return x_bar


MAX_POOL = Subject(
    "max-pool", lambda x: _pairs(x).max(axis=-1),
    lambda x, g: _flat(_winners(x) * g[..., None]), logits, SHAPES, kinked=True,
    edits=edited(lambda x, g, rule: rule(x, g), {
        "to-the-whole-window": ("subset", {"rule": lambda x, g: np.repeat(g, 2, axis=-1)}),
        "mask-alone": ("cotangent", {"rule": lambda x, g: _flat(_winners(x))}),
        "mask-times-maximum": ("cotangent", {"rule": lambda x, g: _flat(_winners(x)) * x}),
        "window-offset-forgotten": ("axis", {"rule": _in_the_first_window}),
        "to-the-smallest": ("axis", {"rule": lambda x, g: _flat(_winners(-x) * g[..., None])}),
    }),
)  # fmt: skip

AVERAGE_POOL = Subject(
    "average-pool", lambda x: _pairs(x).mean(axis=-1),
    lambda x, g: np.repeat(g, 2, axis=-1) / 2, logits, SHAPES,
    edits=edited(lambda x, g, rule: rule(x, g), {
        "not-divided": ("scale", {"rule": lambda x, g: np.repeat(g, 2, axis=-1)}),
        "tiled": ("axis", {"rule": lambda x, g: np.concatenate((g, g), axis=-1) / 2}),
        "divided-by-all-windows": ("scale", {
            "rule": lambda x, g: np.repeat(g, 2, axis=-1) / x.shape[-1]}),
        "first-of-the-window": ("subset", {
            "rule": lambda x, g: _flat(np.stack((g / 2, 0 * g), axis=-1))}),
    }),
)  # fmt: skip

UPSAMPLE = Subject(
    "upsample-nearest", lambda x: np.repeat(x, 2, axis=-1),
    lambda x, g: _pairs(g).sum(axis=-1), logits, SHAPES,
    edits=edited(lambda x, g, rule: rule(x, g), {
        "one-of-two": ("unreduced-broadcast", {"rule": lambda x, g: g[..., ::2]}),
        "mean-of-two": ("scale", {"rule": lambda x, g: _pairs(g).mean(axis=-1)}),
        "as-if-tiled": ("axis", {
            "rule": lambda x, g: g.reshape(*g.shape[:-1], 2, -1).sum(axis=-2)}),
        "passed-on": ("unreduced-broadcast", {"rule": lambda x, g: g}),
    }),
)  # fmt: skip

SUBJECTS = (CONV, MAX_POOL, AVERAGE_POOL, UPSAMPLE)
"""What is checked."""
