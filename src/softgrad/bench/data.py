"""Inputs: random float32 rows, the first of which are confident, with 1 − p of 1e-9."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "CONFIDENT",
    "Floats",
    "HeadInputs",
    "Logits",
    "head_inputs",
    "logits",
    "row_blocks",
]

CONFIDENT = slice(0, 8)
"""Rows on which the usual formulas lose every digit of a float32 gradient."""

_LOG_ODDS = float(np.log(1e9))

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Logits:
    """Rows of logits with their labels, and a cotangent."""

    z: Floats  # [N, K]
    y: Integers  # [N]
    p_bar: Floats  # [N, K]


@dataclass(frozen=True, eq=False)
class HeadInputs:
    """What a linear layer and the labels of its rows are."""

    x: Floats  # [N, D]
    W: Floats  # [K, D]
    y: Integers  # [N]
    b: Floats  # [K]


def logits(N: int, K: int, seed: int = 0) -> Logits:
    """Return logits of spread 3; a confident row's label has the odds 1e9 : 1."""
    rng = np.random.default_rng(seed)
    z, p_bar = _normal(rng, 3.0, N, K), _normal(rng, 1.0, N, K)
    y = rng.integers(0, K, N)
    for row, label in zip(z[CONFIDENT], y, strict=False):
        row[label] = -np.inf
        row[label] = np.logaddexp.reduce(row.astype(np.float64)) + _LOG_ODDS
    return Logits(z, y, p_bar)


def head_inputs(N: int, D: int, K: int, seed: int = 0) -> HeadInputs:
    """Return a layer whose logits have spread 2; a confident x lies along its label's weights.

    No array larger than the inputs is made, so that a measurement of memory sees the head alone.
    """
    rng = np.random.default_rng(seed)
    x, W, b = _normal(rng, 2.0, N, D), _normal(rng, D**-0.5, K, D), _normal(rng, 0.5, K)
    y = rng.integers(0, K, N)
    for row, label in zip(x[CONFIDENT], y, strict=False):
        row[:] = W[label] * _confident_length(W @ W[label], b, label)
    return HeadInputs(x, W, y, b)


def row_blocks(N: int, K: int) -> Iterator[slice]:
    """Yield blocks of rows small enough to compute with in float64."""
    step = max(1, (1 << 21) // K)
    for start in range(0, N, step):
        yield slice(start, start + step)


def _confident_length(products: Floats, b: Floats, label: int) -> float:
    """Return c for which the logits c·(W w) + b have the odds 1e9 : 1 for the label."""
    products, b, c = products.astype(np.float64), b.astype(np.float64), 1.0
    for _ in range(20):  # c settles: it is a contraction
        others = c * products + b
        others[label] = -np.inf
        top = others.max()
        logsumexp = top + np.log(np.exp(others - top).sum())
        c = (logsumexp + _LOG_ODDS - b[label]) / products[label]
    return float(c)


def _normal(rng: np.random.Generator, spread: float, *shape: int) -> npt.NDArray[np.float32]:
    array = rng.standard_normal(shape, dtype=np.float32)
    array *= np.float32(spread)
    return array
