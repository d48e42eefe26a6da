"""Selected log-probabilities, logsumexp and entropy of rows whose classes are spread over ranks.

The entropy is log1p(r) + Σ p·(m − z), whose terms have one sign, and its parts merge as those of r.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from softgrad.arithmetic import accurate_sum, first_max, log1p
from softgrad.arrays import Array, namespace
from softgrad.heads.layer import LinearLayer
from softgrad.heads.selected_rows import Selected, SelectedCotangents
from softgrad.linear import AbstractLinearMap
from softgrad.linear.base import Shapes
from softgrad.linear.rows import weighted
from softgrad.losses import CrossEntropy
from softgrad.losses.reduced import AbstractTwoStepLosses
from softgrad.losses.spread.parts import centred_on
from softgrad.losses.spread.rows import Few, ShardedRows
from softgrad.maps.centred import centre

__all__ = ["ShardedSelectedFunction", "ShardedSelectedRows", "selected_part"]


@dataclass(frozen=True, eq=False)
class ShardedSelectedRows:
    """What `SelectedRows` says, on every rank."""

    rows: ShardedRows
    """Logits whose targets are the ids."""

    few: Few
    """The same targets."""

    def value(self) -> Selected:
        """Return log p at the ids, logsumexp and entropy."""
        rows, whole = self.rows, self.rows.whole
        xp, log_S = namespace(rows.x), log1p(whole.r)
        own, z = rows.picked(self.few, self.y)
        near = centred_on(whole.m, rows.wide(z), whole.temperature)
        distance = xp.where(own, near.d + near.e, xp.zeros_like(near.d))
        lse = xp.where(xp.isinf(whole.m), whole.m, whole.logsumexp)[:, 0]
        found = rows.shards.summed(distance) - log_S, lse, (log_S + self.spread)[:, 0]
        return Selected(*map(rows.narrow, found))

    def tangent(self, x_dot: Array) -> Selected:
        """Return their rates of change."""
        rows, xp = self.rows, namespace(x_dot)
        u, (top, mean) = rows.chain(rows.all).tangent(x_dot), rows.mean(x_dot)
        own, picked = rows.picked(self.few, u)
        along = xp.where(own, rows.wide(picked) - top, xp.zeros_like(rows.wide(picked)))
        log_probs = rows.shards.summed(along) - mean
        gradient = self.entropy_gradient()
        entropy = rows.shards.summed(accurate_sum(weighted(gradient, u - rows.narrow(top))))
        found = log_probs, (top + mean)[:, 0], entropy
        return Selected(*map(rows.narrow, found))

    @property
    def y(self) -> Array:
        """The capped logits."""  # [n, k]
        return self.rows.chain(self.rows.all).y

    @cached_property
    def spread(self) -> Array:
        """Σ p·(m − z) of every row: [n, 1]."""
        rows, parts, xp = self.rows, self.rows.parts, namespace(self.rows.x)
        near = centred_on(rows.visit.m[:, None], self.y, rows.settings.temperature)
        own = accurate_sum(weighted(near.E, 0 - (near.d + near.e)))
        (all_own,) = rows.shards.ranks.gathered(rows.wide(own))
        sums = all_own.T  # [n, ranks]
        tops = centre(parts.m, None, rows.settings.temperature)
        moved = weighted(tops.E, sums + weighted(1 + parts.r, 0 - (tops.d + tops.e)))
        total = accurate_sum(xp.where(first_max(parts.m).here, sums, moved))[:, None]
        return total / (1 + rows.whole.r)

    def p_and_centred_log_p(self) -> tuple[Array, Array]:
        """Return p, and log p less its mean: z − m + Σ p·(m − z)."""  # [n, k]
        rows, whole = self.rows, self.rows.whole
        near = centred_on(rows.narrow(whole.m), self.y, whole.temperature)
        return near.E / rows.narrow(1 + whole.r), (near.d + rows.narrow(self.spread)) + near.e

    def entropy_gradient(self) -> Array:
        """Return −J log p for the own classes: [n, k]."""
        p, log_p = self.p_and_centred_log_p()
        return 0 - weighted(p, log_p)


@dataclass(frozen=True, eq=False)
class ShardedSelectedFunction(AbstractTwoStepLosses):
    """Σ ⟨bar, output⟩ of every row; the targets of `selected` are the ids with masses −a."""

    selected: ShardedSelectedRows
    bars: SelectedCotangents

    def value(self, factor: Array) -> Array:
        (a, b, c), (log_probs, lse, entropy) = self.bars, self.selected.value()
        total = accurate_sum(weighted(a, log_probs)) + weighted(b, lse) + weighted(c, entropy)
        return factor * total

    def gradient(self, factor: Array) -> Array:
        rows = self.selected.rows
        return rows.chain(rows.all).gradient(factor[:, None] * self._gradient_in_z())

    def hessian(self, factor: Array) -> AbstractLinearMap:
        return _Hessian(self, factor)

    def _gradient_in_z(self) -> Array:
        """Return a − p·Σa + b·p − c·p·(log p + H) for the own classes."""
        rows, (_, b, c) = self.selected.rows, self.bars
        p, log_p = self.selected.p_and_centred_log_p()
        gradient = self.selected.y + 0
        rows.gradient_in_y(gradient, rows.all, namespace(b).ones_like(b))
        gradient = gradient * rows.settings.temperature + b[:, None] * p
        return gradient - weighted(c[:, None], weighted(p, log_p))


@dataclass(frozen=True, eq=False, repr=False)
class _Hessian(AbstractLinearMap):
    """(b − Σa)·J − c·(J̇ log p + J), of the own classes."""

    function: ShardedSelectedFunction
    factor: Array  # [n]

    @property
    def shapes(self) -> Shapes:
        shape = tuple(self.function.selected.rows.x.shape)
        return shape, shape

    def apply(self, x_dot: Array) -> Array:
        function, selected = self.function, self.function.selected
        rows = selected.rows
        (a, b, c), narrow = function.bars, rows.narrow
        chain, (p, log_p) = rows.chain(rows.all), selected.p_and_centred_log_p()
        top, mean = rows.mean(x_dot)
        p_dot = weighted(p, (chain.tangent(x_dot) - narrow(top)) - narrow(mean))
        along = rows.shards.summed(rows.wide(accurate_sum(weighted(p_dot, log_p))))
        bend = weighted(p_dot, log_p) - p * narrow(along)[:, None]
        curved = (b - accurate_sum(a))[:, None] * p_dot - weighted(c[:, None], bend + p_dot)
        curved = chain.gradient(self.factor[:, None] * curved)
        if chain.second is None:
            return curved
        gradient = self.factor[:, None] * function._gradient_in_z() / chain.temperature
        return curved + weighted(gradient, chain.second) * x_dot

    def apply_transpose(self, y_bar: Array) -> Array:
        return self.apply(y_bar)

    def as_matrix(self) -> Array:
        raise NotImplementedError("the matrix of a Hessian whose classes are spread over ranks")


def selected_part(
    layer: LinearLayer,
    logits: Array,
    ids: Array,
    temperature: float,
    soft_cap: float | None,
    masses: Array | None = None,
) -> ShardedSelectedRows:
    """Return the own part of rows of logits [n, k]; the ids [n, q] count among all classes.

    With masses, they are the targets of a cross-entropy.
    """
    assert layer.shards is not None
    ones = layer.ones((logits.shape[0],))
    masses = 0 * layer.cast(ids) if masses is None else masses
    few = Few(ids - layer.shards.start, masses)
    settings = CrossEntropy(temperature=temperature, soft_cap=soft_cap)
    rows = ShardedRows(ones, ones, logits, few, None, settings, layer.how, layer.shards)
    return ShardedSelectedRows(rows, few)
