"""Functions with a backward of their own, as frameworks want them, and a Jacobian by einsum.

What is wrong here is met in functions named softmax_backward and softmax_derivative, in heads that
compute their gradient in the forward, and beside defvjp and defjvp.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.eighth_batch.parts import (
    Context,
    applied,
    drawn,
    edited,
    einsum,
    ids,
    like_sigmoid,
    log_softmax,
    matrix,
    one_hot,
    redefined,
    softmax,
    softmax_back,
    total,
)
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]


def _outer_rows(y: Array) -> Any:
    return einsum("bi,bj->bij", y, y)


def _by_einsum(
    x: Array,
    g: Array,
    output: Function = softmax,
    outer: Function = _outer_rows,
    product: Function = lambda J, y, g: einsum("bij,bj->bi", J, g),
) -> Any:
    y = output(x)
    J = einsum("bi,ij->bij", y, np.eye(y.shape[1], dtype=y.dtype)) - outer(y)
    return product(J, y, g)


EINSUM = Subject(
    "softmax-by-einsum", softmax, _by_einsum,
    lambda rng, shape, scale: drawn(rng, shape, scale=scale),
    ((3, 4), (5, 3), (4, 7), (8, 12), (12, 30)), scales=(0.1, 1.0, 4.0),
    also_right={"without a Jacobian": lambda x, g: softmax_back(softmax(x), g)},
    edits=edited(_by_einsum, {
        # An outer product of all rows with each other: one index too few in 'ki,kj'.
        "outer-product-summed-over-the-batch": ("projection-term axis", {
            "outer": lambda y: einsum("ki,kj->ij", y, y)[None]}),
        "outer-product-forgotten": ("projection-term chain-term", {
            "outer": lambda y: 0 * _outer_rows(y)}),
        "diagonal-of-the-jacobian": ("diagonal-only", {
            "product": lambda J, y, g: einsum("bii,bi->bi", J, g)}),
        # J times a vector of ones, or the sum of its rows: two of ten functions.
        "jacobian-times-ones": ("zero projection-term", {
            "product": lambda J, y, g: einsum("bij->bi", J) * g}),
        "slope-without-what-arrives": ("cotangent", {
            "product": lambda J, y, g: y * (1 - y) + 0 * g}),
        # A layer that was made for labels returns its output less what arrives.
        "output-less-what-arrives": ("cotangent", {"product": lambda J, y, g: y - g}),
        "jacobian-of-the-input": ("wrong-variable", {"output": lambda x: x}),
        "normalised-over-the-batch": ("axis wrong-variable", {
            "output": lambda x: softmax(x, 0)}),
        "sum-over-everything": ("axis wrong-variable", {
            "output": lambda x: softmax(x.reshape(-1)).reshape(x.shape)}),
        "twice-as-much": ("scale", {
            "product": lambda J, y, g: 2 * einsum("bij,bj->bi", J, g)}),
    }),
)  # fmt: skip

IGNORED, CAP, SMOOTHING = -100, 3.0, 0.2


def _smooth(labels: Array, like: Array) -> Any:
    return (1 - SMOOTHING) * one_hot(labels, like) + SMOOTHING / like.shape[1]


class FusedHead:
    """The mean loss of capped logits x Wᵀ + b with smoothed labels, and its gradients in blocks."""

    block = 2

    @classmethod
    def forward(cls, ctx: Context, x: Array, W: Array, b: Array, y: Array) -> Any:
        kept = (y != IGNORED).astype(x.dtype)
        safe = np.where(y != IGNORED, y, 0)
        loss, dx = 0 * x[0, 0], np.zeros_like(x)
        dW, db = np.zeros_like(W), np.zeros_like(b)
        for start in range(0, len(x), cls.block):
            rows = slice(start, start + cls.block)
            raw = x[rows] @ W.T + b
            capped = CAP * np.tanh(raw / CAP)
            loss = loss - np.sum(
                kept[rows, None] * _smooth(safe[rows], capped) * log_softmax(capped)
            )
            d = cls.error(softmax(capped), safe[rows]) * cls.slope(raw, capped)
            d = d * cls.mask(kept[rows])[:, None] / cls.count(kept, rows)
            dx[rows] = d @ W
            dW, db = cls.gathered(dW, d.T @ x[rows]), db + np.sum(d, axis=0)
        ctx.save_for_backward(dx, dW, db)
        return loss / np.sum(kept)

    @classmethod
    def backward(cls, ctx: Context, grad_output: Array) -> Any:
        dx, dW, db = ctx.saved
        return dx * grad_output, dW * grad_output, db * grad_output

    @staticmethod
    def error(p: Array, labels: Array) -> Any:
        return p - _smooth(labels, p)

    @staticmethod
    def slope(raw: Array, capped: Array) -> Any:
        return 1 - (capped / CAP) ** 2

    @staticmethod
    def mask(kept: Array) -> Any:
        return kept

    @staticmethod
    def count(kept: Array, rows: slice) -> Any:
        return np.sum(kept)

    @staticmethod
    def gathered(so_far: Array, block: Array) -> Any:
        return so_far + block


def _unscaled(ctx: Context, grad_output: Array) -> Any:
    return ctx.saved


def _input_alone_scaled(ctx: Context, grad_output: Array) -> Any:
    dx, dW, db = ctx.saved
    return dx * grad_output, dW, db


def _without_weights(ctx: Context, grad_output: Array) -> Any:
    dx, _, db = ctx.saved
    return dx * grad_output, None, db * grad_output


def _fused_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, K = shape
    x, b = drawn(rng, (N, D), (K,), scale=scale)
    y = ids(rng, N, K)
    y[1] = IGNORED
    return x, matrix(rng, D, K).T, b, y


FUSED = Subject(
    "fused-head-with-gradients-in-its-forward", lambda *a: FusedHead.forward(Context(), *a),
    applied(FusedHead), _fused_sample,
    ((3, 2, 4), (5, 3, 4), (4, 5, 3), (7, 6, 9), (20, 10, 30)), scales=(0.3, 1.0, 3.0),
    edits=redefined(FusedHead, {
        "upstream-forgotten": ("cotangent", {"backward": _unscaled}),
        "upstream-for-the-input-alone": ("cotangent", {"backward": _input_alone_scaled}),
        # Met beside a defvjp: the head's weights get None, and are trained with something else.
        "weights-none": ("severed", {"backward": _without_weights}),
        "averaged-over-ignored-rows-too": ("scale", {"count": lambda kept, rows: len(kept)}),
        "not-averaged": ("scale", {"count": lambda kept, rows: 1}),
        "ignored-rows-learnt": ("subset", {"mask": lambda kept: 0 * kept + 1}),
        "last-block's-weights": ("unreduced-broadcast", {"gathered": lambda so_far, block: block}),
        "cap's-slope-forgotten": ("chain-term", {"slope": lambda raw, capped: 1}),
        "cap's-slope-by-the-capped": ("chain-term wrong-variable", {
            "slope": lambda raw, capped: 1 - np.tanh(capped / CAP) ** 2}),
        # The label gets its share, and the others' share is forgotten.
        "smoothing-at-the-label-alone": ("chain-term", {
            "error": lambda p, labels: p - (1 - SMOOTHING) * one_hot(labels, p)}),
        "smoothing-forgotten": ("chain-term wrong-variable", {
            "error": lambda p, labels: p - one_hot(labels, p)}),
        "smoothing-among-the-others": ("chain-term", {
            "error": lambda p, labels: p - (1 - SMOOTHING) * one_hot(labels, p) - (
                SMOOTHING / (p.shape[1] - 1) * (1 - one_hot(labels, p)))}),
    }),
)  # fmt: skip

Z_LOSS = 0.3


def _stable_fwd(logits: Array, targets: Array) -> Any:
    """Return the loss of every row with soft targets of any sum, and what its backward needs."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    e = np.exp(shifted)
    log_z = np.log(total(e)) + logits.max(axis=-1, keepdims=True)
    logp = logits - log_z
    loss = -np.sum(targets * logp, axis=-1) + Z_LOSS * log_z[:, 0] ** 2
    return loss, (logits, targets, e, total(e), logp, log_z)


def _stable_bwd(
    logits: Array,
    targets: Array,
    g: Array,
    mass: Function = total,
    z_loss: Function = lambda log_z: 2 * Z_LOSS * log_z,
    weights: Function = lambda logits, e, sum_e: e / sum_e,
    of_targets: Function = lambda logits, logp, targets: -logp,
    upstream: Function = lambda g: g[:, None],
) -> Any:
    _, (logits, targets, e, sum_e, logp, log_z) = _stable_fwd(logits, targets)
    d_logits = (mass(targets) + z_loss(log_z)) * weights(logits, e, sum_e) - targets
    answer = of_targets(logits, logp, targets)
    return upstream(g) * d_logits, None if answer is None else upstream(g) * answer


def _stable_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    (logits,) = drawn(rng, shape, scale=scale)
    return logits, softmax(rng.normal(size=shape)) * (0.6 + rng.random((shape[0], 1)))


STABLE = Subject(
    "cross-entropy-with-soft-targets-and-residuals", lambda z, t: _stable_fwd(z, t)[0], _stable_bwd,
    _stable_sample, ((3, 4), (5, 3), (4, 7), (8, 20), (12, 60)), scales=(0.1, 1.0, 4.0),
    edits=edited(_stable_bwd, {
        # p − t, as if the targets summed to one.
        "targets-taken-for-normalised": ("projection-term chain-term", {
            "mass": lambda targets: 1}),
        "z-loss-forgotten": ("chain-term", {"z_loss": lambda log_z: 0 * log_z}),
        "z-loss's-2-forgotten": ("chain-term scale", {"z_loss": lambda log_z: Z_LOSS * log_z}),
        "weights-not-normalised": ("chain-term wrong-variable", {
            "weights": lambda logits, e, sum_e: e}),
        "logits-for-weights": ("wrong-variable", {"weights": lambda logits, e, sum_e: logits}),
        "targets'-gradient-zeros": ("zero", {
            "of_targets": lambda logits, logp, targets: 0 * targets}),
        "targets'-gradient-none": ("severed", {
            "of_targets": lambda logits, logp, targets: None}),
        "targets'-gradient-by-the-logits": ("wrong-variable chain-term", {
            "of_targets": lambda logits, logp, targets: -logits}),
        "targets'-gradient's-sign": ("sign", {
            "of_targets": lambda logits, logp, targets: logp}),
        # The losses are averaged outside, where all of these are the same.
        "mean-of-what-arrives": ("cotangent", {"upstream": lambda g: np.mean(g)}),
        "first-row's-upstream": ("cotangent", {"upstream": lambda g: g[0]}),
    }),
)  # fmt: skip

LOW = -1e4


def _masked(x: Array, where: Array) -> Any:
    """Return softmax along the first axis of what is let in; zeros elsewhere."""
    kept = where.astype(x.dtype)
    return softmax(np.where(where > 0, x, LOW + 0 * x), 0) * kept


def _sum_kept(v: Array) -> Any:
    return total(v, 0)


def _masked_jvp(
    x: Array,
    where: Array,
    x_dot: Array,
    primal: Function = _masked,
    inner: Function = lambda y, x_dot: _sum_kept(y * x_dot),
    rule: Function = lambda y, x_dot, inner: y * (x_dot - inner),
) -> Any:
    y = primal(x, where)
    return rule(y, x_dot, inner(y, x_dot))


def _masked_transposed(x: Array, where: Array, g: Array, **parts: Function) -> Any:
    """Pull back by a tangent for every entry."""
    dx = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        x_dot = np.zeros_like(x)
        x_dot[place] = 1
        dx[place] = np.sum(g * _masked_jvp(x, where, x_dot, **parts))
    return dx


def _masked_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    where = (np.arange(shape[0])[:, None] + np.arange(shape[1])) % 4 != 1
    return *drawn(rng, shape, scale=scale), where.astype(int)


MASKED = Subject(
    "masked-softmax-of-columns-by-its-tangent", _masked, _masked_transposed, _masked_sample,
    ((3, 4), (4, 3), (5, 4), (7, 5), (12, 6)), scales=(0.1, 1.0, 4.0),
    also_right={"at once": lambda x, where, g: (
        (y := _masked(x, where)) * (g - _sum_kept(y * g)))},
    edits=edited(_masked_transposed, {
        "like-sigmoid": ("diagonal-only", {
            "rule": lambda y, x_dot, inner: like_sigmoid(y, x_dot)}),
        "sum-without-its-axis": ("projection-term axis", {
            "inner": lambda y, x_dot: np.sum(y * x_dot)}),
        "sum-along-the-last-axis": ("projection-term axis", {
            "inner": lambda y, x_dot: total(y * x_dot)}),
        "mean-for-the-sum": ("projection-term", {
            "inner": lambda y, x_dot: np.mean(y * x_dot, axis=0, keepdims=True)}),
        "second-factor-forgotten": ("projection-term", {
            "rule": lambda y, x_dot, inner: y * x_dot - inner}),
        "inner-product-added": ("projection-term sign", {
            "rule": lambda y, x_dot, inner: y * (x_dot + inner)}),
        "log-softmax's-rule": ("wrong-variable projection-term", {
            "rule": lambda y, x_dot, inner: x_dot - inner}),
        "mask-forgotten": ("wrong-variable subset chain-term", {
            "primal": lambda x, where: softmax(x, 0)}),
    }),
)  # fmt: skip

SUBJECTS = (EINSUM, FUSED, STABLE, MASKED)
"""What is checked."""
