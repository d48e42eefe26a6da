"""A loss where the reference would see many rows: it sees some of them at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from softgrad.arrays import Array
from softgrad.blocks import RowBlocks
from softgrad.linear import AbstractLinearMap
from softgrad.linear.blocks import InBlocks, kept
from softgrad.losses.reduced import AbstractRowLosses
from softgrad.out import write

if TYPE_CHECKING:
    from softgrad.losses.base import Rows

__all__ = ["losses_in_blocks"]


def losses_in_blocks(at_rows: Callable[[Rows], AbstractRowLosses], rows: Rows) -> AbstractRowLosses:
    """Do what `at_rows` does; the bits are the same.

    Every block is checked and weighed now, and made again when something is asked of it.
    """
    blocks = RowBlocks.of(rows.x) if rows.impl == "reference" else None
    if blocks is None:
        return at_rows(rows)
    flat = rows.each(blocks.flat)

    def at(some: slice) -> AbstractRowLosses:
        return at_rows(flat.each(lambda a: a[some]))

    def weighed(some: slice) -> tuple[Array, ...]:
        block = at(some)
        alike = block.masses is block.weights
        return (block.weights,) if alike else (block.weights, block.masses)

    try:
        weights, *masses = blocks.joined(weighed)
    except IndexError:
        at_rows(rows)  # says the position among all rows
        raise
    return LossesInBlocks(weights, masses[0] if masses else weights, blocks, at, rows.x.shape)


@dataclass(frozen=True, eq=False)
class LossesInBlocks(AbstractRowLosses):
    """The losses of rows, by those of blocks of rows with one batch axis."""

    blocks: RowBlocks
    at: Callable[[slice], AbstractRowLosses]
    shape: tuple[int, ...]  # [..., K]

    def value(self, factor: Array) -> Array:
        f = self.blocks.flat(factor)
        return self.blocks.each(lambda rows: self.at(rows).value(f[rows]))

    def gradient(self, factor: Array) -> Array:
        f = self.blocks.flat(factor)
        return self.blocks.each(lambda rows: self.at(rows).gradient(f[rows]))

    def value_and_gradient(self, factor: Array, out: Array | None = None) -> tuple[Array, Array]:
        # What is written to `out` is whole: it may be memory of any argument, in any order.
        f = self.blocks.flat(factor)
        value, gradient = self.blocks.joined(lambda rows: self.at(rows).value_and_gradient(f[rows]))
        return value, write(gradient, out)

    def hessian(self, factor: Array) -> AbstractLinearMap:
        f = self.blocks.flat(factor)
        at = kept(self.blocks, lambda rows: self.at(rows).hessian(f[rows]))
        return InBlocks((self.shape, self.shape), self.blocks, at)
