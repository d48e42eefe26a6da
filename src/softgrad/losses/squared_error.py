"""Half the squared distance: ½ Σ_j (x_j − t_j)² a row, with the gradient x − t."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from softgrad.arithmetic import accurate_sum
from softgrad.arrays import Array, namespace
from softgrad.linear import AbstractLinearMap, Diagonal
from softgrad.losses.base import AbstractLoss, Rows
from softgrad.losses.reduced import AbstractTwoStepLosses
from softgrad.losses.weights import class_weights, row_weights

__all__ = ["SquaredError", "squared_error"]


@dataclass(frozen=True, kw_only=True)
class SquaredError(AbstractLoss):
    """½ Σ_j c_j (x_j − t_j)² of every row, with optional class weights c.

    Parameters
    ----------
    reduction, normalizer, on_empty
        As in every loss; the mean is over rows, not over elements.

    Derivative
    ----------
    The gradient is c(x − t), the Hessian diag(c).

    References
    ----------
    Legendre, 1805; the factor ½ as in Bishop, 2006, eq. (1.2).

    Examples
    --------
    >>> import softgrad as sg
    >>> loss, gradient = sg.squared_error.value_and_gradient([[1.0, 2.0]], [[0.0, 0.0]])
    >>> float(loss), gradient
    (2.5, array([[1., 2.]]))
    """

    takes_numbers: ClassVar[bool] = True

    def at_rows(self, rows: Rows) -> AbstractTwoStepLosses:
        weights = row_weights(rows)
        return SquaredErrorRows(weights, weights, rows)


@dataclass(frozen=True, eq=False)
class SquaredErrorRows(AbstractTwoStepLosses):
    """The formulas."""

    rows: Rows

    @cached_property
    def coefficients(self) -> Array:
        """The weight of every class, and 0 under the mask."""  # [..., K]
        return class_weights(self.rows)

    @cached_property
    def difference(self) -> Array:
        """x − t, and 0 where it counts nothing."""  # [..., K]
        x, xp = self.rows.x, namespace(self.rows.x)
        used = (self.coefficients != 0) & (self.weights != 0)[..., None]
        return xp.where(used, x - self.rows.targets, xp.zeros_like(x))

    def value(self, factor: Array) -> Array:
        return factor * accurate_sum(self.coefficients * self.difference**2) / 2

    def gradient(self, factor: Array) -> Array:
        return factor[..., None] * self.coefficients * self.difference

    def hessian(self, factor: Array) -> AbstractLinearMap:
        return Diagonal(factor[..., None] * self.coefficients)


squared_error = SquaredError()
