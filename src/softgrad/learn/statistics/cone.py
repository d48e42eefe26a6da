"""The directions in which no row's own class loses against another.

Along such a direction the likelihood rises for ever, if in some row the class wins: there is no
maximum. A direction is believed only after a look at every row, in float64, where a margin counts
as 0 if it is no larger than the rounding errors of its own sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from softgrad.arrays import Array
from softgrad.heads.plan import cuts
from softgrad.learn.affine import is_sparse, logits

__all__ = ["Cone", "Examined"]

_ROUNDS = 200
"""Of the linear programme, at most; ten are many."""


class Examined(NamedTuple):
    """What all rows say of a direction."""

    losers: Array  # [m]: rows that contradict it
    rivals: Array  # [m]: the class that each of them loses most against
    losses: Array  # [m]: by how much, in units of rounding
    agreeing: int  # rows whose class wins against some other
    strict: int  # rows whose class wins against every other


@dataclass(frozen=True, eq=False)
class Cone:
    """Rows X [N, D], dense or CSR, class indices y [N], and the cone that they leave."""

    X: Any
    y: Array
    classes: int
    memory: int = 64 * 2**20

    @cached_property
    def mean(self) -> Array:
        """The mean of each column: [D]."""
        return np.asarray(self.X.mean(axis=0, dtype=np.float64)).ravel()

    @cached_property
    def scale(self) -> Array:
        """The standard deviation of each column, 1 where it is constant: [D]."""
        if is_sparse(self.X):
            squares = np.asarray(self.X.multiply(self.X).mean(axis=0, dtype=np.float64)).ravel()
            scale = np.sqrt(np.maximum(squares - self.mean**2, 0.0))
        else:
            scale = self.X.std(axis=0, dtype=np.float64)
        return np.where(scale > 1e-12 * np.abs(self.mean), scale, 1.0)

    def examined(self, direction: Array, strict: bool = False) -> Examined:
        """Look at every row's margins; where wins are wanted, who does not win has lost."""
        found, agreeing, winning = [], 0, 0
        for rows, margins, noise in self._margins(direction):
            wins = (margins > noise).sum(axis=1)
            agreeing += int((wins > 0).sum())
            winning += int((wins == self.classes - 1).sum())
            losses = (noise if strict else -noise) - margins
            each = np.arange(len(wins))
            losses[each, self.y[rows]] = -np.inf
            rivals = losses.argmax(axis=1)
            worst = losses[each, rivals] / noise[each, rivals]
            losers = np.flatnonzero(worst >= 0 if strict else worst > 0)
            found.append((rows.start + losers, rivals[losers], worst[losers]))
        losers, rivals, worst = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return Examined(losers, rivals, worst, agreeing, winning)

    def apart(self, direction: Array) -> Array:
        """Tell of each two classes whether in some row one wins against the other: [K, K]."""
        apart = np.zeros((self.classes, self.classes), dtype=bool)
        for rows, margins, noise in self._margins(direction):
            np.logical_or.at(apart, self.y[rows], margins > noise)
        return apart | apart.T

    def direction(self, strict: bool) -> Array | None:
        """Return a direction [K, D+1] that no row contradicts and some row agrees with, or None.

        Strictly, every row's class is to win against every other. Of the directions in a box that
        is the one with the largest least margin; else it is the one with the largest sum of margins
        (Konis, 2007). Either is a linear programme. A row comes into it when it contradicts the
        programme's answer, so that few ever do; without it the optimum is only larger, and where it
        is 0 there is no such direction.
        """
        goal = self._goal()
        A = np.empty((0, len(goal)))
        known: set[tuple[int, int]] = set()
        for _ in range(_ROUNDS):
            x = _least_margin(A) if strict else _sum_of_margins(goal, A)
            if x is None:
                return None
            direction = self._in_own_units(x.reshape(self.classes - 1, -1))
            seen = self.examined(direction, strict)
            if not len(seen.losers):
                return direction if seen.agreeing else None
            worst = np.argsort(-seen.losses)[: max(64, 2 * len(goal))]
            pairs = set(zip(seen.losers[worst].tolist(), seen.rivals[worst].tolist(), strict=True))
            if pairs <= known:
                return None  # what contradicts is smaller than the programme can see
            A = np.concatenate([A, self._margins_of(np.array(sorted(pairs - known)))])
            known |= pairs
        return None

    def _margins(self, direction: Array) -> Iterator[tuple[slice, Array, Array]]:
        """Yield rows, their margins, and how large rounding may make those: [n, K]."""
        size = np.abs(direction)
        size[:, -1] += size[:, :-1] @ np.abs(self.mean)  # what an intercept was made of
        u = 8 * direction.shape[1] * float(np.finfo(np.float64).eps)
        tiny = float(np.finfo(np.float64).tiny)
        for rows in cuts(len(self.y), max(1, self.memory // (8 * 8 * self.classes))):
            X = self.X[rows].astype(np.float64)
            z, terms = logits(X, direction), u * logits(abs(X), size)
            own = np.arange(len(z)), self.y[rows]
            yield rows, z[own][:, None] - z, terms[own][:, None] + terms + tiny

    def _standardised(self, rows: Any) -> Array:
        X = self.X[rows]
        dense = X.toarray() if is_sparse(X) else X
        return np.column_stack([(dense - self.mean) / self.scale, np.ones(len(dense))])

    def _in_own_units(self, x: Array) -> Array:
        """Return x [K−1, D+1] in the columns' own units, and with the mean of classes 0."""
        W = x[:, :-1] / self.scale
        theta = np.zeros((len(x) + 1, x.shape[1]))
        theta[:-1] = np.column_stack([W, x[:, -1] - W @ self.mean])
        return theta - theta.mean(axis=0)

    def _margins_of(self, pairs: Array) -> Array:
        """Return the margins of rows against rivals as a function of x: [m, (K−1)(D+1)]."""
        rows, rivals = pairs.T
        A, each = self._standardised(rows), np.arange(len(rows))
        margins = np.zeros((len(rows), self.classes, A.shape[1]))
        margins[each, self.y[rows]] = A
        margins[each, rivals] = -A
        return margins[:, :-1].reshape(len(rows), -1)

    def _goal(self) -> Array:
        """Return the mean over rows of all margins' sum, as a function of x: [(K−1)(D+1)]."""
        sums = np.zeros((self.classes, self.X.shape[1] + 1))
        for rows in cuts(len(self.y), max(1, self.memory // (2 * 8 * sums.shape[1]))):
            np.add.at(sums, self.y[rows], self._standardised(rows))
        total: Array = (self.classes * sums - sums.sum(axis=0))[:-1].ravel() / len(self.y)
        return total


def _least_margin(A: Array) -> Array | None:
    """Return x with |x| ≤ 1 whose least margin A x is largest; None where that is 0."""
    if not len(A):
        return np.zeros(A.shape[1])
    found = _largest(np.append(np.zeros(A.shape[1]), 1.0), np.column_stack([A, -np.ones(len(A))]))
    return None if found is None else found[:-1]


def _sum_of_margins(goal: Array, A: Array) -> Array | None:
    """Return x with |x| ≤ 1 and A x ≥ 0 where goal · x is largest; None where that is 0."""
    x = _largest(goal, A)
    if x is None:
        return None
    # The programme lets margins be a little negative; those that are 0 but for that become 0.
    tight = A[np.abs(A @ x) <= 1e-8 * np.abs(A).sum(axis=1)]
    if len(tight):
        x = x - np.linalg.lstsq(tight, tight @ x, rcond=1e-12)[0]
    return x if np.abs(x).max() > 1e-6 else None


def _largest(goal: Array, A: Array) -> Array | None:
    """Return x with |x| ≤ 1 and A x ≥ 0 where goal · x is largest; None where that is 0."""
    from scipy.optimize import linprog

    options = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
    zeros = np.zeros(len(A))
    found = linprog(-goal, A_ub=-A, b_ub=zeros, bounds=(-1, 1), method="highs", options=options)
    if found.x is None or -found.fun <= 1e-10 * np.abs(goal).sum():
        return None
    x: Array = found.x
    return x
