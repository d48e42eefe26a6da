"""A map where the reference would see many rows: it sees some of them at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from softgrad.arrays import Array
from softgrad.blocks import RowBlocks
from softgrad.kernels import How
from softgrad.linear import AbstractJacobian
from softgrad.linear.blocks import JacobianInBlocks

__all__ = ["linearize_in_blocks"]

Linearize: TypeAlias = Callable[[Array, Array | None, How], tuple[Array, AbstractJacobian]]


def linearize_in_blocks(
    linearize_rows: Linearize, x: Array, where: Array | None, how: How
) -> tuple[Array, AbstractJacobian]:
    """Do what `linearize_rows` does at x [..., K]; the bits are the same.

    Where a product alone is wanted, no block is linearised before the product comes to it, but for
    the first, and none is kept.
    """
    blocks = RowBlocks.of(x) if how.impl == "reference" else None
    if blocks is None:
        return linearize_rows(x, where, how)
    flat, mask = blocks.flat(x), None if where is None else blocks.flat(where)
    jacobians: dict[int, AbstractJacobian] = {}

    def at(rows: slice) -> tuple[Array, AbstractJacobian]:
        return linearize_rows(flat[rows], None if mask is None else mask[rows], how)

    def value(rows: slice) -> Array:
        y, jacobian = at(rows)
        if how.wanted == "all" or not jacobians:  # one of them says which shape all have
            jacobians[rows.start] = jacobian
        return y

    def jacobian(rows: slice) -> AbstractJacobian:
        return jacobians[rows.start] if rows.start in jacobians else at(rows)[1]

    if how.wanted == "product":
        value(blocks.cuts[0])
        y = x
    else:
        y = blocks.each(value)
    in_shape, out_shape = ((*blocks.batch, *shape[1:]) for shape in jacobians[0].shapes)
    shapes = in_shape, out_shape
    return y, JacobianInBlocks(shapes, blocks, jacobian, is_kept=how.wanted == "all")
