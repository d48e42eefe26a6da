"""The backward's answer as it comes: number, shape and dtype of its entries are looked at later."""

from __future__ import annotations

from typing import Any

import numpy as np

from softgrad.checker.calls import guarded
from softgrad.checker.diagnosis.metered import Metered
from softgrad.checker.formats import limits, narrowest
from softgrad.checker.subject import AnyArray, Arrays, Vector

__all__ = ["are_finite", "gap_of", "raw_answer", "slack", "wide"]


def raw_answer(subject: Metered, points: Arrays, cotangent: Arrays) -> list[Any]:
    """Run the backward; return one entry for each floating-point input, if it has so many.

    Raises
    ------
    Ended
        It raised.
    """
    subject.meter.take(subject.forwards_per_vjp, 1)
    own = tuple(np.array(c) for c in cotangent)
    handed = own if subject.several_outputs else own[0]
    arguments = [*subject.arguments(points), handed]
    result = guarded("The backward", "fail", subject.vjp, arguments)
    entries = subject.listed(result)
    # The backward may write its answers into the same memory again.
    return [entry.copy() if isinstance(entry, np.ndarray) else entry for entry in entries]


def are_finite(entries: list[Any]) -> bool:
    """Whether no entry of those that are given is NaN or infinite."""
    return all(entry is None or bool(np.isfinite(np.asarray(entry)).all()) for entry in entries)


def wide(array: AnyArray) -> Vector:
    """Return an array's numbers in float64."""
    return np.asarray(array, np.float64)


def slack(points: Arrays, entries: list[Any]) -> float:
    """Return the relative difference that threads and layouts may make."""
    # Some are rounded to a narrower dtype on their way.
    rounded = [narrowest(wide(entry)) for entry in entries if entry is not None]
    epsilon = max(*(limits(point.dtype).epsilon for point in points), *rounded)
    return 256 * epsilon if epsilon <= 2.0**-23 else 16 * epsilon


def gap_of(got: list[Any], wanted: list[Any], points: Arrays) -> float:
    """Return the largest difference relative to the largest entry; infinite for other shapes."""
    if len(got) != len(wanted):
        return np.inf
    gap = size = 0.0
    for one, other in zip(got, wanted, strict=True):
        if (one is None) != (other is None) or np.shape(one) != np.shape(other):
            return np.inf
        if one is not None:
            a, b = np.nan_to_num(wide(one)), np.nan_to_num(wide(other))
            gap = max(gap, float(np.abs(a - b).max(initial=0.0)))
            size = max(size, float(np.abs(b).max(initial=0.0)))
    return gap / size if size else float(gap > 0)
