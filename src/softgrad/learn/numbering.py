"""Labels that come block after block, numbered in the order in which they first come."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from softgrad.arrays import Array

__all__ = ["Numbering"]


class Numbering:
    """Each label once, and for every row the number of its label.

    >>> labels = Numbering()
    >>> labels.add(["b", "a"], np.array([0, 0, 1]))
    >>> labels.add(["a", "c"], np.array([0, 1]))
    >>> labels.found, labels.rows()
    (['b', 'a', 'c'], array([0, 0, 1, 1, 2]))
    """

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}
        self._blocks: list[npt.NDArray[np.int64]] = []

    def add(self, labels: list[Any], positions: Array) -> None:
        """Take the labels of a block, and for each of its rows a position among them."""
        numbers = [self._numbers.setdefault(label, len(self._numbers)) for label in labels]
        self._blocks.append(np.array(numbers, dtype=np.int64)[positions])

    def among(self, everyone: Iterable[Any]) -> Numbering:
        """Return it with numbers among the labels of all: those that are there, and its own."""
        wide = Numbering()
        wide.add(list(everyone), np.empty(0, np.int64))
        wide.add(self.found, self.rows())
        return wide

    @property
    def found(self) -> list[Any]:
        """The labels [K]."""
        return list(self._numbers)

    def rows(self) -> npt.NDArray[np.int64]:
        """Return the number of every row's label, as an index into `found`: [N]."""
        return np.concatenate([np.empty(0, np.int64), *self._blocks])
