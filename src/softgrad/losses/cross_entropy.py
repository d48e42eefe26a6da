"""Cross-entropy of softmax probabilities, −Σ_j t_j log p_j: its gradient in the logits is p − t."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from softgrad.arithmetic import accurate_sum, log1p
from softgrad.arrays import Array, as_integer, namespace
from softgrad.linear import (
    AbstractLinearMap,
    DiagonalMinusOuter,
    Outer,
    Scaled,
    Sum,
)
from softgrad.linear.rows import weighted
from softgrad.losses.base import AbstractLoss, Rows
from softgrad.losses.reduced import AbstractLossRows
from softgrad.losses.simplex import check_probabilities, p_minus_t
from softgrad.losses.targets import one_hot
from softgrad.losses.weights import row_weights
from softgrad.maps.centred import CentredRows, centre
from softgrad.maps.rows import settle_real

__all__ = ["CrossEntropy", "cross_entropy"]


@dataclass(frozen=True, kw_only=True)
class CrossEntropy(AbstractLoss):
    """The cross-entropy of logits x and class indices [...] or probabilities [..., K].

    With class weights c, smoothing ε and K classes, the target is t_j = c_j((1 − ε)·t_j + ε/K); a
    class index is its one-hot vector. Probabilities that do not sum to one are taken as they are.

    Parameters
    ----------
    reduction, normalizer, on_empty
        As in every loss; with class weights, the weight of a row is multiplied by Σ_j c_j t_j for
        the target t before smoothing.
    label_smoothing : float
        ε in [0, 1], spread over the classes that `where` leaves in.
    ignore_index : int, optional
        Rows with this label count nothing; nor do rows that `where` masks whole.
    z_loss : float
        ζ ≥ 0 adds ζ·logsumexp(x)² to a row, which keeps the logits from drifting.
    validate : bool
        Raise unless probabilities are not negative and sum to one.

    Derivative
    ----------
    The gradient is p·Σt − t, which is p − t for a target that sums to one; the Hessian is
    Σt·(diag(p) − p pᵀ). With a z-loss, 2ζ·logsumexp(x)·p and its derivative are added.

    Numerics
    --------
    Loss to 4 u relative, gradient to 6 u relative in every component for class indices, whatever
    the logits and their offset (tests/test_promises.py).

    References
    ----------
    Bridle, 1990; Szegedy et al., 2016 (smoothing); Chowdhery et al., 2022 (z-loss).

    Examples
    --------
    >>> import softgrad as sg
    >>> loss, gradient = sg.cross_entropy.value_and_gradient([[2.0, 1.0, 0.0]], [0])
    >>> float(loss)
    0.40760596444438...
    >>> gradient.round(4)  # p − t
    array([[-0.3348,  0.2447,  0.09  ]])
    """

    label_smoothing: float = 0.0
    ignore_index: int | None = None
    z_loss: float = 0.0
    validate: bool = False

    takes_indices: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        settle_real(self, "label_smoothing", least=0, most=1)
        settle_real(self, "z_loss", least=0)
        if self.ignore_index is not None:
            as_integer("ignore_index", self.ignore_index)

    def at_rows(self, rows: Rows) -> AbstractLossRows:
        xp = namespace(rows.x)
        t, weights = self._targets_and_weights(rows)
        # A row without weight has no say, were its logits or its targets NaN.
        unused = (weights == 0)[..., None]
        x, t = (xp.where(unused, xp.zeros_like(v), v) for v in (rows.x, t))
        where = None if rows.where is None else rows.where | unused
        masses = weights
        if rows.class_weights is not None:
            masses = weights * accurate_sum(t * rows.class_weights)
        if self.label_smoothing:
            spread = xp.ones_like(t) if where is None else xp.astype(where, t.dtype)
            share = self.label_smoothing / xp.sum(spread, axis=-1, keepdims=True)
            t = (1 - self.label_smoothing) * t + share * spread
        if rows.class_weights is not None:
            t = t * rows.class_weights
        return CrossEntropyRows(weights, masses, centre(x, where), t, self.z_loss)

    def _targets_and_weights(self, rows: Rows) -> tuple[Array, Array]:
        """Return targets [..., K] and row weights [...], 0 where a row is ignored or masked."""
        xp, where = namespace(rows.x), rows.where
        if rows.targets.ndim == rows.x.ndim:
            t, counts = rows.targets, xp.ones_like(rows.x[..., 0]) == 1
            if where is not None:
                t = xp.where(where, t, xp.zeros_like(t))
        else:
            t, counts = one_hot(rows.targets, rows.x, self.ignore_index)
        if where is not None:
            counts = counts & xp.any(where, axis=-1)
        weights = row_weights(rows)
        weights = xp.where(counts, weights, xp.zeros_like(weights))
        if self.validate:
            check_probabilities(t, weights != 0)
        return t, weights


@dataclass(frozen=True, eq=False)
class CrossEntropyRows(AbstractLossRows):
    """The formulas, for any target t that is not negative."""

    x: CentredRows
    t: Array  # [..., K]
    z_loss: float

    def value(self, factor: Array) -> Array:
        # log Σ exp(x) · Σt − ⟨t, x⟩, both relative to the maximum: all terms have one sign
        t = self.t * factor[..., None]
        distance = accurate_sum(weighted(t, -(self.x.d + self.x.e)))
        loss = accurate_sum(t) * log1p(self.x.r[..., 0]) + distance
        return loss + factor * self.z_loss * self.x.logsumexp**2 if self.z_loss else loss

    def gradient(self, factor: Array) -> Array:
        p, t = self.x.probabilities, self.t * factor[..., None]
        gradient = p_minus_t(p, t)
        if not self.z_loss:
            return gradient
        return gradient + 2 * self.z_loss * (factor * self.x.logsumexp)[..., None] * p

    def hessian(self, factor: Array) -> AbstractLinearMap:
        p, total = self.x.probabilities, accurate_sum(self.t) * factor
        jacobian = DiagonalMinusOuter(p)
        if not self.z_loss:
            return Scaled(total[..., None], jacobian)
        z = 2 * self.z_loss * factor
        along = Scaled((total + z * self.x.logsumexp)[..., None], jacobian)
        return Sum(along, Scaled(z[..., None], Outer(p, p)))


cross_entropy = CrossEntropy()
