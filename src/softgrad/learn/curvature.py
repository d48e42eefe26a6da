"""The second derivatives of the objective at a point.

A row's Hessian in its logits is w (diag p − p pᵀ), so that all there is to know are the
probabilities; they are kept where all of them fit into the memory, and made again where not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from softgrad.arrays import Array
from softgrad.kernels import How
from softgrad.learn.affine import complements, logits, pulled
from softgrad.learn.objective import Objective
from softgrad.linear import DiagonalMinusOuter
from softgrad.maps import softmax

__all__ = ["Chunk", "Curvature"]


class Chunk(NamedTuple):
    """Some rows with their weights and probabilities."""

    X: Any  # [n, D]
    weights: Array  # [n]
    p: Array  # [n, K], in X's dtype

    @property
    def variances(self) -> Array:
        """w p(1 − p): what a row adds to the curvature of each class alone."""  # [n, K]
        return self.weights[:, None] * self.p * complements(self.p)


@dataclass(frozen=True, eq=False)
class Curvature:
    """The Hessian at theta, as something that is applied."""

    objective: Objective
    theta: Array  # [K, D+1]

    def chunks(self, row_bytes: int = 1) -> Iterator[Chunk]:
        """Go through the rows, so many that buffers of so many bytes a row fit as well."""
        f, p = self.objective, self._kept
        for rows in f.cuts(row_bytes if p is not None else max(row_bytes, self._logit_bytes)):
            X = f.X[rows]
            yield Chunk(X, f.weights[rows], self._probabilities(X) if p is None else p[rows])

    def summed(
        self,
        part: Callable[[Chunk], tuple[Array, ...]],
        *shapes: tuple[int, ...],
        row_bytes: int = 1,
    ) -> tuple[Array, ...]:
        """Return the sums over all rows, those of other processes too, of what a chunk adds."""
        sums = tuple(map(np.zeros, shapes))
        for chunk in self.chunks(row_bytes):
            for total, added in zip(sums, part(chunk), strict=True):
                total += added
        return self.objective.team.summed(*sums)

    def product(self, direction: Array) -> Array:
        """Return the Hessian times a direction: [K, D+1]."""
        f = self.objective

        def part(chunk: Chunk) -> tuple[Array]:
            X, weights, p = chunk
            z_bar = DiagonalMinusOuter(p, how=How(f.impl)).apply(logits(X, direction))
            return (pulled(z_bar * weights[:, None].astype(z_bar.dtype), X),)

        (product,) = self.summed(part, direction.shape)
        return product + f.ridge * f.penalised * direction

    @property
    def _logit_bytes(self) -> int:
        """What the logits of a row take, with all that is made of them."""
        return 4 * 8 * self.objective.classes

    @cached_property
    def _kept(self) -> Array | None:
        """The probabilities of all rows [N, K], if there is room for them."""
        f = self.objective
        if len(f.y) * self._logit_bytes > f.memory:
            return None
        p = np.empty((len(f.y), f.classes), dtype=f.X.dtype)
        for rows in f.cuts(self._logit_bytes):
            p[rows] = self._probabilities(f.X[rows])
        return p

    def _probabilities(self, X: Any) -> Array:
        """Return the probabilities of a block of rows [n, K]."""
        z = logits(X, self.theta)
        return softmax(z, impl=self.objective.impl, out=z)
