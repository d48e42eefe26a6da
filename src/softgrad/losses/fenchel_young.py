"""Fenchel–Young losses: Ω*(x) + Ω(t) − ⟨x, t⟩, with the gradient p − t for any map p = ∇Ω*(x)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from softgrad.arrays import Array, namespace
from softgrad.errors import mismatch
from softgrad.kernels import How
from softgrad.linear import AbstractLinearMap, Scaled
from softgrad.losses.base import AbstractLoss, Rows
from softgrad.losses.reduced import AbstractTwoStepLosses
from softgrad.losses.simplex import check_probabilities, p_minus_t
from softgrad.losses.targets import one_hot
from softgrad.losses.weights import row_weights
from softgrad.maps import AbstractSimplexMap, softmax

__all__ = ["FenchelYoung"]


@dataclass(frozen=True, kw_only=True)
class FenchelYoung(AbstractLoss):
    """The loss that a simplex map brings with it, zero only where the map gives the target.

    For softmax it is the cross-entropy less the entropy of the target.

    Parameters
    ----------
    map : AbstractSimplexMap
        softmax, sparsemax, or an entmax. Targets are class indices, or must sum to one.
    reduction, normalizer, on_empty
        As in every loss.

    Derivative
    ----------
    The gradient is p − t, the Hessian the map's own Jacobian.

    Numerics
    --------
    The gradient keeps the digits of a confident row, as that of `cross_entropy` does. The loss is
    a sum of terms that are not negative, but for the rounding of each.

    References
    ----------
    Blondel, Martins & Niculae, 2020, "Learning with Fenchel–Young losses", prop. 2.

    Examples
    --------
    >>> import softgrad as sg
    >>> loss = sg.FenchelYoung(map=sg.sparsemax)
    >>> value, gradient = loss.value_and_gradient([[1.0, 0.8, -1.0]], [0])
    >>> float(value), gradient.round(4)
    (0.16..., array([[-0.4,  0.4,  0. ]]))
    """

    map: AbstractSimplexMap = softmax

    takes_indices: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.map, AbstractSimplexMap):
            raise TypeError(mismatch("map", "a simplex map", type(self.map).__name__))

    def at_rows(self, rows: Rows) -> AbstractTwoStepLosses:
        for name in ("class_weights", "where"):
            if getattr(rows, name) is not None:
                raise TypeError(mismatch(name, "None for a Fenchel–Young loss", "an array"))
        t, weights = rows.targets, row_weights(rows)
        if t.ndim < rows.x.ndim:
            t = one_hot(t, rows.x)
        xp = namespace(rows.x)
        unused = (weights == 0)[..., None]
        x, t = (xp.where(unused, xp.zeros_like(v), v) for v in (rows.x, t))
        check_probabilities(t, weights != 0)
        return FenchelYoungRows(weights, weights, self.map, x, t)


@dataclass(frozen=True, eq=False)
class FenchelYoungRows(AbstractTwoStepLosses):
    """The formulas; the value is the map's own."""

    map: AbstractSimplexMap
    x: Array  # [..., K]
    t: Array  # [..., K]

    def value(self, factor: Array) -> Array:
        return factor * self.map.fenchel_young_rows(self.x, self.t)

    def gradient(self, factor: Array) -> Array:
        p, _ = self.map.linearize_rows(self.x, None, How("reference"))
        return factor[..., None] * p_minus_t(p, self.t, How("reference"))

    def hessian(self, factor: Array) -> AbstractLinearMap:
        return Scaled(factor[..., None], self.map.linearize_rows(self.x, None, How("reference"))[1])
