"""The loop that all heads share: a chunk of logits at a time, to losses, products and cotangents.

The loss of a row is a parameter. Logits of a chunk stand in one buffer, which the loss turns into
their gradient in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

from softgrad.arithmetic import accurate_sum
from softgrad.arrays import Array, namespace, quiet
from softgrad.heads.cotangents import Cotangents
from softgrad.heads.layer import Chunk, LinearLayer, Tangents
from softgrad.heads.plan import Plan, TiledPlan, block_of, cuts
from softgrad.heads.tiled import ListedLoss, tiled_losses, tiled_losses_and_cotangents
from softgrad.linear.rows import weighted
from softgrad.losses.reduced import AbstractRowLosses

__all__ = [
    "LossOfLogits",
    "blocks",
    "losses",
    "losses_and_cotangents",
    "losses_bent",
    "losses_dot",
    "positions_used",
    "second_products",
]

_ALIGNED = 16
"""Numbers: their gradients in half precision begin where they do, and are multiplied there."""

Maker: TypeAlias = Callable[[Chunk, Plan, Array], Array]
"""What writes logits, or how they change, to the first rows of a buffer, and returns those."""


@dataclass(frozen=True, eq=False)
class LossOfLogits:
    """A loss of every row of logits, and what each counts."""

    layer: LinearLayer
    at: Callable[[Array, Any], AbstractRowLosses]
    """The losses at logits [n, K] of some rows: a slice, or positions among all of them."""

    factor: Array
    """What each loss is multiplied by: [N]."""

    used: Array | None
    """The positions of the rows that count, None where all do. The others are never looked at."""

    light: bool = False
    """True if value and gradient are made without temporaries as large as the logits."""

    listed: ListedLoss | None = None
    """The same loss where it can be had from tiles of classes."""

    @property
    def count(self) -> int:
        """The number of rows that count."""
        return _count(self.layer, self.used)

    @property
    def tiled(self) -> tuple[ListedLoss, TiledPlan] | None:
        """The loss by tiles of classes, where that is possible and faster."""
        plan = None if self.listed is None else self.layer.tiled_plan(self.count)
        return None if self.listed is None or plan is None else (self.listed, plan)


def blocks(
    layer: LinearLayer, makers: Sequence[Maker], used: Array | None = None, *, light: bool = False
) -> Iterator[tuple[Any, ...]]:
    """Go through the logits and their rates of change some rows at a time.

    Yields which rows, and what each maker has made for them: [n, K].
    """
    plan = layer.plan(_count(layer, used), len(makers), light=light)
    buffers, step = [_buffer(layer, plan) for _ in makers], _step(layer, plan, light)
    for chunk in layer.chunks(plan, used):
        made = [make(chunk, plan, out) for make, out in zip(makers, buffers, strict=True)]
        for cut in cuts(chunk.x.shape[0], step):
            yield part_of(chunk.rows, cut), *(part[cut] for part in made)


def losses(loss: LossOfLogits) -> Array:
    """Return factor times loss, for every row: [N]."""
    layer, tiled = loss.layer, loss.tiled
    with quiet():
        if tiled is not None:
            listed, plan = tiled
            return tiled_losses(layer, listed, loss.factor, loss.used, plan)
        values = layer.zeros((layer.x.shape[0],))
        for rows, z in blocks(layer, [layer.logits], loss.used, light=loss.light):
            values[rows] = loss.at(z, rows).value(loss.factor[rows])
        return values


def losses_and_cotangents(loss: LossOfLogits, bar: Array | None, into: Cotangents) -> Array:
    """Return factor times loss [N], and add the gradients of those losses times `bar` [N]."""
    layer, tiled = loss.layer, loss.tiled
    with quiet():
        if tiled is not None:
            listed, tiles = tiled
            return tiled_losses_and_cotangents(
                layer, listed, loss.factor, bar, loss.used, tiles, into
            )
        plan = layer.plan(loss.count, 1, light=loss.light)
        buffer, step = _buffer(layer, plan), _step(layer, plan, loss.light)
        values = layer.zeros((layer.x.shape[0],))
        for chunk in layer.chunks(plan, loss.used):
            z = layer.logits(chunk, plan, buffer)
            z_bar = layer.room_for_gradient(z)  # the same memory
            for cut in cuts(z.shape[0], step):
                rows = part_of(chunk.rows, cut)
                at, factor = loss.at(z[cut], rows), loss.factor[rows]
                if bar is None:
                    values[rows], _ = at.value_and_gradient(factor, z_bar[cut])
                else:
                    values[rows] = at.value(factor)
                    at.value_and_gradient(factor * bar[rows], z_bar[cut])
            into.add(chunk, plan, z_bar)
        return values


def losses_dot(loss: LossOfLogits) -> Array:
    """Return the rate of change of factor times loss, for every row: [N]."""
    layer = loss.layer
    with quiet():
        values_dot = layer.zeros((layer.x.shape[0],))
        for rows, z, z_dot in blocks(layer, [layer.logits, layer.logits_dot], loss.used):
            gradient = loss.at(z, rows).gradient(loss.factor[rows])
            values_dot[rows] = accurate_sum(weighted(gradient, z_dot))
        return layer.summed(values_dot)


def losses_bent(loss: LossOfLogits, dots: Tangents) -> Array:
    """Return the change of `losses_dot` as the layer moves along other directions: [N].

    It is ⟨z_dot, H z_dot'⟩ + ⟨g, z_bent⟩, since the logits bend as well.
    """
    layer, other = loss.layer, replace(loss.layer, dots=dots)
    bend = partial(layer.logits_bent, dots)
    with quiet():
        bent = layer.zeros((layer.x.shape[0],))
        makers: list[Maker] = [layer.logits, layer.logits_dot, other.logits_dot, bend]
        for rows, z, z_dot, other_dot, z_bent in blocks(layer, makers, loss.used):
            at, factor = loss.at(z, rows), loss.factor[rows]
            curved = accurate_sum(weighted(at.hessian(factor).apply(other_dot), z_dot))
            bent[rows] = curved + accurate_sum(weighted(at.gradient(factor), z_bent))
        return layer.summed(bent)


def second_products(
    loss: LossOfLogits, bar: Array | None, into: Cotangents, *, gauss_newton: bool
) -> None:
    """Add the products of the Hessian, or of its Gauss–Newton part, with a direction."""
    with quiet():
        layer, plan = loss.layer, loss.layer.plan(loss.count, 2)
        buffer, buffer_dot, step = _buffer(layer, plan), _buffer(layer, plan), _step(layer, plan)
        for chunk in layer.chunks(plan, loss.used):
            z = layer.logits(chunk, plan, buffer)
            z_dot = layer.logits_dot(chunk, plan, buffer_dot)
            for cut in cuts(z.shape[0], step):
                rows = part_of(chunk.rows, cut)
                factor = loss.factor[rows] if bar is None else loss.factor[rows] * bar[rows]
                at = loss.at(z[cut], rows)
                z_dot[cut] = at.hessian(factor).apply(z_dot[cut])
                if not gauss_newton:
                    at.value_and_gradient(factor, z[cut])
            into.add(chunk, plan, z_dot, None if gauss_newton else z)


def _count(layer: LinearLayer, used: Array | None) -> int:
    return int(layer.x.shape[0] if used is None else used.shape[0])


def _buffer(layer: LinearLayer, plan: Plan) -> Array:
    """Return memory for the logits of a chunk; a GPU's rows begin at multiples of 64 bytes."""
    K = layer.W.shape[0]
    pitch = -(-K // _ALIGNED) * _ALIGNED if layer.choice.impl == "triton" else K
    return layer.empty((plan.chunk, pitch))[:, :K]


def _step(layer: LinearLayer, plan: Plan, light: bool = False) -> int:
    """Return the rows that the formulas see at a time; ranks exchange one message for a chunk."""
    if layer.shards is not None:
        return plan.chunk
    row, compiled = layer.itemsize * layer.W.shape[0], layer.choice.impl != "reference"
    return block_of(row, layer.memory, compiled=compiled, light=light, chunk=plan.chunk)


def part_of(rows: Any, cut: slice) -> Any:
    """Return a part of a chunk's rows."""
    if isinstance(rows, slice):
        return slice(rows.start + cut.start, rows.start + cut.stop)
    return rows[cut]


def positions_used(weights: Array) -> Array | None:
    """Return the positions of weights that are not 0; None where none is."""
    xp = namespace(weights)
    used = weights != 0
    return None if bool(xp.all(used)) else xp.nonzero(used)[0]
