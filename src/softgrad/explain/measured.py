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
from softgrad.explain.arguments import Vector

__all__ = ["Measured", "measure"]

_INPUTS, _ENTRIES, _LEVELS = 512, 250_000, 6


@dataclass(frozen=True, eq=False)
class Measured:
    """f(x) and ∂f/∂x [m, n], both flattened, with what the differences leave open."""

    y: Vector
    jacobian: Vector
    error: float
    """The root mean square over the entries."""
    kink: bool
    """Whether a part of the error is that the slopes to the left and to the right differ."""

    @property
    def largest_error(self) -> float:
        """What no entry's error exceeds when the root mean square is right."""
        return self.error * math.sqrt(self.jacobian.size)


def measure(f: Callable[[Vector], Any], x: Vector) -> Measured:
    """Measure the whole Jacobian: 12 calls of f for each entry of x.

    Raises
    ------
    TypeError
        f does not return real numbers.
    ValueError
        The Jacobian is too large to be measured, or f is not finite at or near x.
    """
    if x.size > _INPUTS:
        raise ValueError(mismatch("x", f"of at most {_INPUTS} numbers to be measured", x.size))
    y, epsilon = _evaluate(f, x)
    if y.size * x.size > _ENTRIES:
        expected = f"a function whose Jacobian has at most {_ENTRIES} entries"
        raise ValueError(mismatch("f", expected, f"{y.size} × {x.size}"))
    if not y.size or not np.isfinite(y).all():
        raise ValueError(mismatch("f", "finite at `x`", "no number" if not y.size else "not"))
    # The input's own scale, at most 1: a power of two, so that dividing by it is exact.
    size = min(rms(x), 1.0) or 1.0
    scale = 2.0 ** round(math.log2(max(size, 2.0**-40)))
    table = Table(floor=epsilon * rms(y) / scale)
    step = first_step(epsilon)
    for _ in range(2 * _LEVELS):
        with quiet():
            plus, minus = (_moved(f, x, sign * step * scale) for sign in (1, -1))
        if np.isfinite(plus).all() and np.isfinite(minus).all():
            slopes = (plus - minus).T / (2 * step * scale)  # [m, n]
            table.add(step, slopes, (plus + minus - 2 * y.ravel()) / (step * scale))
            step /= 4
        else:  # out of f's domain: begin again with a much smaller step
            table = Table(table.floor)
            step /= 64
        if len(table.rows) == _LEVELS:
            break
    estimate = table.estimate()
    if estimate is None:
        raise ValueError(mismatch("f", "finite near `x`", "infinity or NaN"))
    kink = estimate.kink > estimate.bar / 2
    return Measured(y, np.asarray(estimate.value), estimate.bar, kink)


def _moved(f: Callable[[Vector], Any], x: Vector, step: float) -> Vector:
    """Return the outputs after moving each entry of x in its turn: [n, m]."""
    rows = []
    for place in np.ndindex(x.shape):
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
