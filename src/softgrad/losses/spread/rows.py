"""Cross-entropy of logits whose classes are spread over processes: the own part of every row.

One message tells the ranks what each knows of its part (`softgrad.losses.spread.parts`); what
follows from it, value and gradient, every rank computes for itself. A product with the Hessian
needs one more.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import array_api_compat

from softgrad.arithmetic import accurate_sum, first_max
from softgrad.arrays import Array, computed, cuts, index_dtype, indices, namespace, wider_dtype
from softgrad.kernels import How
from softgrad.linear import AbstractLinearMap
from softgrad.linear.base import Shapes
from softgrad.linear.rows import weighted
from softgrad.losses.chain import Chain
from softgrad.losses.cross_entropy_settings import AbstractCrossEntropySettings
from softgrad.losses.reduced import AbstractRowLosses
from softgrad.losses.row_targets import AbstractTargets
from softgrad.losses.spread.parts import (
    MergedRows,
    Parts,
    centred_on,
    maxima_and_others,
    scale,
    targets_of_part,
)
from softgrad.losses.spread.shards import Shards
from softgrad.maps.centred import centre

__all__ = ["Few", "ShardedRows"]

_BLOCK = 2**18
"""Logits that the formulas see at a time."""


class Few(NamedTuple):
    """Targets of k classes a row, counted from the first of the own ones."""

    ids: Array  # [n, k]
    masses: Array  # [n, k]

    def take(self, rows: slice) -> Few:
        return Few(self.ids[rows], self.masses[rows])


@dataclass(frozen=True, eq=False)
class _Visit:
    """What the own part says of every row."""

    m: Array  # [n]
    r: Array  # [n]
    total: Array  # [n]
    distance: Array  # [n]
    others: Array  # [n], Σ t without that at the own maximum
    top: Array  # [n], where the own maximum stands first


@dataclass(frozen=True, eq=False)
class ShardedRows(AbstractRowLosses):
    """The formulas for the own classes; values are those of whole rows, on every rank."""

    x: Array  # [n, k], the own logits
    targets: AbstractTargets | Few
    class_weights: Array | None  # [k], of the own classes
    settings: AbstractCrossEntropySettings
    how: How
    shards: Shards

    def value(self, factor: Array) -> Array:
        return self.narrow(self.whole.value(self.wide(factor)))

    def gradient(self, factor: Array) -> Array:
        out = computed(self.x) + 0  # a copy
        self._into(out, factor)
        return out

    def value_and_gradient(self, factor: Array, out: Array | None = None) -> tuple[Array, Array]:
        value = self.value(factor)
        if out is None:
            return value, self.gradient(factor)
        if out is not self.x:
            out[...] = self.x
        self._into(out, factor)
        return value, out

    def hessian(self, factor: Array) -> AbstractLinearMap:
        return _Hessian(self, factor)

    @cached_property
    def parts(self) -> Parts:
        visit = self.visit
        return self.shards.parts(visit.m, visit.r, visit.total, visit.distance)

    @cached_property
    def whole(self) -> MergedRows:
        return self.parts.merged(self.settings.temperature, self.settings.z_loss)

    @cached_property
    def visit(self) -> _Visit:
        """Look at the own logits, some rows at a time."""
        found = [self._visit_some(cut) for cut in self._cuts]
        return _Visit(*(namespace(self.x).concat(list(v)) for v in zip(*found, strict=True)))

    def _visit_some(self, cut: slice) -> tuple[Array, ...]:
        y, temperature = self.chain(cut).y, self.settings.temperature
        xp = namespace(y)
        m, r = self._maxima(y)
        others, top = xp.zeros_like(m), xp.zeros_like(m, dtype=index_dtype(y))
        if isinstance(self.targets, Few):
            few = self.targets.take(cut)
            own, z = self.picked(few, y)
            masses = weighted(xp.astype(own, few.masses.dtype), few.masses)
        else:
            masses, z, top = self._t(self.targets, cut, y), y, _top(y)
            here = indices(y) == top[:, None]
            others = accurate_sum(xp.where(here, xp.zeros_like(masses), masses))
        total, distance = targets_of_part(m, masses, z, temperature)
        return m, self.wide(r), total, self.wide(distance), others, top

    def _maxima(self, y: Array) -> tuple[Array, Array]:
        n, k = y.shape
        if k and n:
            return maxima_and_others(y, self.settings.temperature, self.how)
        xp = namespace(y)
        nothing = xp.zeros_like(self.weights[:n])
        return nothing - xp.inf, nothing - 1

    def picked(self, few: Few, y: Array) -> tuple[Array, Array]:
        """Tell which ids are own, and return what y [n, k] has there; else −inf."""  # [n, few]
        xp, k = namespace(y), y.shape[1]
        own, nothing = (few.ids >= 0) & (few.ids < k), xp.zeros_like(few.masses) - xp.inf
        if not k:
            return own, nothing
        places = xp.where(own, few.ids, xp.zeros_like(few.ids))
        return own, xp.where(own, xp.take_along_axis(y, places, axis=-1), nothing)

    def _t(self, targets: AbstractTargets, cut: slice, like: Array) -> Array:
        """Return the targets of the own classes, with smoothing and class weights: [n, k]."""
        xp, smoothing = namespace(like), self.settings.label_smoothing
        t = computed(targets.take(cut).dense(like, self.shards.start))
        t = xp.where((self.weights[cut] == 0)[:, None], xp.zeros_like(t), t)
        if smoothing:
            t = (1 - smoothing) * t + smoothing / self.shards.classes
        return t if self.class_weights is None else t * self.class_weights

    def _into(self, z: Array, factor: Array) -> None:
        """Turn the own logits into the gradient of factor times loss, in place."""
        _ = self.whole  # a rank without classes answers as well
        for cut in self._cuts:
            chain = self.chain(cut)
            if chain.first is not None:
                z[cut] = chain.y
            self.gradient_in_y(z[cut], cut, factor[cut])
            if chain.first is not None:
                z[cut] = weighted(z[cut], chain.first)

    def gradient_in_y(self, z: Array, cut: slice, factor: Array) -> None:
        """Turn capped logits into the gradient in them."""
        if not z.shape[1] or not z.shape[0]:
            return
        xp, whole, narrow = namespace(z), self.some(cut), self.narrow
        temperature, wide = self.settings.temperature, self.wide(factor)[:, None]
        if isinstance(self.targets, Few):
            few = self.targets.take(cut)
            own, picked = self.picked(few, z)
            g = whole.at_targets(wide, few.ids, self.wide(few.masses), self.wide(picked))
            scale(z, narrow(whole.m), narrow(whole.slope(wide)), temperature, self.how)
            row, which = xp.nonzero(own)
            z[row, few.ids[row, which]] = narrow(g)[row, which]
            return
        t, visit = self._t(self.targets, cut, z), self.visit
        top = visit.top[cut][:, None]
        t_top = xp.take_along_axis(t, top, axis=-1)
        g = whole.at_top(wide, self.wide(t_top), self._others[cut][:, None])
        scale(z, narrow(whole.m), narrow(whole.slope(wide)), temperature, self.how)
        z -= weighted(factor[:, None] / temperature, t)
        here = self._is_owner[cut][:, None] & (indices(z) == top)
        z[...] = xp.where(here, narrow(g), z)

    def mean(self, x_dot: Array) -> tuple[Array, Array]:
        """Return a direction u in z at the maximum, and Σ p·(u − that): [n, 1]."""
        xp, tops, sums = namespace(x_dot), [], []
        for cut in self.blocks:
            chain, m = self.chain(cut), self.visit.m[cut][:, None]
            u, u_top = chain.tangent(x_dot[cut]), xp.zeros_like(m)
            if u.shape[1]:
                u_top = xp.take_along_axis(u, _top(chain.y)[:, None], axis=-1)
            E = centred_on(m, chain.y, chain.temperature).E
            tops.append(u_top[:, 0])
            sums.append(self.wide(accurate_sum(weighted(E, u - u_top))))
        parts = self.parts
        gathered = self.shards.ranks.gathered(xp.concat(tops), xp.concat(sums))
        u_tops, u_sums = (xp.astype(v, parts.r.dtype).T for v in gathered)  # [n, ranks]
        here = first_max(parts.m).here
        u_top = xp.sum(xp.where(here, u_tops, xp.zeros_like(u_tops)), axis=-1, keepdims=True)
        E = centre(parts.m, None, self.settings.temperature).E
        moved = weighted(E, u_sums + (1 + parts.r) * (u_tops - u_top))
        total = accurate_sum(xp.where(here, u_sums, moved))[:, None]
        return u_top, total / (1 + self.whole.r)

    @cached_property
    def _is_owner(self) -> Array:
        """True where the maximum of the whole row stands here."""  # [n]
        return first_max(self.parts.m).here[:, self.shards.ranks.rank]

    @cached_property
    def _others(self) -> Array:
        """Σ t of all classes but the own maximum."""  # [n]
        xp, totals = namespace(self.x), self.parts.total
        rank = self.shards.ranks.rank
        elsewhere = xp.concat([totals[:, :rank], totals[:, rank + 1 :]], axis=-1)
        return accurate_sum(elsewhere) + self.wide(self.visit.others)

    def some(self, cut: slice) -> MergedRows:
        whole = self.whole
        m, r, total, distance = (v[cut] for v in (whole.m, whole.r, whole.total, whole.distance))
        return MergedRows(m, r, total, distance, whole.temperature, whole.z_loss)

    def chain(self, cut: slice) -> Chain:
        x = self.x[cut]
        if self._some_unused:
            xp = namespace(x)
            x = xp.where((self.weights[cut] == 0)[:, None], xp.zeros_like(x), x)
        return Chain.of(x, None, self.settings.soft_cap, self.settings.temperature)

    @cached_property
    def _some_unused(self) -> bool:
        """Whether a row has no weight: heads leave it out before."""
        return bool(namespace(self.weights).any(self.weights == 0))

    @property
    def _cuts(self) -> list[slice]:
        """All rows at once, or blocks where formulas need arrays as large as their logits."""
        light = isinstance(self.targets, Few) and self.settings.soft_cap is None
        return [self.all] if light else self.blocks

    @property
    def blocks(self) -> list[slice]:
        """Some rows each: temporaries are as large as their logits."""
        n, k = self.x.shape
        return list(cuts(n, max(1, _BLOCK // max(1, k)))) or [self.all]

    @property
    def all(self) -> slice:
        return slice(0, self.x.shape[0])

    def wide(self, v: Array) -> Array:
        xp = namespace(v)
        return xp.astype(v, wider_dtype(computed(v)) or v.dtype, copy=False)

    def narrow(self, v: Array) -> Array:
        return namespace(v).astype(v, self.weights.dtype, copy=False)


@dataclass(frozen=True, eq=False, repr=False)
class _Hessian(AbstractLinearMap):
    """The own rows of the Hessian of factor times loss, times the own part of a direction."""

    rows: ShardedRows
    factor: Array  # [n]

    @property
    def shapes(self) -> Shapes:
        shape = tuple(self.rows.x.shape)
        return shape, shape

    def apply(self, x_dot: Array) -> Array:
        u_top, mean = self.rows.mean(x_dot)
        out = namespace(x_dot).zeros_like(x_dot)
        for cut in self.rows.blocks:
            out[cut] = self._some(x_dot[cut], cut, u_top[cut], mean[cut])
        return out

    def apply_transpose(self, y_bar: Array) -> Array:
        return self.apply(y_bar)

    def as_matrix(self) -> Array:
        raise NotImplementedError("the matrix of a Hessian whose classes are spread over ranks")

    def _some(self, x_dot: Array, cut: slice, u_top: Array, mean: Array) -> Array:
        rows, chain, whole = self.rows, self.rows.chain(cut), self.rows.some(cut)
        factor, narrow = rows.wide(self.factor[cut])[:, None], rows.narrow
        p = centred_on(narrow(whole.m), chain.y, chain.temperature).E / narrow(1 + whole.r)
        w = (chain.tangent(x_dot) - narrow(u_top)) - narrow(mean)
        z_loss = rows.settings.z_loss
        along = narrow(weighted(factor, whole.total + whole.pull))
        curved = along * weighted(p, w)
        if z_loss:
            curved = curved + narrow(weighted(factor, 2 * z_loss * (u_top + mean))) * p
        curved = chain.gradient(curved)
        if chain.second is None:
            return curved
        gradient = chain.y + 0  # a copy
        rows.gradient_in_y(gradient, cut, self.factor[cut])
        return curved + weighted(gradient, chain.second) * x_dot


def _top(y: Array) -> Array:
    """Return where the maximum stands first, 0 where there are no classes: [n]."""
    xp = namespace(y)
    if y.shape[1]:
        return xp.argmax(y, axis=-1)
    return xp.zeros(y.shape[:1], dtype=index_dtype(y), device=array_api_compat.device(y))
