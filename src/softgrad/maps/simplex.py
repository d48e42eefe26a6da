"""Maps to the simplex: gradients p = ∇Ω*(x) of convex functions, and so of Fenchel–Young losses."""

from __future__ import annotations

from abc import abstractmethod

from softgrad.arrays import Array
from softgrad.maps.base import AbstractMap

__all__ = ["AbstractSimplexMap"]


class AbstractSimplexMap(AbstractMap):
    """A map whose rows are probabilities: not negative, with sum one."""

    @abstractmethod
    def fenchel_young_rows(self, x: Array, t: Array) -> Array:
        """Return Ω*(x) + Ω(t) − ⟨x, t⟩ for rows x and probabilities t: [..., K] to [...].

        It is not negative, it is zero only at t = p, and its gradient in x is p − t.
        """
