"""A recurrent network of characters, and its loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import softmax
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject
from benchmarks.checker.third_batch.parts import drawn, edited, matrix

__all__ = ["SUBJECTS"]


def _states(xs: Array, h: Array, Wxh: Array, Whh: Array, bh: Array) -> Array:
    hs = np.zeros((len(xs) + 1, len(h)), h.dtype)
    hs[0] = h
    for t in range(len(xs)):
        hs[t + 1] = np.tanh(Wxh[:, xs[t]] + np.dot(Whh, hs[t]) + bh)
    return hs


def _characters(
    h: Array, Wxh: Array, Whh: Array, Why: Array, bh: Array, xs: Array, ys: Array
) -> float:
    """Return the summed cross entropy of the next characters."""
    loss = 0.0
    hs = _states(xs, h, Wxh, Whh, bh)
    for t in range(len(xs)):
        loss = loss - np.log(softmax(np.dot(Why, hs[t + 1]))[ys[t]])
    return float(loss)


def _characters_backward(
    h: Array,
    Wxh: Array,
    Whh: Array,
    Why: Array,
    bh: Array,
    xs: Array,
    ys: Array,
    g: Array,
    dh_next: Function = lambda Whh, raw, dh: np.dot(Whh.T, raw),
    slope: Function = lambda h: 1 - h * h,
    before: Function = lambda hs, t: hs[t],
    added: Function = lambda to, value: to + value,
    one: Function = lambda: 1,
    clipped: Function = lambda d: d,
) -> Any:
    hs = _states(xs, h, Wxh, Whh, bh)
    dWxh, dWhh, dWhy, dbh = (np.zeros_like(p) for p in (Wxh, Whh, Why, bh))
    dhnext = np.zeros_like(h)
    for t in reversed(range(len(xs))):
        dy = softmax(np.dot(Why, hs[t + 1]))
        dy[ys[t]] -= one()
        dWhy += np.outer(dy, hs[t + 1])
        dh = np.dot(Why.T, dy) + dhnext
        raw = slope(hs[t + 1]) * dh
        dbh += raw
        dWxh[:, xs[t]] = added(dWxh[:, xs[t]], raw)
        dWhh = added(dWhh, np.outer(raw, before(hs, t)))
        dhnext = dh_next(Whh, raw, dh)
    return tuple(clipped(g * d) for d in (dhnext, dWxh, dWhh, dWhy, dbh))


def _text(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    T, V, H = shape
    h, Wxh, bh = drawn(rng, (H,), (H, V), (H,), scale=scale)
    xs, ys = (np.arange(T) * 2 + rng.integers(V)) % V, rng.integers(V, size=T)
    xs[0] = xs[1]  # some character comes twice
    return h, Wxh, matrix(rng, H, H), matrix(rng, H, V).T, bh, xs, ys


CHARACTERS = Subject(
    "character-rnn-loss", _characters, _characters_backward, _text,
    ((3, 4, 2), (4, 5, 3), (5, 4, 3), (8, 20, 10), (12, 30, 16)), scales=(0.3, 1.0), extremes=(),
    edits=edited(_characters_backward, {
        "dhnext-forgotten": ("chain-term", {"dh_next": lambda Whh, raw, dh: 0 * dh}),
        "dhnext-before-the-slope": ("chain-term", {
            "dh_next": lambda Whh, raw, dh: np.dot(Whh.T, dh)}),
        "Whh-not-transposed": ("axis", {"dh_next": lambda Whh, raw, dh: np.dot(Whh, raw)}),
        "tanh's-slope-forgotten": ("chain-term", {"slope": lambda h: 1}),
        "tanh's-slope-not-squared": ("chain-term wrong-variable", {"slope": lambda h: 1 - h}),
        "Whh-from-the-state-after": ("wrong-variable axis", {"before": lambda hs, t: hs[t + 1]}),
        "weights-assigned": ("unreduced-broadcast", {"added": lambda to, value: value}),
        "label-not-subtracted": ("chain-term subset", {"one": lambda: 0}),
        "gradients-clipped": ("cotangent", {"clipped": lambda d: np.clip(d, -0.05, 0.05)}),
    }),
)  # fmt: skip

SUBJECTS = (CHARACTERS,)
"""What is checked."""
