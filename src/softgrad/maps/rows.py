"""Settings and special rows that several maps share."""

from __future__ import annotations

import math
import numbers
from typing import Literal

from softgrad.arrays import Array, compute_dtype, is_concrete, namespace
from softgrad.errors import mismatch

__all__ = [
    "EmptyRow",
    "check_real",
    "empty_rows",
    "fill_empty_rows",
    "fill_masked",
    "one_of",
    "settle_real",
]

EmptyRow = Literal["nan", "zero", "uniform", "raise"]


def settle_real(settings: object, name: str, **bounds: float) -> None:
    """Check that a setting is a finite number within `check_real`'s bounds; keep it as a float."""
    value = getattr(settings, name)
    check_real(name, value, **bounds)
    object.__setattr__(settings, name, float(value))


def check_real(
    name: str,
    value: float,
    *,
    above: float = -math.inf,
    least: float = -math.inf,
    most: float = math.inf,
) -> None:
    """Raise unless a value is a finite number above one bound, or from `least` on, to `most`."""
    expected = "a finite number"
    if above > -math.inf:
        expected += f" above {above:g}"
    if least > -math.inf:
        expected += f" from {least:g}"
    if most < math.inf:
        expected += f" to {most:g}" if least > -math.inf else f", at most {most:g}"
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(mismatch(name, expected, repr(value)))
    if not (math.isfinite(value) and value > above and least <= value <= most):
        raise ValueError(mismatch(name, expected, repr(value)))


def one_of(name: str, value: object, words: tuple[str, ...]) -> None:
    """Raise unless a setting is one of the words."""
    if value not in words:
        raise ValueError(mismatch(name, " or ".join(map(repr, words)), repr(value)))


def fill_masked(y: Array, where: Array | None, value: float) -> Array:
    """Put a value at every masked entry."""
    if where is None:
        return y
    xp = namespace(y)
    return xp.where(where, y, xp.zeros_like(y) + value)


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
    dtype = compute_dtype(p)
    share = xp.ones_like(p, dtype=dtype) if where is None else xp.astype(where, dtype)
    if empty_row == "uniform":
        share = share / xp.sum(share, axis=-1, keepdims=True)
    share = {"nan": xp.nan, "zero": 0.0, "uniform": 1.0}[empty_row] * share
    return xp.where(empty, xp.astype(share, p.dtype), p)
