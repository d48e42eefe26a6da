"""The Jacobian of a user's function, measured by differences, with an error bar."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from softgrad.arrays import quiet
from softgrad.checker.probes import first_step
from softgrad.checker.richardson import Table, rms
from softgrad.errors import mismatch
from softgrad.explain.arguments import MOST_ENTRIES, Vector

__all__ = ["Measured", "measure"]

_INPUTS, _LEVELS = 512, 6
_SMALL, _TINY = 0.1, 1e-6
"""An error below these parts of the largest entry, or of the coarse slopes, is small."""


@dataclass(frozen=True, eq=False)
class Measured:
    """f(x) and ∂f/∂x [m, n], both flattened, with what the differences leave open."""

    y: Vector
    jacobian: Vector
    error: float
    """The root mean square over the entries."""
    kink: bool
    """Whether a part of the error is that the slopes to the left and to the right differ."""
    coarse: float
    """The size of the slopes that the longest step sees, or that of y where it is larger."""

    @property
    def largest_error(self) -> float:
        """What no entry's error exceeds when the root mean square is right."""
        return self.error * math.sqrt(self.jacobian.size)

    @property
    def unclear(self) -> bool:
        """Whether the error is not small against the entries, so that they say nothing.

        Entries that all lie within the error are known to be zero where it is tiny against
        the coarse slopes.
        """
        if not math.isfinite(self.error) or not np.isfinite(self.jacobian).all():
            return True
        entry = float(np.abs(self.jacobian).max())
        return self.largest_error > max(_SMALL * entry, _TINY * self.coarse)


def measure(f: Callable[[Vector], Any], x: Vector) -> Measured:
    """Measure the whole Jacobian: 12 calls of f for each entry of x.

    Raises
    ------
    TypeError
        f does not return real numbers.
    ValueError
        The Jacobian is too large to be measured, f is not finite at or near x, or it is random.
    """
    if x.size > _INPUTS:
        raise ValueError(mismatch("x", f"of at most {_INPUTS} numbers to be measured", x.size))
    y, epsilon = _evaluate(f, x)
    if y.size * x.size > MOST_ENTRIES:
        expected = f"a function whose Jacobian has at most {MOST_ENTRIES} entries"
        raise ValueError(mismatch("f", expected, f"{y.size} × {x.size}"))
    if not y.size or not np.isfinite(y).all():
        raise ValueError(
            mismatch("f", "finite at `x`", "no number" if not y.size else "infinity or NaN")
        )
    _refuse_random(f, x, y)
    scales = _scales(x)  # [n]
    unit = _power_of_two(float(np.abs(y).max()) or 1.0)
    # In units of y and of each input's scale no square overflows.
    table = Table(floor=epsilon * rms(y / unit))
    step = first_step(epsilon)
    for _ in range(2 * _LEVELS):
        with quiet():
            plus, minus = (_moved(f, x, sign * step * scales) / unit for sign in (1, -1))  # [n, m]
            slopes, bend = (plus - minus) / (2 * step), (plus + minus - 2 * y.ravel() / unit) / step
        if np.isfinite(slopes).all() and np.isfinite(bend).all():
            table.add(step, slopes.T, bend)
            step /= 4
        else:  # out of f's domain: begin again with a much smaller step
            table = Table(table.floor)
            step /= 64
        if len(table.rows) == _LEVELS:
            break
    estimate = table.estimate()
    if estimate is None:
        raise ValueError(mismatch("f", "finite near `x`", "infinity or NaN"))
    with quiet():
        jacobian, first = (
            D * (unit / scales) for D in (estimate.value, table.rows[0][0])
        )  # [m, n]
        error = float(estimate.bar * unit / scales.min())
    largest = max(float(np.abs(first).max()), float(np.abs(y).max() / scales.max()))
    return Measured(y, jacobian, error, estimate.kink > estimate.bar / 2, largest)


def _refuse_random(f: Callable[[Vector], Any], x: Vector, y: Vector) -> None:
    """Raise where f returns something else for the same x."""
    again = _evaluate(f, x)[0]
    if again.shape != y.shape or not np.allclose(again, y, rtol=1e-6, atol=1e-6 * np.abs(y).max()):
        expected = "a function that returns the same whenever `x` is the same"
        raise ValueError(mismatch("f", expected, "two outputs that differ"))


def _scales(x: Vector) -> Vector:  # [n]
    """Return how far each entry of x is to be moved: 1 or less, unless it is very large.

    They are powers of two, so that dividing by them is exact.
    """
    shared = min(rms(x), 1.0) or 1.0
    least = max(shared, 2.0**-40)
    return np.array([_power_of_two(max(least, abs(entry) * 2.0**-16)) for entry in x.ravel()])


def _power_of_two(size: float) -> float:
    return 2.0 ** round(math.log2(size))


def _moved(f: Callable[[Vector], Any], x: Vector, steps: Vector) -> Vector:
    """Return the outputs after moving each entry of x in its turn: [n, m]."""
    rows = []
    for place, step in zip(np.ndindex(x.shape), steps, strict=True):
        point = x.copy()
        point[place] += step
        rows.append(_evaluate(f, point)[0].ravel())
    try:
        return np.stack(rows)
    except ValueError:
        expected = "a function whose output keeps its shape near `x`"
        raise ValueError(mismatch("f", expected, "outputs of several shapes")) from None


def _evaluate(f: Callable[[Vector], Any], x: Vector) -> tuple[Vector, float]:
    """Return f(x) in float64, and the rounding of the dtype that f returned."""
    y = np.asarray(f(x.copy()))
    if y.dtype.kind not in "fiu":
        raise TypeError(mismatch("f", "a function that returns real numbers", f"{y.dtype}"))
    epsilon = np.finfo(y.dtype if y.dtype.kind == "f" else np.float64).eps
    return y.astype(np.float64), float(epsilon)
