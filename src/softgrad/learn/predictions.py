"""What a linear layer says of rows, a chunk of logits at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from softgrad.arrays import Array
from softgrad.heads.predictions import first_largest
from softgrad.learn.affine import logits
from softgrad.learn.stored_rows import cut_rows
from softgrad.maps import log_softmax

__all__ = ["TopLabels", "by_chunks", "top_classes"]

_MEMORY = 64 * 2**20
"""The bytes that the logits of a chunk, and what is made of them, may take."""


class TopLabels(NamedTuple):
    """The likeliest labels of every row, the likeliest first, and their log-probabilities."""

    labels: Array  # [N, k]
    log_probs: Array  # [N, k]


def by_chunks(
    X: Any,
    theta: Array,
    of_logits: Callable[[Array], tuple[Array, ...]],
    *,
    features: Callable[[Any], Any] = lambda X: X,
    width: int = 1,
) -> Any:
    """Return what a function of logits [n, K] says of all rows: arrays [N, ...].

    Before the linear layer, features are made of rows, with so many numbers at a time.
    """
    N, K = X.shape[0], len(theta)
    found: list[Array] = []
    for rows in cut_rows(X, _MEMORY, 4 * 8 * max(K, width)):
        parts = of_logits(logits(features(X[rows]), theta))
        if not found:
            found = [np.empty((N, *part.shape[1:]), part.dtype) for part in parts]
        for whole, part in zip(found, parts, strict=True):
            whole[rows] = part
    return tuple(found)


def top_classes(z: Array, k: int) -> tuple[Array, Array]:
    """Return the k likeliest classes of rows of logits, and their log-probabilities."""  # [n, k]
    ids = first_largest(z, k)
    return ids, np.take_along_axis(log_softmax(z), ids, axis=-1)
