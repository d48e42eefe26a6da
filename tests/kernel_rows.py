"""How tests run a compiled row kernel: on poisoned memory with guards behind it."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["CLASSES", "DTYPES", "ROWS", "pieces_of", "sources_of", "target_of"]

CLASSES = (1, 2, 10, 63, 64, 65, 127, 1000)
ROWS = (1, 63, 64, 65, 130)
DTYPES = (np.float32, np.float64)

GUARDS = 70
GUARD = 77


def sources_of(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """Copy arrays [N, K] to flat memory of their own."""
    return tuple(np.array(a, order="C").ravel() for a in arrays)


def target_of(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return flat memory full of NaN, with guards behind it."""
    poison = np.nan if np.dtype(dtype).kind == "f" else -1  # which is NaN in words of 16 bits
    memory = np.full(np.prod(shape, dtype=int) + GUARDS, poison, dtype)
    memory[-GUARDS:] = GUARD
    return memory


def pieces_of(
    run: Any, memory: np.ndarray, shape: tuple[int, int], cuts: tuple[int, ...] = ()
) -> np.ndarray:
    """Run a kernel over the ranges of rows between the cuts; return what it wrote, as [N, K]."""
    rows, classes = shape
    for first, last in zip((0, *cuts), (*cuts, rows), strict=True):
        run(first, last, classes)
    assert np.all(memory[-GUARDS:] == GUARD), "the kernel wrote behind its rows"
    return memory[:-GUARDS].reshape(shape)
