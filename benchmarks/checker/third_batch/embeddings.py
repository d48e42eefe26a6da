"""A bag of embeddings and its classifier."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.numerics import one_hot, softmax
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject
from benchmarks.checker.third_batch.parts import edited, matrix

__all__ = ["SUBJECTS"]


def _bag(E: Array, W: Array, ids: Array, y: Array) -> float:
    """Return the cross entropy of a linear classifier of mean embeddings."""
    N, T = ids.shape
    h = np.zeros((N, E.shape[1]), E.dtype)
    for n in range(N):
        for t in range(T):
            h[n] += E[ids[n, t]] / T
    p = softmax(h @ W)
    return float(-np.log(p[np.arange(N), y]).sum() / N)


def _added(E: Array, ids: Array, dh: Array) -> Array:
    dE = np.zeros_like(E)
    for n in range(ids.shape[0]):
        for t in range(ids.shape[1]):
            dE[ids[n, t]] += dh[n] / ids.shape[1]
    return dE


def _indexed(E: Array, ids: Array, dh: Array) -> Array:
    """Add by fancy indexing, which counts an id that is met twice once."""
    dE = np.zeros_like(E)
    dE[ids] += dh[:, None] / ids.shape[1]
    return dE


_KEPT: dict[Any, Array] = {}
"""A buffer of gradients that nobody clears."""


def _never_cleared(E: Array, ids: Array, dh: Array) -> Array:
    key = (E.shape, E.dtype)
    _KEPT[key] = _KEPT.get(key, np.ones_like(E)) + _added(E, ids, dh)
    return _KEPT[key]


def _bag_backward(
    E: Array,
    W: Array,
    ids: Array,
    y: Array,
    g: Array,
    scattered: Function = _added,
    scored: Function = lambda p, t: p - t,
    count: Function = len,
) -> Any:
    h = E[ids].mean(axis=1)
    d = g * scored(softmax(h @ W), one_hot(y, W)) / count(ids)
    return scattered(E, ids, d @ W.T), h.T @ d


def _bag_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Any, ...]:
    N, T, V, D = shape
    ids = rng.integers(V, size=(N, T))
    ids[1, 0] = ids[0, 0]  # some id is met twice
    return scale * rng.normal(size=(V, D)), matrix(rng, D, 3), ids, np.arange(N) % 3


BAG = Subject(
    "mean-embedding-classifier", _bag, _bag_backward, _bag_sample,
    ((4, 2, 5, 3), (3, 4, 6, 2), (4, 3, 5, 5), (6, 8, 40, 10), (20, 12, 90, 16)),
    scales=(0.3, 1.0, 5.0),
    edits=edited(_bag_backward, {
        "embeddings-assigned": ("unreduced-broadcast", {"scattered": _indexed}),
        "embeddings-not-averaged": ("scale", {
            "scattered": lambda E, ids, dh: ids.shape[1] * _added(E, ids, dh)}),
        "first-token-alone": ("subset chain-term", {
            "scattered": lambda E, ids, dh: _added(E, ids[:, :1], dh) / ids.shape[1]}),
        "padding-row-frozen": ("subset", {
            "scattered": lambda E, ids, dh: _added(E, ids, dh)
            * (np.arange(len(E)) != ids[0, 0])[:, None]}),
        "gradients-never-cleared": ("aliasing", {"scattered": _never_cleared}),
        "label-not-subtracted": ("chain-term subset", {"scored": lambda p, t: p}),
        "averaged-over-tokens-too": ("scale", {"count": np.size}),
    }),
)  # fmt: skip

SUBJECTS = (BAG,)
"""What is checked."""
