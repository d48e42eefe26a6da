"""Reduction: mean, sum or none, over rows that may have weights.

A loss is linear in the factor of each of its rows, so a reduction is nothing but a factor: the mean
over N rows gives every row the factor 1/N before the formula is asked.
"""

from __future__ import annotations

import math
import numbers
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from softgrad.arithmetic import accurate_sum, total
from softgrad.arrays import Array, describe, is_concrete, namespace, quiet
from softgrad.errors import mismatch
from softgrad.layout import Layout
from softgrad.linear import AbstractLinearMap, OnAxis
from softgrad.linear.rows import weighted
from softgrad.maps.rows import one_of
from softgrad.out import is_row_buffer, write

if TYPE_CHECKING:
    from softgrad.losses.spread.shards import Shards

__all__ = [
    "AbstractReduction",
    "AbstractRowLosses",
    "AbstractTwoStepLosses",
    "OnEmpty",
    "ReducedLoss",
    "Reduction",
    "RowFactors",
]

Reduction = Literal["mean", "sum", "none"]
OnEmpty = Literal["zero", "nan", "raise"]


@dataclass(frozen=True, eq=False)
class AbstractRowLosses(ABC):
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
    def value_and_gradient(self, factor: Array, out: Array | None = None) -> tuple[Array, Array]:
        """Return both, the gradient in `out` where it is given; `out` may be the rows' own x.

        Then x is overwritten, and this object has nothing to say any more.
        """

    @abstractmethod
    def hessian(self, factor: Array) -> AbstractLinearMap:
        """Return the Hessian in x of factor times loss."""


class AbstractTwoStepLosses(AbstractRowLosses):
    """A loss that computes its value and its gradient one after the other."""

    def value_and_gradient(self, factor: Array, out: Array | None = None) -> tuple[Array, Array]:
        value, gradient = self.value(factor), self.gradient(factor)
        return value, write(gradient, out)


@dataclass(frozen=True, kw_only=True)
class AbstractReduction:
    """How the losses of rows become one number."""

    reduction: Reduction = "mean"
    normalizer: Literal["weight", "count"] | float = "weight"
    on_empty: OnEmpty = "zero"

    def __post_init__(self) -> None:
        one_of("reduction", self.reduction, get_args(Reduction))
        one_of("on_empty", self.on_empty, get_args(OnEmpty))
        word = isinstance(self.normalizer, str | bool)
        if word or not isinstance(self.normalizer, numbers.Real):
            one_of("normalizer", self.normalizer, ("weight", "count"))
        elif not (math.isfinite(self.normalizer) and self.normalizer > 0):
            raise ValueError(mismatch("normalizer", "positive and finite", self.normalizer))


@dataclass(frozen=True, eq=False)
class RowFactors:
    """What a reduction makes of the weights of all rows."""

    factor: Array
    """What each loss is multiplied by: [...]."""

    reduced: bool
    of_nothing: Array | None
    """What is added to a loss whose mean over nothing is NaN: NaN there, else 0."""

    examples: int = 0
    """How many axes in front count examples, which are reduced each by itself."""

    @classmethod
    def of(
        cls, weights: Array, masses: Array, how: AbstractReduction, examples: int = 0
    ) -> RowFactors:
        """Apply the settings of a loss.

        Raises
        ------
        ValueError
            The mean is over nothing, and `on_empty` is "raise".
        """
        if how.reduction != "mean":
            return cls(weights, how.reduction == "sum", None, examples)
        if not isinstance(how.normalizer, str):
            return cls(weights / how.normalizer, True, None, examples)
        xp = namespace(weights)
        if how.normalizer == "count":
            masses = xp.astype(weights != 0, weights.dtype)
        divisor = total(masses, examples)
        empty = divisor == 0
        if how.on_empty == "raise" and is_concrete(empty) and bool(xp.any(empty)):
            raise ValueError(mismatch("targets", "at least one row that counts", "none"))
        of_nothing: Array | None = None
        if how.on_empty == "nan":
            of_nothing = xp.where(empty, divisor + xp.nan, divisor * 0)
        # Weights whose sum overflows have no mean: 0·∞ says so, a quotient would be a silent 0.
        divisor = divisor + 0 * divisor
        # Smoothing gives a row a loss even if its label has no weight; nothing is made of it.
        divisor = _beside(xp.where(empty, divisor + xp.inf, divisor), weights)
        return cls(weights / divisor, True, of_nothing, examples)

    def reduce(self, losses: Array) -> Array:
        """Return the reduced loss, or the losses as they are."""
        if not self.reduced:
            return losses
        reduced = total(losses, self.examples)
        return reduced if self.of_nothing is None else reduced + self.of_nothing


def _beside(y: Array, rows: Array) -> Array:
    """Return numbers y [*examples] such that they spread over the rows of each."""
    return namespace(y).reshape(y, (*y.shape, *(1,) * (rows.ndim - y.ndim)))


@dataclass(frozen=True, eq=False)
class ReducedLoss:
    """A loss at given arguments with the factor that the reduction gives to each row."""

    rows: AbstractRowLosses
    layout: Layout
    factors: RowFactors
    shards: Shards | None = None
    """Where rows are the own part of those of several ranks: which part."""

    def value(self) -> Array:
        """Return the reduced loss, or one loss a row."""
        with quiet():
            return self._reduced(self.rows.value(self.factors.factor))

    def gradient(self) -> Array:
        """Return the gradient in x, shaped like x."""
        with quiet():
            return self.layout.from_rows(self.rows.gradient(self.factors.factor))

    def jvp(self, x_dot: Array) -> Array:
        """Return the rate of change of the loss as x moves along x_dot, shaped like x."""
        with quiet():
            gradient = self.rows.gradient(self.factors.factor)
            return self._summed(weighted(gradient, self.layout.to_rows(x_dot)))

    def vjp(self, value_bar: Array) -> Array:
        """Return the gradient in x of ⟨value_bar, loss⟩: a reduction is a factor, and so is this.

        Raises
        ------
        ValueError
            `value_bar` is not shaped like the loss.
        """
        with quiet():
            return self.layout.from_rows(self.rows.gradient(self._factor(value_bar)))

    def hvp(self, value_bar: Array, x_dot: Array) -> Array:
        """Return the rate of change of ``vjp(value_bar)`` as x moves along x_dot."""
        with quiet():
            hessian = self.rows.hessian(self._factor(value_bar))
            return self.layout.from_rows(hessian.apply(self.layout.to_rows(x_dot)))

    def second_derivative(self, x_dot: Array, other: Array) -> Array:
        """Return the rate of change of ``jvp(x_dot)`` as x moves along the other direction."""
        with quiet():
            curved = self.rows.hessian(self.factors.factor).apply(self.layout.to_rows(other))
            return self._summed(weighted(curved, self.layout.to_rows(x_dot)))

    def value_and_gradient(self, out: Array | None = None) -> tuple[Array, Array]:
        """Return both; the gradient in `out`, which is shaped like x, where it is given."""
        with quiet():
            # Rows that are the array itself may be written where they are to end.
            buffer = out if is_row_buffer(out, self.layout) else None
            losses, gradient = self.rows.value_and_gradient(self.factors.factor, buffer)
            value = self._reduced(losses)
            if buffer is not None:
                return value, write(gradient, buffer)
            gradient = self.layout.from_rows(gradient)
            return value, write(gradient, out)

    def hessian(self) -> AbstractLinearMap:
        """Return the Hessian in x."""
        with quiet():
            return OnAxis(self.rows.hessian(self.factors.factor), self.layout)

    def _reduced(self, losses: Array) -> Array:
        return self.factors.reduce(losses) if self.factors.reduced else self._laid_out(losses)

    def _factor(self, value_bar: Array) -> Array:
        """Return the factor of each loss times its share of a gradient from above: [...]."""
        factor, layout = self.factors.factor, self.layout
        class_axes = int(self._elementwise)
        losses = tuple(factor.shape[: self.factors.examples])
        if not self.factors.reduced:
            losses = layout.shape_of(tuple(factor.shape), class_axes)
        if tuple(value_bar.shape) != losses:
            raise ValueError(mismatch("value_bar", f"of shape {losses}", describe(value_bar)))
        if self.factors.reduced:
            return factor * _beside(namespace(factor).astype(value_bar, factor.dtype), factor)
        return factor * layout.to_rows(value_bar, class_axes)

    def _summed(self, products: Array) -> Array:
        """Sum products [..., K] to what there is one loss of: how losses change."""
        if not self._elementwise:
            products = accurate_sum(products)
        if self.shards is not None:
            products = self.shards.summed(products)
        if self.factors.reduced:
            return total(products, self.factors.examples)
        return self._laid_out(products)

    def _laid_out(self, losses: Array) -> Array:
        """Return losses that are not reduced, with the class axis where x has it."""
        return self.layout.move_back(losses) if self._elementwise else losses

    @property
    def _elementwise(self) -> bool:
        """Whether every element has a loss of its own."""
        return bool(self.factors.factor.ndim == self.layout.rows_ndim)
