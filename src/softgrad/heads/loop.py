"""The loop that all heads share: a chunk of logits at a time, to losses, products and cotangents.

The loss of a row is a parameter. Logits of a chunk stand in one buffer, which the loss turns into
their gradient in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from softgrad.arithmetic import accurate_sum
from softgrad.arrays import Array, namespace, quiet
from softgrad.heads.cotangents import Cotangents
from softgrad.heads.layer import LinearLayer, Tangents
from softgrad.heads.plan import block_of, cuts
from softgrad.heads.tiled import ListedLoss, tiled_losses, tiled_losses_and_cotangents
from softgrad.kernels import How, Impl, choose
from softgrad.linear.rows import weighted
from softgrad.losses.reduced import AbstractRowLosses

__all__ = [
    "LossOfLogits",
    "blocks_of_logits",
    "blocks_of_tangents",
    "losses",
    "losses_and_cotangents",
    "losses_dot",
    "positions_used",
    "second_products",
]


@dataclass(frozen=True, eq=False)
class LossOfLogits:
    """A loss of every row of logits, and what each counts."""

    layer: LinearLayer
    at: Callable[[Array, Any, How], AbstractRowLosses]
    """The losses at logits [n, K] of some rows: a slice, or positions among all of them."""

    factor: Array
    """What each loss is multiplied by: [N]."""

    used: Array | None
    """The positions of the rows that count, None where all do. The others are never looked at."""

    memory: int
    """The bytes that the buffers may take."""

    impl: Impl = "auto"
    light: bool = False
    """True if a kernel makes value and gradient without temporaries as large as the logits."""

    listed: ListedLoss | None = None
    """The same loss where it can be had from tiles of classes."""

    @property
    def count(self) -> int:
        """The number of rows that count."""
        return int(self.layer.x.shape[0] if self.used is None else self.used.shape[0])


def blocks_of_logits(
    layer: LinearLayer,
    memory: int,
    used: Array | None = None,
    *,
    impl: Impl = "auto",
    light: bool = False,
) -> Iterator[tuple[Any, Array, How]]:
    """Go through the logits some rows at a time: which rows, their logits [n, K], and how."""
    count = layer.x.shape[0] if used is None else used.shape[0]
    plan = layer.plan(memory, count, buffers=1)
    buffer = layer.empty((plan.chunk, layer.W.shape[0]))
    step, how = _blocks(layer, buffer, memory, impl, light)
    for chunk in layer.chunks(plan, used):
        z = layer.logits(chunk, plan, buffer)
        for cut in cuts(z.shape[0], step):
            yield part_of(chunk.rows, cut), z[cut], how


def blocks_of_tangents(
    layer: LinearLayer,
    memory: int,
    dots: Tangents,
    used: Array | None = None,
    *,
    impl: Impl = "auto",
) -> Iterator[tuple[Any, Array, Array, How]]:
    """Go through the logits and their rates of change: which rows, z and z_dot [n, K], and how."""
    count = layer.x.shape[0] if used is None else used.shape[0]
    plan = layer.plan(memory, count, buffers=2)
    buffer, buffer_dot = (layer.empty((plan.chunk, layer.W.shape[0])) for _ in range(2))
    step, how = _blocks(layer, buffer, memory, impl, light=False)
    for chunk in layer.chunks(plan, used):
        z = layer.logits(chunk, plan, buffer)
        z_dot = layer.logits_dot(chunk, plan, dots, buffer_dot)
        for cut in cuts(z.shape[0], step):
            yield part_of(chunk.rows, cut), z[cut], z_dot[cut], how


def losses(loss: LossOfLogits) -> Array:
    """Return factor times loss, for every row: [N]."""
    layer = loss.layer
    with quiet():
        tiled = None if loss.listed is None else layer.tiled_plan(loss.memory, loss.count)
        if loss.listed is not None and tiled is not None:
            return tiled_losses(layer, loss.listed, loss.factor, loss.used, tiled, loss.impl)
        values = layer.zeros((layer.x.shape[0],))
        blocks = blocks_of_logits(layer, loss.memory, loss.used, impl=loss.impl, light=loss.light)
        for rows, z, how in blocks:
            values[rows] = loss.at(z, rows, how).value(loss.factor[rows])
        return values


def losses_and_cotangents(loss: LossOfLogits, bar: Array | None, into: Cotangents) -> Array:
    """Return factor times loss [N], and add the gradients of those losses times `bar` [N]."""
    layer = loss.layer
    with quiet():
        tiled = None if loss.listed is None else layer.tiled_plan(loss.memory, loss.count)
        if loss.listed is not None and tiled is not None:
            return tiled_losses_and_cotangents(
                layer, loss.listed, loss.factor, bar, loss.used, tiled, loss.impl, into
            )
        plan = layer.plan(loss.memory, loss.count, buffers=1)
        buffer = layer.empty((plan.chunk, layer.W.shape[0]))
        step, how = _blocks(layer, buffer, loss.memory, loss.impl, loss.light)
        values = layer.zeros((layer.x.shape[0],))
        for chunk in layer.chunks(plan, loss.used):
            z = layer.logits(chunk, plan, buffer)
            for cut in cuts(z.shape[0], step):
                rows = part_of(chunk.rows, cut)
                at, factor = loss.at(z[cut], rows, how), loss.factor[rows]
                if bar is None:
                    values[rows], _ = at.value_and_gradient(factor, z[cut])
                else:
                    values[rows] = at.value(factor)
                    at.value_and_gradient(factor * bar[rows], z[cut])
            into.add(chunk, plan, z, how)  # z holds its gradient now
        return values


def losses_dot(loss: LossOfLogits, dots: Tangents) -> Array:
    """Return the rate of change of factor times loss, for every row: [N]."""
    layer, used = loss.layer, loss.used
    with quiet():
        values_dot = layer.zeros((layer.x.shape[0],))
        blocks = blocks_of_tangents(layer, loss.memory, dots, used, impl=loss.impl)
        for rows, z, z_dot, how in blocks:
            gradient = loss.at(z, rows, how).gradient(loss.factor[rows])
            values_dot[rows] = accurate_sum(weighted(gradient, z_dot))
        return values_dot


def second_products(
    loss: LossOfLogits, bar: Array | None, dots: Tangents, into: Cotangents, *, gauss_newton: bool
) -> None:
    """Add the products of the Hessian, or of its Gauss–Newton part, with a direction."""
    with quiet():
        layer, plan = loss.layer, loss.layer.plan(loss.memory, loss.count, buffers=2)
        buffer, buffer_dot = (layer.empty((plan.chunk, layer.W.shape[0])) for _ in range(2))
        step, how = _blocks(layer, buffer, loss.memory, loss.impl, light=False)
        for chunk in layer.chunks(plan, loss.used):
            z = layer.logits(chunk, plan, buffer)
            z_dot = layer.logits_dot(chunk, plan, dots, buffer_dot)
            for cut in cuts(z.shape[0], step):
                rows = part_of(chunk.rows, cut)
                factor = loss.factor[rows] if bar is None else loss.factor[rows] * bar[rows]
                at = loss.at(z[cut], rows, how)
                z_dot[cut] = at.hessian(factor).apply(z_dot[cut])
                if not gauss_newton:
                    at.value_and_gradient(factor, z[cut])
            into.add(chunk, plan, z_dot, how, None if gauss_newton else (z, dots))


def _blocks(
    layer: LinearLayer, buffer: Array, memory: int, impl: Impl, light: bool
) -> tuple[int, How]:
    """Return the rows that the formulas see at a time, and how: all blocks are treated alike."""
    chosen = choose(impl, buffer).impl
    n, K = buffer.shape
    row, compiled = layer.itemsize * K, chosen == "numba"
    return block_of(row, memory, compiled=compiled, light=light, chunk=n), How(chosen)


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
