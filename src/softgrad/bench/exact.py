"""The gate: how far an answer is from the one in float64."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["TOLERANCE", "Errors", "Exact", "errors"]

TOLERANCE = 1e-4
"""More than any right float32 answer is off by, less than any wrong one."""

_BLOCK = 1 << 20  # entries: the differences of a large answer are never stored whole


@dataclass(frozen=True, eq=False)
class Exact:
    """An answer in float64, and where its confident rows are."""

    arrays: tuple[npt.NDArray[np.float64], ...]
    confident_in: int
    """Which of the arrays has a row for each row of the input."""
    confident: slice
    """The rows on which the model is sure: 1 − p is 1e-9."""


@dataclass(frozen=True)
class Errors:
    """How far an answer is off."""

    largest: float
    """The largest difference, relative to the largest entry of its array."""
    confident: float
    """The same of every confident row alone; the worst of them."""

    def passes(self, role: str) -> bool:
        """Tell whether the answer may be timed; what is our own is right on every row."""
        worst = max(self.largest, self.confident) if role == "ours" else self.largest
        return worst <= TOLERANCE and self.largest == self.largest


def errors(answer: Sequence[Any], exact: Exact) -> Errors:
    """Compare an answer of any library with the exact one; shapes must be the same.

    Raises
    ------
    ValueError
        The answer has another number of arrays, or another shape.
    """
    arrays = [np.asarray(array) for array in answer]
    shapes, expected = ([a.shape for a in group] for group in (arrays, exact.arrays))
    if shapes != expected:
        raise ValueError(f"the answer must have the shapes {expected}, got {shapes}")
    largest = [_relative(a, e) for a, e in zip(arrays, exact.arrays, strict=True)]
    rows = exact.arrays[exact.confident_in][exact.confident]
    ours = arrays[exact.confident_in][exact.confident]
    confident = [_relative(a, e) for a, e in zip(ours, rows, strict=True)]
    return Errors(float(np.max(largest)), float(np.max(confident)))


def _relative(answer: npt.NDArray[Any], exact: npt.NDArray[np.float64]) -> float:
    """Return the largest difference relative to the largest entry; NaN where there is one."""
    difference = np.max([np.abs(a - e).max() for a, e in _blocks(answer, exact)])
    return float(difference / np.max([np.abs(e).max() for (e,) in _blocks(exact)]))


def _blocks(*arrays: npt.NDArray[Any]) -> Iterator[tuple[npt.NDArray[Any], ...]]:
    """Yield the same part of all the arrays, a block of rows at a time."""
    if arrays[0].ndim == 0:
        yield arrays
        return
    step = max(1, _BLOCK * len(arrays[0]) // max(1, arrays[0].size))
    for start in range(0, len(arrays[0]), step):
        yield tuple(array[start : start + step] for array in arrays)
