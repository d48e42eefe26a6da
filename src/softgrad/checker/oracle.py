"""The oracle: the function whose differences are the truth, in float64 where that can be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from softgrad.checker.calls import Ended
from softgrad.checker.probes import coarsest_epsilon
from softgrad.checker.report import Finding
from softgrad.checker.richardson import rms
from softgrad.checker.subject import Arrays, Subject, Vector, flat, is_floating
from softgrad.results import number

__all__ = ["Oracle", "choose_oracle"]

_DOUBLE = 2.0**-52


@dataclass(frozen=True)
class Oracle:
    """The function that is differenced, where, and the rounding of its outputs."""

    name: str
    function: Callable[..., Any]
    points: Arrays
    outputs: Vector
    epsilon: float


def choose_oracle(subject: Subject, outputs: Arrays) -> tuple[Oracle, list[Finding]]:
    """Return the function that is taken for the truth, and what there is to say about it."""
    reference = subject.reference
    epsilon = max(coarsest_epsilon(outputs), coarsest_epsilon(subject.points))
    own = flat(outputs)
    wide = tuple(point.astype(np.float64) for point in subject.points)
    if reference is None and epsilon == _DOUBLE:
        return Oracle("float64 Richardson", subject.forward, wide, own, epsilon), []
    function = reference or subject.forward
    values = _float64_outputs(subject, wide, function, own.size)
    gap = 0.0 if isinstance(values, str) else _gap(own, values, epsilon, wide)
    if reference is not None:
        if isinstance(values, str):
            raise Ended("doubt", f"The reference cannot be used: {values}")
        finding = Finding("note", "The forward agrees with the reference.")
        if gap > np.sqrt(epsilon):
            text = f"The forward differs from the reference: relative difference {number(gap)}."
            finding = Finding("fail", text)
        name = "float64 Richardson of the reference"
        return Oracle(name, function, wide, values, _DOUBLE), [finding]
    if gap > np.sqrt(epsilon):
        values = f"there its outputs differ by {number(gap)}."
    if isinstance(values, str):
        name = f"{np.result_type(*outputs)} Richardson"
        note = Finding("note", f"The forward cannot be run in float64: {values}")
        return Oracle(name, function, subject.points, own, epsilon), [note]
    return Oracle("float64 Richardson", function, wide, values, _DOUBLE), []


def _float64_outputs(
    subject: Subject, points: Arrays, function: Callable[..., Any], size: int
) -> Vector | str:
    """Return the outputs at float64 inputs, or the reason why they are no use."""
    try:
        outputs = subject.evaluate(points, function)
    except Ended as end:
        return end.finding.message
    kinds = {str(output.dtype) for output in outputs if is_floating(output)}
    if kinds != {"float64"}:
        return f"it returns {', '.join(sorted(kinds)) or 'no floating-point numbers'}."
    values = flat(outputs)
    if values.size != size:
        return f"it returns {values.size} numbers and not {size}."
    return values if np.isfinite(values).all() else "it returns numbers that are not finite."


def _gap(own: Vector, values: Vector, epsilon: float, points: Arrays) -> float:
    """Return the relative difference of two outputs, less what rounding of large inputs makes."""
    rounding = 16 * epsilon * rms(flat(points))
    excess = max(rms(own - values) - rounding, 0.0)
    return excess / (rms(values) or 1.0)
