"""Labels and masks given as floating-point arrays: constants that a backward gives no gradient."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from softgrad.checker.calls import Ended
from softgrad.checker.report import Finding
from softgrad.checker.subject import AnyArray, Entries, Subject, Vector, flat, has_two_values

__all__ = ["without_constants"]

_WORDS = frozenset(("target", "targets", "label", "labels", "mask", "onehot", "true", "truth"))
_TAKEN = (
    "There are 0 and 1 alone in {}, and it is given no gradient: it was taken for a constant, as "
    "labels and masks are, and not checked."
)
_OPEN = (
    "The gradient of {} is {}, and the forward changes with it. If it is a constant, as labels "
    "and masks are, give it as integers or booleans, or bind it: lambda z: forward(z, mask). Else "
    "its gradient is missing."
)


def without_constants(
    subject: Subject, answers: list[Entries], outputs: Vector
) -> tuple[list[int], list[Finding]]:
    """Set labels and masks aside that are floats; return which entries are kept, and what to say.

    They are inputs without a gradient that have two values alone, or whose name says so.
    """
    count = len(subject.floating)
    places = [
        i
        for i, place in enumerate(subject.floating)
        if not any(np.any(entries[i]) for entries in answers if entries[i] is not None)
        and (has_two_values(subject.values[place]) or _is_named_so(subject.forward, place))
    ]
    findings = []
    if len(places) < count:
        for i in places:
            if _moves_with(subject, i, outputs):
                name, point = subject.floating_names[i], subject.points[i]
                if answers[0][i] is None and (point.min(), point.max()) == (0, 1):
                    findings.append(Finding("note", _TAKEN.format(name)))
                else:
                    what = "None" if answers[0][i] is None else "zero"
                    findings.append(Finding("doubt", _OPEN.format(name, what)))
        subject.set_aside([subject.floating[i] for i in places])
    return [i for i in range(count) if len(places) == count or i not in places], findings


def _is_named_so(forward: Callable[..., Any], place: int) -> bool:
    try:
        names = list(inspect.signature(inspect.unwrap(forward)).parameters)
    except (TypeError, ValueError):
        return False
    return place < len(names) and not _WORDS.isdisjoint(names[place].lower().split("_"))


def _moves_with(subject: Subject, place: int, outputs: Vector) -> bool:
    """Whether the outputs change with one input."""
    points: list[AnyArray] = list(subject.points)
    point = points[place]
    points[place] = (point + 2.0**-6 * (1 + np.abs(point))).astype(point.dtype)
    with suppress(Ended):
        return not np.array_equal(flat(subject.evaluate(tuple(points))), outputs)
    return False
