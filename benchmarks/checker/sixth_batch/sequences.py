"""Connectionist temporal classification, by its messages.

What is wrong here is met in issues of three frameworks that share a formula from a paper.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.sixth_batch.parts import drawn, edited
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]

BLANK, NEVER = 0, -1e4


def _with_blanks(labels: Array) -> Array:
    path = np.full(2 * len(labels) + 1, BLANK)
    path[1::2] = labels
    return path


def _lse(*terms: Any) -> Any:
    stacked = np.stack(terms)
    top = np.max(stacked, axis=0)
    return top + np.log(np.sum(np.exp(stacked - top), axis=0))


def _never(like: Array, count: int) -> Array:
    return np.full(count, NEVER, like.dtype)


def _ways(lp: Array, path: Array) -> Any:
    """Return the log-probability of all ways to every place of the path, at every step [T, L]."""
    skips = (path[2:] != BLANK) & (path[2:] != path[:-2])
    alpha = _never(lp, len(path))
    alpha[:2] = lp[0, path[:2]]
    rows = [alpha]
    for row in lp[1:]:
        stay, move = rows[-1], np.concatenate([_never(lp, 1), rows[-1][:-1]])
        jump = np.where(skips, rows[-1][:-2], _never(lp, len(skips)))
        rows.append(_lse(stay, move, np.concatenate([_never(lp, 2), jump])) + row[path])
    return np.stack(rows)


def _ctc(lp: Array, labels: Array) -> Any:
    """Return −log of what scores [T, K], normalised or not, give to all spellings of labels."""
    return -_lse(*_ways(lp, _with_blanks(labels))[-1, -2:])


def _ctc_backward(
    lp: Array,
    labels: Array,
    g: Array,
    once: Function = lambda both, own: both - own,
    messages: Function = lambda alpha, beta, own: alpha + beta,
    added: Function = lambda to, value: to + value,
    gradient: Function = lambda share, lp, g: -g * share,
    places: Function = lambda path: range(len(path)),
) -> Any:
    path = _with_blanks(labels)
    alpha = _ways(lp, path)
    beta = _ways(lp[::-1], path[::-1])[::-1, ::-1]
    log_total = _lse(*alpha[-1, -2:])
    ways = once(messages(alpha, beta, lp[:, path]), lp[:, path])
    share = np.zeros_like(lp)
    for place in places(path):
        k = path[place]
        share[:, k] = added(share[:, k], np.exp(ways[:, place] - log_total))
    return gradient(share, lp, g)


def _ctc_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    T, K, L = shape
    labels = 1 + (np.arange(L) + rng.integers(K)) % (K - 1)
    labels[1] = labels[0]
    return *drawn(rng, (T, K), scale=scale), labels


CTC = Subject(
    "connectionist-temporal-classification", _ctc, _ctc_backward, _ctc_sample,
    ((4, 3, 2), (5, 4, 2), (6, 3, 3), (9, 6, 4), (20, 12, 6)), scales=(0.3, 1.0, 2.0),
    edits=edited(_ctc_backward, {
        # Issues of three frameworks: the paper's formula is for what goes into softmax.
        "gradient-at-the-logits": ("wrong-variable", {
            "gradient": lambda share, lp, g: g * (np.exp(lp) - share)}),
        # The same formula, and a part that is not multiplied by the upstream.
        "upstream-forgotten-in-a-part": ("cotangent", {
            "gradient": lambda share, lp, g: np.exp(lp) - g * share}),
        "sign-lost": ("sign", {"gradient": lambda share, lp, g: g * share}),
        "gradient-at-the-probabilities": ("wrong-variable chain-term", {
            "gradient": lambda share, lp, g: -g * share / np.exp(lp)}),
        "own-score-counted-twice": ("wrong-variable chain-term", {
            "once": lambda both, own: both}),
        "forward-messages-alone": ("wrong-variable chain-term", {
            "messages": lambda alpha, beta, own: alpha + own}),
        # A symbol is met at several places of the path, the blank always.
        "last-place-of-a-symbol": ("unreduced-broadcast", {"added": lambda to, value: value}),
        "blanks-left-out": ("subset", {"places": lambda path: range(1, len(path), 2)}),
    }),
)  # fmt: skip

SUBJECTS = (CTC,)
"""What is checked."""
