"""Cross-entropy of sigmoid probabilities, from logits and elementwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from softgrad.arrays import Array, computed, namespace
from softgrad.kernels import How
from softgrad.linear import AbstractLinearMap, Diagonal
from softgrad.linear.rows import weighted
from softgrad.losses.base import AbstractLoss, Rows
from softgrad.losses.reduced import AbstractRowLosses
from softgrad.losses.weights import element_weights
from softgrad.maps.rows import settle_real
from softgrad.maps.sigmoid import log_sigmoid_pair, sigmoid_pair
from softgrad.out import write

__all__ = ["BinaryCrossEntropy", "binary_cross_entropy"]


@dataclass(frozen=True, kw_only=True)
class BinaryCrossEntropy(AbstractLoss):
    """−π t·log σ(x) − (1 − t)·log(1 − σ(x)) of every element; the mean is over all elements.

    Parameters
    ----------
    reduction, normalizer, on_empty
        As in every loss; every element counts by itself.
    pos_weight : float
        π > 0, the weight of the positive part.

    Derivative
    ----------
    The gradient is (1 − t)·σ(x) − π t·σ(−x), which is σ(x) − t for π = 1; the Hessian is diagonal:
    (1 − t + π t)·σ(x)·σ(−x).

    Numerics
    --------
    A few u relative in loss and gradient for t in {0, 1} and any x: nothing is subtracted
    (tests/test_promises.py).

    References
    ----------
    Bishop, 2006, section 4.3.2.

    Examples
    --------
    >>> import softgrad as sg
    >>> float(sg.binary_cross_entropy([40.0], [1.0]))  # log(σ(40)) would be 0
    4.248354255291589e-18
    """

    pos_weight: float = 1.0

    takes_numbers: ClassVar[bool] = True
    no_kernel: ClassVar[str] = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        settle_real(self, "pos_weight", above=0)

    def at_rows(self, rows: Rows) -> AbstractRowLosses:
        xp, weights = namespace(rows.x), element_weights(rows)
        x, t = (xp.where(weights == 0, xp.zeros_like(v), v) for v in (rows.x, rows.targets))
        return BinaryCrossEntropyRows(weights, weights, x, t, self.pos_weight, How(rows.impl))


@dataclass(frozen=True, eq=False)
class BinaryCrossEntropyRows(AbstractRowLosses):
    """The formulas; a kernel has its own, in one pass."""

    x: Array  # [..., K]
    t: Array  # [..., K]
    pos_weight: float
    how: How

    @property
    def positive(self) -> Array:
        """What −log σ(x) counts: [..., K]."""
        return self.pos_weight * computed(self.t)

    @property
    def negative(self) -> Array:
        """What −log σ(−x) counts: [..., K]."""
        return 1 - computed(self.t)

    def value_and_gradient(self, factor: Array, out: Array | None = None) -> tuple[Array, Array]:
        compiled = self.how.compiled(self.x, self.t, factor)
        if compiled is not None:
            arguments = self.x, self.t, factor, self.pos_weight
            value, gradient = compiled.binary_cross_entropy(*arguments, out)
        else:
            value, gradient = self.value(factor), self.gradient(factor)
        return value, write(gradient, out)

    def value(self, factor: Array) -> Array:
        log_p, log_q = log_sigmoid_pair(computed(self.x))
        return -factor * (weighted(self.positive, log_p) + weighted(self.negative, log_q))

    def gradient(self, factor: Array) -> Array:
        p, q = sigmoid_pair(computed(self.x))
        return factor * (self.negative * p - self.positive * q)

    def hessian(self, factor: Array) -> AbstractLinearMap:
        p, q = sigmoid_pair(computed(self.x))
        return Diagonal(factor * (self.positive + self.negative) * (p * q))


binary_cross_entropy = BinaryCrossEntropy()
