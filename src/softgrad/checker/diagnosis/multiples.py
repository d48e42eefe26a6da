"""Gradients that are a multiple of the true one: seen along directions, with no Jacobian."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from softgrad.checker.calls import Ended
from softgrad.checker.diagnosis.locate import Locator
from softgrad.checker.diagnosis.plan import AGAIN
from softgrad.checker.diagnosis.scales import Constant, Factor, told
from softgrad.checker.diagnosis.slopes import Unusable
from softgrad.checker.diagnosis.twin import draw, plans
from softgrad.checker.report import Diagnosis
from softgrad.checker.richardson import rms
from softgrad.checker.subject import flat

__all__ = ["multiple"]


def multiple(locator: Locator, rng: np.random.Generator) -> Diagnosis | None:
    """Return zero, sign or scale where that is what all wrong gradients are; None otherwise.

    The factor must be the same thing at the inputs and at two points of a twin: at one point every
    gradient of a number is a multiple of the true one.
    """
    wrong, subject = locator.wrong_inputs(), locator.subject
    # The inputs' own dtype may be narrow, and the twin's is not.
    factors = [locator.factor(where, accuracy=1e-3) for where in wrong]
    if not wrong or not all(map(_is_wrong, factors)):
        return None
    elsewhere_right = False
    for pair in _pairs(locator, rng):
        there = [[twin.factor(where) for twin in pair] for where in wrong]
        if any(c is None for both in there for c in both):
            continue
        if any(math.isnan(c or 0.0) for both in there for c in both):
            return None
        if not any(_is_wrong(c) for both in there for c in both):
            elsewhere_right = locator.right_elsewhere = True
            continue
        named = []
        for where, c, both in zip(wrong, factors, there, strict=True):
            seen = zip((*both, c), (*pair, locator), strict=True)
            constant = told(*(Factor(v or 0.0, at.subject, at.outputs) for v, at in seen))
            if constant is not None:
                name = subject.floating_names[where] if elsewhere_right else ""
                cancels = bool(locator.gradient[where].any())
                named.append(_said(constant, name, cancels, within=_is_passed(locator, wrong)))
        if any(it.code == "zero" for it in named) and not _stays_zero(pair[0], wrong, rng):
            return None
        if len(named) == len(wrong):
            return _together(named, [subject.floating_names[where] for where in wrong])
    return None


def _is_wrong(c: float | None) -> bool:
    return c is not None and abs(c - 1) > 1e-9  # NaN, which is no multiple, is not greater


def _pairs(locator: Locator, rng: np.random.Generator) -> Iterator[tuple[Locator, Locator]]:
    """Yield two points of every twin on which forward and backward run."""
    subject = locator.subject
    found = False
    for plan in plans(subject):
        if plan.spare and found:
            continue
        try:
            pair = []
            for _ in range(2):
                twin = draw(subject, plan, rng, largest=math.inf)
                if twin is not None:
                    pair.append(Locator(twin, twin.first_outputs(), rng))
        except (Ended, Unusable, TypeError):
            continue
        if len(pair) == 2 and not _same(pair[0], pair[1]):
            found = True
            yield pair[0], pair[1]


def _is_passed(locator: Locator, wrong: list[int]) -> bool:
    """Whether what comes in is passed through the Jacobian of a map, or of a layer within."""
    is_map = [output.shape for output in locator.outputs] == [locator.points[0].shape]
    return wrong[0] == 0 and (is_map or len(wrong) > 1)


def _stays_zero(twin: Locator, wrong: list[int], rng: np.random.Generator) -> bool:
    """Whether a gradient that was zero is so at more points: it may be zero on one side alone."""
    for _ in range(6):
        again = draw(twin.subject, AGAIN, rng)
        if again is not None:
            gradient = twin.answer(again.points, twin.cotangent)
            rounding = 1e-12 * rms(flat(twin.cotangent))
            if any(rms(gradient[w]) > rounding >= rms(twin.gradient[w]) for w in wrong):
                return False
    return True


def _same(one: Locator, other: Locator) -> bool:
    return all(map(np.array_equal, one.points, other.points))


def _said(constant: Constant, here_alone: str, cancels: bool, within: bool) -> Diagnosis:
    """Put a factor into a sentence, with the input's name if it is right at other sizes."""
    whose = f"At these sizes the gradient of {here_alone}" if here_alone else "The gradient"
    if constant.text == "0" and cancels and within:
        code, text = "projection-term", f"{whose} is mere rounding: a sum that cancels, such as "
        text += "those over rows of a softmax's Jacobian, stands for a product with g."
    elif constant.text == "0" and cancels:
        code, text = "zero", f"{whose} is mere rounding: what is summed up to it cancels."
    elif constant.text == "0":
        code, text = "zero", f"{whose} is zero whatever comes in, and the forward does change."
    elif constant.text == "-1":
        code, text = "sign", f"{whose} has the wrong sign."
    else:
        code, text = "scale", constant.put(f"{whose} is {{}} times what it must be.")
    evidence = "so it is along two directions at the inputs and at two more points"
    return Diagnosis(code, text, evidence=evidence)


def _together(named: list[Diagnosis], names: list[str]) -> Diagnosis:
    """Report the first input's mistake, and name the others'."""
    pairs = zip(names[1:], named[1:], strict=True)
    others = [f"; {name}: {other.code} too" for name, other in pairs]
    return replace(named[0], evidence="".join((named[0].evidence, *others)))
