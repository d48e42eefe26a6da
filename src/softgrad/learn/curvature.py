"""The second derivatives of the objective at a point.

A row's Hessian in its logits is w (diag p − p pᵀ), so that all there is to know are the
probabilities; they are kept where all of them fit into the memory, and made again where not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

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

    def part(self, rows: Any) -> Chunk:
        return Chunk(self.X[rows], self.weights[rows], self.p[rows])


@dataclass(frozen=True, eq=False)
class Curvature:
    """The Hessian at theta, as something that is applied."""

    objective: Objective
    theta: Array  # [K, D+1]

    def chunks(self, row_bytes: int = 1) -> Iterator[Chunk]:
        """Go through the rows, so many that buffers of so many bytes a row fit as well."""
        step = max(1, self.objective.memory // row_bytes)
        for chunk in self._made() if self._kept is None else [self._kept]:
            n = len(chunk.weights)
            for first in range(0, n, step):
                yield chunk if step >= n else chunk.part(slice(first, first + step))

    def product(self, direction: Array) -> Array:
        """Return the Hessian times a direction: [K, D+1]."""
        f = self.objective
        product = f.ridge * f.penalised * direction
        for X, weights, p in self.chunks():
            z_bar = DiagonalMinusOuter(p, how=How(f.impl)).apply(logits(X, direction))
            product += pulled(z_bar * weights[:, None].astype(z_bar.dtype), X)
        return product

    def _made(self) -> Iterator[Chunk]:
        f = self.objective
        for rows in self._cuts:
            X = f.X[rows]
            z = logits(X, self.theta)
            yield Chunk(X, f.weights[rows], softmax(z, impl=f.impl, out=z))

    @cached_property
    def _cuts(self) -> list[slice]:
        return list(self.objective.cuts(4 * 8 * self.objective.classes))

    @cached_property
    def _kept(self) -> Chunk | None:
        return next(self._made()) if len(self._cuts) == 1 else None
