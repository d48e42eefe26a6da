"""Several maps in a row: attention, a hidden softmax, mixtures, fan-out, two outputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.checker.numerics import logits, numbers, softmax, total
from benchmarks.checker.subject import Array, Rng, Shape, Subject, edit

__all__ = ["SUBJECTS"]

ROWS: tuple[Shape, ...] = ((3,), (1, 2), (3, 5), (5, 5), (4, 37), (2, 400), (20, 5000))


def _through(p: Array, p_bar: Array) -> Array:
    """Return softmax's pullback."""
    return p * (p_bar - total(p * p_bar))


def _queries(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, M, D, E = shape
    q, k, v = numbers(rng, (N, D), (M, D), (M, E))
    return scale * q, k, v


def _root(q: Array) -> float:
    return math.sqrt(q.shape[-1])


def _attended(q: Array, k: Array, v: Array) -> Array:
    return softmax(q @ k.T / _root(q)) @ v


def _attention(
    p_bar: Callable[..., Array] = lambda p, v, g: g @ v.T,
    scores_bar: Callable[[Array, Array], Array] = _through,
    q_bar: Callable[..., Array] = lambda s_bar, q, k: s_bar @ k / _root(q),
    k_bar: Callable[..., Array] = lambda s_bar, q, k: s_bar.T @ q / _root(q),
    v_bar: Callable[..., Array] = lambda p, s, g: p.T @ g,
) -> Callable[..., Any]:
    """Return attention's backward, of which one line may be replaced."""

    def backward(q: Array, k: Array, v: Array, g: Array) -> tuple[Array, ...]:
        scores = q @ k.T / _root(q)
        p = softmax(scores)
        s_bar = scores_bar(p, p_bar(p, v, g))
        return q_bar(s_bar, q, k), k_bar(s_bar, q, k), v_bar(p, scores, g)

    return backward


ATTENTION = Subject(
    "attention", _attended, _attention(), _queries,
    ((1, 2, 2, 1), (2, 3, 2, 5), (4, 4, 4, 4), (7, 11, 8, 5), (16, 24, 16, 16), (60, 60, 32, 32)),
    scales=(0.02, 1.0, 8.0),
    edits=(
        edit("q-no-root", "scale", _attention(q_bar=lambda s_bar, q, k: s_bar @ k)),
        edit("k-no-root", "scale", _attention(k_bar=lambda s_bar, q, k: s_bar.T @ q)),
        edit("no-root", "scale", _attention(
            q_bar=lambda s_bar, q, k: s_bar @ k, k_bar=lambda s_bar, q, k: s_bar.T @ q)),
        edit("q-over-D", "scale", _attention(
            q_bar=lambda s_bar, q, k: s_bar @ k / q.shape[-1])),
        edit("diagonal", "diagonal-only", _attention(
            scores_bar=lambda p, g: p * (1 - p) * g)),
        edit("no-inner-product", "projection-term", _attention(scores_bar=lambda p, g: p * g)),
        edit("softmax-skipped", "chain-term wrong-variable identity", _attention(
            scores_bar=lambda p, g: g)),
        edit("inner-over-queries", "axis projection-term", _attention(
            scores_bar=lambda p, g: p * (g - total(p * g, 0)))),
        edit("v-of-scores", "wrong-variable", _attention(v_bar=lambda p, s, g: s.T @ g)),
        edit("v-missing", "severed zero", _attention(v_bar=lambda p, s, g: 0 * (p.T @ g))),
        edit("v-uniform", "wrong-variable chain-term", _attention(
            v_bar=lambda p, s, g: (0 * p + 1 / p.shape[-1]).T @ g)),
        edit("k-reshaped", "axis", _attention(k_bar=lambda s_bar, q, k: (
            (s_bar.reshape(s_bar.shape[::-1]) @ q) / _root(q)))),
        edit("q-of-q", "wrong-variable", _attention(q_bar=lambda s_bar, q, k: (
            s_bar @ np.resize(q, k.shape) / _root(q)))),
        edit("softmax-again", "wrong-variable", _attention(
            scores_bar=lambda p, g: _through(softmax(p), g))),
        edit("keys-detached", "severed zero", _attention(
            k_bar=lambda s_bar, q, k: None)),
    ),
)  # fmt: skip


def _weights(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, H, K = shape
    x, W, V = numbers(rng, (N, D), (D, H), (H, K))
    return scale * x, W, V


def _hidden(x: Array, W: Array, V: Array) -> Array:
    return softmax(x @ W) @ V


def _network(
    middle: Callable[..., Array] = _through,
    W_bar: Callable[..., Array] = lambda x, z_bar: x.T @ z_bar,
    V_bar: Callable[..., Array] = lambda x, W, h, g: h.T @ g,
    x_bar: Callable[..., Array] = lambda z_bar, W: z_bar @ W.T,
) -> Callable[..., Any]:
    """Return the backward of a network with a hidden softmax; one line may be replaced."""

    def backward(x: Array, W: Array, V: Array, g: Array) -> tuple[Array, ...]:
        h = softmax(x @ W)
        z_bar = middle(h, g @ V.T)
        return x_bar(z_bar, W), W_bar(x, z_bar), V_bar(x, W, h, g)

    return backward


NETWORK = Subject(
    "hidden-softmax", _hidden, _network(), _weights,
    ((1, 2, 3, 2), (3, 2, 5, 4), (4, 4, 4, 4), (8, 10, 12, 6), (20, 30, 40, 10),
     (100, 200, 100, 50)),
    scales=(0.02, 1.0, 4.0),
    edits=(
        edit("diagonal", "diagonal-only", _network(lambda h, g: h * (1 - h) * g)),
        edit("no-inner-product", "projection-term", _network(lambda h, g: h * g)),
        edit("skipped", "chain-term wrong-variable identity", _network(lambda h, g: g)),
        edit("log-softmax's", "wrong-variable projection-term", _network(
            lambda h, g: g - h * total(g))),
        edit("softmax-again", "wrong-variable", _network(lambda h, g: _through(softmax(h), g))),
        edit("V-of-logits", "wrong-variable", _network(
            V_bar=lambda x, W, h, g: (x @ W).T @ g)),
        edit("W-over-N", "scale", _network(W_bar=lambda x, z_bar: x.T @ z_bar / len(x))),
        edit("x-sign", "sign", _network(x_bar=lambda z_bar, W: -z_bar @ W.T)),
        edit("W-sign", "sign", _network(W_bar=lambda x, z_bar: -x.T @ z_bar)),
    ),
)  # fmt: skip


def _experts(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, E, D = shape
    z, values = numbers(rng, (N, E), (N, E, D))
    return scale * z, values


def _mixture(
    gates_bar: Callable[..., Array] = lambda v, g: (v * g[:, None, :]).sum(axis=-1),
    z_bar: Callable[[Array, Array], Array] = _through,
    values_bar: Callable[..., Array] = lambda p, g: p[..., None] * g[:, None, :],
) -> Callable[..., Any]:
    """Return the backward of a mixture; one line may be replaced."""

    def backward(z: Array, values: Array, g: Array) -> tuple[Array, Array]:
        p = softmax(z)
        return z_bar(p, gates_bar(values, g)), values_bar(p, g)

    return backward


MIXTURE = Subject(
    "mixture-of-experts", lambda z, values: (softmax(z)[..., None] * values).sum(axis=1),
    _mixture(), _experts,
    ((1, 2, 2), (2, 3, 5), (4, 4, 4), (7, 5, 11), (10, 8, 40), (50, 20, 100)),
    scales=(0.02, 1.0, 8.0),
    edits=(
        edit("diagonal", "diagonal-only", _mixture(z_bar=lambda p, g: p * (1 - p) * g)),
        edit("no-inner-product", "projection-term", _mixture(z_bar=lambda p, g: p * g)),
        edit("softmax-skipped", "chain-term wrong-variable identity", _mixture(
            z_bar=lambda p, g: g)),
        edit("gates-detached", "severed zero", _mixture(z_bar=lambda p, g: 0 * p)),
        edit("experts-not-weighted", "chain-term identity", _mixture(
            values_bar=lambda p, g: 0 * p[..., None] + g[:, None, :])),
        edit("gates-mean", "scale", _mixture(
            gates_bar=lambda v, g: (v * g[:, None, :]).mean(axis=-1))),
        edit("gates-last-feature", "unreduced-broadcast subset", _mixture(
            gates_bar=lambda v, g: (v * g[:, None, :])[..., -1])),
        edit("gates-without-g", "cotangent", _mixture(gates_bar=lambda v, g: v.sum(axis=-1))),
    ),
)  # fmt: skip

FAN_OUT = Subject(
    "gated-by-softmax", lambda x: x * softmax(x),
    lambda x, g: g * (p := softmax(x)) + _through(p, g * x), logits, ROWS, scales=(0.02, 1.0, 8.0),
    edits=(
        edit("gate-alone", "projection-term chain-term unreduced-broadcast", lambda x, g: (
            g * softmax(x))),
        edit("softmax-alone", "chain-term unreduced-broadcast", lambda x, g: (
            _through(softmax(x), g * x))),
        edit("x-forgotten", "chain-term", lambda x, g: (
            g * (p := softmax(x)) + _through(p, g))),
        edit("p-for-x", "wrong-variable", lambda x, g: g * (p := softmax(x)) + _through(p, g * p)),
        edit("diagonal", "diagonal-only projection-term", lambda x, g: (
            g * (p := softmax(x)) + p * (1 - p) * g * x)),
        edit("minus", "sign chain-term", lambda x, g: g * (p := softmax(x)) - _through(p, g * x)),
        edit("no-inner-product", "projection-term chain-term", lambda x, g: (
            g * (p := softmax(x)) + p * g * x)),
    ),
)  # fmt: skip

RESIDUAL = Subject(
    "residual", lambda x: x + softmax(x), lambda x, g: g + _through(softmax(x), g), logits, ROWS,
    edits=(
        edit("branch-missing", "identity chain-term unreduced-broadcast", lambda x, g: 1 * g),
        edit("skip-missing", "chain-term unreduced-broadcast", lambda x, g: (
            _through(softmax(x), g))),
        edit("skip-twice", "chain-term", lambda x, g: 2 * g + _through(softmax(x), g)),
        edit("diagonal", "diagonal-only", lambda x, g: g + (p := softmax(x)) * (1 - p) * g),
        edit("no-inner-product", "projection-term", lambda x, g: g + softmax(x) * g),
        edit("branch-minus", "sign chain-term", lambda x, g: g - _through(softmax(x), g)),
    ),
)  # fmt: skip


def _both(z: Array) -> tuple[Array, Array]:
    top = z.max(axis=-1, keepdims=True)
    return softmax(z), (np.log(total(np.exp(z - top))) + top)[..., 0]


TWO_OUTPUTS = Subject(
    "softmax-and-logsumexp", _both,
    lambda z, g: _through(p := softmax(z), g[0]) + p * g[1][..., None], logits, ROWS,
    edits=(
        edit("first-alone", "cotangent chain-term", lambda z, g: _through(softmax(z), g[0])),
        edit("second-alone", "cotangent chain-term", lambda z, g: softmax(z) * g[1][..., None]),
        edit("no-inner-product", "projection-term", lambda z, g: (
            (p := softmax(z)) * g[0] + p * g[1][..., None])),
        edit("diagonal", "diagonal-only", lambda z, g: (
            (p := softmax(z)) * (1 - p) * g[0] + p * g[1][..., None])),
        edit("second-minus", "sign chain-term", lambda z, g: (
            _through(p := softmax(z), g[0]) - p * g[1][..., None])),
        edit("second-as-ones", "cotangent", lambda z, g: _through(p := softmax(z), g[0]) + p),
        edit("second-twice", "chain-term scale", lambda z, g: (
            _through(p := softmax(z), g[0]) + 2 * p * g[1][..., None])),
        edit("second-through-softmax", "chain-term wrong-variable zero", lambda z, g: (
            _through(p := softmax(z), g[0] + g[1][..., None] * p))),
    ),
)  # fmt: skip

SUBJECTS = (ATTENTION, NETWORK, MIXTURE, FAN_OUT, RESIDUAL, TWO_OUTPUTS)
