"""The right derivative in the wrong variable: of the output, of the output's output, twice."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from softgrad.checker.diagnosis.edits.logsumexps import log_sum_exps
from softgrad.checker.diagnosis.hypotheses.base import Guess, Hypothesis
from softgrad.checker.diagnosis.hypotheses.losses import softmax
from softgrad.checker.diagnosis.jacobians import Matrix, Unusable
from softgrad.checker.diagnosis.view import View, differ_along
from softgrad.checker.report import Formula
from softgrad.checker.richardson import rms

__all__ = ["AT_ANOTHER_FORM", "AT_LOGITS", "AT_THE_OUTPUT", "FORMULA_OF_INPUT", "TWICE"]

_LARGEST = 30.0
"""Logarithms are no larger, whose exponentials are taken."""


def _at_the_output(view: View) -> Iterator[Guess]:
    y = view.y
    if y is None or not view.elementwise:
        return
    J = _jacobian(view, y)
    if J is None:
        return
    text = "The derivative is taken at the output where it must be at the input: the map is applied"
    formula = Formula("backward(f(x), g)", "backward(x, g)")
    yield Guess("J(f(x))", J, f"{text} twice.", formula)
    yield Guess("J(f(x))·J(x)", J @ view.J, f"{text} twice, and both derivatives are taken.")


def _twice(view: View) -> Iterator[Guess]:
    if view.elementwise and (view.pattern != 0).sum(axis=0).max() > 1:
        text = "The Jacobian is applied twice."
        yield Guess("J·J", view.J @ view.J, text, Formula("backward(x, backward(x, g))", "once"))


def _formula_of_input(view: View) -> Iterator[Guess]:
    """The derivative in terms of the output, such as s·(g − ⟨g, s⟩), with the input for s."""
    if not view.elementwise or view.y is None:
        return
    x, rows, n = view.x, view.rows, view.x.size
    text = "The derivative is written in terms of the output, and the input is put in its place."
    if rows is not None:
        same, eye = view.same((rows.axis,)), np.eye(n)
        s = np.exp(x) if rows.log else x
        left = np.ones(n) if rows.log else s.ravel()
        first = eye if rows.log else eye * s.ravel()
        yield Guess("s is the input", first - np.outer(left, s.ravel()) * same, text)
        if not rows.log:
            yield Guess("x alone", first, f"{text[:-1]}; the inner product is missing besides.")
        if rows.log:
            S = view.y
            text = "log s stands where s must: the exponential of the output is missing."
            line = Formula("g - log(s) * g.sum()", "g - s * g.sum()")
            yield Guess("s is log s", eye - np.outer(np.ones(n), S.ravel()) * same, text, line)
    for name, value, of in _in_terms_of_output(view):
        formula = Formula(f"g * {name.format('x')}", f"g * {name.format('y')}")
        if np.allclose(np.diag(of), view.J, atol=1e-5 * np.abs(view.J).max()):
            yield Guess(f"{name} of the input", np.diag(value), text, formula)


def _at_another_form(view: View) -> Iterator[Guess]:
    """The gradient at the logits or the probabilities whose logarithms the input is."""
    x = view.x
    if x.ndim == 0 or x.shape[-1] < 2 or view.elementwise or np.abs(x).max() > _LARGEST:
        return
    p = np.exp(x).ravel()
    sums = view.J @ differ_along(x.shape, (x.ndim - 1,))
    text = "The gradient is that at {}, and must be that at the input, which is {}."
    log = "log_softmax of them"
    for name, q in (("exp(x)", p), ("softmax(x)", softmax(x, -1).ravel())):
        said = text.format("the logits", log)
        line = Formula(f"dx - {name} * dx.sum(axis=-1, keepdims=True)", "dx")
        found = view.J - sums * q
        # Of a square of log-sum-exp that is forgotten the same is left.
        if rms(view.A - found) > 1e-3 * rms(view.A) or not _normalises(view):
            yield Guess(f"at the logits, {name}", found, said, line)
    said = text.format("the probabilities", "their logarithm")
    yield Guess("at the probabilities", view.J / p, said, Formula("dx / np.exp(x)", "dx"))
    said = "A factor of exp(x), x being the input, is one too many."
    yield Guess("times exp(x)", view.J * p, said, Formula("dx * np.exp(x)", "dx"))


def _at_logits(view: View) -> Iterator[Guess]:
    """The gradient at the logits whose softmax or sigmoid the input is."""
    p = view.x
    if p.ndim == 0 or not (p.min() > 0 and p.max() < 1):
        return
    text = "The gradient is {}that at the logits, and must be that at the input, their {}."
    for sign, minus in ((1.0, ""), (-1.0, "minus ")):
        less = "-" if minus else ""
        for axis in range(-p.ndim, 0) if not view.elementwise else ():
            if p.shape[axis] < 2:
                continue
            sums = (view.J * p.ravel()) @ differ_along(p.shape, (axis + p.ndim,))
            line = Formula(f"{less}p * (dp - (dp * p).sum(axis={axis}, keepdims=True))", "dp")
            said = text.format(minus, f"softmax along axis {axis}")
            yield Guess(f"{minus}at the logits", sign * p.ravel() * (view.J - sums), said, line)
        said = text.format(minus, "sigmoid")
        line = Formula(f"{less}dp * p * (1 - p)", "dp")
        yield Guess(f"{minus}at the logit", sign * view.J * (p * (1 - p)).ravel(), said, line)


def _normalises(view: View) -> bool:
    """Whether the forward takes a log-sum-exp of all of the input, which holds no logarithms then.

    One of some entries may be a sum of probabilities, as of paths.
    """
    graph = view.spot.graph
    return graph is not None and any(
        before == graph.inputs[view.where] and bool(graph.stretch(before, after).any(axis=0).all())
        for after, before, _ in log_sum_exps(graph)
    )


def _in_terms_of_output(view: View) -> Iterator[tuple[str, Matrix, Matrix]]:
    """Yield derivatives in terms of the output: sigmoid's, tanh's, exp's, the square root's."""
    assert view.y is not None
    x, y = view.x.ravel(), view.y.ravel()
    yield "{0} * (1 - {0})", x * (1 - x), y * (1 - y)
    yield "(1 - {0}**2)", 1 - x * x, 1 - y * y
    yield "{0}", x, y


def _jacobian(view: View, x: Matrix) -> Matrix | None:
    try:
        return view.jacobian_at(view.at(x))
    except Unusable:
        return None


AT_THE_OUTPUT = Hypothesis(
    "wrong-variable",
    "A = J(f(x)) or J(f(x))·J(x)",
    "J(f(x)), which is measured",
    _at_the_output,
    costly=True,
)
AT_ANOTHER_FORM = Hypothesis(
    "wrong-variable", "A = J − exp(x)·ΣJ or J·exp(∓x)", "another factor", _at_another_form
)
AT_LOGITS = Hypothesis(
    "wrong-variable", "A = p·(J − Σ p·J) or J·p·(1 − p)", "another factor", _at_logits
)
TWICE = Hypothesis("wrong-variable", "A = J·J", "A − J·J beyond the error bar", _twice)
FORMULA_OF_INPUT = Hypothesis(
    "wrong-variable", "A = J as a formula of y, taken at x", "another value", _formula_of_input
)
