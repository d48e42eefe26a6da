"""Squared error over softmax, log-sum-exp and binary cross-entropy, seen from their values."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from softgrad.checker.diagnosis.hypotheses.base import Guess, Hypothesis
from softgrad.checker.diagnosis.hypotheses.losses import softmax, targets
from softgrad.checker.diagnosis.view import View
from softgrad.checker.report import Formula
from softgrad.checker.subject import Vector

__all__ = [
    "BINARY",
    "BINARY_AT_P",
    "BINARY_FOR_CLASSES",
    "LOG_SUM_EXP",
    "SQUARED_DIAGONAL",
    "SQUARED_TERMS",
    "SQUARED_VARIABLE",
]


def _squared_error(view: View) -> tuple[Vector, Vector] | None:
    """Return softmax(x) and c·(softmax(x) − t) of a squared error over softmax."""
    y, x = view.y, view.x
    if y is None or y.size != 1 or x.ndim < 1 or x.shape[-1] < 2:
        return None
    p = softmax(x)
    for t in targets(view):
        error = p - t.reshape(p.shape)
        value = float(y.reshape(-1)[0])
        for c in (1.0, 0.5, 1 / p.size, 0.5 / p.size, p.shape[-1] / p.size):
            if np.isclose(value, c * float(np.sum(error**2)), rtol=1e-7, atol=0):
                return p, 2 * c * error
    return None


def _diagonal(view: View) -> Iterator[Guess]:
    squared = _squared_error(view)
    if squared is not None:
        p, slope = squared
        text = (
            "Softmax is passed with the diagonal of its Jacobian alone, s·(1 − s): the cross "
            "derivatives are missing."
        )
        formula = Formula("dp * s * (1 - s)", "s * (dp - (dp * s).sum(axis=-1, keepdims=True))")
        inner = slope * p * (1 - p)
        yield Guess("squared error, diagonal", inner.reshape(1, -1), text, formula)


def _terms(view: View) -> Iterator[Guess]:
    """Squared error over softmax: softmax's Jacobian left out."""
    squared = _squared_error(view)
    if squared is not None:
        _, slope = squared
        text = "The Jacobian of softmax is missing: this is the gradient at the probabilities."
        yield Guess("squared error at p", slope.reshape(1, -1), text)


def _fused(view: View) -> Iterator[Guess]:
    """Squared error over softmax: p − t, the gradient of cross-entropy, in its place."""
    squared = _squared_error(view)
    if squared is not None:
        p, _ = squared
        rows = p.size // p.shape[-1]
        text = (
            "This is the gradient of cross-entropy over softmax, and the loss is a squared error."
        )
        for name, count in (("sum", 1), ("mean", rows), ("mean of all", p.size)):
            for t in targets(view):
                inner = (p - t.reshape(p.shape)) / count
                formula = Formula("p - t", "the softmax's Jacobian times 2 * (p - t)")
                yield Guess(f"p − t, {name}", inner.reshape(1, -1), text, formula)


def _logsumexp(view: View) -> Iterator[Guess]:
    """log Σ exp: something else where its softmax must stand."""
    y, x = view.y, view.x
    if y is None or x.ndim < 1 or x.shape[-1] < 2:
        return
    rows = x.reshape(-1, x.shape[-1])
    high = rows.max(axis=-1)
    value = high + np.log(np.exp(rows - high[:, None]).sum(axis=-1))
    if y.size != value.size or not np.allclose(y.ravel(), value, rtol=1e-9):
        return
    s, each = softmax(rows), np.eye(len(rows))[:, :, None]
    for name, inner in (
        ("exp(z) without its sum", np.exp(rows)),
        ("logsoftmax(z)", np.log(s)),
        ("softmax(softmax(z))", softmax(s)),
        ("s * (1 - s)", s * (1 - s)),
        ("z", rows),
    ):
        text = f"Where softmax(z) must multiply the incoming gradient, {name} does."
        matrix = (each * inner).reshape(len(rows), -1)
        yield Guess(name, matrix, text, Formula(f"g * {name}", "g * softmax(z)"))


def _binary(view: View) -> Iterator[Guess]:
    """Binary cross-entropy at logits: something else where sigmoid(z) − t must stand."""
    y, x = view.y, view.x
    if y is None:
        return
    for t in view.others.values():
        if t.shape != x.shape:
            continue
        each = np.logaddexp(0, x) - t * x
        s = 1 / (1 + np.exp(-x))
        scales = [1.0, 1 / x.size, 1 / x.shape[0] if x.ndim else 1.0]
        value = float(y.reshape(-1)[0])
        for c in scales if y.size == 1 else ():
            if np.isclose(value, c * each.sum(), rtol=1e-9):
                for name, inner in (
                    ("sigmoid(sigmoid(z)) - t", 1 / (1 + np.exp(-s)) - t),
                    ("z - t", x - t),
                    ("(s - t) * s * (1 - s)", (s - t) * s * (1 - s)),
                    ("(s - t) / (s * (1 - s))", (s - t) / (s * (1 - s))),
                ):
                    text = f"Where sigmoid(z) − t must stand, {name} does."
                    formula = Formula(f"g * ({name})", "g * (sigmoid(z) - t)")
                    yield Guess(name, (c * inner).reshape(1, -1), text, formula)
                return


def _binary_at_p(view: View) -> Iterator[Guess]:
    """Binary cross-entropy at probabilities: p − t, which is its gradient at the logits."""
    y, p = view.y, view.x
    if y is None or y.size != 1 or not p.ndim or not (p.min() > 0 and p.max() < 1):
        return
    for t in view.others.values():
        if t.shape != p.shape:
            continue
        each = -(t * np.log(p) + (1 - t) * np.log1p(-p))
        for c, end in ((1.0, ""), (1 / p.size, " / p.size"), (1 / max(len(p), 1), " / len(p)")):
            if np.isclose(float(y.reshape(-1)[0]), c * each.sum(), rtol=1e-9):
                text = (
                    "This is the gradient at the logits, and the input is the probabilities: their "
                    "derivative p·(1 − p) is in it."
                )
                right = f"g * (p - t) / (p * (1 - p)){end}"
                formula = Formula(f"g * (p - t){end}", right)
                yield Guess("p − t", (c * (p - t)).reshape(1, -1), text, formula)
                return


def _for_classes(view: View) -> Iterator[Guess]:
    """Binary cross-entropy's gradient at probabilities, where the loss has one label of several.

    J = −c/(p + ε) at the labels, and 0 elsewhere: 1/J is a line in p, which tells c and ε.
    """
    y, p = view.y, view.x
    if y is None or y.size != 1 or not p.ndim or not (p.min() > 0 and p.max() < 1):
        return
    J = view.J.reshape(p.shape)
    for k, t in enumerate(targets(view)):
        hot = t.reshape(p.shape) == 1
        if J[~hot].any() or hot.sum() < 3 or not J[hot].all() or hot.all():
            continue
        slope, start = np.polyfit(p[hot], -1 / J[hot], 1)
        if not np.allclose(slope * p[hot] + start, -1 / J[hot], rtol=1e-6, atol=0):
            continue
        others = np.where(hot, 0.0, 1 / (slope * (1 - p) + start))
        text = (
            "This is the gradient of binary cross-entropy, and the loss is that of several "
            "classes: those that are not the label's have no term (1 − t)/(1 − p)."
        )
        formula = Formula("-t / p + (1 - t) / (1 - p)", "-t / p")
        yield Guess(f"binary {k}", (J + others).reshape(1, -1), text, formula)


SQUARED_DIAGONAL = Hypothesis(
    "diagonal-only", "A = dloss/ds·diag(J_softmax)", "another product", _diagonal
)
SQUARED_TERMS = Hypothesis("chain-term", "A = dloss/ds", "a row of A that sums to 0", _terms)
LOG_SUM_EXP = Hypothesis("wrong-variable", "A = h(x) for softmax(x)", "another h", _logsumexp)
BINARY_AT_P = Hypothesis("wrong-variable", "A = p − t", "another h", _binary_at_p)
BINARY_FOR_CLASSES = Hypothesis(
    "wrong-variable",
    "A = J + c·(1 − t)/(1 − p)",
    "zeros off the labels",
    _for_classes,
    factor=False,
)
BINARY = Hypothesis("wrong-variable", "A = h(x) for σ(x) − t", "another h", _binary)
SQUARED_VARIABLE = Hypothesis(
    "wrong-variable", "A = p − t", "softmax's Jacobian in A", _fused, factor=False
)
