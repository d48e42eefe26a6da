"""Losses on softmax: with everything that a fused kernel offers, focal, and overlap of regions.

What is wrong here is met in issues and pull requests on fused kernels, in objectives for rare
classes, and in issues on segmentation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import log_softmax, one_hot, softmax, total
from benchmarks.checker.sixth_batch.parts import edited, ids, labelled, like_sigmoid, one
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

SMOOTHING, PENALTY, IGNORE, BLOCK = 0.2, 0.1, -1, 2


def _lse(z: Array) -> Any:
    top = np.max(z)
    return top + np.log(np.sum(np.exp(z - top)))


def _fused(logits: Array, labels: Array) -> Any:
    """Return smoothed cross entropy + penalty · lse², a mean over labels not ignored."""
    loss, kept = 0 * logits[0, 0], int(np.sum(labels != IGNORE))
    for z, y in zip(logits, labels, strict=True):
        if y != IGNORE:
            lse = _lse(z)
            row = (1 - SMOOTHING) * (lse - z[y]) + SMOOTHING * (lse - np.mean(z))
            loss = loss + (row + PENALTY * lse**2) / kept
    return loss


def _fused_backward(
    logits: Array,
    labels: Array,
    g: Array,
    normaliser: Function = lambda z, lse: lse,
    saved: Function = lambda p: p,
    penalty: Function = lambda p, lse: 2 * PENALTY * lse * p,
    uniform: Function = lambda K: SMOOTHING / K,
    hit: Function = lambda: 1 - SMOOTHING,
    ignored: Function = lambda p, lse: 0,
    count: Function = lambda labels: int(np.sum(labels != IGNORE)),
    blocks: Function = lambda starts: starts,
    arriving: Function = lambda g: g,
) -> Any:
    """Write the gradient over a copy of the logits, a block of classes at a time."""
    out = np.array(logits)
    for row, y in zip(out, labels, strict=True):
        lse, K = _lse(row), len(row)
        z = np.array(row)
        for start in blocks(list(range(0, K, BLOCK))):
            block = slice(start, min(start + BLOCK, K))
            p = saved(np.exp(z[block] - normaliser(z[block], lse)))
            if y == IGNORE:
                row[block] = ignored(p, lse) / count(labels)
                continue
            d = p + penalty(p, lse) - uniform(K)
            if block.start <= y < block.stop:
                d[y - block.start] -= hit()
            row[block] = d / count(labels)
    return arriving(g) * out


def _all_rows(logits: Array, labels: Array, g: Array) -> Any:
    kept = labels != IGNORE
    lse = (logits - log_softmax(logits))[:, :1]
    q = (1 - SMOOTHING) * one_hot(labels, logits) + SMOOTHING / logits.shape[1]
    d = softmax(logits) * (1 + 2 * PENALTY * lse) - q
    return (g * d * kept[:, None].astype(d.dtype) / int(np.sum(kept))).astype(logits.dtype)


def _ignoring(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    logits, labels = labelled(rng, shape, scale)
    labels[1::3] = IGNORE
    return logits, labels


FUSED = Subject(
    "smoothed-cross-entropy-in-blocks-with-z-loss", _fused, _fused_backward, _ignoring,
    ((3, 3), (4, 5), (5, 4), (6, 17), (12, 40)), scales=(0.3, 1.0, 5.0),
    also_right={"all rows at once": _all_rows},
    edits=edited(_fused_backward, {
        "z-loss's-2-forgotten": ("chain-term", {"penalty": lambda p, lse: PENALTY * lse * p}),
        "z-loss-without-p": ("chain-term wrong-variable", {
            "penalty": lambda p, lse: 2 * PENALTY * lse}),
        "mass-shared-among-the-others": ("chain-term wrong-variable", {
            "uniform": lambda K: SMOOTHING / (K - 1)}),
        "label's-mass-not-reduced": ("subset chain-term", {"hit": one}),
        # Reports on ignored labels, of five frameworks.
        "ignored-rows-feel-the-penalty": ("subset", {
            "ignored": lambda p, lse: 2 * PENALTY * lse * p}),
        "ignored-rows-keep-p": ("subset", {"ignored": lambda p, lse: p}),
        "averaged-over-ignored-rows": ("scale", {"count": len}),
        # Online softmax: the sum of a block is not the sum of the row.
        "normalised-in-every-block": ("wrong-variable axis", {
            "normaliser": lambda z, lse: _lse(z)}),
        "probabilities-kept-in-half-precision": ("arithmetic", {
            "saved": lambda p: p.astype(np.float16).astype(p.dtype)}),
        "last-block-not-written": ("subset", {"blocks": lambda starts: starts[:-1]}),
        # A layer that takes itself for the last one.
        "upstream-ignored": ("cotangent", {"arriving": one}),
    }),
)  # fmt: skip

GAMMA, FORGOTTEN = 2, 0.9


def _rarity(K: int, like: Array) -> Any:
    """Return (1 − β)/(1 − βⁿ) for classes of n = 1, 3, 5, … samples."""
    return ((1 - FORGOTTEN) / (1 - FORGOTTEN ** (1 + 2 * np.arange(K)))).astype(like.dtype)


def _focal(z: Array, y: Array) -> Any:
    """Return the mean focal loss of softmax, weighted by classes' effective numbers."""
    lp = log_softmax(z)[np.arange(len(y)), y]
    return -np.mean(_rarity(z.shape[1], z)[y] * (1 - np.exp(lp)) ** GAMMA * lp)


def _focal_backward(
    z: Array,
    y: Array,
    g: Array,
    weights: Function = lambda w, y: w[y][:, None],
    modulation: Function = lambda q: GAMMA * q * (1 - q) ** (GAMMA - 1) * np.log(q),
    entropy: Function = lambda q: -((1 - q) ** GAMMA),
    to_logits: Function = lambda p, t, q: t - p,
    count: Function = len,
) -> Any:
    p = softmax(z)
    t = one_hot(y, p)
    q = total(p * t)
    d = (modulation(q) + entropy(q)) * to_logits(p, t, q)
    return g * weights(_rarity(z.shape[1], z), y) * d / count(z)


FOCAL = Subject(
    "class-balanced-focal-loss-of-softmax", _focal, _focal_backward, labelled,
    ((3, 3), (4, 5), (5, 4), (6, 17), (12, 40)), scales=(0.3, 1.0, 3.0),
    edits=edited(_focal_backward, {
        # Functions called focal_loss_grad: what else depends on the probability is forgotten.
        "modulation-taken-for-constant": ("chain-term", {"modulation": lambda q: 0}),
        "modulation's-sign": ("sign chain-term", {
            "modulation": lambda q: -GAMMA * q * (1 - q) ** (GAMMA - 1) * np.log(q)}),
        "modulation's-power-not-lowered": ("chain-term", {
            "modulation": lambda q: GAMMA * q * (1 - q) ** GAMMA * np.log(q)}),
        "modulation-not-felt-by-the-entropy": ("chain-term", {"entropy": lambda q: -1 + 0 * q}),
        "label's-column-alone": ("diagonal-only subset chain-term", {
            "to_logits": lambda p, t, q: t * (1 - p)}),
        "gradient-at-the-probability": ("wrong-variable chain-term", {
            "to_logits": lambda p, t, q: t / q}),
        "weights-forgotten": ("chain-term scale", {"weights": lambda w, y: 1}),
        "weights-along-the-columns": ("axis wrong-variable", {"weights": lambda w, y: w}),
        "not-averaged": ("scale", {"count": one}),
    }),
)  # fmt: skip

ALPHA, BETA, SMOOTH = 0.3, 0.7, 1.0


def _counts(p: Array, t: Array) -> Any:
    """Return every class's overlap, and what it is divided by, as [1, K, 1]."""
    hit = np.sum(p * t, axis=(0, 2), keepdims=True)
    extra = np.sum(p * (1 - t), axis=(0, 2), keepdims=True)
    missed = np.sum((1 - p) * t, axis=(0, 2), keepdims=True)
    return hit + SMOOTH, hit + ALPHA * extra + BETA * missed + SMOOTH


def _targets(labels: Array, z: Array) -> Any:
    return (labels[:, None, :] == np.arange(z.shape[1])[:, None]).astype(z.dtype)


def _regions(z: Array, labels: Array) -> Any:
    """Return 1 − the mean Tversky index of softmax over the channels of [N, K, P]."""
    hit, union = _counts(softmax(z, 1), _targets(labels, z))
    return 1 - np.mean(hit / union)


def _regions_backward(
    z: Array,
    labels: Array,
    g: Array,
    quotient: Function = lambda t, hit, union, du: (t * union - hit * du) / union**2,
    union_back: Function = lambda t: t + ALPHA * (1 - t) - BETA * t,
    sign: Function = lambda d: -d,
    rule: Function = lambda p, d: p * (d - np.sum(p * d, axis=1, keepdims=True)),
    classes: Function = lambda d: d,
    arriving: Function = lambda g: g,
) -> Any:
    p, t = softmax(z, 1), _targets(labels, z)
    hit, union = _counts(p, t)
    d = sign(quotient(t, hit, union, union_back(t))) / z.shape[1]
    return arriving(g) * rule(p, classes(d))


def _regions_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, K, P = shape
    return scale * rng.normal(size=shape), ids(rng, N * P, K).reshape(N, P)


def _without_background(d: Array) -> Array:
    d = np.array(d)
    d[:, 0] = 0
    return d


REGIONS = Subject(
    "tversky-loss-of-softmax-maps", _regions, _regions_backward, _regions_sample,
    ((2, 3, 4), (3, 4, 5), (2, 5, 3), (3, 4, 17), (4, 6, 40)), scales=(0.3, 1.0, 3.0),
    edits=edited(_regions_backward, {
        # A repair in a popular repository: (u/v)′ has a minus.
        "quotient's-sign": ("sign chain-term", {
            "quotient": lambda t, hit, union, du: (t * union + hit * du) / union**2}),
        # Precedence: a / b * b.
        "divided-and-multiplied": ("chain-term scale", {
            "quotient": lambda t, hit, union, du: (t * union - hit * du) / union * union}),
        "divisor-constant": ("chain-term", {
            "quotient": lambda t, hit, union, du: t / union}),
        "index-for-loss": ("sign", {"sign": lambda d: d}),
        "alpha-and-beta-swapped": ("wrong-variable chain-term", {
            "union_back": lambda t: t + BETA * (1 - t) - ALPHA * t}),
        "softmax-passed-over": ("chain-term identity", {"rule": lambda p, d: d}),
        "like-sigmoid": ("diagonal-only", {"rule": like_sigmoid}),
        "inner-product-along-pixels": ("axis projection-term", {
            "rule": lambda p, d: p * (d - total(p * d))}),
        "upstream-ignored": ("cotangent", {"arriving": one}),
        "background-left-out": ("subset chain-term", {"classes": _without_background}),
    }),
)  # fmt: skip

SUBJECTS = (FUSED, FOCAL, REGIONS)
"""What is checked."""
