"""Rows of logits with their labels: the points at which implementations are looked at."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["AnyArray", "Rows", "exactly", "random_rows"]

AnyArray = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Rows:
    """Logits z [N, K] that the format `dtype` holds exactly, and labels t [N].

    float16 and bfloat16 are named: their numbers stand in a float32 array until the call.
    """

    z: AnyArray
    t: AnyArray
    dtype: str = "float32"

    @classmethod
    def of(cls, *rows: tuple[float, ...], label: int = 0, dtype: str = "float32") -> Rows:
        """Return rows of numbers, all with one label."""
        return cls(_stored(rows, dtype), np.full(len(rows), label), dtype)

    def __len__(self) -> int:
        return len(self.z)

    def __getitem__(self, which: Any) -> Rows:
        """Return some of the rows, by a slice, places or a mask."""
        return Rows(self.z[which], self.t[which], self.dtype)

    @property
    def classes(self) -> int:
        return int(self.z.shape[1])

    @property
    def exact(self) -> list[list[Decimal]]:
        """The logits as decimal numbers: [N][K]."""
        return [exactly(row) for row in self.z]

    def __str__(self) -> str:
        N, K = self.z.shape
        if K > 4 or N > 2:
            return f"{N} × {K} logits, {self.dtype}"
        rows = ", ".join(f"({', '.join(f'{v:.10g}' for v in row)})" for row in self.z)
        return f"z = {rows}, {self.dtype}"


def random_rows(N: int, K: int, scale: float = 2.0, dtype: str = "float32") -> Rows:
    """Return rows of normal random logits with random labels."""
    rng = np.random.default_rng((0, N, K))  # other numbers than those of directions
    z = scale * rng.standard_normal((N, K))
    return Rows(_stored(z, dtype), rng.integers(K, size=N), dtype)


def exactly(values: AnyArray) -> list[Decimal]:
    """Return floating-point numbers as the decimal numbers that they are."""
    return [Decimal(value) for value in np.asarray(values, np.float64).tolist()]


def _stored(values: Any, dtype: str) -> AnyArray:
    return np.array(values, np.float64 if dtype == "float64" else np.float32)
