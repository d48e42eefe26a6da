"""The inner product ⟨g, s⟩ of softmax, or the sum Σg of log_softmax: missing or another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from softgrad.checker.diagnosis.hypotheses.base import Guess, Hypothesis
from softgrad.checker.diagnosis.hypotheses.losses import softmax
from softgrad.checker.diagnosis.view import Rows, View
from softgrad.checker.report import Formula
from softgrad.checker.richardson import rms
from softgrad.checker.subject import Vector

__all__ = [
    "ONE_ROW",
    "OTHER_MAP",
    "OUTER_FACTOR",
    "PROJECTION",
    "ROW_SUMS",
    "SIGN_OFF",
    "UNMASKED",
    "WRONG_AXIS",
]


def _row_sums(view: View) -> Iterator[Guess]:
    """The Jacobian summed over an axis, times g: what is left of softmax is rounding."""
    if not view.elementwise:
        return
    text = "The Jacobian is summed over its {} and multiplied by g, which is not a product with it."
    formula = Formula("g * J.sum(axis)", "J.T @ g")
    for name, axis in (("rows", 0), ("columns", 1)):
        sums = view.J.sum(axis=axis)
        if rms(sums) <= 1e-5 * rms(view.J):
            if rms(view.A) < 1e-9 * rms(view.J):
                more = " For softmax these sums are 0, and the gradient is mere rounding."
                yield Guess(f"row sums, {name}", 0 * view.A, text.format(name) + more, formula)
        elif np.ptp(sums) > 1e-5 * np.abs(sums).max():  # else it would be c·I
            yield Guess(f"row sums, {name}", np.diag(sums), text.format(name), formula)


def _one_row(view: View) -> Iterator[Guess]:
    """One row of a square Jacobian, times g entry by entry."""
    if not view.elementwise or view.J.shape[0] != max(view.x.shape, default=0):
        return
    text = "One row of the Jacobian is multiplied by g, which is not a product with it."
    for name, row in (("first", 0), ("last", -1)):
        formula = Formula(f"g * J[{row}]", "J.T @ g")
        yield Guess(f"{name} row", np.diag(view.J[row]), text, formula)


def _sign_off(view: View) -> Iterator[Guess]:
    if view.diagonal is not None and view.elementwise:
        flipped = 2 * view.J * view.diagonal - view.J
        if rms(flipped - view.J.T) > 1e-6 * view.true_size:  # of a rotation it is the transpose
            yield Guess("cross sign", flipped, "The cross derivatives have the wrong sign.")
            yield Guess(
                "diagonal sign", -flipped, "The diagonal of the Jacobian has the wrong sign."
            )


def _operands(rows: Rows) -> dict[str, Vector]:
    p = rows.p
    return {"1": np.ones_like(p), "s": p, "s**2": p * p, "log(s)": np.log(p), "1/s": 1 / p}


def _wrong_inner_product(view: View) -> Iterator[Guess]:
    """Softmax: s·(g − Σ g·s), in all variants of the last term; log_softmax: g − s·Σg."""
    rows = view.rows
    if rows is None:
        return
    d = "1" if rows.log else "s"
    D = view.diagonal_term(rows, _operands(rows)[d])
    if D is None:
        return
    text = f"The term {_term(rows)} is missing."
    yield Guess("inner product missing", D, text, _formula(rows, d, "0", "", ""))
    yield from _squares(view, rows)
    if not rows.log:
        squares = (rows.p**2).sum(axis=rows.axis, keepdims=True)
        exchanged = view.diagonal_term(rows, rows.p - squares)
        if exchanged is not None:
            text = "g and s are exchanged: the inner product is ⟨s, s⟩, and s has g as its factor."
            end = f"sum(axis={rows.axis - rows.p.ndim}, keepdims=True)"
            expected = _formula(rows, d, "0", "", "").expected
            line = Formula(f"g * (s - (s * s).{end})", expected)
            yield Guess("g and s exchanged", exchanged, text, line)
    for (u, U), (v, V) in product(_operands(rows).items(), repeat=2):
        T = view.term(rows, U, V, (rows.axis,))
        if T is None:
            continue
        if u == v == "1" and not rows.log:
            squares = (rows.p**2).sum(axis=rows.axis, keepdims=True)
            S = view.term(rows, np.broadcast_to(squares, rows.p.shape), V, (rows.axis,))
            if S is not None:
                text = (
                    "The outer product s·sᵀ is a number: of an array of one axis .T is no column."
                )
                line = Formula("diag(s) - s @ s.T", "diag(s) - s[:, None] * s[None, :]")
                yield Guess("s @ s.T is a number", D - S, text, line)
        right = (u, v) == (d, "s")
        if rows.log and (u, v) == ("1", "log(s)"):
            continue  # the output in place of its exponential, which has a name of its own
        for how, factor in _factors(rows):
            if not (right and how == "-"):
                name = f"inner product {how} {u} {v}"
                line = _formula(rows, d, how, u, v)
                yield Guess(name, D + factor * T, _said(rows, right, how), line)


def _squares(view: View, rows: Rows) -> Iterator[Guess]:
    """Softmax: the squares s² are in the diagonal and in the outer product."""
    p, T = rows.p, view.term(rows, rows.p, rows.p, (rows.axis,))
    D = view.diagonal_term(rows, p - p * p)
    if not rows.log and T is not None and D is not None:
        text = "The squares s² are subtracted twice: in s·(1 − s), and in the outer product s·sᵀ."
        line = Formula("diag(s * (1 - s)) - outer(s, s)", "diag(s) - outer(s, s)")
        yield Guess("squares twice", D - T, text, line)


def _factors(rows: Rows) -> Iterator[tuple[str, float]]:
    """Yield how the last term may enter, and as what: subtracted, added, as a mean, twice."""
    K = rows.p.shape[rows.axis]
    yield "-", -1.0
    yield "+", 1.0
    yield "- mean", -1.0 / K
    yield "- 2 *", -2.0
    yield "- 0.5 *", -0.5
    yield f"- shape[{rows.axis}] *", -float(K)
    for axis, length in enumerate(rows.p.shape):
        if length not in (1, K):
            yield f"- 1/shape[{axis}] *", -1.0 / length


def _term(rows: Rows) -> str:
    return "s·Σg" if rows.log else "s·⟨g, s⟩"


def _said(rows: Rows, right: bool, how: str) -> str:
    if not right:
        return f"The term {_term(rows)} is made of the wrong operands."
    words = {"+": "added where it must be subtracted", "- mean": "a mean where it must be a sum"}
    return f"The term {_term(rows)} is {words.get(how, 'multiplied by a constant')}."


def _formula(rows: Rows, d: str, how: str, u: str, v: str) -> Formula:
    axis = rows.axis - rows.p.ndim
    end = f"sum(axis={axis}, keepdims=True)"
    right = f"g - s * g.{end}" if rows.log else f"s * (g - (g * s).{end})"
    first = "g" if d == "1" else f"{d} * g"
    if how == "0":
        return Formula(first, right)
    if how == "- mean":
        how, end = "-", f"mean(axis={axis}, keepdims=True)"
    inner = f"g.{end}" if u == "1" else f"(g * {u}).{end}"
    # A[m, n] is the answer n to the unit vector m: u belongs to g, v stands in front.
    return Formula(f"{first} {how} {inner}" if v == "1" else f"{first} {how} {v} * {inner}", right)


def _wrong_axis(view: View) -> Iterator[Guess]:
    """The inner product along other axes: another one, or all of them."""
    rows = view.rows
    if rows is None or not view.elementwise or view.x.ndim < 2:
        return
    p, own = rows.p, (rows.axis,)
    D = view.diagonal_term(rows, np.ones_like(p) if rows.log else p)
    left = np.ones_like(p) if rows.log else p
    everything = tuple(range(p.ndim))
    pairs = [(a, b) for a in everything for b in everything if a < b and p.ndim > 2]
    for axes in [*((axis,) for axis in everything), *pairs, everything]:
        if axes == own or D is None or all(p.shape[axis] == 1 for axis in axes if axis != own[0]):
            continue
        T = view.term(rows, left, p, axes)
        if T is None:
            continue
        which = "all axes" if axes == everything else f"axis {', '.join(map(str, axes))}"
        text = f"The sum in {_term(rows)} runs over {which} where it must run over axis {own[0]}."
        end = "sum()" if axes == everything else f"sum(axis={axes[0] if len(axes) == 1 else axes})"
        wrong = f"g - s * g.{end}" if rows.log else f"s * (g - (g * s).{end})"
        formula = Formula(wrong, _formula(rows, "1", "0", "", "").expected)
        yield Guess(f"inner product over {axes}", D - T, text, formula)
        yield from _over(view, rows, axes, which)
    if D is not None and p.ndim == 2 and p.shape[0] == p.shape[1] and rows.axis == 1:
        # sum(axis=-1) without keepdims: the sum of row j meets column j.
        row, column = np.indices(p.shape).reshape(2, -1)
        crossed = np.outer(left.ravel(), p.ravel()) * (row[:, None] == column[None, :])
        text = f"The sum in {_term(rows)} has lost its axis, and is spread over the wrong one."
        wrong = "s * (g - (g * s).sum(axis=-1))"
        formula = Formula(wrong, _formula(rows, "1", "0", "", "").expected)
        yield Guess("keepdims", D - crossed * view.scale(rows), text, formula)


def _over(view: View, rows: Rows, axes: tuple[int, ...], which: str) -> Iterator[Guess]:
    """The derivative of the same map taken over other axes, from its value on."""
    s = softmax(view.x, axes)
    d, left = (np.ones_like(s), np.ones_like(s)) if rows.log else (s, s)
    D, T = view.diagonal_term(rows, d), view.term(rows, left, s, axes)
    if D is not None and T is not None:
        text = f"The derivative is taken over {which} where it must be over axis {rows.axis}."
        yield Guess(f"map over {axes}", D - T, text)


def _other_map(view: View) -> Iterator[Guess]:
    rows = view.rows
    if rows is None:
        return
    p, one = rows.p, np.ones_like(rows.p)
    d, left = (p, p) if rows.log else (one, one)
    D, T = view.diagonal_term(rows, d), view.term(rows, left, p, (rows.axis,))
    if D is not None and T is not None:
        names = ("softmax", "log_softmax") if rows.log else ("log_softmax", "softmax")
        text = f"This is the gradient of {names[0]}, and the forward is {names[1]}."
        flipped = Rows(not rows.log, rows.axis, p)
        formula = Formula(
            _formula(flipped, "1", "0", "", "").expected, _formula(rows, "1", "0", "", "").expected
        )
        yield Guess("other map", D - T, text, formula)


def _outer_factor(view: View) -> Iterator[Guess]:
    rows = view.rows
    if rows is None:
        return
    if rows.log:
        alone = view.diagonal_term(rows, 1 / rows.p)
        if alone is not None:
            text = "This is the derivative of the logarithm alone: that of softmax is missing."
            formula = Formula("g / s", _formula(rows, "1", "0", "", "").expected)
            yield Guess("log alone", alone, text, formula)
        return
    p, one = rows.p, np.ones_like(rows.p)
    pairs = {"missing": (one, one), "doubled": (p * p, p * p)}
    for how, (d, v) in pairs.items():
        D, T = view.diagonal_term(rows, d), view.term(rows, p, v, (rows.axis,))
        if D is not None and T is not None:
            text = f"The factor s in front of (g − ⟨g, s⟩) is {how}."
            yield Guess(f"outer factor {how}", D - T, text)
    T = view.term(rows, p, p, (rows.axis,))
    if T is not None:
        yield Guess("first term missing", -T, "The first term, s·g, is missing.")


def _unmasked(view: View) -> Iterator[Guess]:
    """Softmax over all classes, where the forward leaves some out."""
    rows = view.rows
    if rows is None or rows.log or not view.elementwise or rows.p.all():
        return
    s = softmax(view.x, rows.axis)
    D, T = view.diagonal_term(rows, s), view.term(rows, s, s, (rows.axis,))
    if D is not None and T is not None:
        text = "The mask is not applied: this is the gradient of softmax over all classes."
        yield Guess("unmasked", D - T, text)


ROW_SUMS = Hypothesis(
    "projection-term",
    "A = diag(J·1)",
    "an entry off the diagonal",
    _row_sums,
    factor=False,
    vanishing=True,
)
ONE_ROW = Hypothesis(
    "projection-term", "A = diag(J[0])", "an entry off the diagonal", _one_row, factor=False
)
SIGN_OFF = Hypothesis("projection-term", "A = 2·diag(J) − J", "cross derivatives as J's", _sign_off)
OTHER_MAP = Hypothesis(
    "wrong-variable", "A = I − 1·sᵀ for diag(s) − s·sᵀ", "rows of A that do not sum so", _other_map
)
OUTER_FACTOR = Hypothesis("chain-term", "A = J/s", "A/J that varies in another way", _outer_factor)
UNMASKED = Hypothesis(
    "wrong-variable", "A = J of the map without its mask", "zeros where the mask is", _unmasked
)
WRONG_AXIS = Hypothesis(
    "axis", "A − J = s·sᵀ over other axes", "A that is zero between rows", _wrong_axis
)
PROJECTION = Hypothesis(
    "projection-term",
    "A − J = u·vᵀ, u and v among 1, s, s², log s, 1/s",
    "a residual of higher rank",
    _wrong_inner_product,
)
