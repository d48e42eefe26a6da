"""The formulas of selected log-probabilities: f(z) = Σ_i a_i log p_i + b·logsumexp(z) + c·H(p)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from softgrad.arithmetic import accurate_sum
from softgrad.arrays import Array, namespace
from softgrad.kernels import AUTO, How
from softgrad.linear import (
    AbstractLinearMap,
    DiagonalMinusOuter,
    IdentityMinusOuter,
    InnerProduct,
    Scaled,
    Sum,
)
from softgrad.linear.algebra import matrix_by_columns
from softgrad.linear.base import Shapes
from softgrad.linear.rows import weighted
from softgrad.losses.chain import Chain
from softgrad.losses.reduced import AbstractTwoStepLosses
from softgrad.losses.row_targets import add_at
from softgrad.maps import LogSoftmax
from softgrad.maps.centred import Probabilities, probabilities

__all__ = ["EntropyHessian", "Selected", "SelectedCotangents", "SelectedFunction", "SelectedRows"]


class Selected(NamedTuple):
    """What is known of every row, or how it changes, or what came back for it."""

    log_probs: Any  # shaped like the ids: [...] or [..., k]
    logsumexp: Any  # [...]
    entropy: Any  # [...]


class SelectedCotangents(NamedTuple):
    """The weights of f."""

    a: Array  # [n, k]
    b: Array  # [n]
    c: Array  # [n]


@dataclass(frozen=True, eq=False)
class SelectedRows:
    """Rows of logits, seen through log-probabilities of some classes, logsumexp and entropy."""

    x: Array  # [n, K]
    ids: Array  # [n, k]
    temperature: float
    soft_cap: float | None
    how: How = AUTO

    @cached_property
    def chain(self) -> Chain:
        return Chain.of(self.x, None, self.soft_cap, self.temperature)

    @cached_property
    def probable(self) -> Probabilities:
        return probabilities(self.chain.y, None, self.temperature, self.how)

    @property
    def p(self) -> Array:
        return self.probable.p

    @cached_property
    def log_p(self) -> Array:
        return LogSoftmax(temperature=self.temperature).linearize_rows(
            self.chain.y, None, self.how
        )[0]

    @cached_property
    def jacobian(self) -> DiagonalMinusOuter:
        """The Jacobian of softmax at z."""
        return DiagonalMinusOuter(self.p, how=self.how, peak=self.probable.peak)

    @cached_property
    def log_jacobian(self) -> IdentityMinusOuter:
        """The Jacobian of log_softmax at z."""
        active = ~namespace(self.log_p).isinf(self.log_p)
        return IdentityMinusOuter(self.p, active, self.how, self.probable.peak)

    @property
    def entropy_gradient(self) -> Array:
        """The gradient of H in z: −J log p."""  # [n, K]
        return 0 - self.jacobian.apply(self.log_p)

    def value(self) -> Selected:
        """Return log p at the ids, logsumexp and entropy, whose terms all have one sign."""
        entropy = accurate_sum(weighted(self.p, 0 - self.log_p))
        return Selected(self._at_ids(self.log_p), self._logsumexp(), entropy)

    def tangent(self, x_dot: Array) -> Selected:
        """Return their rates of change."""
        z_dot, p = self.chain.tangent(x_dot), self.p
        entropy_dot = accurate_sum(weighted(self.entropy_gradient, z_dot))
        log_probs_dot = self._at_ids(self.log_jacobian.apply(z_dot))
        return Selected(log_probs_dot, InnerProduct(p).apply(z_dot), entropy_dot)

    def _logsumexp(self) -> Array:
        """Return m/T + log1p(r): the largest log-probability is −log1p(r)."""
        xp, y = namespace(self.x), self.chain.y
        m = xp.max(y, axis=-1)
        return xp.where(xp.isinf(m), m, m / self.temperature - xp.max(self.log_p, axis=-1))

    @cached_property
    def here(self) -> Array:
        """False for ids of no class, at which a GPU was not looked before."""  # [n, k]
        return (self.ids >= 0) & (self.ids < self.x.shape[-1])

    @property
    def places(self) -> Array:
        """The ids, and 0 for those of no class."""  # [n, k]
        return namespace(self.ids).where(self.here, self.ids, 0 * self.ids)

    def if_here(self, v: Array) -> Array:
        """Return numbers of the ids [n, k], NaN for those of no class."""
        xp = namespace(v)
        return xp.where(self.here, v, xp.zeros_like(v) + xp.nan)

    def _at_ids(self, v: Array) -> Array:
        return self.if_here(namespace(v).take_along_axis(v, self.places, axis=-1))


@dataclass(frozen=True, eq=False)
class SelectedFunction(AbstractTwoStepLosses):
    """f of every row, as a loss."""

    rows: SelectedRows
    bars: SelectedCotangents

    def value(self, factor: Array) -> Array:
        log_probs, lse, entropy = self.rows.value()
        a, b, c = self.bars
        total = accurate_sum(weighted(a, log_probs)) + weighted(b, lse) + weighted(c, entropy)
        return factor * total

    def gradient(self, factor: Array) -> Array:
        return self.rows.chain.gradient(factor[..., None] * self._gradient_in_z)

    def hessian(self, factor: Array) -> AbstractLinearMap:
        rows, (a, b, c) = self.rows, self.bars
        a = rows.if_here(a)
        # log p_i = z_i − logsumexp(z) bends by −J, logsumexp by J.
        hessian: AbstractLinearMap = Scaled(
            (factor * (b - accurate_sum(a)))[..., None], rows.jacobian
        )
        of_entropy = EntropyHessian(rows.jacobian, rows.log_p)
        hessian = Sum(hessian, Scaled((factor * c)[..., None], of_entropy))
        return rows.chain.hessian(lambda: factor[..., None] * self._gradient_in_z, hessian)

    @cached_property
    def _gradient_in_z(self) -> Array:
        rows, (a, b, c) = self.rows, self.bars
        xp = namespace(rows.x)
        chosen = add_at(xp.zeros_like(rows.x), rows.places, rows.if_here(a))
        gradient = rows.log_jacobian.apply_transpose(chosen)
        gradient = gradient + b[..., None] * rows.p
        return gradient + weighted(
            xp.broadcast_to(c[..., None], gradient.shape), rows.entropy_gradient
        )


@dataclass(frozen=True, eq=False, repr=False)
class EntropyHessian(AbstractLinearMap):
    """v ↦ −(J̇ log p + J v), where J̇ is how J changes along v; the Hessian of H(softmax(z))."""

    jacobian: DiagonalMinusOuter
    log_p: Array  # [..., K]

    @property
    def shapes(self) -> Shapes:
        return self.jacobian.shapes

    def apply(self, x_dot: Array) -> Array:
        bend = self.jacobian.derivative(x_dot).apply(self.log_p)
        return 0 - (bend + self.jacobian.apply(x_dot))

    def apply_transpose(self, y_bar: Array) -> Array:
        return self.apply(y_bar)

    def as_matrix(self) -> Array:
        return matrix_by_columns(self, self.log_p)
