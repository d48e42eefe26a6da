"""The function that the classifier minimises, in theta [K, D+1], the intercept as last column.

    f(theta) = Σ wᵢ CE(W xᵢ + b, yᵢ) + ½ λ ‖W‖²,   Σ wᵢ = 1

It is convex, and it does not change as the same is added to the intercepts of all classes. Columns
of X may be seen near 0 or in units of their own (`columns.py`): theta and the penalty go with
those, and `outside` takes theta to the columns as they came.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from softgrad.arrays import Array
from softgrad.heads import LinearCrossEntropy
from softgrad.kernels import choose
from softgrad.learn.affine import is_sparse
from softgrad.learn.columns import Columns
from softgrad.learn.linear_loss import MEMORY, in_chunks
from softgrad.learn.stored_rows import cut_rows, every
from softgrad.learn.team import ALONE, AbstractTeam, Share
from softgrad.learn.training_set import class_masses

__all__ = ["Objective"]

_PASSES = 32
"""Evaluations that a fit needs at least: kernels are worth loading for so much less of a size."""


@dataclass(frozen=True, eq=False)
class Objective:
    """f, at rows that were checked, of which the other processes of a team may have some."""

    X: Any
    """Rows [N, D]: a float32 or float64 array, a CSR matrix of such, or StoredRows."""

    y: Array
    """Class indices [N]; every class has a row, here or elsewhere."""

    weights: Array
    """Positive float64 [N]; those of all processes sum to 1."""

    classes: int
    """K."""

    ridge: float
    """λ, not negative."""

    memory: int = MEMORY
    """The bytes that buffers may take."""

    columns: Columns | None = None
    """How those of X are seen; None for as they came."""

    team: AbstractTeam = ALONE
    """Who has the other rows; what follows from all of them is the same everywhere."""

    share: Share | None = None
    """Which of all rows these are; None for all."""

    @property
    def start(self) -> Array:
        """Where a fit begins that has no better idea: every class as likely as any other."""
        return np.zeros((self.classes, self.X.shape[1] + 1))

    @property
    def precision(self) -> float:
        """The relative size of a rounding error of X's dtype."""
        return float(np.finfo(self.X.dtype).eps)

    @cached_property
    def impl(self) -> Any:
        """What works on the logits: one choice for the whole fit, which is many passes."""
        N = len(self.y) if self.share is None else self.share.N
        logits = np.broadcast_to(np.empty((1, 1)), (_PASSES * N, self.classes))
        return choose("auto", logits).impl

    @property
    def penalised(self) -> Array:
        """1 for the weights of a class, 0 for its intercept: [D+1]."""
        return np.append(np.ones(self.X.shape[1]), 0.0)

    @cached_property
    def class_sums(self) -> tuple[Array, Array]:
        """Σ w x over the rows of each class [K, D], and Σ w [K]."""
        from scipy.sparse import csr_array

        K, sums = self.classes, np.zeros((self.classes, self.X.shape[1]))
        for rows in self.cuts(8 * self.X.shape[1]):  # SciPy makes float64 of float32
            X, y, weights = self.X[rows], self.y[rows], self.weights[rows]
            of_class = csr_array((weights, (y, np.arange(len(y)))), shape=(K, len(y)))
            part = of_class @ X
            sums += part.toarray() if is_sparse(part) else part
        sums, masses = self.team.summed(sums, class_masses(self.y, self.weights, K))
        return sums, masses

    @cached_property
    def least_weight(self) -> float:
        """The smallest weight of a row."""
        return self.team.least(self.weights)

    def value_and_gradient(self, theta: Array) -> tuple[float, Array]:
        """Return f and its gradient [K, D+1], in float64."""
        own = (self._of_sparse if is_sparse(self.X) else self._of_dense)(theta)
        loss, gradient = self.team.summed(*own)
        W = theta[:, :-1]
        gradient[:, :-1] += self.ridge * W
        return float(loss + 0.5 * self.ridge * np.vdot(W, W)), gradient

    def inside(self, theta: Array) -> Array:
        """Return theta for X, from that for the columns as they came: [..., D+1]."""
        return theta if self.columns is None else self.columns.inside(theta)

    def outside(self, theta: Array) -> Array:
        """Return theta for the columns as they came: [..., D+1]."""
        return theta if self.columns is None else self.columns.outside(theta)

    def all_right(self, value: float) -> bool:
        """Tell whether every row's class is likelier than not wherever the loss is that small.

        Then the classes are separated, and without a penalty there is no minimum.
        """
        return self.ridge == 0 and value < np.log(2) * self.least_weight

    def cuts(self, row_bytes: int = 1) -> Iterator[slice]:
        """Cut the rows such that a buffer of so many bytes a row fits the memory.

        Of rows in a file, what is read fits it as well.
        """
        return cut_rows(self.X, self.memory, row_bytes)

    def thinned(self, rows: int) -> Objective:
        """Return the mean over every so manieth row, at least so many of them if there are."""
        first, N = self.share or (0, len(self.y))
        step = max(1, N // rows)
        if step == 1:
            return self
        X, y, weights = (every(step, part, first) for part in (self.X, self.y, self.weights))
        (total,) = self.team.summed(weights.sum())
        return replace(self, X=X, y=y, weights=weights / total, share=None)

    def _of_dense(self, theta: Array) -> tuple[float, Array]:
        head = LinearCrossEntropy(reduction="sum", memory=self.memory)
        W, b = theta[:, :-1].astype(self.X.dtype), theta[:, -1].astype(self.X.dtype)
        loss, gradient = 0.0, np.zeros(theta.shape)
        for rows in self.cuts():  # all at once, unless they are in a file
            options = {"row_weights": self.weights[rows], "impl": self.impl, "frozen": ("x",)}
            part, bars = head.value_and_gradient(self.X[rows], W, self.y[rows], b, **options)
            loss += float(part)
            gradient += np.column_stack([bars.W, bars.bias])
        return loss, gradient

    def _of_sparse(self, theta: Array) -> tuple[float, Array]:
        W, b = theta[:, :-1].astype(self.X.dtype), theta[:, -1].astype(self.X.dtype)
        options = {"impl": self.impl, "memory": self.memory}
        loss, bars = in_chunks(self.X, W, b, self.y, self.weights, **options)
        return loss, np.column_stack([bars.W, bars.bias])
