"""How far an answer is off: in units of its last place, or in entries whose bits differ."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal
from itertools import chain
from typing import Any

import numpy as np

from softgrad.promises.exact import Row
from softgrad.promises.promise import Measured
from softgrad.promises.rows import AnyArray, Rows, exactly
from softgrad.promises.subject import Subject

__all__ = ["differing", "off", "ulps"]

_FORMATS = {
    "float16": (10, -14),
    "bfloat16": (7, -126),
    "float32": (23, -126),
    "float64": (52, -1022),
}
"""Bits behind the point, and the least exponent."""


def off(
    subject: Subject,
    rows: Rows,
    *,
    own_size: bool = False,
    targets: list[Row] | None = None,
    y_bar: AnyArray | None = None,
    **options: Any,
) -> Iterator[Measured]:
    """Yield how far the values are off, then the gradients."""
    values = subject.values(rows, **options)
    yield Measured(
        ulps(values, subject.exact_values(rows, targets), rows.dtype, own_size), str(rows)
    )
    y_bar = subject.cotangent(rows) if y_bar is None else y_bar
    gradients = subject.gradients(rows, y_bar, **options)
    exact = subject.exact_gradients(rows, y_bar, targets)
    yield Measured(ulps(gradients, exact, rows.dtype, own_size), f"{rows}, the gradient")


def ulps(answer: AnyArray, exact: list[Row], dtype: str, own_size: bool = False) -> float:
    """Return the largest error of [N, M] in units of the last place.

    That is the place of every entry itself where `own_size` is set, else of the largest entry.
    """
    right = list(chain.from_iterable(exact))
    if answer.size != len(right):
        raise ValueError(f"{len(right)} numbers were expected, got the shape {answer.shape}")
    largest = max((abs(v) for v in right if v.is_finite()), default=Decimal(0))
    worst = 0.0
    for a, b in zip(exactly(answer.ravel()), right, strict=True):
        if not (a.is_finite() and b.is_finite()):
            worst = worst if a == b else math.inf
        elif a != b:
            size = b if own_size or not b else largest  # what is exactly 0 has to be 0
            worst = max(worst, float(abs(a - b) / _last_place(size, dtype)))
    return worst


def differing(a: AnyArray, b: AnyArray) -> float:
    """Return how many entries have other bits; two NaNs are alike."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return math.inf
    same = (a == b) & (np.signbit(a) == np.signbit(b)) | (np.isnan(a) & np.isnan(b))
    return float(np.count_nonzero(~same))


def _last_place(size: Decimal, dtype: str) -> Decimal:
    bits, least = _FORMATS[dtype]
    number = float(size)  # 0 where it is far below the format's smallest
    exponent = math.frexp(number)[1] - 1 if number else least
    return Decimal(2) ** (max(exponent, least) - bits)
