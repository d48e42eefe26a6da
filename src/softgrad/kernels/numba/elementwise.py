"""The shape of a loop over numbers that have nothing to do with each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba.extending import overload

from softgrad.kernels.numba.instructions import PIECE, inlined
from softgrad.kernels.numba.lanes import LANES
from softgrad.kernels.numba.shapes import blocks_like, close_row, compiled, open_rows

__all__ = ["elementwise"]


def elementwise(body: Callable[..., None]) -> Callable[..., None]:
    """Compile ``body(sources, targets, total, args)``, which sees blocks of lanes of each array.

    The result is called as ``f(sources, targets, first, last, args)`` with two tuples of flat
    arrays of one length and the range of elements to work on. A target may be a source, or None.
    """
    name, body = body.__name__, inlined(body)

    @compiled(name)
    def run(sources, targets, first, last, args):
        tails, target_tails = blocks_like(sources, LANES), blocks_like(targets, LANES)
        opened = open_rows(sources, tails, first, last - first, (0.0,))
        written = open_rows(targets, target_tails, first, last - first, (0.0,))
        body(opened, written, last - first, args)
        close_rows(written, last - first)

    return run


def close_rows(rows, classes):
    """Close a row of each array."""
    raise NotImplementedError("compiled code only")


@overload(close_rows, **PIECE)
def _close_rows(rows: Any, classes: Any) -> Any:
    if not len(rows):
        return lambda rows, classes: None

    def close(rows, classes):
        close_row(rows[0], classes)
        close_rows(rows[1:], classes)

    return close
