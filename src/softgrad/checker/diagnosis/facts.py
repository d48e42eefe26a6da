"""Mistakes that show without a Jacobian: form, state, digits, and what is not linear in g."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from softgrad.checker.calls import Ended
from softgrad.checker.diagnosis.answers import are_finite, gap_of, raw_answer, slack, wide
from softgrad.checker.diagnosis.forms import wrong_form
from softgrad.checker.diagnosis.linearity import LINEAR, not_linear
from softgrad.checker.diagnosis.locate import Locator
from softgrad.checker.diagnosis.metered import Metered
from softgrad.checker.exact import new_draws
from softgrad.checker.formats import limits
from softgrad.checker.report import Diagnosis, Formula
from softgrad.checker.subject import Arrays, Vector, is_floating
from softgrad.results import number

__all__ = ["fact"]

_LARGE = 2.0**20
_TINY = 2.0**-200
"""Next to 0 in double precision, and 0 in every narrower one."""


def fact(subject: Metered, outputs: Arrays, locator: Locator) -> Diagnosis | None:
    """Return the mistake that exact tests show, None where they show none."""
    cotangent = locator.cotangent
    try:
        first = raw_answer(subject, subject.points, cotangent)
    except Ended as end:
        return Diagnosis(
            "unnamed", "The backward raises an exception.", evidence=end.finding.message
        )
    # A layer's own backward, run again on what its forward has kept.
    again = subject.pull_back_again(cotangent)
    found = wrong_form(subject, first, locator) or _state(subject, first, again, cotangent)
    if found is not None or not are_finite(first):
        return found
    return (
        _whole_numbers(subject, first, locator)
        or not_linear(subject, first, locator)
        or _one_sum(locator)
        or _coarse(first, locator)
        or _coarse_within(subject, first, locator)
    )


def _state(subject: Metered, first: list[Any], kept: Any, cotangent: Arrays) -> Diagnosis | None:
    """Inputs, cotangents or saved values overwritten; answers that depend on earlier calls."""
    if subject.damage:
        text = sorted(subject.damage)[0]
        return Diagnosis("aliasing", text, evidence="the array differs after the call")
    points = subject.points
    others = new_draws(subject)
    if others is not None:
        with others:
            gap = gap_of(raw_answer(subject, points, cotangent), first, points)
        if gap > slack(points, first):
            text = "The backward draws random numbers of its own, and not those of the forward."
            return Diagnosis(
                "aliasing", text, evidence=f"relative difference {number(gap)} with other ones"
            )
    if kept is not None and gap_of(list(kept), first, points) > slack(points, first):
        text = "A second backward after one forward gives another gradient: what was saved changes."
        return Diagnosis(
            "aliasing",
            text,
            evidence=f"relative difference {number(gap_of(list(kept), first, points))}",
        )
    second = raw_answer(subject, points, cotangent)
    gap = gap_of(second, first, points)
    if gap > slack(points, first):
        text = "The same call gives another gradient the second time: state is kept between calls, "
        text += "or random numbers are drawn."
        return Diagnosis("aliasing", text, evidence=f"relative difference {number(gap)}")
    return None


def _whole_numbers(subject: Metered, first: list[Any], locator: Locator) -> Diagnosis | None:
    """Digits cut off in an integer array: what is lost is nothing of a very large gradient."""
    if not all(e is None or (wide(e) == np.round(wide(e))).all() for e in first):
        return None
    large = tuple((c * _LARGE).astype(c.dtype) for c in locator.cotangent)
    answer = raw_answer(subject, subject.points, large)
    if not are_finite(answer):
        return None
    whole = [e is None or (wide(e) == np.round(wide(e))).all() for e in answer]
    parts = [None if e is None else wide(e) / _LARGE for e in answer]
    lost = gap_of(first, parts, subject.points) > LINEAR
    near = all(locator.is_near(k, 1e-3, g) for k, g in enumerate(parts) if g is not None)
    if not (lost and near and all(whole)):
        return None
    text = "The gradient is rounded to whole numbers, as in an array of integers."
    evidence = f"it is right where what comes in is {_LARGE:g} times larger"
    return Diagnosis("arithmetic", text, evidence=evidence)


def _one_sum(locator: Locator) -> Diagnosis | None:
    """One number in every entry: what each must have by itself, summed over all."""
    wrong = locator.wrong_inputs()
    filled = [where for where in wrong if np.ptp(locator.gradient[where]) == 0]
    if filled != wrong:
        return None
    for where in filled:
        G = locator.gradient[where]
        every = tuple(range(G.ndim))
        c = locator.factor(where) or 0.0
        if G.size < 2 or not G.any() or (c and not math.isnan(c)):
            continue  # where all entries are alike, their sum is a multiple of them
        if locator.agrees_as_sum(where, every, G.ravel()[:1]) if c else locator.cancels(where):
            name = locator.subject.floating_names[where]
            text = f"The gradient of {name} is one number in every entry, the sum over all of them:"
            formula = Formula("g.sum()", f"g summed to {G.shape}")
            evidence = (
                f"the number is the sum of the right gradient{'' if c else ', which cancels'}"
            )
            return Diagnosis("axis", f"{text} each has its own.", formula, evidence)
    return None


def _coarse(entries: list[Any], locator: Locator) -> Diagnosis | None:
    """Numbers of a narrower dtype than the inputs', near to what they should be."""
    points = locator.subject.points
    for dtype in (np.float16, np.float32):
        epsilon = float(np.finfo(dtype).eps)
        rounded = [
            entry is not None
            and limits(point.dtype).epsilon < epsilon
            and _is_rounded(wide(entry), dtype)
            for entry, point in zip(entries, points, strict=True)
        ]
        if any(rounded) and all(
            locator.is_near(where, 4 * epsilon) if is_rounded else locator.right[where] is not False
            for where, is_rounded in enumerate(rounded)
        ):
            text = f"The formula is right, and its numbers are rounded to {np.dtype(dtype).name}."
            pairs = zip(locator.subject.floating_names, rounded, strict=True)
            names = ", ".join(name for name, is_rounded in pairs if is_rounded)
            evidence = f"every entry of the gradient of {names} is a number of that dtype"
            return Diagnosis("arithmetic", text, evidence=evidence)
    return None


def _coarse_within(subject: Metered, first: list[Any], locator: Locator) -> Diagnosis | None:
    """A sum, or an array, of a narrower dtype within: there what is next to 0 is 0."""
    points, single = subject.points, float(np.finfo(np.float32).eps)
    floating = filter(is_floating, (*points, *locator.cotangent))
    if any(limits(array.dtype).epsilon >= single for array in floating):
        return None
    if any(not locator.is_near(k, 4 * single) for k, e in enumerate(locator.right) if e is False):
        return None
    tiny = tuple((c * _TINY).astype(c.dtype) for c in locator.cotangent)
    answer = raw_answer(subject, points, tiny)
    if not are_finite(answer):
        return None
    lost = gap_of([None if e is None else wide(e) / _TINY for e in answer], first, points)
    if not lost > LINEAR:
        return None
    text = "The formula is right, and numbers on the way are rounded to float32."
    evidence = f"of a gradient {_TINY:.0e} times as large, {number(lost)} is lost"
    return Diagnosis("arithmetic", text, evidence=evidence)


def _is_rounded(array: Vector, dtype: Any) -> bool:
    plain = np.isin(array, (-1.0, 0.0, 0.5, 1.0)).all()  # exact in every dtype
    return bool((array.astype(dtype) == array).all() and not plain)
