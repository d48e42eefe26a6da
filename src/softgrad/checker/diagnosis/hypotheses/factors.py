"""A factor of the chain rule left out or taken twice: an input, the output, a mask, a cap."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from softgrad.checker.diagnosis.hypotheses.base import Guess, Hypothesis
from softgrad.checker.diagnosis.jacobians import Matrix
from softgrad.checker.diagnosis.view import View
from softgrad.checker.subject import AnyArray, Vector

__all__ = ["DERIVATIVE", "FACTOR", "HALF", "OUTPUT_FACTOR", "RAW"]


def _factor(view: View) -> Iterator[Guess]:
    """A = J·w or J/w, w another input that fits the output or this input."""
    for place, w in view.others.items():
        if w.size < 2 or w.dtype.kind not in "bf":
            continue
        for side in ("output", "input"):
            vector = _aligned(view, w.astype(np.float64), side)
            if vector is None:
                continue
            for how, matrix in (("doubled", view.J * vector), ("missing", view.J / vector)):
                if np.isfinite(matrix).all():
                    text = f"The factor of {view.name(place)} is {how}."
                    yield Guess(f"factor {place} {how} {side}", matrix, text)
        if view.elementwise and w.shape == view.x.shape and not w.all():
            text = f"The mask, {view.name(place)}, is not applied."
            kept = np.diag(view.J)[w.ravel() != 0]
            for name, c in (("", 1.0), (" but scaled", float(kept[0]) if kept.size else 1.0)):
                if kept.size and np.ptp(kept) <= 1e-6 * abs(c):
                    yield Guess(f"mask {place}{name}", c * np.eye(w.size), text)


def _output_factor(view: View) -> Iterator[Guess]:
    """A = J·y or J/y: the output is no constant, and a multiple of J at no two points."""
    if view.y is not None:
        y = view.y.reshape(-1, 1)
        for how, matrix in (("doubled", view.J * y), ("missing", view.J / y)):
            if np.isfinite(matrix).all():
                yield Guess(f"output {how}", matrix, f"The output as a factor is {how}.")


def _aligned(view: View, w: AnyArray, side: str) -> Matrix | None:
    """Return w for every output, as a column, or for every entry of the input, as a row."""
    shape = view.x.shape if side == "input" else (view.y.shape if view.y is not None else ())
    try:
        vector = np.broadcast_to(w, shape).reshape(-1)
    except ValueError:
        return None
    return np.asarray(vector[None, :] if side == "input" else vector[:, None])


def _derivative(view: View) -> Iterator[Guess]:
    """Elementwise maps whose derivative is a product, seen from their values."""
    if not view.elementwise or view.y is None:
        return
    x, y, j = view.x.ravel(), view.y.ravel(), np.diag(view.J)
    if np.abs(view.J - np.diag(j)).max() > 1e-6 * np.abs(j).max():
        return
    yield Guess("squared", np.diag(j * j), "The derivative is multiplied in twice.")
    for name, product, variants in _products(x, y):
        if np.abs(product - j).max() <= 1e-5 * np.abs(j).max():
            for what, wrong in variants.items():
                text = f"A factor of the derivative of {name} is missing or wrong: {what}."
                yield Guess(f"{name}: {what}", np.diag(wrong), text)


def _products(x: Vector, y: Vector) -> Iterator[tuple[str, Vector, dict[str, Vector]]]:
    yield (
        "the sigmoid",
        y * (1 - y),
        {
            "y without 1 − y": y,
            "1 − y without y": 1 - y,
            "y·(1 + y)": y * (1 + y),
            "y²·(1 − y)": y * y * (1 - y),
        },
    )
    yield "tanh", 1 - y * y, {"1 − y without the square": 1 - y, "1 + y²": 1 + y * y, "y²": y * y}
    c = _cap(x, y)
    if c is not None:
        t = np.tanh(x / c)
        wrong = {
            "tanh of x and not of x/c": 1 - np.tanh(x) ** 2,
            "1 − tanh without the square": 1 - t,
            "the cap is not divided by": 1 - y * y,
        }
        yield f"the soft cap {c:.6g}·tanh(x/{c:.6g})", 1 - t * t, wrong


def _cap(x: Vector, y: Vector) -> float | None:
    """Return the c of y = c·tanh(x/c), None where there is none."""
    i = int(np.abs(x).argmax())
    low, high = np.log(2.0**-10), np.log(2.0**20)
    for _ in range(60):  # c·tanh(x/c) grows with c
        c = float(np.exp((low + high) / 2))
        low, high = (
            (low, np.log(c)) if c * np.tanh(abs(x[i]) / c) > abs(y[i]) else (np.log(c), high)
        )
    return c if np.allclose(c * np.tanh(x / c), y, rtol=1e-9, atol=0) else None


def _half(view: View) -> Iterator[Guess]:
    """Of y = x·h(x), in one of its factors alone: y/x, a norm or a gate taken for a constant."""
    if not view.elementwise or view.y is None or not view.x.all():
        return
    h = np.diag((view.y / view.x).ravel())
    text = "Of the product rule for x·h(x) {} is missing."
    slope = view.J - h
    yield Guess("h alone", h, text.format("the term with the derivative of h"))
    yield Guess("h' alone", slope, text.format("the term h itself"))
    text = "Of the product rule for x·h(x) {}."
    yield Guess("−h'", h - slope, text.format("the term with the derivative of h is subtracted"))
    yield Guess("−h", slope - h, text.format("the term h itself is subtracted"))
    yield Guess("2h'", h + 2 * slope, text.format("the term with the derivative of h is doubled"))
    yield Guess("2h", 2 * h + slope, text.format("the term h itself is doubled"))


def _raw(view: View) -> Iterator[Guess]:
    """A parameter's gradient from the input or the output, and not from what it multiplies."""
    y = view.y
    if y is None or view.elementwise or view.diagonal is None:
        return
    for place, other in view.others.items():
        if other.shape == y.shape and other.dtype.kind == "f":
            name = view.name(place)
            text = f"The incoming gradient is multiplied by {name} as it is, {_UNPROCESSED}."
            matrix = other.reshape(-1, 1) * view.diagonal
            yield Guess(f"times input {place}", matrix, text)
    text = f"The incoming gradient is multiplied by the output, {_UNPROCESSED}."
    yield Guess("times the output", y.reshape(-1, 1) * view.diagonal, text)


_UNPROCESSED = "and not by what the input is multiplied by"

OUTPUT_FACTOR = Hypothesis(
    "chain-term", "A = J·y or J/y", "A/J that is not y", _output_factor, factor=False
)
HALF = Hypothesis("chain-term", "A = diag(y/x)", "another ratio", _half)
RAW = Hypothesis("wrong-variable", "A = x for J = x̂", "another multiplier", _raw)
FACTOR = Hypothesis("chain-term", "A = J·w or J/w", "A/J that is not w", _factor)
DERIVATIVE = Hypothesis("chain-term", "A = J·J or J without a factor", "A/J", _derivative)
