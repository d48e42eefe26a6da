"""Recurrent cells, and one unrolled over time."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.second_batch.parts import drawn, edited, matrix, sigmoid
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

SHAPES: tuple[Shape, ...] = ((2, 3), (3, 5), (5, 4), (4, 17), (6, 40))
SCALES = (0.1, 1.0, 3.0)


def _rnn_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    D = shape[-1]
    x, h = drawn(rng, shape, shape, scale=scale)
    return x, h, matrix(rng, D, D), matrix(rng, D, D), rng.normal(size=D)


def _rnn(x: Array, h: Array, W: Array, U: Array, b: Array) -> Array:
    return np.tanh(x @ W + h @ U + b)


def _rnn_backward(
    x: Array,
    h: Array,
    W: Array,
    U: Array,
    b: Array,
    g: Array,
    z_bar: Function = lambda y, g: g * (1 - y * y),
    x_bar: Function = lambda z_bar, W: z_bar @ W.T,
    b_bar: Function = lambda z_bar: z_bar.sum(axis=0),
    U_bar: Function = lambda x, h, z_bar: h.T @ z_bar,
    ordered: Function = lambda W_bar, U_bar: (W_bar, U_bar),
) -> Any:
    d = z_bar(_rnn(x, h, W, U, b), g)
    return x_bar(d, W), d @ U.T, *ordered(x.T @ d, U_bar(x, h, d)), b_bar(d)


RNN = Subject(
    "rnn-cell", _rnn, _rnn_backward, _rnn_sample, SHAPES, scales=SCALES,
    edits=edited(_rnn_backward, {
        "tanh-forgotten": ("chain-term", {"z_bar": lambda y, g: g}),
        "tanh-of-the-output": ("wrong-variable", {
            "z_bar": lambda y, g: g * (1 - np.tanh(y) ** 2)}),
        "bias-not-summed": ("unreduced-broadcast", {"b_bar": lambda z_bar: z_bar}),
        "bias-mean": ("scale", {"b_bar": lambda z_bar: z_bar.mean(axis=0)}),
        "weights-swapped": ("axis", {"ordered": lambda W_bar, U_bar: (U_bar, W_bar)}),
        "weight-not-transposed": ("axis", {"x_bar": lambda z_bar, W: z_bar @ W}),
        "hidden-weight-by-its-own-transposition": ("axis", {
            "U_bar": lambda x, h, z_bar: z_bar.T @ h}),
    }),
)  # fmt: skip


def _gates(z: Array) -> tuple[Array, ...]:
    D = z.shape[-1] // 4
    i, f, o, c = (z[:, k * D : (k + 1) * D] for k in range(4))
    return sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(c)


def _lstm(x: Array, h: Array, c: Array, W: Array) -> tuple[Array, Array]:
    i, f, o, new = _gates(np.concatenate((x, h), axis=-1) @ W)
    after = f * c + i * new
    return o * np.tanh(after), after


def _lstm_backward(
    x: Array,
    h: Array,
    c: Array,
    W: Array,
    g: Any,
    cell: Function = lambda h_bar, c_bar, o, t: c_bar + h_bar * o * (1 - t * t),
    before: Function = lambda d, f: d * f,
    forget: Function = lambda d, c, after: d * c,
    new_slope: Function = lambda n: 1 - n * n,
    packed: Function = lambda i, f, o, n: (i, f, o, n),
) -> Any:
    h_bar, c_bar = g
    v = np.concatenate((x, h), axis=-1)
    i, f, o, n = _gates(v @ W)
    after = f * c + i * n
    t = np.tanh(after)
    d = cell(h_bar, c_bar, o, t)
    z_bar = np.concatenate(packed(
        d * n * i * (1 - i), forget(d, c, after) * f * (1 - f), h_bar * t * o * (1 - o),
        d * i * new_slope(n),
    ), axis=-1)  # fmt: skip
    v_bar = z_bar @ W.T
    D = x.shape[-1]
    return v_bar[:, :D], v_bar[:, D:], before(d, f), v.T @ z_bar


def _lstm_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    D = shape[-1]
    return *drawn(rng, shape, shape, shape, scale=scale), matrix(rng, 2 * D, 4 * D)


LSTM = Subject(
    "lstm-cell", _lstm, _lstm_backward, _lstm_sample, SHAPES, scales=SCALES,
    edits=edited(_lstm_backward, {
        "next-cell-ignored": ("cotangent", {
            "cell": lambda h_bar, c_bar, o, t: h_bar * o * (1 - t * t)}),
        "no-tanh-slope": ("chain-term", {"cell": lambda h_bar, c_bar, o, t: c_bar + h_bar * o}),
        "no-output-gate": ("chain-term", {
            "cell": lambda h_bar, c_bar, o, t: c_bar + h_bar * (1 - t * t)}),
        "hidden-ignored-in-the-cell": ("chain-term", {
            "cell": lambda h_bar, c_bar, o, t: c_bar}),
        "cell-without-forget-gate": ("chain-term", {"before": lambda d, f: d}),
        "forget-gate-of-the-new-cell": ("wrong-variable", {
            "forget": lambda d, c, after: d * after}),
        "candidate-slope-forgotten": ("chain-term", {"new_slope": lambda n: 1}),
        "input-and-forget-swapped": ("axis", {"packed": lambda i, f, o, n: (f, i, o, n)}),
    }),
)  # fmt: skip


def _gru_parts(x: Array, h: Array, Wz: Array, Wr: Array, Wn: Array) -> tuple[Array, ...]:
    v = np.concatenate((x, h), axis=-1)
    z, r = sigmoid(v @ Wz), sigmoid(v @ Wr)
    u = np.concatenate((x, r * h), axis=-1)
    return v, z, r, u, np.tanh(u @ Wn)


def _gru(x: Array, h: Array, Wz: Array, Wr: Array, Wn: Array) -> Array:
    _, z, _, _, n = _gru_parts(x, h, Wz, Wr, Wn)
    return (1 - z) * n + z * h


def _gru_backward(
    x: Array,
    h: Array,
    Wz: Array,
    Wr: Array,
    Wn: Array,
    g: Array,
    direct: Function = lambda g, z: g * z,
    gated: Function = lambda u_bar, r: u_bar * r,
    update: Function = lambda g, h, n: g * (h - n),
    reset: Function = lambda u_bar, h: u_bar * h,
    mixed: Function = lambda g, z: g * (1 - z),
) -> Any:
    D = x.shape[-1]
    v, z, r, u, n = _gru_parts(x, h, Wz, Wr, Wn)
    n_bar = mixed(g, z) * (1 - n * n)
    u_bar = n_bar @ Wn.T
    z_bar = update(g, h, n) * z * (1 - z)
    r_bar = reset(u_bar[:, D:], h) * r * (1 - r)
    v_bar = z_bar @ Wz.T + r_bar @ Wr.T
    h_bar = v_bar[:, D:] + direct(g, z) + gated(u_bar[:, D:], r)
    return v_bar[:, :D] + u_bar[:, :D], h_bar, v.T @ z_bar, v.T @ r_bar, u.T @ n_bar


def _gru_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    D = shape[-1]
    return *drawn(rng, shape, shape, scale=scale), *(matrix(rng, 2 * D, D) for _ in range(3))


GRU = Subject(
    "gru-cell", _gru, _gru_backward, _gru_sample, SHAPES, scales=SCALES,
    edits=edited(_gru_backward, {
        "direct-path-dropped": ("chain-term", {"direct": lambda g, z: 0 * g}),
        "reset-path-dropped": ("chain-term", {"gated": lambda u_bar, r: 0 * u_bar}),
        "reset-gate-forgotten": ("chain-term", {"gated": lambda u_bar, r: u_bar}),
        "update-gate-of-the-candidate-alone": ("chain-term", {
            "update": lambda g, h, n: -g * n}),
        "reset-gate-without-h": ("chain-term", {"reset": lambda u_bar, h: u_bar}),
        "gates-exchanged": ("unnamed", {
            "mixed": lambda g, z: g * z, "direct": lambda g, z: g * (1 - z)}),
    }),
)  # fmt: skip


def _unrolled(x: Array, W: Array, U: Array) -> Array:
    h, found = 0 * x[0], []
    for t in range(len(x)):
        h = np.tanh(x[t] @ W + h @ U)
        found.append(h)
    return np.stack(found)


def _unrolled_backward(
    x: Array,
    W: Array,
    U: Array,
    g: Array,
    carried: Function = lambda d, U: d @ U.T,
    summed: Function = lambda so_far, now: so_far + now,
    arriving: Function = lambda g, t: g[t],
    previous: Function = lambda h, t: h[t - 1],
) -> Any:
    h = _unrolled(x, W, U)
    x_bar, W_bar, U_bar, h_bar = 0 * x, 0 * W, 0 * U, 0 * x[0]
    for t in reversed(range(len(x))):
        d = (arriving(g, t) + h_bar) * (1 - h[t] * h[t])
        x_bar[t] = d @ W.T
        W_bar = summed(W_bar, x[t].T @ d)
        U_bar = U_bar + previous(h, t).T @ d if t else U_bar
        h_bar = carried(d, U)
    return x_bar, W_bar, U_bar


def _unrolled_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    D = shape[-1]
    return scale * rng.normal(size=shape), matrix(rng, D, D), matrix(rng, D, D)


UNROLLED = Subject(
    "rnn-over-time", _unrolled, _unrolled_backward, _unrolled_sample,
    ((3, 2, 3), (4, 3, 5), (5, 2, 4), (6, 5, 17), (3, 4, 40)), scales=SCALES,
    edits=edited(_unrolled_backward, {
        "no-gradient-through-time": ("chain-term", {"carried": lambda d, U: 0 * d}),
        "last-cotangent-alone": ("cotangent", {
            "arriving": lambda g, t: g[t] if t == len(g) - 1 else 0 * g[t]}),
        "weight-assigned-not-added": ("unreduced-broadcast", {"summed": lambda so_far, now: now}),
        "hidden-of-the-same-step": ("wrong-variable", {"previous": lambda h, t: h[t]}),
        "hidden-weight-not-transposed": ("axis", {"carried": lambda d, U: d @ U}),
    }),
)  # fmt: skip

SUBJECTS = (RNN, LSTM, GRU, UNROLLED)
"""What is checked."""
