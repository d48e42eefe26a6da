"""Softmax and its relatives: as functions with a context, by Jacobians, by tangents, by loops.

What is wrong here is met in classes named Softmax, SoftmaxFunction and Softmax(Layer), in functions
named softmax_backward, softmax_prime, grad_softmax and softmax_jvp, and in small engines.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import log_softmax, softmax, total
from benchmarks.checker.seventh_batch.parts import (
    Context,
    applied,
    drawn,
    edited,
    like_sigmoid,
    redefined,
    softmax_back,
    softmax_columns,
)
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]


class SoftmaxFunction:
    """Softmax along axis 1 of [B, K, T]."""

    @staticmethod
    def forward(ctx: Context, x: Array) -> Any:
        exp = np.exp(x - x.max(axis=1, keepdims=True))
        output = exp / exp.sum(axis=1, keepdims=True)
        ctx.save_for_backward(output)
        return output

    @staticmethod
    def backward(ctx: Context, grad_output: Array) -> Any:
        (output,) = ctx.saved
        inner = (grad_output * output).sum(axis=1, keepdims=True)
        return output * (grad_output - inner)


def _saving(save: Function) -> Function:
    """Return a forward that saves something else."""

    def forward(ctx: Context, x: Array) -> Any:
        output = SoftmaxFunction.forward(ctx, x)
        ctx.save_for_backward(save(x, output))
        return output

    return forward


def _returning(rule: Function) -> Function:
    """Return a backward by a rule for the output and what arrives."""

    def backward(ctx: Context, grad_output: Array) -> Any:
        return rule(*ctx.saved, grad_output)

    return backward


CHANNELS = Subject(
    "softmax-function-of-channels", lambda x: SoftmaxFunction.forward(Context(), x),
    applied(SoftmaxFunction), lambda rng, shape, scale: drawn(rng, shape, scale=scale),
    ((2, 3, 4), (3, 5, 2), (2, 4, 3), (3, 7, 5), (4, 20, 6)), scales=(0.1, 1.0, 5.0),
    also_right={"channels last": lambda x, g: np.moveaxis(softmax_back(
        softmax(np.moveaxis(x, 1, -1)), np.moveaxis(g, 1, -1)), -1, 1)},
    edits=redefined(SoftmaxFunction, {
        "like-sigmoid": ("diagonal-only", {"backward": _returning(like_sigmoid)}),
        # The axis is −1 wherever nobody says otherwise.
        "inner-product-along-the-last-axis": ("projection-term axis", {
            "backward": _returning(softmax_back)}),
        "inner-product-over-everything": ("projection-term axis", {
            "backward": _returning(lambda y, g: y * (g - np.sum(y * g)))}),
        "upstream-summed-alone": ("projection-term", {
            "backward": _returning(lambda y, g: y * (g - g.sum(axis=1, keepdims=True)))}),
        "inner-product-added": ("projection-term", {
            "backward": _returning(lambda y, g: y * (g + (y * g).sum(axis=1, keepdims=True)))}),
        "log-softmax's-rule": ("wrong-variable projection-term", {
            "backward": _returning(lambda y, g: g - y * g.sum(axis=1, keepdims=True))}),
        "input-saved-for-output": ("wrong-variable", {"forward": _saving(lambda x, y: x)}),
        # A layer's: dy·y + y.
        "output-added": ("cotangent", {"backward": _returning(lambda y, g: g * y + y)}),
        # Two courses' solutions: "softmax minus one where a gradient arrives".
        "minus-one-where-a-gradient-arrives": ("cotangent", {
            "backward": _returning(lambda y, g: y - (g != 0).astype(y.dtype))}),
    }),
)  # fmt: skip


def _jacobian(s: Array) -> Any:
    J = np.zeros((len(s), len(s)), s.dtype)
    for i in range(len(s)):
        for j in range(len(s)):
            J[i, j] = s[i] * (1 - s[i]) if i == j else -s[i] * s[j]
    return J


def _by_jacobians(
    Z: Array,
    dA: Array,
    softmax_of: Function = softmax_columns,
    jacobian: Function = _jacobian,
    product: Function = lambda J, d: J @ d,
    column: Function = lambda i, m: i,
) -> Any:
    A, dZ, m = softmax_of(Z), np.zeros_like(Z), Z.shape[1]
    for i in range(m):
        dZ[:, i] = product(jacobian(A[:, column(i, m)]), dA[:, i])
    return dZ


def _with_plus(s: Array) -> Any:
    """Forget the minus of the entries beside the diagonal."""
    return np.abs(_jacobian(s))


COLUMNS = Subject(
    "softmax-of-columns-by-jacobians", softmax_columns, _by_jacobians,
    lambda rng, shape, scale: drawn(rng, shape, scale=scale),
    ((3, 2), (4, 3), (3, 5), (8, 6), (30, 7)), scales=(0.1, 1.0, 4.0),
    also_right={"all columns at once": lambda Z, dA: softmax_back(softmax(Z.T), dA.T).T},
    edits=edited(_by_jacobians, {
        "minus-beside-the-diagonal-forgotten": ("projection-term sign", {"jacobian": _with_plus}),
        "squares-subtracted-twice": ("projection-term chain-term", {
            "jacobian": lambda s: np.diag(s * (1 - s)) - np.outer(s, s)}),
        # softmax_prime: the diagonal of the Jacobian, of which the rest was just computed.
        "jacobian's-diagonal": ("diagonal-only", {"product": lambda J, d: np.diag(J) * d}),
        "jacobian's-rows-summed": ("zero projection-term", {
            "product": lambda J, d: np.sum(J, axis=1) * d}),
        # "The derivative for a single output."
        "one-output's-row": ("unnamed", {"product": lambda J, d: J[0] * d}),
        "normalised-over-all-columns": ("axis wrong-variable", {
            "softmax_of": lambda Z: softmax(Z.reshape(-1)).reshape(Z.shape)}),
        "normalised-along-rows": ("axis", {"softmax_of": softmax}),
        "last-column's-jacobian": ("wrong-variable unreduced-broadcast", {
            "column": lambda i, m: m - 1}),
    }),
)  # fmt: skip


def _soft_maximum(x: Array, alpha: Array) -> Any:
    """Return the mean of every row's numbers x, weighted by softmax of alpha times x."""
    return np.sum(softmax(alpha * x) * x, axis=1)


def _tangent(
    x: Array,
    alpha: Array,
    x_dot: Array,
    alpha_dot: Array,
    value: Function = _soft_maximum,
    slope: Function = lambda alpha, centred: 1 + alpha * centred,
    of_alpha: Function = lambda p, x, centred: np.sum(p * x * centred, axis=1),
) -> Any:
    p = softmax(alpha * x)
    centred = x - value(x, alpha)[:, None]
    return np.sum(p * slope(alpha, centred) * x_dot, axis=1) + of_alpha(p, x, centred) * alpha_dot


def _transposed(x: Array, alpha: Array, g: Array, **parts: Function) -> Any:
    """Pull back by a tangent for every input."""
    still, dx = 0 * alpha, np.zeros_like(x)
    for k in range(x.shape[1]):
        x_dot = np.zeros_like(x)
        x_dot[:, k] = 1
        dx[:, k] = g * _tangent(x, alpha, x_dot, still, **parts)
    return dx, np.sum(g * _tangent(x, alpha, 0 * x, still + 1, **parts), keepdims=True)


def _sharp_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    return scale * rng.normal(size=shape), np.array([1.7])


SHARP = Subject(
    "soft-maximum-by-its-tangent", _soft_maximum, _transposed, _sharp_sample,
    ((3, 3), (2, 5), (4, 3), (5, 9), (8, 20)), scales=(0.3, 1.0, 2.0),
    edits=edited(_transposed, {
        # One solver's custom rule: the second tangent is named _, and the value is at 1.
        "alpha's-tangent-dropped": ("zero severed", {
            "of_alpha": lambda p, x, centred: 0}),
        "value-at-alpha-1": ("wrong-variable projection-term", {
            "value": lambda x, alpha: _soft_maximum(x, 1 + 0 * alpha)}),
        "weights-alone": ("chain-term", {"slope": lambda alpha, centred: 1}),
        "direct-term-forgotten": ("chain-term", {
            "slope": lambda alpha, centred: alpha * centred}),
        "alpha-forgotten-in-the-slope": ("chain-term", {
            "slope": lambda alpha, centred: 1 + centred}),
        "not-centred": ("projection-term chain-term", {"value": lambda x, alpha: 0 * x[:, 0]}),
    }),
)  # fmt: skip


def _by_loops(
    x: Array,
    g: Array,
    gathered: Function = lambda to, value: to + value,
    whole: Function = lambda sums, row: sums[row],
    weight: Function = np.exp,
    term: Function = lambda g_i, p, p_i, total_g: g_i - p_i * total_g,
) -> Any:
    out, grad = log_softmax(x), np.zeros_like(x)
    sums = np.zeros(len(x), x.dtype)
    for row in range(len(x)):
        for col in range(x.shape[1]):
            sums[row] = gathered(sums[row], g[row, col])
    for row in range(len(x)):
        p = weight(out[row])
        for col in range(x.shape[1]):
            grad[row, col] += term(g[row, col], p, p[col], whole(sums, row))
    return grad


NODE = Subject(
    "log-softmax-node-in-loops", log_softmax, _by_loops,
    lambda rng, shape, scale: drawn(rng, shape, scale=scale),
    ((2, 3), (3, 4), (5, 3), (4, 9), (6, 30)), scales=(0.1, 1.0, 4.0),
    also_right={"without loops": lambda x, g: g - softmax(x) * total(g)},
    edits=edited(_by_loops, {
        # An engine's: out.grad.sum() has no axis.
        "gradient-summed-over-all-rows": ("projection-term axis", {
            "whole": lambda sums, row: np.sum(sums)}),
        "exp-forgotten": ("wrong-variable projection-term", {"weight": lambda logp: logp}),
        "one-minus-p": ("diagonal-only", {
            "term": lambda g_i, p, p_i, total_g: g_i * (1 - p_i)}),
        "minus-p-alone": ("cotangent", {"term": lambda g_i, p, p_i, total_g: g_i - p_i}),
        "last-gradient-for-the-sum": ("projection-term unreduced-broadcast", {
            "gathered": lambda to, value: value}),
        "sum-added": ("projection-term", {
            "term": lambda g_i, p, p_i, total_g: g_i + p_i * total_g}),
        "sum-forgotten": ("projection-term identity", {
            "term": lambda g_i, p, p_i, total_g: g_i}),
    }),
)  # fmt: skip

SUBJECTS = (CHANNELS, COLUMNS, SHARP, NODE)
"""What is checked."""
