"""The Jacobian never applied, of the wrong sign, or times a constant."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from softgrad.checker.diagnosis.hypotheses.base import Guess, Hypothesis
from softgrad.checker.diagnosis.view import View
from softgrad.checker.report import Formula

__all__ = [
    "IDENTITY", "MEAN_OF_USES", "NEARLY_ZERO", "PASSED_ON", "SCALE", "SIGN", "SPREAD", "ZERO",
]  # fmt: skip

PASSED_ON = "The incoming gradient is passed on as it is: the Jacobian is never applied."


def _zero(view: View) -> Iterator[Guess]:
    text = "The gradient is zero whatever comes in, and the forward does change."
    if view.A.any():
        return  # rounding alone is what a sum that cancels leaves
    yield Guess("zero", np.zeros_like(view.A), text, Formula("0 * g", "the Jacobian times g"))


def _nearly_zero(view: View) -> Iterator[Guess]:
    text = "The gradient cancels to nothing but rounding, and the forward does change."
    yield Guess("nearly zero", np.zeros_like(view.A), text)


def _identity(view: View) -> Iterator[Guess]:
    mask, y = view.diagonal, view.y
    if mask is None or y is None or view.is_multiple(mask.astype(np.float64)):
        return  # where J is c·I, what is wrong is the factor
    if _only_moves(view):
        return  # where J is a permutation, what is wrong is the order
    if set(view.x.shape) <= set(y.shape) or set(y.shape) <= set(view.x.shape):
        yield Guess("identity", mask.astype(np.float64), PASSED_ON, Formula("g", _expected(view)))


def _only_moves(view: View) -> bool:
    """Whether J is a permutation."""
    seen = view.pattern != 0
    one = (seen.sum(axis=0) == 1).all() and (seen.sum(axis=1) == 1).all()
    return bool(one and np.allclose(view.J[seen], 1, atol=1e-5))


def _spread(view: View) -> Iterator[Guess]:
    ones = np.ones_like(view.A)
    if view.J.shape[0] == 1 and view.J.shape[1] > 1 and not view.is_multiple(ones):
        text = "Every entry is given the incoming gradient as it is: no derivative is applied."
        yield Guess("identity, spread", ones, text, Formula("g * ones_like(x)", "g * dloss/dx"))


def _sign(view: View) -> Iterator[Guess]:
    text = "The gradient has the wrong sign."
    right = _expected(view)
    formula = None if view.rows is None else Formula(f"-({right})", right)
    yield Guess("sign", -view.J, text, formula)


def _scale(view: View) -> Iterator[Guess]:
    yield Guess("scale", view.J, "The gradient is {} times what it must be.")


def _mean_of_uses(view: View) -> Iterator[Guess]:
    uses = (view.pattern != 0).sum(axis=0)
    if uses.max() > 1 and uses.min() < uses.max():
        text = "A mean over the uses of an entry is taken, where it must be their sum."
        yield Guess("mean of uses", view.J / np.maximum(uses, 1), text)


def _expected(view: View) -> str:
    rows = view.rows
    if rows is None:
        return "the Jacobian times g"
    end = f".sum(axis={rows.axis - rows.p.ndim}, keepdims=True)"
    return f"g - s * g{end}" if rows.log else f"s * (g - (g * s){end})"


ZERO = Hypothesis("zero", "A = 0", "an entry that is not 0", _zero, factor=False, vanishing=True)
IDENTITY = Hypothesis("identity", "A = I", "an entry off the diagonal", _identity)
NEARLY_ZERO = Hypothesis(
    "zero", "A ≈ 0", "an entry beyond rounding", _nearly_zero, factor=False, vanishing=True
)
SPREAD = Hypothesis("identity", "A = 1", "entries that differ", _spread, factor=False)
MEAN_OF_USES = Hypothesis(
    "scale", "A = J/uses of the entry", "entries used alike", _mean_of_uses, factor=False
)
SIGN = Hypothesis("sign", "A = −J", "A + J beyond the error bar", _sign, factor=False)
SCALE = Hypothesis(
    "scale", "A = c·J", "a second point at which c is another", _scale, any_factor=True
)
