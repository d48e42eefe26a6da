"""The diagonal of the Jacobian alone, where the rest is not zero."""

from __future__ import annotations

from collections.abc import Iterator

from softgrad.checker.diagnosis.hypotheses.base import Guess, Hypothesis
from softgrad.checker.diagnosis.view import View
from softgrad.checker.report import Formula

__all__ = ["DIAGONAL_MISSING", "DIAGONAL_ONLY"]


def _diagonal(view: View) -> Iterator[Guess]:
    text = "Only the diagonal of the Jacobian is used: the cross derivatives{} are missing."
    rows = view.rows
    if rows is not None:
        D = view.diagonal_term(rows, 1 - rows.p if rows.log else rows.p * (1 - rows.p))
        if D is not None:
            end = f".sum(axis={rows.axis - rows.p.ndim}, keepdims=True)"
            formula = Formula("g * s * (1 - s)", f"s * (g - (g * s){end})")
            if rows.log:
                formula = Formula("g * (1 - s)", f"g - s * g{end}")
            which = " −s_k" if rows.log else " −s_i·s_k"
            yield Guess("diagonal-only", D, text.format(which), formula)
            return
    if view.diagonal is not None:
        D = view.J * view.diagonal
        yield Guess("diagonal-only", D, text.format(""), Formula("g * diag(J)", "J.T @ g"))


DIAGONAL_ONLY = Hypothesis("diagonal-only", "A = diag(J)", "a cross derivative in A", _diagonal)


def _missing(view: View) -> Iterator[Guess]:
    if view.diagonal is not None and view.elementwise:
        text = "The diagonal of the Jacobian is missing: only the cross derivatives are used."
        yield Guess("diagonal missing", view.J * ~view.diagonal, text)


DIAGONAL_MISSING = Hypothesis("chain-term", "A = J − diag(J)", "an entry on the diagonal", _missing)
