"""Softmax behind a function that is not known, such as a linear layer: y = softmax(z(x)).

J = S·Z gives Z = dz/dx but for a number that is the same for all classes: J/s for softmax, J for
log_softmax. A wrong factor D in place of S makes A = D·(Z + ℓ), and ℓ is the one number in each
row's K that is fitted.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from softgrad.checker.diagnosis.hypotheses.base import Guess, Hypothesis
from softgrad.checker.diagnosis.jacobians import Matrix
from softgrad.checker.diagnosis.view import View
from softgrad.checker.report import Formula
from softgrad.checker.subject import Vector

__all__ = ["BEHIND_DIAGONAL", "BEHIND_IDENTITY", "BEHIND_PROJECTION"]


def _ends_in(view: View) -> Iterator[tuple[bool, int, Vector]]:
    """Yield whether y is log_softmax, its class axis, and the probabilities."""
    y = view.y
    if y is None or y.ndim == 0 or view.elementwise or view.rows is not None:
        return
    for log, p in ((False, y), (True, np.exp(y))):
        for axis, length in enumerate(y.shape):
            if length > 2 and p.min() > 0 and np.allclose(p.sum(axis=axis), 1, atol=1e-9):
                yield log, axis, p
                return


def _through(view: View, log: bool, axis: int, p: Vector, d: Vector) -> Matrix:
    """Return diag(d)·(Z + ℓ) with the ℓ that brings it nearest to A."""
    Z = (view.J if log else view.J / p.reshape(-1, 1)).reshape(*p.shape, -1)
    A, d = view.A.reshape(Z.shape), d[..., None]
    missing = ((A - d * Z) * d).sum(axis=axis, keepdims=True)
    missing /= (d * d).sum(axis=axis, keepdims=True)
    return np.asarray(d * (Z + missing)).reshape(view.J.shape)


def _diagonal(view: View) -> Iterator[Guess]:
    for log, axis, p in _ends_in(view):
        text = (
            "Only the diagonal of softmax's Jacobian is used before the chain rule goes on: the "
            "cross derivatives are missing."
        )
        d, line = (1 - p, "g * (1 - s)") if log else (p * (1 - p), "g * s * (1 - s)")
        matrix = _through(view, log, axis, p, d)
        yield Guess("behind, diagonal", matrix, text, Formula(line, _right(log)))


def _projection(view: View) -> Iterator[Guess]:
    for log, axis, p in _ends_in(view):
        if not log:
            text = "The term s·⟨g, s⟩ of softmax is missing before the chain rule goes on."
            matrix = _through(view, log, axis, p, p)
            yield Guess("behind, missing", matrix, text, Formula("g * s", _right(log)))


def _identity(view: View) -> Iterator[Guess]:
    for log, axis, p in _ends_in(view):
        text = "The incoming gradient is passed on as if softmax were not there."
        matrix = _through(view, log, axis, p, np.ones_like(p))
        yield Guess("behind, identity", matrix, text, Formula("g", _right(log)))


def _right(log: bool) -> str:
    return "g - s * g.sum(-1)" if log else "s * (g - (g * s).sum(-1))"


BEHIND_DIAGONAL = Hypothesis(
    "diagonal-only", "A = diag(S)·Z", "classes that ask for another ℓ", _diagonal, factor=False
)
BEHIND_PROJECTION = Hypothesis(
    "projection-term", "A = diag(s)·Z", "classes that ask for another ℓ", _projection, factor=False
)
BEHIND_IDENTITY = Hypothesis(
    "identity", "A = Z", "classes that ask for another ℓ", _identity, factor=False
)
