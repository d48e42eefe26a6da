"""Classes that a direction tells apart: without a penalty the likelihood has no maximum then."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from softgrad.arrays import Array
from softgrad.learn.affine import logits
from softgrad.learn.curvature import Curvature
from softgrad.learn.objective import Objective
from softgrad.learn.solvers.newton import reduced_hessian
from softgrad.learn.statistics.cone import Cone
from softgrad.learn.statistics.information import pivoted_factor
from softgrad.results import Block, Paragraph, Result, counted

__all__ = ["Separation", "SeparationWarning", "separation_at"]

_SMALL = 1000
"""The most coefficients for whose Hessian and linear programme a fit takes the time."""

_FEW = 5
"""Names that a sentence lists."""


class SeparationWarning(UserWarning):
    """The classes are separated, and nothing keeps the coefficients finite."""


@dataclass(frozen=True, eq=False)
class Separation(Result):
    """A direction along which the likelihood rises for ever.

    Parameters
    ----------
    complete : bool
        Whether in every row the row's class wins against all others. Else the separation is
        quasi-complete: in some rows and classes the direction changes nothing. A fit that was
        stopped early may show such a direction of classes that another separates completely.
    agreeing, rows : int
        The rows whose class wins against some other, and all rows.
    pairs : tuple of pairs of labels
        The classes that are told apart, where the separation is not complete.
    columns : tuple of str
        The columns that take part, the largest part first: by name, or as ``x3``.
    classes : tuple of labels, length K
    direction : array [K, D+1]
        What may be added to coefficients and, last, intercepts, as often as one likes: no row's
        class ever loses by it. The largest part of a column, its spread over classes times the
        column's standard deviation, is 1.
    """

    schema: ClassVar[str] = "softgrad.separation/1"

    complete: bool
    agreeing: int
    rows: int
    pairs: tuple[tuple[Any, Any], ...]
    columns: tuple[str, ...]
    classes: tuple[Any, ...]
    direction: Array

    @property
    def sentence(self) -> str:
        """What was found, in a sentence without its end."""
        kind = "completely" if self.complete else "quasi-completely"
        which = (
            "all of them" if self.complete else _few([f"{a!r} and {b!r}" for a, b in self.pairs])
        )
        return (
            f"the classes are {kind} separated ({which}) by columns {_few(self.columns)}: along "
            f"one direction {self.agreeing} of {counted(self.rows, 'row')} gain and none loses"
        )

    @property
    def warning(self) -> str:
        """What was found, and what to do."""
        return (
            f"{self.sentence}; without a penalty the coefficients have no finite optimum: take a "
            "finite `C`, or leave the columns out"
        )

    def blocks(self) -> Iterable[Block]:
        yield Paragraph(f"T{self.sentence[1:]}.", "bad")
        yield Paragraph("Without a penalty the likelihood has no maximum: coefficients diverge.")


def separation_at(
    f: Objective, theta: Array, classes: Sequence[Any], names: Sequence[str]
) -> Separation | None:
    """Return how the classes are separated, where a fit without penalty ended.

    A fit that has every row right is a direction itself. Else a Newton step tells most often that
    there is none, or points to it; a linear programme decides what is left. Of more coefficients
    than a thousand only the first is tried.
    """
    cone = Cone(f.X, f.y, f.classes, team=f.team, share=f.share)
    direction: Array | None = theta
    if cone.examined(theta).strict < cone.rows:
        direction = None
        if (f.classes - 1) * theta.shape[1] <= _SMALL:
            direction = _beyond_newton(f, theta, cone)
    if direction is None:
        return None
    found = _described(direction, cone, classes, names)
    return replace(found, direction=f.outside(found.direction))


def _beyond_newton(f: Objective, theta: Array, cone: Cone) -> Array | None:
    """Return a separating direction, unless a Newton step changes no row's logits by much.

    Let d separate, m ≥ 0 be its margins in a row and u the step's change of the row's logits. Then
    Σ w ⟨p, m⟩ = −⟨d, g⟩ = ⟨d, H u⟩ = −Σ w Cov_p(m, u) ≤ max(spread of u) Σ w ⟨p, m⟩, so that some
    row's spread is at least 1. Half of that leaves room for rounding.
    """
    step = newton_step(f, theta)
    if step is None:
        return cone.direction()
    spreads = (np.ptp(logits(f.X[rows], step), axis=1) for rows in f.cuts(2 * 8 * f.classes))
    if not f.team.any(any(float(spread.max()) >= 0.5 for spread in spreads)):
        return None
    near = cone.near(step)
    return cone.direction() if near is None else near


def newton_step(f: Objective, theta: Array) -> Array | None:
    """Return the step [K, D+1], 0 for the last class; None where the Hessian is singular."""
    from scipy.linalg import cho_solve

    L, scale, dependent = pivoted_factor(reduced_hessian(Curvature(f, theta)))
    if dependent is not None:
        return None
    _, gradient = f.value_and_gradient(theta)
    step = np.zeros_like(theta)
    solution = cho_solve((L, True), gradient[:-1].ravel() / scale, check_finite=False) / scale
    step[:-1] = -solution.reshape(len(theta) - 1, -1)
    return step


def _described(
    direction: Array, cone: Cone, classes: Sequence[Any], names: Sequence[str]
) -> Separation:
    seen = cone.examined(direction)
    complete = seen.strict == cone.rows
    pairs = [] if complete else np.argwhere(np.triu(cone.apart(direction), 1)).tolist()
    parts = np.ptp(direction[:, :-1], axis=0) * cone.scale  # [D]
    largest = float(parts.max()) or 1.0
    taking = [d for d in np.argsort(-parts, kind="stable") if parts[d] > 1e-6 * largest]
    return Separation(
        complete=complete,
        agreeing=seen.agreeing,
        rows=cone.rows,
        pairs=tuple((classes[a], classes[b]) for a, b in pairs),
        columns=tuple(names[d] for d in taking),
        classes=tuple(classes),
        direction=direction / largest,
    )


def _few(names: Sequence[str]) -> str:
    rest = len(names) - _FEW
    return ", ".join(names[:_FEW]) + (f" and {rest} more" if rest > 0 else "")
