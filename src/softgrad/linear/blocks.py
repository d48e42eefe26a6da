"""Linear maps of many rows, made of maps of some of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from softgrad.arrays import Array
from softgrad.blocks import RowBlocks
from softgrad.linear.base import AbstractJacobian, AbstractLinearMap, Shapes

__all__ = ["InBlocks", "JacobianInBlocks", "kept"]

Map = TypeVar("Map", bound=AbstractLinearMap)


def kept(blocks: RowBlocks, at: Callable[[slice], Map]) -> Callable[[slice], Map]:
    """Make the maps of all blocks now; return what looks one up."""
    made = {rows.start: at(rows) for rows in blocks.cuts}
    return lambda rows: made[rows.start]


@dataclass(frozen=True, eq=False, repr=False)
class AbstractInBlocks(AbstractLinearMap, Generic[Map]):
    """A map of rows, by the maps of blocks of rows with one batch axis."""

    of_shapes: Shapes
    blocks: RowBlocks
    at: Callable[[slice], Map]

    @property
    def shapes(self) -> Shapes:
        return self.of_shapes

    def apply(self, x_dot: Array) -> Array:
        flat = self.blocks.flat(x_dot)
        return self.blocks.each(lambda rows: self.at(rows).apply(flat[rows]))

    def apply_transpose(self, y_bar: Array) -> Array:
        flat = self.blocks.flat(y_bar)
        return self.blocks.each(lambda rows: self.at(rows).apply_transpose(flat[rows]))

    def as_matrix(self) -> Array:
        return self.blocks.each(lambda rows: self.at(rows).as_matrix())


class InBlocks(AbstractInBlocks[AbstractLinearMap]):
    """A map that does not know how it changes, such as a Hessian."""


@dataclass(frozen=True, eq=False, repr=False)
class JacobianInBlocks(AbstractInBlocks[AbstractJacobian], AbstractJacobian):
    """A Jacobian; what is not kept is made once more for every product."""

    is_kept: bool

    def derivative(self, x_dot: Array) -> AbstractLinearMap:
        flat = self.blocks.flat(x_dot)

        def change(rows: slice) -> AbstractLinearMap:
            return self.at(rows).derivative(flat[rows])

        at = kept(self.blocks, change) if self.is_kept else change
        return InBlocks(self.shapes, self.blocks, at)
