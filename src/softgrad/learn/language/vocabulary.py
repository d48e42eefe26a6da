"""The types of token that a model knows, and how often each was seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
import numpy.typing as npt

from softgrad.arrays import Array, describe
from softgrad.errors import mismatch
from softgrad.nn.arguments import check_names

__all__ = ["END", "SPECIAL", "UNKNOWN", "Ids", "Vocabulary"]

Ids = npt.NDArray[np.int32]

UNKNOWN, END = 0, 1
SPECIAL = ("<unknown>", "<end>")
"""What stands for every other token, and between two files; no text has such tokens."""


@final
@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Types of token, the special ones first, and how often each was seen in training.

    Parameters
    ----------
    types : tuple of str, length V
        ``("<unknown>", "<end>", …)``, each once.
    counts : int64 [V]
        Not negative.

    Raises
    ------
    TypeError, ValueError
        The parts are no such things.

    Examples
    --------
    >>> vocabulary = Vocabulary(("<unknown>", "<end>", "x", " +"), np.array([1, 2, 9, 4]))
    >>> vocabulary.ids(["x", " +", " y"])
    array([2, 3, 0], dtype=int32)
    """

    types: tuple[str, ...]
    counts: Array

    def __post_init__(self) -> None:
        check_names("types", self.types)
        if self.types[:2] != SPECIAL or len(set(self.types)) < len(self.types):
            expected = f"{SPECIAL[0]!r}, {SPECIAL[1]!r} and other types, each once"
            raise ValueError(mismatch("types", expected, f"{self.types[:3]} …"))
        counts, shape = self.counts, (len(self.types),)
        whole = isinstance(counts, np.ndarray) and counts.dtype == np.int64
        if not whole or counts.shape != shape or counts.min() < 0:
            expected = f"an int64 array of shape {shape}, not negative"
            raise ValueError(mismatch("counts", expected, describe(counts)))

    def __len__(self) -> int:
        return len(self.types)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {token: i for i, token in enumerate(self.types)}

    def ids(self, tokens: Iterable[str]) -> Ids:
        """Return the ids of tokens; those of no type are `UNKNOWN`."""
        return np.array([self._places.get(token, UNKNOWN) for token in tokens], np.int32)

    def unigram(self) -> Array:
        """Return how likely each type is where nothing else is known: (count + 1)/Σ."""  # [V]
        shares = self.counts + 1.0
        return shares / shares.sum()


def choose_types(
    seen: Sequence[str], counts: Array, min_count: int, max_types: int
) -> tuple[Vocabulary, Ids]:
    """Keep the most frequent types.

    Takes all types that were seen, the special ones first, and their counts. Returns the vocabulary
    and, for every type that was seen, its id there: the rest are `UNKNOWN`, and count as that.
    """
    order = np.argsort(-counts, kind="stable")  # of equals the one that was seen first
    order = order[(order >= len(SPECIAL)) & (counts[order] >= min_count)]
    kept = np.concatenate([np.arange(len(SPECIAL)), order])[:max_types]
    places = np.full(len(seen), UNKNOWN, np.int32)
    places[kept] = np.arange(len(kept))
    sums = np.bincount(places, weights=counts, minlength=len(kept)).astype(np.int64)
    return Vocabulary(tuple(seen[i] for i in kept), sums), places
