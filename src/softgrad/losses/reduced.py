"""Reduction: mean, sum or none, over rows that may have weights.

A loss is linear in the factor of each of its rows, so a reduction is nothing but a factor: the mean
over N rows gives every row the factor 1/N before the formula is asked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from softgrad.arithmetic import accurate_sum
from softgrad.arrays import Array, Layout, is_concrete, namespace, quiet
from softgrad.errors import mismatch
from softgrad.linear import AbstractLinearMap, OnAxis

__all__ = ["AbstractLossRows", "OnEmpty", "ReducedLoss", "Reduction"]

Reduction = Literal["mean", "sum", "none"]
OnEmpty = Literal["zero", "nan", "raise"]


@dataclass(frozen=True, eq=False)
class AbstractLossRows(ABC):
    """A loss at given arguments, row by row."""

    weights: Array
    """What each loss is multiplied by, 0 where it is ignored: [...], one a loss."""

    masses: Array
    """What each loss counts in a weighted mean: [...]."""

    @abstractmethod
    def value(self, factor: Array) -> Array:
        """Return factor times loss: [...]."""

    @abstractmethod
    def gradient(self, factor: Array) -> Array:
        """Return the gradient in x of factor times loss: [..., K]."""

    @abstractmethod
    def hessian(self, factor: Array) -> AbstractLinearMap:
        """Return the Hessian in x of factor times loss."""


@dataclass(frozen=True, eq=False)
class ReducedLoss:
    """A loss at given arguments with the factor that the reduction gives to each row."""

    rows: AbstractLossRows
    layout: Layout
    factor: Array  # [...]
    reduced: bool
    of_nothing: Array | float
    """What is added to a reduced loss: NaN for a mean over nothing that is to be NaN, else 0."""

    @classmethod
    def of(
        cls,
        rows: AbstractLossRows,
        layout: Layout,
        reduction: Reduction,
        normalizer: str | float,
        on_empty: OnEmpty,
    ) -> ReducedLoss:
        """Apply the settings of a loss.

        Raises
        ------
        ValueError
            The mean is over nothing, and `on_empty` is "raise".
        """
        weights = rows.weights
        if reduction != "mean":
            return cls(rows, layout, weights, reduction == "sum", 0.0)
        if not isinstance(normalizer, str):
            return cls(rows, layout, weights / normalizer, True, 0.0)
        xp = namespace(weights)
        masses = rows.masses if normalizer == "weight" else xp.astype(weights != 0, weights.dtype)
        divisor = accurate_sum(xp.reshape(masses, (-1,)))
        empty = divisor == 0
        if on_empty == "raise" and is_concrete(empty) and bool(empty):
            raise ValueError(mismatch("targets", "at least one row that counts", "none"))
        of_nothing = xp.where(empty, divisor + xp.nan, divisor * 0) if on_empty == "nan" else 0.0
        return cls(rows, layout, weights / xp.where(empty, divisor + 1, divisor), True, of_nothing)

    def value(self) -> Array:
        """Return the reduced loss, or one loss a row."""
        with quiet():
            losses = self.rows.value(self.factor)
            if self.reduced:
                xp = namespace(losses)
                return accurate_sum(xp.reshape(losses, (-1,))) + self.of_nothing
            elementwise = losses.ndim == self.layout.rows_ndim
            return self.layout.move_back(losses) if elementwise else losses

    def gradient(self) -> Array:
        """Return the gradient in x, shaped like x."""
        with quiet():
            return self.layout.from_rows(self.rows.gradient(self.factor))

    def hessian(self) -> AbstractLinearMap:
        """Return the Hessian in x."""
        with quiet():
            return OnAxis(self.rows.hessian(self.factor), self.layout)
