"""What is not linear in the incoming gradient, as every backward must be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from softgrad.checker.calls import Ended, guarded
from softgrad.checker.diagnosis.answers import gap_of, raw_answer, slack, wide
from softgrad.checker.diagnosis.locate import Locator
from softgrad.checker.diagnosis.metered import Metered
from softgrad.checker.formats import limits
from softgrad.checker.probes import cotangents
from softgrad.checker.report import Diagnosis, Formula
from softgrad.checker.subject import Arrays, strided
from softgrad.results import number

__all__ = ["LINEAR", "not_linear"]

_MANY = 16.0
LINEAR = 1e-3
"""What is less than linear by this part is left to the Jacobians: it may be rounding."""


def not_linear(subject: Metered, first: list[Any], locator: Locator) -> Diagnosis | None:
    """Return what is not linear in the cotangent, None where all is.

    `first` is the answer to the locator's cotangent.
    """
    return _exchanged(subject, locator, _linearity(subject, first, locator))


def _linearity(subject: Metered, first: list[Any], locator: Locator) -> Diagnosis | None:
    points, cotangent = subject.points, locator.cotangent

    def at(factor: float) -> list[Any]:
        return raw_answer(subject, points, tuple((c * factor).astype(c.dtype) for c in cotangent))

    zero = at(0.0)
    rest = max((float(np.abs(wide(e)).max(initial=0)) for e in zero if e is not None), default=0.0)
    if gap_of(zero, first, points) == 0 and rest:
        text = "The incoming gradient is ignored: the answer is the same whatever comes in."
        formula = Formula("dloss/dx", "g * dloss/dx")
        return Diagnosis("cotangent", text, formula, f"a zero gradient in gives {number(rest)} out")
    if rest or not np.isfinite(rest):
        text = "Something is added that the incoming gradient does not multiply."
        return Diagnosis(
            "cotangent", text, evidence=f"a zero gradient in gives entries up to {number(rest)}"
        )
    for factor in () if _in_half_precision(first, points) else (_MANY, -1.0):
        answer = at(factor)
        wanted = [None if e is None else factor * wide(e) for e in first]
        if any(e is not None and not np.isfinite(wide(e)).all() for e in answer):
            continue
        gap = gap_of(answer, wanted, points)
        if gap > LINEAR:
            if factor < 0:
                same = gap_of(answer, first, points) <= slack(points, first)
                text = "The backward does not follow the sign of the incoming gradient."
                if same:
                    text = "The incoming gradient's sign is lost: its size or its square is used."
            else:
                text = f"The answer does not grow {factor:g}-fold with the incoming gradient."
            more = " It must be linear in it."
            return Diagnosis(
                "cotangent", text + more, evidence=f"relative difference {number(gap)}"
            )
    for one, other in _summands(locator):
        both = tuple((c + d).astype(c.dtype) for c, d in zip(one, other, strict=True))
        parts = zip(*(raw_answer(subject, points, c) for c in (one, other)), strict=True)
        wanted = [None if a is None or b is None else wide(a) + wide(b) for a, b in parts]
        gap = gap_of(raw_answer(subject, points, both), wanted, points)
        if gap > max(LINEAR, slack(points, first), _cancelled(first, locator)):
            text = "The answer to a sum of incoming gradients is not the sum of the answers."
            more = " It must be linear in them."
            return Diagnosis(
                "cotangent", text + more, evidence=f"relative difference {number(gap)}"
            )
    result = gap_of(_scattered(subject, cotangent), first, points)
    if result > slack(points, first):
        text = "The incoming gradient is read by its place in memory, and not by its indices."
        return Diagnosis(
            "cotangent", text, evidence=f"relative difference {number(result)}, not contiguous"
        )
    return None


def _exchanged(subject: Metered, locator: Locator, found: Diagnosis | None) -> Diagnosis | None:
    """Say of what is not linear in the cotangent that it takes it as its first argument."""
    if found is None or subject.kept_vjp is not None or subject.several_outputs:
        return found
    subject.meter.take(subject.forwards_per_vjp, 1)
    arguments = [np.array(locator.cotangent[0]), *subject.arguments(subject.points)]
    try:
        entries = subject.listed(guarded("it", "doubt", subject.vjp, arguments))
    except Ended:
        return found
    pairs = list(zip(entries, subject.points, strict=False))
    if len(pairs) < len(subject.points) or not all(
        entry is not None and np.shape(entry) == point.shape for entry, point in pairs
    ):
        return found
    if not all(locator.agrees(k, gradient=wide(entry)) for k, (entry, _) in enumerate(pairs)):
        return found
    text = "The backward takes the incoming gradient as its first argument, and gets it as its last"
    formula = Formula("backward(g, x)", "backward(x, g)")
    return Diagnosis("cotangent", f"{text} one.", formula, "called so it is right")


def _summands(locator: Locator) -> Iterator[tuple[Arrays, Arrays]]:
    """Yield pairs of cotangents: full ones that do not cancel, and two halves of one."""
    cotangent = locator.cotangent
    other = cotangents(locator.rng, locator.outputs, 1)[0]
    yield cotangent, tuple((c / 2).astype(c.dtype) for c in other)
    # Who stops at the first entry that is not 0 is linear in that one.
    first = [np.arange(c.size).reshape(c.shape) < (c.size + 1) // 2 for c in cotangent]
    if any(c.size > 1 for c in cotangent):
        pairs = list(zip(cotangent, first, strict=True))
        yield tuple(c * f for c, f in pairs), tuple(c * ~f for c, f in pairs)


def _cancelled(entries: list[Any], locator: Locator) -> float:
    """Return what is left of terms that cancel, as in saturated rows, relative to the answer."""
    largest = max(float(np.abs(wide(e)).max(initial=0)) for e in entries if e is not None)
    g, y = (
        max(float(np.abs(wide(a)).max(initial=0)) for a in arrays)
        for arrays in (locator.cotangent, locator.outputs)
    )
    epsilon = max(limits(point.dtype).epsilon for point in locator.subject.points)
    return 64 * epsilon * g * max(y, 1.0) / largest if largest else np.inf


def _scattered(subject: Metered, cotangent: Arrays) -> list[Any]:
    """Return the answer to a cotangent that is not contiguous."""
    try:
        return list(subject.pull_back(subject.points, cotangent, strided))
    except Ended:
        return []


def _in_half_precision(entries: list[Any], points: Arrays) -> bool:
    """Whether the numbers are float16's where the inputs are wider: small ones are not linear."""
    wide = all(point.dtype.itemsize > 2 for point in points)
    arrays = [np.asarray(entry) for entry in entries if entry is not None]
    small = max((float(np.abs(a).max(initial=0)) for a in arrays), default=0.0) < 2.0**-8
    return wide and small and all((a.astype(np.float16) == a).all() for a in arrays)
