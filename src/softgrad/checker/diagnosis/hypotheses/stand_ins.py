"""The rule of softmax in terms of s, right or its diagonal alone, with other numbers for s."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from softgrad.checker.diagnosis.hypotheses.base import Guess, Hypothesis
from softgrad.checker.diagnosis.hypotheses.losses import softmax
from softgrad.checker.diagnosis.jacobians import Matrix
from softgrad.checker.diagnosis.view import Rows, View
from softgrad.checker.report import Formula
from softgrad.checker.subject import Vector

__all__ = ["AXIS_FOR_S", "DIAGONAL_ELSEWHERE", "SLICE_FOR_S"]


def _rule(view: View, rows: Rows, s: Vector) -> Matrix | None:
    """Return diag(s) − s·sᵀ, of log_softmax 1 − 1·sᵀ, with any numbers for s."""
    left = np.ones_like(s) if rows.log else s
    D, T = view.diagonal_term(rows, left), view.term(rows, left, s, (rows.axis,))
    return None if D is None or T is None else D - T


def _diagonal_elsewhere(view: View) -> Iterator[Guess]:
    rows = view.rows
    if rows is None or rows.log:
        return
    others = {"softmax(s)": softmax(rows.p, rows.axis)}
    if view.elementwise:
        others["z"] = view.x
        others["sigmoid(z)"] = 0.5 + 0.5 * np.tanh(view.x / 2)
        for axis, length in enumerate(view.x.shape):
            if axis != rows.axis and length > 1:
                name = f"the softmax of z over axis {axis}"
                others[name] = softmax(view.scale(rows) * view.x, axis)
    right = f"s * (g - (g * s).sum(axis={rows.axis - rows.p.ndim}, keepdims=True))"
    for name, v in others.items():
        D = view.diagonal_term(rows, v * (1 - v))
        if D is not None:
            text = (
                f"The derivative of a sigmoid, v·(1 − v), stands for that of softmax, v being "
                f"{name}: the cross derivatives are missing, and v must be s."
            )
            yield Guess(name, D, text, Formula(f"g * v * (1 - v), v = {name}", right))


def _axis_for_s(view: View) -> Iterator[Guess]:
    rows = view.rows
    if rows is None or not view.elementwise:
        return
    every = tuple(range(view.x.ndim))
    others = {f"axis {axis}": every[axis : axis + 1] for axis in every if view.x.shape[axis] > 1}
    others["all axes"] = every
    for which, axes in others.items():
        if all(view.x.shape[axis] == 1 for axis in axes if axis != rows.axis):
            continue
        J = _rule(view, rows, softmax(view.scale(rows) * view.x, axes))
        if J is not None:
            text = f"The s in the rule is softmax over {which}, and must be that over axis"
            yield Guess(f"s over {which}", J, f"{text} {rows.axis}.")


def _slice_for_s(view: View) -> Iterator[Guess]:
    rows = view.rows
    if rows is None:
        return
    for axis, length in enumerate(rows.p.shape):
        if axis == rows.axis or length == 1:
            continue
        for which, index in (("first", 0), ("last", length - 1)):
            s = np.broadcast_to(np.take(rows.p, [index], axis=axis), rows.p.shape)
            J = _rule(view, rows, s)
            if J is not None:
                text = f"The s of the {which} slice along axis {axis} stands for those of all."
                yield Guess(f"s of {which} along {axis}", J, text)


DIAGONAL_ELSEWHERE = Hypothesis(
    "diagonal-only", "A = diag(v·(1 − v)), v = z, σ(z) or s(s)", "another v", _diagonal_elsewhere
)
AXIS_FOR_S = Hypothesis(
    "axis", "A = diag(v) − v·vᵀ, v = s over another axis", "another v", _axis_for_s
)
SLICE_FOR_S = Hypothesis(
    "wrong-variable", "A = diag(v) − v·vᵀ, v the s of one row", "v that varies", _slice_for_s
)
