"""Step 0: what holds exactly for every right backward, with no oracle."""

from __future__ import annotations

import numpy as np

from softgrad.checker.report import Finding
from softgrad.checker.subject import Arrays, Entries, Subject, Vector
from softgrad.results import number

__all__ = ["describe", "exact_tests"]

_MANY = 16.0
"""A power of two, so that the product is exact, and large enough to run into clipping."""


def describe(subject: Subject, entries: Entries) -> list[Finding]:
    """Say what is unusual about the answer's entries, though it can be compared."""
    findings = []
    for place, entry, point in zip(subject.floating, entries, subject.points, strict=True):
        if entry is None:
            text = f"The gradient of input {place} is None; it is compared as zero."
            findings.append(Finding("note", text))
        elif entry.dtype.newbyteorder("=") != point.dtype.newbyteorder("="):
            text = f"The gradient of input {place} is {entry.dtype}, the input is {point.dtype}."
            findings.append(Finding("note", text))
    return findings


def exact_tests(
    subject: Subject, cotangents: list[Arrays], gradients: Vector, slack: float
) -> list[Finding]:
    """Test that the backward is linear in the cotangent and gives the same answer twice.

    Factors of 16 and −1 are exact in binary arithmetic: what is forgiven, `slack`, is only a sum
    that another thread or memory layout orders otherwise.
    """
    findings = []
    # At once after the last gradient, for which a layer's forward was run.
    again = subject.pull_back_again(cotangents[0])
    if again is not None:
        error = _difference(subject.vector(again), gradients[0], slack)
        if error:
            text = "A second backward after one forward must give the gradient of the first"
            cause = "the backward changes what the forward saved"
            findings.append(
                Finding("fail", f"{text}; relative difference {number(error)}: {cause}.")
            )

    def expect(factor: float, index: int, message: str, scattered: bool = False) -> None:
        cotangent = tuple((c * factor).astype(c.dtype) for c in cotangents[index])
        got = subject.vector(subject.pull_back(subject.points, cotangent, scattered))
        wanted = factor * gradients[index]
        if factor == _MANY:
            # It may overflow in float16 where the gradient itself does not: that is no finding.
            fits = np.isfinite(wanted) & ~np.isinf(got)
            got, wanted = np.where(fits, got, 0.0), np.where(fits, wanted, 0.0)
        error = _difference(got, wanted, slack if factor else 0.0)
        if error:
            findings.append(Finding("fail", message.format(number(error))))

    # A second backward tried in vain is saved here: what follows shows a constant part as well.
    if again is not None or subject.kept_vjp is None:
        expect(0.0, 0, "A zero cotangent must give a zero gradient, got entries up to {}.")
    many = f"{_MANY:g} times the cotangent must give {_MANY:g} times the gradient"
    expect(_MANY, 0, f"{many}; relative difference {{}}.")
    expect(-1.0, 1, "Minus the cotangent must give minus the gradient; relative difference {}.")
    expect(
        1.0,
        0,
        "The same cotangent, not contiguous and in a later call, must give the same gradient; "
        "relative difference {}: state is kept between calls, or memory layout matters.",
        scattered=True,
    )
    return findings


def _difference(got: Vector, wanted: Vector, slack: float) -> float:
    """Return the largest difference relative to the largest entry, 0 where it is forgiven."""
    error = float(np.abs(got - wanted).max(initial=0.0))
    if error <= slack:
        return 0.0
    return error / (float(np.abs(wanted).max()) or 1.0)
