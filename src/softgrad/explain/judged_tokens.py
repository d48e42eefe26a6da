"""Places in a text, and what a language model expects there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["JudgedTokens"]


@dataclass(frozen=True, eq=False)
class JudgedTokens:
    """Tokens of a text that a model was asked about, each from those before it.

    Parameters
    ----------
    before : tuple of str, length N
        The text before each.
    tokens : tuple of str, length N
    probabilities : array [N]
        Of the tokens that stand there.
    likeliest : tuple of tuples of str, [N][k]
        The tokens that the model expects, the likeliest first.
    their_probabilities : array [N, k]
    """

    before: tuple[str, ...]
    tokens: tuple[str, ...]
    probabilities: NDArray[np.float64]
    likeliest: tuple[tuple[str, ...], ...]
    their_probabilities: NDArray[np.float64]

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether the likeliest token is the one that stands there [N]."""
        pairs = zip(self.tokens, self.likeliest, strict=True)
        return np.array([token == expected[0] for token, expected in pairs])

    @property
    def certainty(self) -> NDArray[Any]:
        """The probability of the likeliest token [N]."""
        return np.asarray(self.their_probabilities[:, 0])
