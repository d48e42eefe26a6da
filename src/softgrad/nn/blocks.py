"""Many rows, a block at a time: the memory that a network needs grows with the block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from softgrad.arrays import Array
from softgrad.nn.layer import numpy_array

__all__ = ["by_blocks"]

_BLOCK = 4096


def by_blocks(function: Callable[[Array], Array], X: Any, block: int = _BLOCK) -> Array:
    """Apply a function of rows [N, D] to blocks of them, and join what it returns.

    >>> by_blocks(lambda rows: rows + len(rows), [[0.0], [0.0], [0.0]], block=2).tolist()
    [[2.0], [2.0], [1.0]]
    """
    X = numpy_array("X", X)
    if len(X) <= block:
        return function(X)
    return np.concatenate([function(X[i : i + block]) for i in range(0, len(X), block)])
