"""Losses of pairs, of ranks and of times."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject
from benchmarks.checker.third_batch.parts import drawn, edited, sigmoid

__all__ = ["SUBJECTS"]

MARGIN = 2.0


def _triplets(a: Array, p: Array, n: Array) -> float:
    """Return the mean of max(0, |a − p|² − |a − n|² + margin)."""
    a, p, n = (np.asarray(v) for v in (a, p, n))
    loss = 0
    for i in range(len(a)):
        near, far = ((a[i] - p[i]) ** 2).sum(), ((a[i] - n[i]) ** 2).sum()
        loss = loss + np.maximum(near - far + MARGIN, 0)
    return float(loss / len(a))


def _over(a: Array, p: Array, n: Array) -> Array:
    near, far = ((a - p) ** 2).sum(axis=1), ((a - n) ** 2).sum(axis=1)
    return np.asarray((near - far + MARGIN > 0)[:, None])


def _triplets_backward(
    a: Array,
    p: Array,
    n: Array,
    g: Array,
    active: Function = _over,
    anchor: Function = lambda a, p, n: 2 * (n - p),
    positive: Function = lambda a, p: -2 * (a - p),
    negative: Function = lambda a, n: 2 * (a - n),
    count: Function = len,
) -> Any:
    m = g * active(a, p, n) / count(a)
    return m * anchor(a, p, n), m * positive(a, p), m * negative(a, n)


def _triplets_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    """Return triplets of which every other one is far enough."""
    a, p = drawn(rng, shape, shape, scale=scale)
    near, far = 0.5 * (p - a)[:, ::-1], np.abs(p - a) + MARGIN
    return a, p, a + np.where(np.arange(len(a))[:, None] % 2, far, near)


TRIPLETS = Subject(
    "triplet-loss", _triplets, _triplets_backward, _triplets_sample,
    ((4, 3), (5, 4), (5, 5), (8, 17), (20, 40)), scales=(0.1, 0.3, 1.0),
    edits=edited(_triplets_backward, {
        "always-active": ("subset chain-term", {"active": lambda a, p, n: 1}),
        "anchor's-negative-forgotten": ("chain-term", {"anchor": lambda a, p, n: 2 * (a - p)}),
        "anchor-detached": ("zero", {"anchor": lambda a, p, n: 0 * a}),
        "anchor-reversed": ("sign", {"anchor": lambda a, p, n: 2 * (p - n)}),
        "factor-2-forgotten": ("scale", {
            "anchor": lambda a, p, n: n - p, "positive": lambda a, p: p - a,
            "negative": lambda a, n: a - n}),
        "positive-like-negative": ("sign", {"positive": lambda a, p: 2 * (a - p)}),
        "not-averaged": ("scale", {"count": lambda a: 1}),
    }),
)  # fmt: skip


def _preferred(s: Array, wins: Array) -> float:
    """Return −mean log σ(s_i − s_j) over the pairs i ≻ j."""
    loss = 0.0
    for i, j in wins:
        loss += np.logaddexp(0 * s[0], s[j] - s[i])
    return float(loss / len(wins))


def _both(ds: Array, wins: Array, d: Array) -> None:
    np.add.at(ds, wins[:, 0], -d)
    np.add.at(ds, wins[:, 1], d)


def _fancy(ds: Array, wins: Array, d: Array) -> None:
    """Add by fancy indexing, which keeps the last of several."""
    ds[wins[:, 0]] -= d
    ds[wins[:, 1]] += d


def _winners(ds: Array, wins: Array, d: Array) -> None:
    np.add.at(ds, wins[:, 0], -d)


def _alike(ds: Array, wins: Array, d: Array) -> None:
    np.add.at(ds, wins[:, 0], -d)
    np.add.at(ds, wins[:, 1], -d)


def _swapped(ds: Array, wins: Array, d: Array) -> None:
    _both(ds, wins[:, ::-1], d)


def _preferred_backward(
    s: Array,
    wins: Array,
    g: Array,
    slope: Function = lambda gap: sigmoid(-gap),
    added: Function = _both,
    count: Function = len,
) -> Any:
    ds = np.zeros_like(s)
    added(ds, wins, g * slope(s[wins[:, 0]] - s[wins[:, 1]]) / count(wins))
    return ds


def _wins(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    (K,) = shape
    first = rng.integers(K, size=2 * K)
    second = (first + 1 + rng.integers(K - 1, size=2 * K)) % K
    return scale * rng.normal(size=K), np.stack([first, second], axis=1)


PREFERRED = Subject(
    "pairwise-preference-loss", _preferred, _preferred_backward, _wins,
    ((4,), (5,), (7,), (40,), (200,)), scales=(0.3, 1.0, 5.0),
    edits=edited(_preferred_backward, {
        "losers-forgotten": ("chain-term", {"added": _winners}),
        "losers-like-winners": ("chain-term sign", {"added": _alike}),
        "winners-and-losers-swapped": ("sign", {"added": _swapped}),
        "repeated-items-assigned": ("unreduced-broadcast", {"added": _fancy}),
        "one-minus-forgotten": ("wrong-variable chain-term", {"slope": sigmoid}),
        "sigmoid's-own-slope": ("wrong-variable chain-term", {
            "slope": lambda gap: sigmoid(gap) * sigmoid(-gap)}),
        "slope-forgotten": ("chain-term", {"slope": np.ones_like}),
        "averaged-over-items": ("scale", {"count": lambda wins: len(wins) // 2}),
    }),
)  # fmt: skip


def _survived(r: Array, event: Array) -> float:
    """Return −Σ (r_i − log Σ_{j ≥ i} exp r_j) over the events, of risks in order of time."""
    top = r.max()
    at_risk = np.cumsum(np.exp(r - top)[::-1])[::-1]
    loss = 0.0
    for i in range(len(r)):
        if event[i]:
            loss = loss - (r[i] - top - np.log(at_risk[i]))
    return float(loss)


def _survived_backward(
    r: Array,
    event: Array,
    g: Array,
    at_risk: Function = lambda e: np.cumsum(e[::-1])[::-1],
    before: Function = np.cumsum,
    kept: Function = lambda event: event,
    own: Function = lambda event: event,
) -> Any:
    e = np.exp(r - r.max())
    shares = (kept(event) / at_risk(e)).astype(r.dtype)
    return g * (e * before(shares) - own(event)).astype(r.dtype)


def _events(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    (N,) = shape
    return scale * rng.normal(size=N), (np.arange(N) % 3 != 1).astype(np.int64)


SURVIVED = Subject(
    "partial-likelihood-of-survival", _survived, _survived_backward, _events,
    ((4,), (5,), (8,), (40,), (300,)), scales=(0.3, 1.0, 4.0),
    edits=edited(_survived_backward, {
        "censoring-forgotten": ("subset", {
            "kept": np.ones_like, "own": np.ones_like}),
        "censored-in-the-risk-terms": ("subset chain-term", {"kept": np.ones_like}),
        "risk-sets-reversed": ("axis", {"at_risk": np.cumsum}),
        "risk-sets-of-all": ("wrong-variable", {"at_risk": lambda e: e.sum() + 0 * e}),
        "own-time-alone": ("chain-term unreduced-broadcast", {"before": lambda shares: shares}),
        "later-for-earlier-events": ("axis", {"before": lambda s: np.cumsum(s[::-1])[::-1]}),
        "risk-terms-forgotten": ("chain-term", {"before": lambda shares: 0 * shares}),
        "own-risk-forgotten": ("chain-term subset", {"own": lambda event: 0}),
    }),
)  # fmt: skip


SUBJECTS = (TRIPLETS, PREFERRED, SURVIVED)
"""What is checked."""
