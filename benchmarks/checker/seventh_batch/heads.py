"""Norms before a softmax head, and heads with several softmaxes.

What is wrong here is met in issues and pull requests on fused norms, in solutions of an exercise
that goes back through batch norm by hand, and in heads written from papers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import log_softmax, mean, one_hot, softmax, total
from benchmarks.checker.seventh_batch.parts import (
    drawn,
    edited,
    ids,
    matrix,
    one,
    softmax_back,
)
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]


def _rms(h: Array) -> Any:
    """Return what rows are multiplied by to have mean square 1."""
    return 1 / np.sqrt(mean(h * h) + 1e-3)


def _stream(x: Array, residual: Array, w: Array, W: Array, y: Array) -> Any:
    """Return the loss of a head on the normalised sum, and the sum itself, which goes on."""
    h = x + residual
    p = softmax((h * _rms(h) * w) @ W.T)
    return -np.mean(np.log(p[np.arange(len(y)), y])), h


def _rms_back(d: Array, h: Array, w: Array, r: Array) -> Any:
    return d * w * r - h * r**3 * mean(d * w * h)


def _after(dh: Array, dstream: Array) -> Any:
    return dh + dstream


def _of_gain(d: Array, dh: Array, h: Array, r: Array) -> Any:
    return np.sum(d * h * r, axis=0)


def _stream_backward(
    x: Array,
    residual: Array,
    w: Array,
    W: Array,
    y: Array,
    cotangents: Any,
    norm: Function = _rms_back,
    before: Function = lambda d, dstream: d,
    after: Function = _after,
    of_gain: Function = _of_gain,
    count: Function = len,
) -> Any:
    g, dstream = cotangents
    h = x + residual
    r = _rms(h)
    normed = h * r * w
    p = softmax(normed @ W.T)
    dlogits = g * (p - one_hot(y, p)) / count(h)
    d = before(dlogits @ W, dstream)
    dh = norm(d, h, w, r)
    into = after(dh, dstream)
    return into, into.copy(), of_gain(d, dh, h, r), dlogits.T @ normed


def _stream_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, K = shape
    x, residual = drawn(rng, (N, D), (N, D), scale=scale)
    return x, residual, 0.7 + 0.4 * rng.normal(size=D), matrix(rng, D, K).T, ids(rng, N, K)


STREAM = Subject(
    "rms-norm-of-a-stream-and-head", _stream, _stream_backward, _stream_sample,
    ((3, 4, 5), (4, 3, 6), (5, 6, 3), (7, 10, 8), (12, 24, 20)), scales=(0.5, 1.0, 3.0),
    extremes=(),
    edits=edited(_stream_backward, {
        # Repaired in a library of kernels: what arrives at the sum is no part of the norm.
        "stream-through-the-norm": ("chain-term wrong-variable", {
            "before": _after, "after": lambda dh, dstream: dh}),
        "stream-dropped": ("cotangent chain-term", {"after": lambda dh, dstream: dh}),
        # A pull request of another: the weight is a factor twice in the second term.
        "gain-twice-in-the-second-term": ("chain-term", {
            "norm": lambda d, h, w, r: d * w * r - h * w * r**3 * mean(d * w * h)}),
        "gain-forgotten": ("chain-term", {
            "norm": lambda d, h, w, r: _rms_back(d, h, 1, r)}),
        "second-term-forgotten": ("chain-term projection-term", {
            "norm": lambda d, h, w, r: d * w * r}),
        "second-term-summed": ("chain-term projection-term", {
            "norm": lambda d, h, w, r: d * w * r - h * r**3 * total(d * w * h)}),
        # Two libraries return None; a third overwrote what arrives before it was used.
        "gain-none": ("severed", {"of_gain": lambda d, dh, h, r: None}),
        "gain-by-what-goes-on": ("wrong-variable", {
            "of_gain": lambda d, dh, h, r: np.sum(dh * h * r, axis=0)}),
        "gain-by-what-is-not-normalised": ("wrong-variable chain-term", {
            "of_gain": lambda d, dh, h, r: np.sum(d * h, axis=0)}),
        "not-averaged": ("scale", {"count": one}),
    }),
)  # fmt: skip


def _statistics(z: Array) -> tuple[Any, Any, Any]:
    """Return columns less their mean, their variance (of n − 1), and its inverse root."""
    n = len(z)
    diff = z - np.sum(z, axis=0, keepdims=True) / n
    var = np.sum(diff**2, axis=0, keepdims=True) / (n - 1)
    return diff, var, (var + 1e-3) ** -0.5


def _letters(x: Array, W1: Array, gain: Array, bias: Array, W2: Array, b2: Array, y: Array) -> Any:
    """Return the mean cross entropy of a linear layer, batch norm, tanh, and a head."""
    diff, _, var_inv = _statistics(x @ W1)
    h = np.tanh(gain * (diff * var_inv) + bias)
    return -np.mean(log_softmax(h @ W2 + b2)[np.arange(len(y)), y])


def _letters_backward(
    x: Array,
    W1: Array,
    gain: Array,
    bias: Array,
    W2: Array,
    b2: Array,
    y: Array,
    g: Array,
    slope: Function = lambda h, hpre: 1 - h**2,
    dvar: Function = lambda dvar_inv, var: -0.5 * (var + 1e-3) ** -1.5 * dvar_inv,
    degrees: Function = lambda n: n - 1,
    square: Function = lambda diff: 2 * diff,
    both: Function = lambda first, second: first + second,
    mean_path: Function = lambda ddiff, n: -np.sum(ddiff, axis=0, keepdims=True) / n,
    gathered: Function = lambda d: np.sum(d, axis=0, keepdims=True),
    through_gain: Function = lambda d, gain: d * gain,
    to_logits: Function = lambda p, t, n: (p - t) / n,
) -> Any:
    n = len(x)
    diff, var, var_inv = _statistics(x @ W1)
    raw = diff * var_inv
    hpre = gain * raw + bias
    h = np.tanh(hpre)
    p = softmax(h @ W2 + b2)
    dlogits = g * to_logits(p, one_hot(y, p), n)
    dhpre = (dlogits @ W2.T) * slope(h, hpre)
    draw = through_gain(dhpre, gain)
    dvar_inv = np.sum(draw * diff, axis=0, keepdims=True)
    dsquares = dvar(dvar_inv, var) / degrees(n) + 0 * diff
    ddiff = both(draw * var_inv, square(diff) * dsquares)
    dz = ddiff + mean_path(ddiff, n)
    return (
        dz @ W1.T, x.T @ dz, gathered(dhpre * raw), gathered(dhpre), h.T @ dlogits,
        np.sum(dlogits, axis=0),
    )  # fmt: skip


def _at_once(*arguments: Any) -> Any:
    """Go back through batch norm in one line."""
    x, W1, gain, bias, W2, b2, y, g = arguments
    answers = _letters_backward(*arguments)
    diff, _, var_inv = _statistics(x @ W1)
    h = np.tanh(gain * (diff * var_inv) + bias)
    p = softmax(h @ W2 + b2)
    draw = (g * (p - one_hot(y, p)) / len(x)) @ W2.T * (1 - h**2) * gain
    dz = var_inv * (draw - mean(draw, 0))
    dz = dz - diff * var_inv**3 * total(draw * diff, 0) / (len(x) - 1)
    return dz @ W1.T, x.T @ dz, *answers[2:]


def _letters_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, H, K = shape
    x, bias, b2 = drawn(rng, (N, D), (1, H), (K,), scale=scale)
    gain = 1 + 0.3 * rng.normal(size=(1, H))
    return x, matrix(rng, D, H), gain, bias, matrix(rng, H, K), b2, ids(rng, N, K)


LETTERS = Subject(
    "batch-norm-tanh-and-head-by-hand", _letters, _letters_backward, _letters_sample,
    ((4, 3, 2, 5), (5, 2, 4, 3), (6, 4, 3, 5), (9, 6, 5, 7), (20, 10, 12, 9)),
    scales=(0.5, 1.0, 1.5), extremes=(), also_right={"in one line": _at_once},
    edits=edited(_letters_backward, {
        # The exercise's stumbling blocks: what is used twice, what was broadcast, n − 1.
        "variance's-path-written-over": ("chain-term projection-term", {
            "both": lambda first, second: first}),
        "mean's-path-forgotten": ("chain-term projection-term", {
            "mean_path": lambda ddiff, n: 0}),
        "mean's-path-not-averaged": ("chain-term projection-term", {
            "mean_path": lambda ddiff, n: -np.sum(ddiff, axis=0, keepdims=True)}),
        "variance-of-n": ("scale chain-term projection-term", {"degrees": lambda n: n}),
        "square's-2-forgotten": ("scale chain-term projection-term", {"square": lambda diff: diff}),
        "inverse-root's-sign": ("sign chain-term projection-term", {
            "dvar": lambda d, var: 0.5 * (var + 1e-3) ** -1.5 * d}),
        "inverse-root's-power": ("chain-term projection-term", {
            "dvar": lambda d, var: -0.5 * (var + 1e-3) ** -0.5 * d}),
        "gain-and-bias-per-sample": ("unreduced-broadcast", {"gathered": lambda d: d}),
        "gain-forgotten": ("chain-term", {"through_gain": lambda d, gain: d}),
        "slope-by-what-goes-into-tanh": ("wrong-variable", {
            "slope": lambda h, hpre: 1 - hpre**2}),
        "label-not-subtracted": ("subset chain-term", {"to_logits": lambda p, t, n: p / n}),
    }),
)  # fmt: skip


def _mixed(a: Array, z: Array, y: Array) -> Any:
    """Return the mean loss of a mixture of softmaxes: weights a [N, M], logits z [N, M, K]."""
    own = softmax(z)[np.arange(len(y)), :, y]
    return -np.mean(np.log(np.sum(softmax(a) * own, axis=1)))


def _mixed_backward(
    a: Array,
    z: Array,
    y: Array,
    g: Array,
    share: Function = lambda prior, own: prior * own / total(prior * own),
    gate: Function = lambda prior, r: prior - r,
    expert: Function = lambda r, prior: r,
    rule: Function = lambda p, t: p - t,
    count: Function = lambda z: len(z),
) -> Any:
    prior, p = softmax(a), softmax(z)
    own = p[np.arange(len(y)), :, y]
    t = one_hot(y, z[:, 0])[:, None] + 0 * z
    r, d = share(prior, own), g / count(z)
    return d * gate(prior, r), d * expert(r, prior)[..., None] * rule(p, t)


def _by_probabilities(a: Array, z: Array, y: Array, g: Array) -> Any:
    """Go back through the two softmaxes one after the other."""
    prior, p = softmax(a), softmax(z)
    t = one_hot(y, z[:, 0])[:, None] + 0 * z
    own = np.sum(p * t, axis=2)
    d = -g / total(prior * own) / len(z)
    return softmax_back(prior, d * own), softmax_back(p, (d * prior)[..., None] * t)


def _mixed_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, M, K = shape
    return *drawn(rng, (N, M), shape, scale=scale), ids(rng, N, K)


MIXED = Subject(
    "mixture-of-softmaxes", _mixed, _mixed_backward, _mixed_sample,
    ((3, 2, 4), (4, 3, 5), (2, 4, 3), (6, 3, 12), (10, 5, 30)), scales=(0.3, 1.0, 3.0),
    also_right={"by probabilities": _by_probabilities},
    edits=edited(_mixed_backward, {
        "priors-for-responsibilities": ("wrong-variable", {"expert": lambda r, prior: prior}),
        "responsibilities-forgotten": ("chain-term", {"expert": lambda r, prior: 0 * r + 1}),
        "responsibilities-not-normalised": ("chain-term", {
            "share": lambda prior, own: prior * own}),
        "gate-reversed": ("sign", {"gate": lambda prior, r: r - prior}),
        "gate-by-responsibilities-alone": ("projection-term chain-term", {
            "gate": lambda prior, r: -r}),
        "gate-not-learnt": ("zero", {"gate": lambda prior, r: 0 * r}),
        "label-not-subtracted": ("subset chain-term", {"rule": lambda p, t: p}),
        "averaged-over-experts-too": ("scale", {"count": lambda z: z.shape[0] * z.shape[1]}),
    }),
)  # fmt: skip

FREQUENT = 3


def _short_list(h: Array, W: Array, P: Array, U: Array, y: Array) -> Any:
    """Return the mean loss of words, of which the rare ones have a softmax of their own.

    W [FREQUENT + 1, D] scores frequent words and "a rare one"; U [R, d] rare words, from h P.
    """
    rare = y >= FREQUENT
    rows = np.arange(len(y))
    loss = -log_softmax(h @ W.T)[rows, np.minimum(y, FREQUENT)]
    own = log_softmax(h @ P @ U.T)[rows, np.where(rare, y - FREQUENT, 0)]
    return np.sum(loss - np.where(rare, own, 0 * own)) / len(y)


def _short_list_backward(
    h: Array,
    W: Array,
    P: Array,
    U: Array,
    y: Array,
    g: Array,
    head_rows: Function = lambda rare: 1,
    tail_rows: Function = lambda rare: rare[:, None],
    tail_word: Function = lambda y: np.maximum(y - FREQUENT, 0),
    tail_count: Function = lambda rare: len(rare),
    head_softmax: Function = softmax,
    hidden: Function = lambda by_head, by_tail: by_head + by_tail,
    count: Function = len,
) -> Any:
    rare = (y >= FREQUENT).astype(h.dtype)
    p = head_softmax(h @ W.T)
    d_head = g * (p - one_hot(np.minimum(y, FREQUENT), p)) * head_rows(rare) / count(y)
    low = h @ P
    q = softmax(low @ U.T)
    d_tail = g * (q - one_hot(tail_word(y), q)) * tail_rows(rare) / tail_count(rare)
    d_low = d_tail @ U
    return hidden(d_head @ W, d_low @ P.T), d_head.T @ h, h.T @ d_low, d_tail.T @ low


def _frequent_alone(z: Array) -> Any:
    """Normalise among the frequent words, without the rare ones' place."""
    p = softmax(z[:, :FREQUENT])
    return np.concatenate([p, softmax(z)[:, FREQUENT:]], axis=1)


def _short_list_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, D, d, R = shape
    y = np.arange(N) * 2 % (FREQUENT + R)
    h, U = drawn(rng, (N, D), (R, d), scale=scale)
    return h, matrix(rng, D, FREQUENT + 1).T, matrix(rng, D, d), U, y


SHORT_LIST = Subject(
    "adaptive-softmax-with-rare-words", _short_list, _short_list_backward, _short_list_sample,
    ((4, 3, 2, 4), (5, 4, 3, 5), (6, 3, 2, 3), (9, 8, 4, 12), (20, 12, 6, 30)),
    scales=(0.3, 1.0, 2.0),
    edits=edited(_short_list_backward, {
        "rare-words-not-in-the-head": ("subset chain-term", {
            "head_rows": lambda rare: 1 - rare[:, None]}),
        "tail-learnt-from-all-words": ("subset", {"tail_rows": lambda rare: 1}),
        "rare-words-not-shifted": ("wrong-variable subset", {
            "tail_word": lambda y: y}),
        "tail-averaged-over-rare-words": ("scale chain-term", {"tail_count": np.sum}),
        "head-without-the-rare-ones'-place": ("wrong-variable", {
            "head_softmax": _frequent_alone}),
        "hidden-by-the-head-alone": ("chain-term subset", {"hidden": lambda head, tail: head}),
        "head-not-averaged": ("scale chain-term", {"count": one}),
    }),
)  # fmt: skip

SUBJECTS = (STREAM, LETTERS, MIXED, SHORT_LIST)
"""What is checked."""
