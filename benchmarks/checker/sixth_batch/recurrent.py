"""Recurrent networks with a softmax at every step.

What is wrong here is met in LSTMs and GRUs written in NumPy, in the solutions of a course on
captions, and in reports on recurrent kernels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import log_softmax, one_hot, softmax
from benchmarks.checker.sixth_batch.parts import drawn, edited, ids, matrix, one, sigmoid
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

Cache = dict[str, Array]


def _steps(X: Array, Wx: Array, Wh: Array, b: Array) -> list[Cache]:
    """Run an LSTM over [T, N, D] from zero states, and keep what every step has seen."""
    N, H = X.shape[1], len(Wh)
    h, c = np.zeros((2, N, H), X.dtype)
    caches = []
    for x in X:
        A = x @ Wx + h @ Wh + b
        f, i, o = (sigmoid(A[:, k * H : (k + 1) * H]) for k in range(3))
        u = np.tanh(A[:, 3 * H :])
        cache = {"x": x, "h_prev": h, "c_prev": c, "f": f, "i": i, "o": o, "u": u}
        c = f * c + i * u
        h = o * np.tanh(c)
        caches.append({**cache, "c": c, "h": h})
    return caches


def _language(X: Array, Wx: Array, Wh: Array, b: Array, Wy: Array, Y: Array) -> Any:
    """Return the cross entropy of labels [T, N], summed over time, averaged over sequences."""
    loss = 0 * b[0]
    for cache, y in zip(_steps(X, Wx, Wh, b), Y, strict=True):
        loss = loss - np.sum(log_softmax(cache["h"] @ Wy)[np.arange(len(y)), y]) / len(y)
    return loss


def _gate(s: Array) -> Any:
    return s * (1 - s)


def _language_backward(
    X: Array,
    Wx: Array,
    Wh: Array,
    b: Array,
    Wy: Array,
    Y: Array,
    g: Array,
    cell_slope: Function = lambda c: 1 - np.tanh(c) ** 2,
    candidate: Function = lambda u: 1 - u * u,
    dc_prev: Function = lambda dc, f: dc * f,
    dh_prev: Function = lambda dA, Wh: dA @ Wh.T,
    stacked: Function = lambda f, i, o, u: (f, i, o, u),
    state: Function = lambda cache: cache["h_prev"],
    read: Function = lambda cache: cache["h"],
    added: Function = lambda to, value: to + value,
    bias: Function = lambda dA: np.sum(dA, axis=0),
    error: Function = lambda p, t: p - t,
) -> Any:
    caches = _steps(X, Wx, Wh, b)
    dX, dWx, dWh, db, dWy = (np.zeros_like(a) for a in (X, Wx, Wh, b, Wy))
    dh_next = dc_next = np.zeros_like(caches[0]["h"])
    for step in reversed(range(len(X))):
        cache = caches[step]
        p = softmax(cache["h"] @ Wy)
        dy = g * error(p, one_hot(Y[step], p)) / len(p)
        dWy = added(dWy, read(cache).T @ dy)
        dh = dy @ Wy.T + dh_next
        dc = dc_next + dh * cache["o"] * cell_slope(cache["c"])
        f, i, o, u = (cache[name] for name in "fiou")
        gates = stacked(
            dc * cache["c_prev"] * _gate(f),
            dc * u * _gate(i),
            dh * np.tanh(cache["c"]) * _gate(o),
            dc * i * candidate(u),
        )
        dA = np.concatenate(gates, axis=1)
        dWx = added(dWx, cache["x"].T @ dA)
        dWh = added(dWh, state(cache).T @ dA)
        db = added(db, bias(dA))
        dX[step] = dA @ Wx.T
        dh_next, dc_next = dh_prev(dA, Wh), dc_prev(dc, f)
    return dX, dWx, dWh, db, dWy


def _language_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    T, N, D, H, V = shape
    X, b = drawn(rng, (T, N, D), (4 * H,), scale=scale)
    Wx, Wh, Wy = matrix(rng, D, 4 * H), matrix(rng, H, 4 * H), 2 * matrix(rng, H, V)
    return X, Wx, Wh, b, Wy, ids(rng, T * N, V).reshape(T, N)


LANGUAGE = Subject(
    "lstm-with-softmax-over-time", _language, _language_backward, _language_sample,
    ((3, 2, 3, 2, 4), (4, 3, 2, 3, 5), (3, 2, 4, 3, 4), (5, 3, 4, 5, 7), (8, 4, 6, 8, 20)),
    scales=(0.5, 1.0), extremes=(),
    edits=edited(_language_backward, {
        # A report on a kernel: the hidden state's path is set to zero after every step.
        "hidden-path-forgotten": ("chain-term", {"dh_prev": lambda dA, Wh: 0 * (dA @ Wh.T)}),
        "cell-path-forgotten": ("chain-term", {"dc_prev": lambda dc, f: 0 * dc}),
        "cell-path-without-the-forget-gate": ("chain-term", {"dc_prev": lambda dc, f: dc}),
        "cell's-slope-without-tanh": ("wrong-variable", {"cell_slope": lambda c: 1 - c**2}),
        "cell's-slope-forgotten": ("chain-term", {"cell_slope": lambda c: 1}),
        "candidate-like-a-gate": ("wrong-variable chain-term", {"candidate": _gate}),
        "input-and-forget-gates-swapped": ("axis", {
            "stacked": lambda f, i, o, u: (i, f, o, u)}),
        # States in lists that begin with the initial one.
        "weights-from-the-state-after": ("wrong-variable axis", {
            "state": lambda cache: cache["h"]}),
        "read-out-from-the-state-before": ("wrong-variable axis", {
            "read": lambda cache: cache["h_prev"]}),
        "weights-of-the-first-step": ("unreduced-broadcast", {"added": lambda to, value: value}),
        "biases-averaged-over-sequences": ("scale", {"bias": lambda dA: np.mean(dA, axis=0)}),
        "softmax's-slope-once-more": ("chain-term diagonal-only", {
            "error": lambda p, t: (p - t) * p * (1 - p)}),
    }),
)  # fmt: skip


def _run(x: Array, h: Array, W: Array, U: Array) -> list[Array]:
    """Run tanh(x W + h U) over [N, T, D], and return all states, the first one too."""
    states = [h]
    for step in range(x.shape[1]):
        states.append(np.tanh(x[:, step] @ W + states[-1] @ U))
    return states


def _coded(
    src: Array, tgt: Array, We: Array, Ue: Array, Wd: Array, Ud: Array, V: Array,
    labels: Array, mask: Array,
) -> Any:  # fmt: skip
    """Return the masked loss of a decoder that begins where the encoder ends, by sequences."""
    h = _run(src, np.zeros((len(src), len(Ue)), src.dtype), We, Ue)[-1]
    loss = 0 * V[0, 0]
    for step, state in enumerate(_run(tgt, h, Wd, Ud)[1:]):
        lp = log_softmax(state @ V)[np.arange(len(src)), labels[:, step]]
        loss = loss - np.sum(lp * mask[:, step].astype(lp.dtype)) / len(src)
    return loss


def _unrolled(
    x: Array, states: list[Array], W: Array, U: Array, by_step: Any, dh: Array, slope: Function,
    back: Function, added: Function,
) -> Any:  # fmt: skip
    """Pull back through `_run`: return the gradients of x, W, U and of the first state."""
    dx, dW, dU = np.zeros_like(x), np.zeros_like(W), np.zeros_like(U)
    for step in reversed(range(x.shape[1])):
        d = (dh + by_step[step]) * slope(states[step + 1])
        dW = added(dW, x[:, step].T @ d)
        dU = added(dU, states[step].T @ d)
        dx[:, step] = d @ W.T
        dh = back(d, U)
    return dx, dW, dU, dh


def _coded_backward(
    *arguments: Any,
    kept: Function = lambda mask, step: mask[:, step],
    count: Function = lambda mask: len(mask),
    bridge: Function = lambda dh: dh,
    encoder_slope: Function = lambda h: 1 - h * h,
    encoder_back: Function = lambda d, U: d @ U.T,
    decoder_back: Function = lambda d, U: d @ U.T,
    added: Function = lambda to, value: to + value,
    picked: Function = lambda labels, step: labels[:, step],
    arriving: Function = lambda g: g,
    error: Function = lambda p, t: p - t,
) -> Any:
    src, tgt, We, Ue, Wd, Ud, V, labels, mask, g = arguments
    encoded = _run(src, np.zeros((len(src), len(Ue)), src.dtype), We, Ue)
    decoded = _run(tgt, encoded[-1], Wd, Ud)
    dV, by_step = np.zeros_like(V), []
    for step, state in enumerate(decoded[1:]):
        p = softmax(state @ V)
        d = error(p, one_hot(picked(labels, step), p))
        d = d * kept(mask, step)[:, None].astype(p.dtype)
        d = arriving(g) * d / count(mask)
        dV += state.T @ d
        by_step.append(d @ V.T)
    none = 0 * encoded[0]
    dtgt, dWd, dUd, dh = _unrolled(
        tgt, decoded, Wd, Ud, by_step, none, lambda h: 1 - h * h, decoder_back, added
    )
    dsrc, dWe, dUe, _ = _unrolled(
        src, encoded, We, Ue, [none] * src.shape[1], bridge(dh), encoder_slope, encoder_back, added
    )
    return dsrc, dtgt, dWe, dUe, dWd, dUd, dV


def _coded_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    N, S, T, D, H, K = shape
    src, tgt = drawn(rng, (N, S, D), (N, T, D), scale=scale)
    weights = (matrix(rng, rows, H) for rows in (D, H, D, H))
    mask = (np.arange(T) < T - np.arange(N)[:, None] % 2).astype(int)
    return src, tgt, *weights, 2 * matrix(rng, H, K), ids(rng, N * T, K).reshape(N, T), mask


CODED = Subject(
    "encoder-decoder-with-masked-steps", _coded, _coded_backward, _coded_sample,
    ((2, 2, 3, 2, 3, 4), (3, 3, 3, 3, 2, 4), (2, 3, 4, 2, 3, 5), (4, 4, 3, 5, 4, 6),
     (5, 6, 7, 6, 8, 20)), scales=(0.5, 1.0), extremes=(),
    edits=edited(_coded_backward, {
        "mask-forgotten": ("subset", {"kept": lambda mask, step: mask[:, 0] ** 0}),
        # A report on a library of kernels: the first step's mask serves for all steps.
        "mask-of-the-first-step": ("subset", {"kept": lambda mask, step: mask[:, 0]}),
        "averaged-over-kept-steps": ("scale", {"count": lambda mask: int(np.sum(mask))}),
        "averaged-over-all-steps": ("scale", {"count": np.size}),
        "labels-of-the-step-before": ("wrong-variable axis subset", {
            "picked": lambda labels, step: labels[:, max(step - 1, 0)]}),
        # The decoder's first state is not given back to the encoder.
        "encoder-cut-off": ("zero severed", {"bridge": lambda dh: 0 * dh}),
        "encoder-by-its-last-step": ("chain-term", {
            "encoder_back": lambda d, U: 0 * (d @ U.T)}),
        "recurrent-weights-not-transposed": ("axis", {"decoder_back": lambda d, U: d @ U}),
        "encoder's-slope-forgotten": ("chain-term", {"encoder_slope": lambda h: 1}),
        "softmax's-slope-once-more": ("chain-term diagonal-only", {
            "error": lambda p, t: (p - t) * p * (1 - p)}),
        "upstream-ignored": ("cotangent", {"arriving": one}),
        "weights-assigned-at-every-step": ("unreduced-broadcast", {
            "added": lambda to, value: value}),
    }),
)  # fmt: skip

SUBJECTS = (LANGUAGE, CODED)
"""What is checked."""
