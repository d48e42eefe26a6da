"""Something is added to the right derivative: the incoming gradient, a mean, a rank of one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from softgrad.checker.diagnosis.hypotheses.base import Guess, Hypothesis
from softgrad.checker.diagnosis.hypotheses.losses import softmax
from softgrad.checker.diagnosis.jacobians import Matrix
from softgrad.checker.diagnosis.view import View
from softgrad.checker.richardson import rms
from softgrad.checker.subject import AnyArray

__all__ = ["CENTRED", "DECAY", "INNER_PRODUCT", "PLUS_IDENTITY"]


def _plus_identity(view: View) -> Iterator[Guess]:
    """A branch that goes around the map, as in a residual connection, too often or not at all."""
    if not view.elementwise:
        return
    eye = np.eye(view.x.size)
    if view.is_multiple(eye):
        return  # what is wrong is the factor
    more = "The incoming gradient itself is added once too often: a branch around the map."
    less = "The incoming gradient itself is missing in the sum: the branch around the map."
    yield Guess("plus g", view.J + eye, more)
    yield Guess("minus g", view.J - eye, less)


def _centred(view: View) -> Iterator[Guess]:
    """A mean is taken off the gradient, or off the cotangent before it is used."""
    for name, C in _centrings(view.x):
        text = f"The gradient's mean along axis {name} is taken off."
        yield Guess(f"gradient, {name}", view.J @ C, text)
    for name, C in _centrings(view.y) if view.y is not None else ():
        text = f"The incoming gradient's mean along axis {name} is taken off before it is used."
        yield Guess(f"cotangent, {name}", C @ view.J, text)


def _centrings(array: AnyArray) -> Iterator[tuple[int, Matrix]]:
    """Yield the matrices that take off the mean along each axis."""
    eye = np.eye(array.size).reshape(-1, *array.shape)
    for axis, length in enumerate(array.shape):
        if length > 1:
            C = eye - eye.mean(axis=axis + 1, keepdims=True)
            yield axis, C.reshape(array.size, array.size)


def _decay(view: View) -> Iterator[Guess]:
    """The gradient c·x of a penalty, which the loss has not, or has."""
    x = view.x.reshape(1, -1)
    if view.J.shape[0] > 1 or x.size < 2 or view.is_multiple(x):
        return
    c = float(np.vdot(x, view.A - view.J) / (np.vdot(x, x) or 1.0))
    number = f"{abs(c):.5g}"
    text = f"A multiple of the input is added to the gradient, {number}·x, as that of a penalty, "
    text += "and the loss has none."
    if c < 0:
        text = f"A multiple of the input is missing in the gradient, {number}·x, as that of a"
        text += " penalty."
    yield Guess(f"{c:.4g} x", view.J + c * x, text)


def _inner_product(view: View) -> Iterator[Guess]:
    """A softmax within a larger map: A − J has a rank of one in every row, with s as a factor."""
    x = view.x
    if not view.elementwise or view.rows is not None:
        return
    R = view.A - view.J
    for axis in range(x.ndim):
        if x.shape[axis] < 3:
            continue  # among two, every term looks like this one
        same = view.same((axis,))
        support = (np.diag(view.J) != 0).astype(np.float64)
        softmaxes = [("softmax", softmax(x, axis).ravel())]
        if not support.all():  # else it is a mean
            softmaxes.append(("sparse softmax", support))
        for name, s in softmaxes:
            # The best left factor has an entry for every row.
            u = (R * same) @ s / np.maximum(same @ (s * s), 1e-300)
            term = u[:, None] * s[None, :] * same
            if s.any() and rms(R - term) <= 1e-6 * rms(R):
                text = (
                    f"The term with the inner product of g, in a {name} along axis {axis}, is "
                    "missing or wrong."
                )
                yield Guess(f"{name} along {axis}", view.J + term, text)


PLUS_IDENTITY = Hypothesis(
    "chain-term", "A = J ± I", "an entry off the diagonal", _plus_identity, factor=False
)
CENTRED = Hypothesis(
    "projection-term", "A = J·C or C·J, C = I − mean", "rows that do not sum to 0", _centred,
    factor=False, costly=True,
)  # fmt: skip
DECAY = Hypothesis(
    "chain-term", "A = J ± c·x", "another c at another x", _decay, factor=False, costly=True
)
INNER_PRODUCT = Hypothesis(
    "projection-term", "A = J + u·sᵀ", "a right factor that is not s", _inner_product, factor=False
)
