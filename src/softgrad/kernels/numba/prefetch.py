"""Asking for memory before it is needed, where a pass over one array leaves the bus idle."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from softgrad.kernels.numba.instructions import inlined
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


@intrinsic
def ask_for(context: Any, blocks: Any, at: Any) -> Any:
    """Ask for the block that begins at `at`, which may be behind the array; nothing of None."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if blocks != types.none:
            pointer = builder.extract_value(args[0], 0)
            for j in range(0, LANES, CACHE_LINE * 8 // blocks[0].dtype.bitwidth):
                prefetch(builder, builder.gep(pointer, [builder.add(args[1], args[1].type(j))]))
        return context.get_dummy_value()

    return types.none(blocks, types.int64), generate


def prefetch(builder: Any, pointer: Any) -> None:
    """Emit the asking for a cache line; one that is not there does no harm."""
    byte, flag = ir.PointerType(ir.IntType(8)), ir.IntType(32)
    hint = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
    function = cgutils.get_or_insert_function(builder.module, hint, "llvm.prefetch.p0")
    to_read, near, data = flag(0), flag(3), flag(1)
    builder.call(function, [builder.bitcast(pointer, byte), to_read, near, data])
