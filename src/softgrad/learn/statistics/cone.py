"""The directions in which no row's own class loses against another.

Along such a direction the likelihood rises for ever, if in some row the class wins: there is no
maximum. A direction is believed only after a look at every row, in float64, where a margin counts
as 0 if it is no larger than the rounding errors of its own sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from softgrad.arrays import Array
from softgrad.heads.plan import cuts
from softgrad.learn.affine import is_sparse, logits
from softgrad.learn.team import ALONE, AbstractTeam, Share

__all__ = ["Cone", "Examined"]

_ROUNDS = 200
"""Of the linear programme, at most; ten are many."""


class Examined(NamedTuple):
    """What all rows say of a direction, those of other processes too."""

    losers: Array  # [m]: numbers of the rows that contradict it most, those first
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
    team: AbstractTeam = ALONE
    share: Share | None = None
    """Which of all rows these are; None for all."""

    @property
    def rows(self) -> int:
        """N, of all processes."""
        return self._share.N

    @property
    def _share(self) -> Share:
        return self.share or Share(0, len(self.y))

    @cached_property
    def mean(self) -> Array:
        """The mean of each column: [D]."""
        sums = np.zeros(self.X.shape[1])
        for rows in self._cuts(8 * len(sums)):
            sums += np.asarray(self.X[rows].sum(axis=0, dtype=np.float64)).ravel()
        return self.team.summed(sums)[0] / self.rows

    @cached_property
    def scale(self) -> Array:
        """The standard deviation of each column, 1 where it is constant: [D]."""
        squares = np.zeros(len(self.mean))
        if is_sparse(self.X):
            squares += np.asarray(self.X.multiply(self.X).sum(axis=0, dtype=np.float64)).ravel()
        else:
            for rows in self._cuts(2 * 8 * len(self.mean)):
                squares += ((self.X[rows] - self.mean) ** 2).sum(axis=0)
        variance = self.team.summed(squares)[0] / self.rows
        if is_sparse(self.X):
            variance = np.maximum(variance - self.mean**2, 0.0)
        scale = np.sqrt(variance)
        return np.where(scale > 1e-12 * np.abs(self.mean), scale, 1.0)

    def examined(self, direction: Array) -> Examined:
        """Look at every row's margins."""
        found, agreeing, strict = [np.empty((0, 3))], 0, 0
        for rows, margins, noise in self._margins(direction):
            wins = (margins > noise).sum(axis=1)
            agreeing += int((wins > 0).sum())
            strict += int((wins == self.classes - 1).sum())
            losses = np.where(margins < -noise, -margins / noise, 0.0)
            rivals = losses.argmax(axis=1)
            worst = losses[np.arange(len(wins)), rivals]
            losers = np.flatnonzero(worst)
            numbers = self._share.first + rows.start + losers
            found.append(np.column_stack([worst[losers], numbers, rivals[losers]]))
        own = self._worst(np.concatenate(found))
        worst, losers, rivals = self._worst(np.concatenate(self.team.gathered(own))).T
        wins = self.team.summed(np.array([agreeing, strict]))[0].tolist()
        return Examined(losers.astype(np.int64), rivals.astype(np.int64), worst, *wins)

    def _worst(self, found: Array) -> Array:
        """Return as many of the largest losses as a linear programme takes in: [m, 3]."""
        most = max(64, 2 * (self.classes - 1) * (self.X.shape[1] + 1))
        return found[np.argsort(-found[:, 0], kind="stable")[:most]]

    def apart(self, direction: Array) -> Array:
        """Tell of each two classes whether in some row one wins against the other: [K, K]."""
        apart = np.zeros((self.classes, self.classes), dtype=bool)
        for rows, margins, noise in self._margins(direction):
            np.logical_or.at(apart, self.y[rows], margins > noise)
        apart = self.team.summed(apart.astype(np.int64))[0] > 0
        return apart | apart.T

    def near(self, direction: Array) -> Array | None:
        """Return the direction in the cone that is left where rows that lose are made to tie."""
        W = direction * np.append(self.scale, 1.0)
        W[:, -1] += direction[:, :-1] @ self.mean
        x = (W[:-1] - W[-1]).ravel()
        return self._found(lambda A: _tied(x, A))

    def direction(self) -> Array | None:
        """Return a direction [K, D+1] in the cone along which some row wins; None if there is none.

        Of the directions in a box that no row contradicts it is the one with the largest sum of
        margins, by a linear programme (Konis, 2007). Where that sum is 0 there is none.
        """
        goal = self._goal()
        return self._found(lambda A: _largest(goal, A))

    def _found(self, answer: Callable[[Array], Array | None]) -> Array | None:
        """Return the first answer that no row contradicts, if some row agrees with it.

        An answer x [(K−1)(D+1)] is that for rows of margins A, which it is to keep from losing. A
        row comes in when it contradicts, so that few ever do.
        """
        P = (self.classes - 1) * (self.X.shape[1] + 1)
        A = np.empty((0, P))
        known: set[tuple[int, int]] = set()
        for _ in range(_ROUNDS):
            x = answer(A)
            if x is None:
                return None
            direction = self._in_own_units(x.reshape(self.classes - 1, -1))
            seen = self.examined(direction)
            if not len(seen.losers):
                return direction if seen.agreeing else None
            pairs = set(zip(seen.losers.tolist(), seen.rivals.tolist(), strict=True))
            if pairs <= known:
                return None  # what contradicts is smaller than the answers can see
            A = np.concatenate([A, self._margins_of(np.array(sorted(pairs - known)))])
            known |= pairs
        return None

    def _margins(self, direction: Array) -> Iterator[tuple[slice, Array, Array]]:
        """Yield rows, their margins, and how large rounding may make those: [n, K]."""
        size = np.abs(direction)
        size[:, -1] += size[:, :-1] @ np.abs(self.mean)  # what an intercept was made of
        u = 64 * direction.shape[1] * float(np.finfo(np.float64).eps)
        tiny = float(np.finfo(np.float64).tiny)
        row_bytes = 8 * (8 * self.classes + 2 * direction.shape[1])
        for rows in self._cuts(row_bytes):
            X = self.X[rows].astype(np.float64)
            z, terms = logits(X, direction), u * logits(abs(X), size)
            own = np.arange(len(z)), self.y[rows]
            yield rows, z[own][:, None] - z, terms[own][:, None] + terms + tiny

    def _cuts(self, row_bytes: int) -> Iterator[slice]:
        return cuts(len(self.y), max(1, self.memory // row_bytes))

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
        rows, rivals = pairs[:, 0] - self._share.first, pairs[:, 1]
        here = np.flatnonzero((rows >= 0) & (rows < len(self.y)))
        A = self._standardised(rows[here])
        margins = np.zeros((len(rows), self.classes, A.shape[1]))
        margins[here, self.y[rows[here]]] = A
        margins[here, rivals[here]] = -A
        return self.team.summed(margins[:, :-1].reshape(len(rows), -1))[0]

    def _goal(self) -> Array:
        """Return the mean over rows of all margins' sum, as a function of x: [(K−1)(D+1)]."""
        sums = np.zeros((self.classes, self.X.shape[1] + 1))
        for rows in self._cuts(3 * 8 * sums.shape[1]):
            np.add.at(sums, self.y[rows], self._standardised(rows))
        (sums,) = self.team.summed(sums)
        total: Array = (self.classes * sums - sums.sum(axis=0))[:-1].ravel() / self.rows
        return total


def _tied(x: Array, A: Array) -> Array | None:
    """Return x without what gives the rows A margins that are not 0; None where nothing is left."""
    left = x
    for _ in range(2 if len(A) else 0):  # the second time takes out the rounding of the first
        left = left - np.linalg.lstsq(A, A @ left, rcond=1e-12)[0]
    return left if np.abs(left).max() > 1e-6 * np.abs(x).max() else None


def _largest(goal: Array, A: Array) -> Array | None:
    """Return x with |x| ≤ 1 and A x ≥ 0 where goal · x is largest; None where that is 0."""
    from scipy.optimize import linprog

    options = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
    zeros = np.zeros(len(A))
    found = linprog(-goal, A_ub=-A, b_ub=zeros, bounds=(-1, 1), method="highs", options=options)
    if found.x is None or -found.fun <= 1e-10 * np.abs(goal).sum():
        return None
    # The programme lets margins be a little negative; those that are 0 but for that become 0.
    return _tied(found.x, A[np.abs(A @ found.x) <= 1e-8 * np.abs(A).sum(axis=1)])
