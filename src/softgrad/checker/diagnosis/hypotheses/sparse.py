"""Sparsemax and 1.5-entmax, seen from their values: J = diag(w) − w·wᵀ/Σw within rows.

w is 1 on the support for sparsemax, and the root of p for 1.5-entmax (Peters et al., 2019).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from softgrad.checker.diagnosis.hypotheses.base import Guess, Hypothesis
from softgrad.checker.diagnosis.hypotheses.losses import softmax
from softgrad.checker.diagnosis.jacobians import Matrix
from softgrad.checker.diagnosis.view import View
from softgrad.checker.report import Formula
from softgrad.checker.richardson import rms
from softgrad.checker.subject import Vector

__all__ = ["SPARSE_AXIS", "SPARSE_OTHER", "SPARSE_SUPPORT", "SPARSE_TERM"]


@dataclass(frozen=True)
class _Sparse:
    """A map to sparse probabilities p along an axis, with scale·J as its Jacobian."""

    name: str
    axis: int
    p: Vector
    w: Vector
    view: View
    scale: float

    def matrix(
        self, first: Vector, of_g: Vector, to_x: Vector, axes: tuple[int, ...] | None = None
    ) -> Matrix:
        """Return diag(first) − of_g·to_xᵀ, within rows along axes."""
        same = self.view.same(axes or (self.axis,))
        inner = np.outer(of_g.ravel(), to_x.ravel()) * same
        return np.asarray(self.scale * (np.diag(first.ravel()) - inner))

    def total(self, w: Vector, axes: tuple[int, ...] | None = None) -> Vector:
        """Return the sums along axes, at least 1e-300."""
        return np.asarray(np.maximum(w.sum(axis=axes or self.axis, keepdims=True), 1e-300))


def _recognised(view: View) -> _Sparse | None:
    y = view.y
    if y is None or not view.elementwise or y.min() < 0 or y.all():
        return None
    for axis in range(y.ndim):
        if not np.allclose(y.sum(axis=axis), 1, atol=1e-9):
            continue
        for name, w in (("sparsemax", (y > 0).astype(np.float64)), ("entmax", np.sqrt(y))):
            sparse = _Sparse(name, axis, y, w, view, 1.0)
            S = sparse.matrix(w, w, w / sparse.total(w))
            c = float(np.vdot(S, view.J)) / (float(np.vdot(S, S)) or 1.0)
            if c and rms(view.J - c * S) <= 1e-5 * rms(view.J):
                return _Sparse(name, axis, y, w, view, c)
    return None


def _rule(sparse: _Sparse) -> str:
    end = f"sum(axis={sparse.axis - sparse.p.ndim}, keepdims=True)"
    return f"w * (g - (w * g).{end} / w.{end})"


def _term(view: View) -> Iterator[Guess]:
    """The mean of g over the support, weighted by w: missing, or another."""
    sparse = _recognised(view)
    if sparse is None:
        return
    w, one = sparse.w, np.ones_like(sparse.w)
    total, K = sparse.total(w), float(w.shape[sparse.axis])
    which = "support" if sparse.name == "sparsemax" else "weights √p"
    texts = {
        "missing": ("is missing", w, 0 * w),
        "over all": ("is the mean over all classes", one, w / K),
        "of all g": ("is a sum over all classes", one, w / total),
        "a sum": ("is a sum where it must be a mean", w, w),
        "over K": ("is divided by the number of classes", w, w / K),
        "one more": ("is divided by one too many", w, w / (total + 1)),
        "of p": ("is the inner product with p", sparse.p, w),
        "added": ("is added where it must be subtracted", w, -w / total),
    }
    for name, (text, of_g, to_x) in texts.items():
        said = f"The mean of g over the {which} {text} ({sparse.name})."
        wrong = "w * g" if name == "missing" else None
        formula = Formula(wrong, _rule(sparse)) if wrong else None
        yield Guess(name, sparse.matrix(w, of_g, to_x), said, formula)
    if sparse.name == "sparsemax":
        larger, out = w.copy(), np.where(w > 0, -np.inf, view.x)
        np.put_along_axis(larger, out.argmax(axis=sparse.axis, keepdims=True), 1.0, sparse.axis)
        text = "The support is one entry too large (sparsemax)."
        J = sparse.matrix(larger, larger, larger / sparse.total(larger))
        yield Guess("one too large", J, text)


def _axis(view: View) -> Iterator[Guess]:
    sparse = _recognised(view)
    for axis in range(view.x.ndim) if sparse is not None else ():
        assert sparse is not None
        if axis != sparse.axis and view.x.shape[axis] > 1:
            w = sparse.w
            J = sparse.matrix(w, w, w / sparse.total(w, (axis,)), (axis,))
            text = f"The mean of g runs over axis {axis} where it must run over axis {sparse.axis}"
            yield Guess(f"over {axis}", J, f"{text} ({sparse.name}).")


def _support(view: View) -> Iterator[Guess]:
    sparse = _recognised(view)
    if sparse is not None:
        w, one = sparse.w, np.ones_like(sparse.w)
        J = sparse.matrix(one, w, one / sparse.total(w))
        text = "Classes of probability 0 have a gradient: the support is not applied to the answer"
        yield Guess("everywhere", J, f"{text} ({sparse.name}).", Formula("g - mean", _rule(sparse)))
        yield Guess("passed on", sparse.matrix(one, 0 * w, w), f"{text}, nor its mean taken off.")


def _other(view: View) -> Iterator[Guess]:
    """The Jacobian of another map of the family."""
    sparse = _recognised(view)
    if sparse is None:
        return
    s = softmax(sparse.scale * view.x, sparse.axis)
    p, support = sparse.p, (sparse.p > 0).astype(np.float64)
    for name, w in (
        ("softmax, at these probabilities", p),
        ("softmax", s),
        ("1.5-entmax", np.sqrt(p)),
        ("sparsemax", support),
    ):
        if not np.array_equal(w, sparse.w):
            text = f"This is the gradient of {name}, and the forward is {sparse.name}."
            J = sparse.matrix(w, w, w / sparse.total(w))
            yield Guess(name, J, text, Formula("s * (g - <s, g>)", _rule(sparse)))


SPARSE_TERM = Hypothesis(
    "projection-term", "A = diag(w) − u·wᵀ, u ≠ w/Σw", "another first term", _term
)
SPARSE_AXIS = Hypothesis("axis", "A = J with sums over another axis", "sums over its own", _axis)
SPARSE_SUPPORT = Hypothesis(
    "subset", "A = I − w·1ᵀ/Σw", "zeros where p is zero", _support, factor=False
)
SPARSE_OTHER = Hypothesis("wrong-variable", "A = diag(v) − v·vᵀ/Σv", "w for v", _other)
