"""Step 0: what holds exactly for every right backward, with no oracle."""

from __future__ import annotations

from contextlib import AbstractContextManager

import numpy as np

from softgrad.checker.draws import other_draws
from softgrad.checker.report import Finding
from softgrad.checker.subject import (
    Arrays,
    Entries,
    Layout,
    Subject,
    Vector,
    expanded,
    strided,
)
from softgrad.results import number

__all__ = ["describe", "exact_tests", "new_draws", "redrawn"]

_MANY = 16.0
"""A power of two, so that the product is exact, and large enough to run into clipping."""


def describe(subject: Subject, entries: Entries) -> list[Finding]:
    """Say what is unusual about the answer's entries, though it can be compared."""
    findings = []
    names = [subject.names[place] for place in subject.floating]
    for name, entry, point in zip(names, entries, subject.points, strict=True):
        if entry is None:
            text = f"The gradient of {name} is None; it is compared as zero."
            findings.append(Finding("note", text))
        elif entry.dtype.newbyteorder("=") != point.dtype.newbyteorder("="):
            text = f"The gradient of {name} is {entry.dtype}, the input is {point.dtype}."
            findings.append(Finding("note", text))
    return findings


def exact_tests(
    subject: Subject,
    cotangents: list[Arrays],
    gradients: Vector,
    again: Entries | None,
    slack: float,
    spare: bool,
    many: bool,
) -> list[Finding]:
    """Test that the backward is linear in the cotangent and gives the same answer twice.

    Factors of 16 and −1 are exact in binary arithmetic: what is forgiven, `slack`, is only a sum
    that another thread or memory layout orders otherwise. `again` is a second backward after the
    last forward, with the first cotangent. Without a `spare` call, one is saved. `many` is False
    where a cotangent of the usual size has overflowed already.
    """
    findings = []
    if again is not None:
        error = _difference(subject.vector(again), gradients[0], slack)
        if error:
            text = "A second backward after one forward must give the gradient of the first"
            cause = "the backward changes what the forward saved"
            findings.append(
                Finding("fail", f"{text}; relative difference {number(error)}: {cause}.")
            )

    def expect(factor: float, index: int, message: str, layout: Layout = np.array) -> None:
        # No negative zeros: an expanded cotangent is one number throughout.
        cotangent = tuple((c * factor + 0.0).astype(c.dtype) for c in cotangents[index])
        got = subject.vector(subject.pull_back(subject.points, cotangent, layout))
        wanted = factor * gradients[index]
        if factor == _MANY:
            # It may overflow where the gradient itself does not: that is no finding.
            fits = np.isfinite(wanted) & np.isfinite(got)
            got, wanted = np.where(fits, got, 0.0), np.where(fits, wanted, 0.0)
        error = _difference(got, wanted, slack if factor else 0.0)
        if error:
            findings.append(Finding("fail", message.format(number(error))))

    # What follows shows a constant part as well, so that a second backward is saved here.
    if subject.kept_vjp is None or (spare and again is not None):
        text = "A zero cotangent must give a zero gradient, got entries up to {}."
        expect(0.0, 0, text, expanded)
    if many:
        text = f"{_MANY:g} times the cotangent must give {_MANY:g} times the gradient"
        expect(_MANY, 0, f"{text}; relative difference {{}}.")
    expect(-1.0, 1, "Minus the cotangent must give minus the gradient; relative difference {}.")
    expect(
        1.0,
        0,
        "The same cotangent, not contiguous and in a later call, must give the same gradient; "
        "relative difference {}: state is kept between calls, random numbers are drawn, or memory "
        "layout matters.",
        layout=strided,
    )
    return findings


def redrawn(subject: Subject, cotangent: Arrays, gradient: Vector, slack: float) -> Finding | None:
    """Find a backward that draws random numbers anew, where the forward hands its own on."""
    others = new_draws(subject)
    if others is None:
        return None
    with others:
        got = subject.vector(subject.pull_back(subject.points, cotangent))
    error = _difference(got, gradient, slack)
    text = (
        "The backward draws random numbers of its own, and its gradient changes with them: it must"
    )
    text += f" use those that the forward drew; relative difference {number(error)}."
    return Finding("fail", text) if error else None


def new_draws(subject: Subject) -> AbstractContextManager[None] | None:
    """Return what lets the backward of a pair draw other numbers; None where none are drawn."""
    runs_the_forward = subject.forwards_per_vjp or subject.reverse
    return None if runs_the_forward else other_draws()


def _difference(got: Vector, wanted: Vector, slack: float) -> float:
    """Return the largest difference relative to the largest entry, 0 where it is forgiven."""
    error = float(np.abs(got - wanted).max(initial=0.0))
    if error <= slack:
        return 0.0
    return error / (float(np.abs(wanted).max()) or 1.0)
