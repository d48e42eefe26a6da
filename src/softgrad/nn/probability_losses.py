"""Cross-entropies of outputs that already are probabilities, or logarithms of them.

This is the plain way in two steps: the gradient −t/p grows without bound as p goes to 0, and the
layer's Jacobian has to take it back. A loss of logits does both at once, and gets p − t.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from softgrad.arithmetic import accurate_sum
from softgrad.arrays import Array, namespace
from softgrad.errors import mismatch
from softgrad.linear import AbstractLinearMap, Diagonal
from softgrad.linear.rows import weighted
from softgrad.losses import AbstractLoss, BinaryCrossEntropy, CrossEntropy
from softgrad.losses.base import Rows
from softgrad.losses.binary_cross_entropy import BinaryCrossEntropyRows
from softgrad.losses.cross_entropy import CrossEntropyRows
from softgrad.losses.reduced import AbstractTwoStepLosses

__all__ = ["OfLogProbabilities", "OfProbabilities", "OfProbabilitiesElementwise", "settings_of"]


def settings_of(loss: AbstractLoss) -> dict[str, Any]:
    """Return the settings that every loss has."""
    return {name: getattr(loss, name) for name in ("reduction", "normalizer", "on_empty")}


@dataclass(frozen=True, kw_only=True)
class AbstractCrossEntropyOfOutputs(AbstractLoss):
    """−Σ_j t_j log p_j of a row, with the targets and weights of the loss of logits."""

    loss: CrossEntropy

    takes_indices: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss.z_loss:
            raise ValueError(mismatch("z_loss", "0 where the loss sees no logits", "another"))

    def at_rows(self, rows: Rows) -> AbstractTwoStepLosses:
        # Asked for its targets and weights alone.
        at = cast(CrossEntropyRows, self.loss.at_rows(rows))
        return self.formulas(at.weights, at.masses, rows.x, at.t)

    @abstractmethod
    def formulas(self, weights: Array, masses: Array, x: Array, t: Array) -> AbstractTwoStepLosses:
        """Return the formulas at outputs x and targets t [..., K]."""


@dataclass(frozen=True, kw_only=True)
class OfProbabilities(AbstractCrossEntropyOfOutputs):
    """−Σ t log p of probabilities p, such as the outputs of a softmax or a sigmoid layer."""

    def formulas(self, weights: Array, masses: Array, x: Array, t: Array) -> AbstractTwoStepLosses:
        return ProbabilityRows(weights, masses, x, t)


@dataclass(frozen=True, kw_only=True)
class OfLogProbabilities(AbstractCrossEntropyOfOutputs):
    """−Σ t y of logarithms of probabilities y, such as the outputs of a log_softmax layer."""

    def formulas(self, weights: Array, masses: Array, x: Array, t: Array) -> AbstractTwoStepLosses:
        return LogProbabilityRows(weights, masses, x, t)


@dataclass(frozen=True, eq=False)
class ProbabilityRows(AbstractTwoStepLosses):
    """loss = −Σ t log p,  gradient = −t/p,  Hessian = diag(t/p²)."""

    p: Array  # [..., K]
    t: Array  # [..., K]

    def value(self, factor: Array) -> Array:
        return -accurate_sum(weighted(self.t * factor[..., None], namespace(self.p).log(self.p)))

    def gradient(self, factor: Array) -> Array:
        return -weighted(self.t * factor[..., None], 1 / self.p)

    def hessian(self, factor: Array) -> AbstractLinearMap:
        return Diagonal(weighted(self.t * factor[..., None], 1 / self.p**2))


@dataclass(frozen=True, eq=False)
class LogProbabilityRows(AbstractTwoStepLosses):
    """loss = −Σ t y,  gradient = −t,  Hessian = 0."""

    y: Array  # [..., K]
    t: Array  # [..., K]

    def value(self, factor: Array) -> Array:
        return -accurate_sum(weighted(self.t * factor[..., None], self.y))

    def gradient(self, factor: Array) -> Array:
        return -self.t * factor[..., None]

    def hessian(self, factor: Array) -> AbstractLinearMap:
        return Diagonal(namespace(self.t).zeros_like(self.t))


@dataclass(frozen=True, kw_only=True)
class OfProbabilitiesElementwise(AbstractLoss):
    """−π t log p − (1 − t) log(1 − p) of every element, as in the loss of logits."""

    loss: BinaryCrossEntropy

    def at_rows(self, rows: Rows) -> AbstractTwoStepLosses:
        # Asked for its targets and weights alone.
        at = cast(BinaryCrossEntropyRows, self.loss.at_rows(rows))
        return BinaryProbabilityRows(at.weights, at.masses, rows.x, at.positive, at.negative)


@dataclass(frozen=True, eq=False)
class BinaryProbabilityRows(AbstractTwoStepLosses):
    """loss = −a log p − b log(1 − p),  gradient = b/(1 − p) − a/p, for weights a and b."""

    p: Array  # [..., K]
    a: Array  # [..., K]
    b: Array  # [..., K]

    def value(self, factor: Array) -> Array:
        xp = namespace(self.p)
        logs = weighted(self.a, xp.log(self.p)) + weighted(self.b, xp.log1p(-self.p))
        return -factor * logs

    def gradient(self, factor: Array) -> Array:
        return factor * (weighted(self.b, 1 / (1 - self.p)) - weighted(self.a, 1 / self.p))

    def hessian(self, factor: Array) -> AbstractLinearMap:
        a, b = weighted(self.a, 1 / self.p**2), weighted(self.b, 1 / (1 - self.p) ** 2)
        return Diagonal(factor * (a + b))
