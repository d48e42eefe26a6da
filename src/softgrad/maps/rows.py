"""Settings and special rows that several maps share."""

from __future__ import annotations

import math
import numbers
from typing import Literal, get_args

from softgrad.arrays import Array, is_concrete, namespace
from softgrad.errors import mismatch

__all__ = [
    "EmptyRow",
    "check_empty_row",
    "check_real",
    "check_temperature",
    "empty_rows",
    "fill_empty_rows",
    "fill_masked_rows",
]

EmptyRow = Literal["nan", "zero", "uniform", "raise"]


def check_real(
    name: str,
    value: float,
    above: float | None = None,
    *,
    least: float | None = None,
    most: float = math.inf,
) -> None:
    """Raise unless a setting is a finite number above a bound, or from `least` on, to `most`."""
    expected = "a finite number " + (f"above {above:g}" if least is None else f"from {least:g}")
    if most < math.inf:
        expected += f" to {most:g}"
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(mismatch(name, expected, repr(value)))
    within = (above is None or value > above) and (least is None or value >= least)
    if not (math.isfinite(value) and within and value <= most):
        raise ValueError(mismatch(name, expected, repr(value)))


def check_temperature(temperature: float) -> None:
    """Raise unless the temperature is a positive number with an inverse in every dtype."""
    check_real("temperature", temperature, 0.0)
    if not 1e-30 <= temperature <= 1e30:
        raise ValueError(mismatch("temperature", "from 1e-30 to 1e30", repr(temperature)))


def check_empty_row(empty_row: str) -> None:
    """Raise unless the word is one of those that `EmptyRow` lists."""
    if empty_row not in get_args(EmptyRow):
        expected = " or ".join(repr(word) for word in get_args(EmptyRow))
        raise ValueError(mismatch("empty_row", expected, repr(empty_row)))


def fill_masked_rows(y: Array, where: Array | None, value: float) -> Array:
    """Put a value where a mask leaves nothing of a row, and at every masked entry."""
    if where is None:
        return y
    xp = namespace(y)
    nothing_left = ~xp.any(where, axis=-1, keepdims=True)
    return xp.where(nothing_left | ~where, xp.zeros_like(y) + value, y)


def empty_rows(x: Array, where: Array | None) -> Array:
    """Find the rows that are −inf alone where the mask lets something in."""  # [..., 1]
    xp = namespace(x)
    if where is None:
        return xp.all(x == -xp.inf, axis=-1, keepdims=True)
    return xp.any(where, axis=-1, keepdims=True) & xp.all(
        (x == -xp.inf) | ~where, axis=-1, keepdims=True
    )


def fill_empty_rows(p: Array, empty: Array, where: Array | None, empty_row: EmptyRow) -> Array:
    """Give the rows of −inf alone the value that the setting names.

    Raises
    ------
    ValueError
        The setting is "raise" and there is such a row.
    """
    xp = namespace(p)
    if empty_row == "raise":
        if is_concrete(empty) and bool(xp.any(empty)):
            raise ValueError(mismatch("x", "above −inf somewhere in every row", "a row of −inf"))
        return p
    share = xp.ones_like(p) if where is None else xp.astype(where, p.dtype)
    if empty_row == "uniform":
        share = share / xp.sum(share, axis=-1, keepdims=True)
    return xp.where(empty, {"nan": xp.nan, "zero": 0.0, "uniform": 1.0}[empty_row] * share, p)
