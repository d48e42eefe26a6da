"""So many classes that a chunk of whole rows would be a few rows: tiles of classes, visited twice.

The first visit keeps, of every row, what each tile says (`softgrad.losses.spread.parts`), and the
logits that have a target. The second visit makes the logits again and turns them into their
gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from softgrad.arrays import Array, namespace, wider_dtype
from softgrad.heads.cotangents import Cotangents
from softgrad.heads.layer import Chunk, LinearLayer
from softgrad.heads.plan import TiledPlan, cuts
from softgrad.losses.spread.parts import (
    MergedRows,
    Parts,
    maxima_and_others,
    merged_maxima,
    scale,
    targets_of_part,
)

__all__ = ["ListedLoss", "tiled_losses", "tiled_losses_and_cotangents"]


class ListedLoss(NamedTuple):
    """A cross-entropy whose targets are k classes a row."""

    at: Callable[[Any], tuple[Array, Array]]
    """The ids, counted from the first of the own classes, and masses [n, k] of some rows."""

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


class _Found(NamedTuple):
    """What the first visit tells of rows; numbers are as wide as there are."""

    rows: MergedRows
    ids: Array  # [n, k]
    masses: Array  # [n, k]
    picked: Array  # [n, k], the logits at the ids, −inf where those are other ranks'


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
        values[rows] = layer.cast(_first_visit(tiles, loss).rows.value(factor[rows]))
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
        values[rows] = layer.cast(found.rows.value(f))
        _second_visit(tiles, found, f if bar is None else f * bar[rows], into)
    return values


def _chunks(layer: LinearLayer, used: Array | None, plan: TiledPlan) -> Iterator[_Tiles]:
    buffer = layer.empty((plan.chunk * plan.tile,))
    for chunk in layer.chunks(plan, used):
        yield _Tiles(layer, chunk, plan, buffer)


def _first_visit(tiles: _Tiles, loss: ListedLoss) -> _Found:
    """Find the maximum, the sum of the others, and the logits at the targets, of every row."""
    layer, xp = tiles.layer, namespace(tiles.buffer)
    wide = wider_dtype(layer.like) or layer.dtype
    ids, masses = loss.at(tiles.chunk.rows)
    picked, tops, others = xp.zeros_like(masses) - xp.inf, [], []
    for tile, z in tiles:
        m, r = maxima_and_others(z, loss.temperature, layer.how)
        tops.append(xp.astype(m, wide))
        others.append(xp.astype(r, wide))
        here = (ids >= tile.start) & (ids < tile.stop)
        places = xp.where(here, ids - tile.start, xp.zeros_like(ids))
        picked = xp.where(here, xp.take_along_axis(z, places, axis=-1), picked)
    if not tops:  # no classes
        tops.append(xp.zeros_like(picked[:, 0], dtype=wide) - xp.inf)
        others.append(xp.zeros_like(picked[:, 0], dtype=wide) - 1)
    m, r = merged_maxima(xp.stack(tops, axis=-1), xp.stack(others, axis=-1), loss.temperature)
    m, r = m[:, 0], r[:, 0]
    picked, masses = (xp.astype(v, wide) for v in (picked, masses))
    here = (ids >= 0) & (ids < layer.W.shape[0])
    own = xp.where(here, masses, xp.zeros_like(masses))
    total, distance = targets_of_part(m, own, picked, loss.temperature)
    if layer.shards is None:
        parts = Parts(*(v[:, None] for v in (m, r, total, distance)))
    else:
        parts = layer.shards.parts(layer.cast(m), r, layer.cast(total), distance)
    return _Found(parts.merged(loss.temperature, loss.z_loss), ids, masses, picked)


def _second_visit(tiles: _Tiles, found: _Found, factor: Array, into: Cotangents) -> None:
    """Make the logits again, turn them into their gradient, and add it."""
    layer, chunk, xp = tiles.layer, tiles.chunk, namespace(factor)
    rows, ids = found.rows, found.ids
    factor = xp.astype(factor, rows.r.dtype)[:, None]
    m, slope = layer.cast(rows.m), layer.cast(rows.slope(factor))
    at_targets = layer.cast(rows.at_targets(factor, ids, found.masses, found.picked))
    x_bar = into.room(chunk)
    for tile, z in tiles:
        scale(z, m, slope, rows.temperature, layer.how)
        row, which = xp.nonzero((ids >= tile.start) & (ids < tile.stop))
        z[row, ids[row, which] - tile.start] = at_targets[row, which]
        into.add_tile(chunk, z, tile, x_bar)
    into.close(chunk, x_bar)
