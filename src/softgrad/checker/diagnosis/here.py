"""What the inputs as they are show, where no twin is asked, or none is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from softgrad.checker.diagnosis.hypotheses.leftovers import is_zero_elsewhere
from softgrad.checker.diagnosis.hypotheses.simple import PASSED_ON
from softgrad.checker.diagnosis.locate import Locator
from softgrad.checker.formats import is_floating, limits
from softgrad.checker.report import Diagnosis, Where
from softgrad.checker.richardson import rms
from softgrad.checker.subject import Vector

__all__ = [
    "SOME_SLICES",
    "WRONG_ONLY",
    "only_here",
    "placed",
    "refuted",
    "rounding",
    "stands_out",
    "unnamed",
]


WRONG_ONLY = "The gradient is wrong only at"
"""How the sentence begins that confines a mistake to a part of a twin."""


SOME_SLICES = "some slices along axis"
"""What is said of slices that are neither the first nor the last one."""


def unnamed(message: str, evidence: str, runner_up: str | None = None) -> Diagnosis:
    """Return the report of facts without a name."""
    return Diagnosis("unnamed", message, None, evidence, runner_up)


def rounding(locator: Locator) -> Diagnosis | None:
    """Run the backward in wider dtypes, at the inputs as they are."""
    dtype = max((point.dtype for point in locator.subject.points), key=lambda d: d.itemsize)
    for wide in (np.float64, np.longdouble):
        if np.dtype(wide).itemsize > dtype.itemsize and _right_in(wide, locator):
            what = "numbers in it overflow in"
            if all(np.isfinite(G).all() for G in locator.gradient):
                what = "its numbers are too coarse in"
            name = "float64" if wide is np.float64 else "extended precision"
            evidence = f"the same backward in {name} agrees with the differences of the forward"
            text = f"The formula is right, and {what} {dtype}."
            return Diagnosis("arithmetic", text, evidence=evidence)
    return None


def _right_in(wide: type[np.floating[Any]], locator: Locator) -> bool:
    """Whether a wider dtype mends every gradient that is wrong, and there is one."""
    points = tuple(point.astype(wide) for point in locator.subject.points)
    cotangent = tuple(c.astype(wide) if is_floating(c) else c for c in locator.cotangent)
    gradient = locator.answer(points, cotangent)
    epsilon = max(limits(point.dtype).epsilon for point in locator.subject.points)
    if False not in locator.right:
        return False
    for where, before in enumerate(locator.right):
        if before is False:
            after = locator.agrees(where, gradient=gradient[where])
            overflowed = not np.isfinite(locator.gradient[where]).all()
            # Saturated rows have no slope to compare with: that they are finite must do.
            mended = after is None and overflowed
            changed = overflowed or _differ(locator.gradient[where], gradient[where], epsilon)
            if not (np.isfinite(gradient[where]).all() and changed and (after or mended)):
                return False
    return True


def _differ(narrow: Vector, wide: Vector, epsilon: float) -> bool:
    """Whether a gradient moved by more than its last digits when its dtype was made wider."""
    return rms(narrow - wide) > 32 * epsilon * rms(wide)


def refuted(found: Diagnosis, locator: Locator) -> bool:
    """Whether the inputs as they are refute what a twin shows."""
    # What is cut off behind a block of 16 leaves nothing of a shorter row.
    wrong = locator.wrong_inputs(or_open=True)
    if found.message == PASSED_ON:
        # Within its bounds clip passes everything on.
        g = locator.cotangent[0]
        answers = [G for G in (locator.gradient[where] for where in wrong) if G.shape == g.shape]
        return any(not np.allclose(G, g, rtol=1e-2) for G in answers)
    if not any(is_zero_elsewhere(found.message, locator.gradient[where]) for where in wrong):
        return True
    is_there = (locator.gradient[where].any() and locator.factor(where) != 0 for where in wrong)
    return found.code == "zero" and all(is_there)


def only_here(locator: Locator) -> Diagnosis:
    """No twin is wrong, or none would run: what is wrong is bound to these numbers or this size."""
    finite = [np.isfinite(G) for G in locator.gradient]
    if not all(part.all() for part in finite):
        if any(part.any() for part in finite):
            count = sum(int((~part).sum()) for part in finite)
            text = f"{count} entries of the gradient are not finite, and the others are."
            return Diagnosis("subset", text, evidence="the forward is finite")
        return unnamed("Entries of the gradient are not finite.", "the forward is finite")
    evidence = "no whole Jacobian could be had on a small twin of the inputs"
    if locator.right_elsewhere:
        evidence = "on a small twin of the inputs the backward is right"
    return unnamed("The gradient is wrong, in a way that has no name here.", evidence)


def placed(found: Diagnosis, where: Where, locator: Locator) -> Diagnosis:
    """Name a mistake by its place, if that is a part of the input, and what is wrong with it."""
    if where.subset is None and where.axis is None:
        everywhere = where.text.partition(";")[0].endswith(", everywhere")
        text = "The gradient is wrong, in a way that has no name here."
        refuted = (everywhere or SOME_SLICES in found.message) and found.message.startswith(
            WRONG_ONLY
        )
        return replace(found, code="unnamed", message=text) if refuted else found
    # Rows in which an argument is 1, say, may be some of a twin's, and are no slice by themselves.
    open_yet = found.code == "unnamed" or found.message.startswith(f"{WRONG_ONLY} {SOME_SLICES}")
    if open_yet and not _is_a_set(where, locator):
        text = f"The gradient is wrong in {where.text}, in a way that has no name here."
        return replace(found, code="unnamed", message=text)
    text = f"A part of the gradient is not finite: {where.text}."
    if "only at" in where.text:
        text = f"The gradient is right but in a part: it is wrong in {where.text}."
    return replace(found, code="subset", message=text)


def _is_a_set(where: Where, locator: Locator) -> bool:
    """Whether a place has a reason of its own."""
    if where.axis is None or where.start is None or where.stop is None:
        return True
    point = locator.points[locator.subject.floating.index(where.input)]
    length = point.shape[where.axis]
    # Saturated entries may hide where a tail begins; where no tail is, as on a twin, all is right.
    tail = where.stop == length and where.start >= 8 and locator.right_elsewhere
    return tail or stands_out(where.start, where.stop, length)


def stands_out(start: int, stop: int, length: int) -> bool:
    """Whether slices are few, or a tail behind whole blocks; half of an axis may be a gate."""
    few = stop - start == 1 or 8 * (stop - start) <= length
    return few or (stop == length and start > 0 and start % 8 == 0)
