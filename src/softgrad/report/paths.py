"""Geometry of lines: paths without needless points, and labels that keep apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["spread", "thin"]

# A chart is some 350 pixels wide: the lowest and the highest of every two pixels is all it shows.
_RUNS = 175
# A point between two gaps.
_DOT = "m-1 0a1 1 0 1 0 2 0a1 1 0 1 0 -2 0"


def thin(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    """Return the path through points [T], broken where one is NaN, with all peaks of a long line.

    >>> thin(np.array([0.0, 1.0, 2.0, 3.0]), np.array([5.0, 4.0, np.nan, 6.2]))
    'M0 5l1 -1M3 6.2m-1 0a1 1 0 1 0 2 0a1 1 0 1 0 -2 0'
    """
    if len(x) > 3 * _RUNS:
        kept = _peaks(y)
        x, y = x[kept], y[kept]
    gaps = np.flatnonzero(~(np.isfinite(x) & np.isfinite(y)))
    pieces = np.split(np.stack([x, y], axis=1), gaps)  # each but the first begins with a gap
    runs = [piece[np.isfinite(piece).all(axis=1)] for piece in pieces]
    return "".join(_run(run) for run in runs if len(run))


def _run(points: NDArray[np.float64]) -> str:
    """Write the path through points [T, 2] in steps, which are shorter than places."""
    tenths = np.rint(10 * points).astype(int)
    x, y = tenths[0].tolist()
    steps = [f"{_tenths(dx)} {_tenths(dy)}" for dx, dy in np.diff(tenths, axis=0).tolist()]
    return f"M{_tenths(x)} {_tenths(y)}" + ("l" + " ".join(steps) if steps else _DOT)


def _tenths(value: int) -> str:
    return f"{value / 10:.1f}".removesuffix(".0")


def _peaks(y: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the places of both ends and of the lowest and highest value of every run, in order."""
    kept = {0, len(y) - 1}
    for run in np.array_split(np.arange(len(y)), _RUNS):
        values = y[run]
        if np.isnan(values).any():
            kept.add(int(run[np.isnan(values).argmax()]))
        if not np.isnan(values).all():
            kept |= {int(run[np.nanargmin(values)]), int(run[np.nanargmax(values)])}
    return np.array(sorted(kept))


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move places as little as needed so that they lie `gap` apart, inside [low, high] if they fit.

    >>> spread([10.0, 11.0, 50.0], gap=10.0, low=0.0, high=100.0)
    [10.0, 20.0, 50.0]
    """
    order = np.argsort(np.asarray(wanted), kind="stable")
    places = np.asarray(wanted, dtype=float)[order]
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + gap)
    places[-1] = min(places[-1], max(high, low + gap * (len(places) - 1)))
    for i in range(len(places) - 2, -1, -1):
        places[i] = min(places[i], places[i + 1] - gap)
    result = np.empty_like(places)
    result[order] = places
    return result.tolist()  # type: ignore[no-any-return]
