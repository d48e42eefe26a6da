"""So many classes that a chunk of whole rows would be a few rows: tiles of classes, visited twice.

The first visit keeps, of every row, the maximum m_t and the sum of the others r_t of each tile, and
the logits that have a target. They merge as exponentials do: with m = max m_t, a tile adds
(1 + r_t)·exp(m_t − m), the one with the maximum r_t alone. So r is what it is for whole rows, and
keeps its digits. The second visit makes the logits again and turns them into their gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from softgrad.arithmetic import accurate_sum, first_max, log1p
from softgrad.arrays import Array, namespace, wider_dtype
from softgrad.heads.cotangents import Cotangents, tile_kernels
from softgrad.heads.layer import Chunk, LinearLayer
from softgrad.heads.plan import TiledPlan, cuts
from softgrad.kernels import How
from softgrad.linear.rows import weighted
from softgrad.maps.centred import CentredRows, centre

__all__ = ["ListedLoss", "tiled_losses", "tiled_losses_and_cotangents"]

_BLOCK = 2**16
"""Logits that the array formulas see at a time."""


class ListedLoss(NamedTuple):
    """A cross-entropy whose targets are k classes a row."""

    at: Callable[[Any], tuple[Array, Array]]
    """The ids and masses [n, k] of some rows."""

    z_loss: float
    temperature: float


@dataclass(frozen=True, eq=False)
class _Tiles:
    """A chunk of rows, and how its logits come in tiles."""

    layer: LinearLayer
    chunk: Chunk
    plan: TiledPlan
    buffer: Array

    def __iter__(self) -> Iterator[tuple[slice, Array]]:
        for tile in cuts(self.layer.W.shape[0], self.plan.tile):
            yield tile, self.layer.tile_of_logits(self.chunk, tile, self.buffer)


@dataclass(frozen=True, eq=False)
class _Rows:
    """What the first visit tells of rows; numbers are as wide as there are."""

    m: Array  # [n, 1]
    r: Array  # [n, 1]
    picked: Array  # [n, k], the logits that have a target
    ids: Array  # [n, k]
    masses: Array  # [n, k]
    loss: ListedLoss

    @cached_property
    def total(self) -> Array:
        """T = Σ t."""  # [n, 1]
        return accurate_sum(self.masses)[:, None]

    @cached_property
    def centred(self) -> CentredRows:
        """The picked logits, less m."""
        return _centred_on(self.m, self.picked, self.loss.temperature)

    @cached_property
    def logsumexp(self) -> Array:
        return self.m / self.loss.temperature + log1p(self.r)  # [n, 1]

    def value(self) -> Array:
        """Return the losses: T·log1p(r) + Σ t·(m − picked)/T, whose terms all have one sign."""
        z = self.centred
        value = self.total[:, 0] * log1p(self.r)[:, 0]
        value = value + accurate_sum(weighted(self.masses, 0 - (z.d + z.e)))
        z_loss = self.loss.z_loss
        return value + z_loss * self.logsumexp[:, 0] ** 2 if z_loss else value

    @cached_property
    def pull(self) -> Array | float:
        """What the z-loss adds to T."""
        return 2 * self.loss.z_loss * self.logsumexp if self.loss.z_loss else 0.0

    def slope(self, factor: Array) -> Array:
        """Return what E is multiplied by where there is no target: [n, 1]."""
        slope = factor * (self.total + self.pull) / (1 + self.r) / self.loss.temperature
        return namespace(slope).where(factor == 0, namespace(slope).zeros_like(slope), slope)

    def at_targets(self, factor: Array) -> Array:
        """Return the gradient at the ids: [n, k]; no two numbers close to each other subtract."""
        xp = namespace(self.m)
        same = self.ids[:, :, None] == self.ids[:, None, :]  # an id may stand several times
        masses = xp.broadcast_to(self.masses[:, None, :], same.shape)
        t = xp.sum(xp.where(same, masses, xp.zeros_like(masses)), axis=-1)
        others = xp.sum(xp.where(same, xp.zeros_like(masses), masses), axis=-1)
        S = 1 + self.r
        p = self.centred.E / S
        top = (self.picked == self.m) & (self.r < 1)
        g = xp.where(top, others - self.total * self.r / S, self.total * p - t)
        g = factor * (g + self.pull * p) / self.loss.temperature
        return xp.where(factor == 0, xp.zeros_like(g), g)


def tiled_losses(
    layer: LinearLayer,
    loss: ListedLoss,
    factor: Array,
    used: Array | None,
    plan: TiledPlan,
) -> Array:
    """Return factor times loss, for every row: [N]."""
    values = layer.zeros((layer.x.shape[0],))
    for tiles in _chunks(layer, used, plan):
        rows = tiles.chunk.rows
        values[rows] = layer.cast(_value(_first_visit(tiles, loss), factor[rows]))
    return values


def tiled_losses_and_cotangents(
    layer: LinearLayer,
    loss: ListedLoss,
    factor: Array,
    bar: Array | None,
    used: Array | None,
    plan: TiledPlan,
    into: Cotangents,
) -> Array:
    """Return factor times loss [N], and add the gradients of those losses times `bar` [N]."""
    values = layer.zeros((layer.x.shape[0],))
    for tiles in _chunks(layer, used, plan):
        rows = tiles.chunk.rows
        found, f = _first_visit(tiles, loss), factor[rows]
        values[rows] = layer.cast(_value(found, f))
        _second_visit(tiles, found, f if bar is None else f * bar[rows], into)
    return values


def _chunks(layer: LinearLayer, used: Array | None, plan: TiledPlan) -> Iterator[_Tiles]:
    buffer = layer.empty((plan.chunk * plan.tile,))
    for chunk in layer.chunks(plan, used):
        yield _Tiles(layer, chunk, plan, buffer)


def _value(found: _Rows, factor: Array) -> Array:
    xp, value = namespace(factor), found.value()
    return xp.where(factor == 0, xp.zeros_like(value), factor * value)


def _first_visit(tiles: _Tiles, loss: ListedLoss) -> _Rows:
    """Find the maximum, the sum of the others, and the logits at the targets, of every row."""
    layer, xp = tiles.layer, namespace(tiles.buffer)
    wide = wider_dtype(layer.like) or layer.dtype
    ids, masses = loss.at(tiles.chunk.rows)
    picked, tops, others = xp.zeros_like(masses), [], []
    for tile, z in tiles:
        m, r = _maxima_and_others(z, loss.temperature, layer.how)
        tops.append(xp.astype(m, wide))
        others.append(xp.astype(r, wide))
        here = (ids >= tile.start) & (ids < tile.stop)
        places = xp.where(here, ids - tile.start, xp.zeros_like(ids))
        picked = xp.where(here, xp.take_along_axis(z, places, axis=-1), picked)
    m, r = _merged(xp.stack(tops, axis=-1), xp.stack(others, axis=-1), loss.temperature)
    picked, masses = (xp.astype(v, wide) for v in (picked, masses))
    return _Rows(m, r, picked, ids, masses, loss)


def _merged(tops: Array, others: Array, temperature: float) -> tuple[Array, Array]:
    """Return the maximum and the sum of the others [n, 1] from those of all tiles [n, tiles]."""
    xp = namespace(tops)
    m, here, _ = first_max(tops)
    E = centre(tops, None, temperature).E
    r = accurate_sum(xp.where(here, others, weighted(E, 1 + others)))[:, None]
    return m, xp.where(xp.isinf(m), xp.zeros_like(r) + xp.nan, r)


def _maxima_and_others(z: Array, temperature: float, how: How) -> tuple[Array, Array]:
    """Return m and r of a tile's rows; a tile of −inf alone has r = −1, and adds nothing."""  # [n]
    xp = namespace(z)
    if how.compiled(z) is not None:
        m, r = map(xp.asarray, tile_kernels().maxima_and_others(z, temperature))
    else:
        parts = [
            (rows.m[:, 0], rows.r[:, 0])
            for cut in cuts(z.shape[0], max(1, _BLOCK // z.shape[1]))
            for rows in [centre(z[cut], None, temperature)]
        ]
        m, r = (xp.concat(list(v)) for v in zip(*parts, strict=True))
    lowest = m == -xp.inf
    if bool(xp.any(lowest)):
        nan = xp.any(xp.isnan(z), axis=-1)
        r = xp.where(lowest & ~nan, xp.zeros_like(r) - 1, r)
    return m, r


def _second_visit(tiles: _Tiles, found: _Rows, factor: Array, into: Cotangents) -> None:
    """Make the logits again, turn them into their gradient, and add it."""
    layer, chunk, xp = tiles.layer, tiles.chunk, namespace(factor)
    factor = xp.astype(factor, found.r.dtype)[:, None]
    m, slope = layer.cast(found.m), layer.cast(found.slope(factor))
    at_targets, x_bar = layer.cast(found.at_targets(factor)), into.room(chunk)
    for tile, z in tiles:
        _scale(z, m, slope, found.loss.temperature, layer.how)
        row, which = xp.nonzero((found.ids >= tile.start) & (found.ids < tile.stop))
        z[row, found.ids[row, which] - tile.start] = at_targets[row, which]
        into.add_tile(chunk, z, tile, x_bar)
    into.close(chunk, x_bar)


def _scale(z: Array, m: Array, slope: Array, temperature: float, how: How) -> None:
    """Turn logits into slope·exp((z − m)/T), in place."""
    if how.compiled(z) is not None:
        tile_kernels().scaled_exponentials(z, m, slope, temperature)
        return
    for cut in cuts(z.shape[0], max(1, _BLOCK // z.shape[1])):
        E = _centred_on(m[cut], z[cut], temperature).E
        z[cut] = namespace(z).where(slope[cut] == 0, namespace(z).zeros_like(E), slope[cut] * E)


def _centred_on(m: Array, z: Array, temperature: float) -> CentredRows:
    """Return rows z [n, k] less m [n, 1], which is no smaller than any of their entries."""
    rows = centre(namespace(z).concat([m, z], axis=-1), None, temperature)
    return replace(rows, d=rows.d[:, 1:], e=rows.e[:, 1:], E=rows.E[:, 1:])
