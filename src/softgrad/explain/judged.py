"""Rows with their classes, and what a model says of them: at the end, and on the way there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Judged", "OnTheWay"]

_MOST_FOLLOWED = 500
_MOST_NUMBERS = 1_000_000
"""Probabilities that one moment of a training may keep."""


@dataclass(frozen=True, eq=False)
class OnTheWay:
    """Some rows, followed through a training.

    Parameters
    ----------
    rows : int array [F]
        Their places.
    epochs : tuple of int, length E
        After which they were looked at, rising; 0 is before the first step.
    probabilities : array [E, F, K]
    """

    rows: NDArray[np.intp]
    epochs: tuple[int, ...]
    probabilities: NDArray[np.float64]

    @staticmethod
    def followed(rows: int, classes: int, seed: int) -> NDArray[np.intp]:
        """Choose the places of the rows to follow: all of them, where they are few."""
        most = max(1, min(_MOST_FOLLOWED, _MOST_NUMBERS // classes))
        if rows <= most:
            return np.arange(rows)
        return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


@dataclass(frozen=True, eq=False)
class Judged:
    """Rows that a model was asked about.

    Parameters
    ----------
    are : str
        What rows they are, such as "validation rows".
    numbers : int array [N]
        Their numbers in the data, from 1.
    X : array [N, D]
        Their features, as they are in the data.
    y : int array [N]
    probabilities : array [N, K]
    classes : tuple of str, length K
    features : tuple of str, length D
    on_the_way : OnTheWay or None
        Where nobody followed them, None.
    """

    are: str
    numbers: NDArray[Any]
    X: NDArray[Any]
    y: NDArray[Any]
    probabilities: NDArray[np.float64]
    classes: tuple[str, ...]
    features: tuple[str, ...]
    on_the_way: OnTheWay | None = None

    @property
    def sums_to_one(self) -> bool:
        """Whether a row's probabilities are one distribution; those of sigmoid heads are not."""
        sums = self.probabilities.sum(axis=1)
        return bool(np.isfinite(sums).all() and (np.abs(sums - 1) < 1e-3).all())

    @property
    def predicted(self) -> NDArray[np.intp]:
        """The likeliest class of every row [N]."""
        return np.asarray(self.probabilities.argmax(axis=1))
