"""Richardson's table: central differences at falling steps, extrapolated, with an error bar."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from softgrad.checker.subject import Vector

__all__ = ["Estimate", "Table", "norm", "rms"]

_COLUMNS = 4
_PART = 2.0**-12
"""Bends of a smaller part of the slopes leave a bar that is small enough."""


@dataclass(frozen=True)
class Estimate:
    """Slopes along the probes, and what is left open of them (RMS)."""

    value: Vector
    bar: float
    kink: float
    """The part of the bar that is due to one-sided slopes that differ."""


@dataclass
class Table:
    """Rows of central differences D(h) at steps h, h/4, h/16, …; error series in h².

    `floor` is the rounding error of a projected output, so that floor/h is that of a difference.
    """

    floor: float
    steps: list[float] = field(default_factory=list)
    rows: list[list[Vector]] = field(default_factory=list)
    bends: list[float] = field(default_factory=list)
    _columns: list[Vector] = field(default_factory=list)
    """The bends of each cotangent, RMS over the directions."""

    def add(self, step: float, slopes: Vector, bend: Vector) -> None:
        """Add the row of `step`: D = Δf/2h, and the bend (f₊ + f₋ − 2f)/h."""
        row = [slopes]
        for column, above in enumerate(self.rows[-1][: _COLUMNS - 1] if self.rows else [], start=1):
            row.append(row[-1] + (row[-1] - above) / (16.0**column - 1))
        self.steps.append(step)
        self.rows.append(row)
        self.bends.append(rms(bend))
        self._columns.append(np.array([rms(column) for column in np.atleast_2d(bend).T]))

    def estimate(self) -> Estimate | None:
        """Return the entry with the smallest bar; None until there are three rows."""
        if len(self.rows) < 3:
            return None
        gaps = [self._gaps(j) for j in range(1, len(self.rows))]
        # Rounding makes every row uncertain by noise/h. One row may agree with its neighbours by
        # luck, above all where outputs move in jumps: the second smallest gap is believed.
        seen = sorted(min(row) * step for row, step in zip(gaps, self.steps[1:], strict=True))[1]
        noise = max(seen, self.floor)
        kinks = self._kinks()
        bar, j, k = min(
            (gap + noise / self.steps[j] + kinks[j] + self._contradiction(j, k), j, k)
            for j, row in enumerate(gaps, start=1)
            for k, gap in enumerate(row, start=1)
        )
        return Estimate(self.rows[j][k], bar, kinks[j])

    @property
    def kinked(self) -> bool:
        """Whether the bend has not fallen, nor is it noise: a smooth function's falls fourfold."""
        return len(self.bends) > 1 and bool(self._stays(*self.bends[-2:]))

    @property
    def kinked_somewhere(self) -> bool:
        """Whether the bend of one cotangent has not fallen: others may hide it by their size.

        Those that are nothing beside the slopes do not count, nor does noise, by which all rise.
        """
        if len(self.bends) < 2 or self.bends[-1] > 2 * self.bends[-2]:
            return False
        before, last = self._columns[-2:]
        large = last > _PART * rms(self.rows[-1][0])
        return bool(np.any(self._stays(before, last) & large))

    def _stays(self, before: Any, last: Any) -> Any:
        noise = 16 * self.floor / self.steps[-1]
        return (before / 3 < last) & (last <= 2 * before) & (last > noise)

    def _gaps(self, j: int) -> list[float]:
        """Return how far each extrapolated entry of row j is from its two neighbours."""
        row, above = self.rows[j], self.rows[j - 1]
        return [
            max(rms(row[k] - row[k - 1]), rms(row[k] - above[k - 1])) for k in range(1, len(row))
        ]

    def _contradiction(self, j: int, k: int) -> float:
        """Return how far the later rows stay from an entry to which they should converge.

        Where outputs vary within the steps, coarse rows may agree with one another by luck.
        """
        entry = self.rows[j][k]
        first = rms(self.rows[j][0] - entry)
        excess = 0.0
        for i in range(j + 1, len(self.rows)):
            allowed = first / 4.0 ** (i - j) + 64 * self.floor / self.steps[i]
            excess = max(excess, rms(self.rows[i][0] - entry) - allowed)
        return excess

    def _kinks(self) -> list[float]:
        """Return the part of each row's bend that a smooth function would not have."""
        if self.kinked:
            return self.bends
        slope = self.bends[-1] / self.steps[-1]
        rows = zip(self.bends, self.steps, strict=True)
        return [b if b > 2 * slope * h + 16 * self.floor / h else 0.0 for b, h in rows]


def rms(values: Vector) -> float:
    """Return the root mean square; no square over- or underflows."""
    largest = float(np.abs(values).max(initial=0.0))
    if not 0 < largest < math.inf:
        return largest
    parts = values / largest
    return largest * math.sqrt(float(np.vdot(parts, parts)) / values.size)


def norm(values: Vector) -> float:
    """Return the Euclidean norm; no square over- or underflows."""
    return rms(values) * math.sqrt(values.size)
