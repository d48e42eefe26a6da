"""What is wrong besides a fault of form, which is said anyway: the subject without that fault."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from softgrad.checker.calls import Ended
from softgrad.checker.diagnosis.answers import raw_answer
from softgrad.checker.diagnosis.forms import long_axes
from softgrad.checker.diagnosis.locate import Locator
from softgrad.checker.diagnosis.metered import Metered

__all__ = ["in_shape", "without_severed"]


def without_severed(subject: Metered, locator: Locator) -> Metered | None:
    """Return the subject without inputs whose gradient is None, where another is wrong besides.

    That no gradient is given is said anyway: what is wrong with those that are is not.
    """
    try:
        entries = raw_answer(subject, subject.points, locator.cotangent)
    except Ended:
        return None
    if len(entries) != len(subject.floating):
        return None
    given = [where for where, entry in enumerate(entries) if entry is not None]
    if len(given) in (0, len(entries)) or all(locator.right[k] is not False for k in given):
        return None
    rest = replace(subject)
    rest.set_aside([subject.floating[k] for k in range(len(entries)) if k not in given])
    return rest


def in_shape(subject: Metered, locator: Locator, rng: np.random.Generator) -> Metered | None:
    """Return the subject with gradients in their inputs' shapes, where they are wrong besides.

    Those that lack an axis of length 1, or have one more, are meant: all else is no other shape.
    """
    shapes = [point.shape for point in subject.points]

    def vjp(*arguments: Any) -> Any:
        entries = subject.listed(subject.vjp(*arguments))
        if len(entries) != len(shapes):
            return tuple(entries)
        pairs = zip(entries, map(np.shape, (arguments[k] for k in subject.floating)), strict=True)
        return tuple(
            entry
            if entry is None or long_axes(np.shape(entry)) != long_axes(own)
            else np.reshape(entry, own)
            for entry, own in pairs
        )

    try:
        entries = raw_answer(subject, subject.points, locator.cotangent)
        others = [np.shape(entry) for entry in entries]
        if others == shapes or list(map(long_axes, others)) != list(map(long_axes, shapes)):
            return None
        rest = replace(subject, vjp=vjp, kept_vjp=None)
        return rest if False in Locator(rest, locator.outputs, rng).right else None
    except Ended:
        return None
