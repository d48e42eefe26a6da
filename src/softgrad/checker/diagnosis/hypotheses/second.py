"""Second derivatives: the backward, as a function of inputs and cotangents, differentiated wrongly.

The other rows of the table hold here as well; these know what is at fault with a backward.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from softgrad.checker.diagnosis.hypotheses.base import Guess, Hypothesis
from softgrad.checker.diagnosis.view import View
from softgrad.checker.report import Formula
from softgrad.checker.subject import Vector

__all__ = ["CONSTANT", "SOFTMAX_TERMS"]


@dataclass(frozen=True)
class _Softmax:
    """The backward of softmax: r = s·(g − ⟨g, s⟩) along an axis; v is the cotangent of r."""

    s: Vector
    r: Vector
    axis: int

    def in_x(self, signs: tuple[int, ...] = (1, -1, -1)) -> str:
        """Return the gradient in x as a line of code, with other signs of its terms perhaps."""
        end = self._end
        parts = zip(("v * r", f"s * (v * r){end}", f"r * (v * s){end}"), signs, strict=True)
        text = " ".join(f"{'+' if sign > 0 else '-'} {part}" for part, sign in parts if sign)
        return text.removeprefix("+ ").replace("- ", "-", text.startswith("-"))

    def in_g(self) -> str:
        """Return the gradient in g as a line of code."""
        return f"s * (v - (v * s){self._end})"

    @property
    def _end(self) -> str:
        return f".sum(axis={self.axis - self.s.ndim}, keepdims=True)"


def _recognised(view: View) -> _Softmax | None:
    """Return the backward of softmax, if that is what is differentiated."""
    points, r = view.spot.points, view.y
    if view.cotangents != 1 or len(points) != 2 or r is None or not view.elementwise:
        return None
    x, g = (np.asarray(point, np.float64) for point in points)
    for axis in range(x.ndim if g.shape == x.shape else 0):
        e = np.exp(x - x.max(axis=axis, keepdims=True))
        s = e / e.sum(axis=axis, keepdims=True)
        if np.allclose(s * (g - (g * s).sum(axis=axis, keepdims=True)), r, rtol=1e-9):
            return _Softmax(s, r, axis)
    return None


def _constant(view: View) -> Iterator[Guess]:
    if not view.cotangents or view.A.any():
        return
    name = view.spot.subject.floating_names[view.where]
    text = f"It is zero: {name} is a constant in the backward, detached before it is used."
    if view.where < len(view.spot.points) - view.cotangents:
        text = (
            f"It is zero: what the backward takes from {name} is a constant there. It is detached, "
            "computed where no graph is built (as with once_differentiable), or kept from the "
            "forward though it is neither an input nor an output."
        )
    found = _recognised(view)
    formula = None
    if found is not None:
        text += _LETTERS
        formula = Formula("0 * v", found.in_g() if view.where else found.in_x())
    yield Guess("constant", np.zeros_like(view.A), text, formula)


_LETTERS = " (s is the softmax, r what the backward returns, v the cotangent of that.)"
_TERMS = ("v·r", "−s·⟨v, r⟩", "−r·⟨v, s⟩")
_HELD = {(1, 1, 0): "inside ⟨g, s⟩", (0, 0, 1): "before the bracket"}
"""Which s in s·(g − ⟨g, s⟩) is a constant, by the factors of the terms."""


def _terms(view: View) -> Iterator[Guess]:
    """J = diag(r) − r·sᵀ − s·rᵀ within rows, a term of which is missing or of the wrong sign."""
    found = _recognised(view)
    if found is None or view.where:
        return
    s, r, same = found.s.ravel(), found.r.ravel(), view.same((found.axis,))
    terms = np.diag(r), -np.outer(r, s) * same, -np.outer(s, r) * same
    for factors in product((1, 0, -1), repeat=3):
        if len(set(factors)) == 1:  # J itself, 0 or −J
            continue
        matrix = sum(factor * term for factor, term in zip(factors, terms, strict=True))
        signs = tuple(sign * factor for sign, factor in zip((1, -1, -1), factors, strict=True))
        formula = Formula(found.in_x(signs), found.in_x())
        text = _said(factors) + _LETTERS
        yield Guess(f"softmax's terms {factors}", np.asarray(matrix), text, formula)


def _said(factors: tuple[int, ...]) -> str:
    if factors in _HELD:
        return f"In s·(g − ⟨g, s⟩) the s {_HELD[factors]} is a constant, detached perhaps."
    wrong = [
        f"{term} {'has the wrong sign' if factor else 'is missing'}"
        for factor, term in zip(factors, _TERMS, strict=True)
        if factor != 1
    ]
    return f"Of its terms v·r, −s·⟨v, r⟩ and −r·⟨v, s⟩, {' and '.join(wrong)}."


CONSTANT = Hypothesis(
    "second-order",
    "A = 0, for a backward",
    "an entry that is not 0",
    _constant,
    factor=False,
    vanishing=True,
)
SOFTMAX_TERMS = Hypothesis(
    "second-order", "A = ±diag(r) ± r·sᵀ ± s·rᵀ", "a residual of higher rank", _terms
)
