"""Asking for memory before it is needed, where a pass over one array leaves the bus idle."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from softgrad.kernels.numba.instructions import PIECE, inlined
from softgrad.kernels.numba.lanes import LANES

__all__ = ["ask_for", "ask_for_next"]

CACHE_LINE = 64

AHEAD = 4096
"""How much of the next row is asked for: of a longer one, the processor reads ahead by itself."""


@inlined
def ask_for_next(blocks, total, at):
    """Ask for the block at `at` of the row behind one of `total` numbers."""
    if at < AHEAD:
        ask_for(blocks, total + at)


def ask_for(blocks, at):
    """Ask for the block that begins at `at`, which may be behind the array; nothing of None."""
    raise NotImplementedError("compiled code only")


@overload(ask_for, **PIECE)
def _ask_for(blocks: Any, at: Any) -> Any:
    if isinstance(blocks, types.NoneType):
        return lambda blocks, at: None
    in_line = CACHE_LINE * 8 // blocks[0].dtype.bitwidth

    def ask(blocks, at):
        for j in range(0, LANES, in_line):
            prefetch(blocks[0], at + j)

    return ask


@intrinsic
def prefetch(context: Any, pointer: Any, i: Any) -> Any:
    """Ask for the cache line of the number at i; one that is not there does no harm."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        byte, flag = ir.PointerType(ir.IntType(8)), ir.IntType(32)
        hint = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        function = cgutils.get_or_insert_function(builder.module, hint, "llvm.prefetch.p0")
        to_read, near, data = flag(0), flag(3), flag(1)
        place = builder.bitcast(builder.gep(args[0], [args[1]]), byte)
        builder.call(function, [place, to_read, near, data])
        return context.get_dummy_value()

    return types.none(pointer, types.int64), generate
