"""The machine instructions that loops are made of, where plain Python would say something else.

No fastmath anywhere: it would delete the rounding errors that are kept on purpose. Pointers carry
no bounds and no negative indices, so that the vectoriser sees plain loops.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

__all__ = [
    "PIECE",
    "address",
    "computed_in",
    "either",
    "exponent_of",
    "fma",
    "get",
    "get_word",
    "has_float16",
    "inlined",
    "is_half",
    "place",
    "power_of_two",
    "put",
    "put_alone",
    "read",
    "scratch",
    "step",
    "typed",
    "write",
    "zero_of",
]

inlined = njit(inline="always")
"""Decorate a piece of a kernel: it becomes part of its caller before anything is optimised, so that
the vectoriser sees which pointers are scratch memory of their own."""

PIECE = {"inline": "always", "strict": False}
"""The same for `numba.extending.overload`."""

BFLOAT16_WORD, FLOAT16_WORD = types.uint16, types.int16
"""How arrays of half precision come in: as words of 16 bits, two kinds of them."""


def has_float16() -> bool:
    """Tell whether the processor converts float16 itself; LLVM would call what is not there."""
    triple, _, features = cpu_target.target_context.codegen().magic_tuple()
    return triple.startswith(("aarch64", "arm64")) or "+f16c" in features.split(",")


def is_half(array: Any) -> bool:
    """Tell whether the type of an array or a pointer is one of words of half precision."""
    return array.dtype in (BFLOAT16_WORD, FLOAT16_WORD)


@intrinsic
def fma(context: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a·b + c, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        number = args[0].type
        of_three = ir.FunctionType(number, [number] * 3)
        return builder.call(builder.module.declare_intrinsic("llvm.fma", [number], of_three), args)

    return a(a, a, a), generate


@intrinsic
def power_of_two(context: Any, t: Any) -> Any:
    """Return 2^(n + 64) for a float32 t = 1.5·2²³ + n, 2^(n + 512) for a float64 1.5·2⁵² + n.

    The low bits of such a t are n; the offset keeps the result normal for every n from an exp that
    does not overflow.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        number = args[0].type
        word, mantissa, exponent = (
            (ir.IntType(32), 23, 127 + 64)
            if isinstance(number, ir.FloatType)
            else (ir.IntType(64), 52, 1023 + 512)
        )
        n = builder.shl(builder.bitcast(args[0], word), word(mantissa))
        return builder.bitcast(builder.add(n, word(exponent << mantissa)), number)

    return t(t), generate


@intrinsic
def exponent_of(context: Any, x: Any) -> Any:
    """Return k as a float64 and 2^−k for a float64 x in [√½·2^k, √2·2^k), k from 0 on, normal."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word, double = ir.IntType(64), ir.DoubleType()
        # Bits of numbers from √½ on, less those of √½, carry k in their exponent field.
        root_half = word(0x3FE6A09E667F3BCC)
        k = builder.ashr(builder.sub(builder.bitcast(args[0], word), root_half), word(52))
        inverse = builder.shl(builder.sub(word(1023), k), word(52))
        parts = [builder.sitofp(k, double), builder.bitcast(inverse, double)]
        return context.make_tuple(builder, signature.return_type, parts)

    return types.UniTuple(types.float64, 2)(types.float64), generate


@intrinsic
def typed(context: Any, value: Any, like: Any) -> Any:
    """Return a number in the dtype of another."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.cast(builder, args[0], signature.args[0], signature.return_type)

    return like(value, like), generate


@intrinsic
def address(context: Any, array: Any) -> Any:
    """Return the pointer to the first element of an array."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), generate


@intrinsic
def step(context: Any, pointer: Any, i: Any) -> Any:
    """Return the pointer i elements on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return place(builder, *args)

    return pointer(pointer, types.int64), generate


@intrinsic
def either(context: Any, condition: Any, a: Any, b: Any) -> Any:
    """Return a or b, of one type, without a branch."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(*args)

    return a(types.boolean, a, a), generate


@intrinsic(prefer_literal=True)
def scratch(context: Any, size: Any, like: Any) -> Any:
    """Return a pointer to `size` numbers on the stack, like a number or what is pointed to."""
    number = getattr(like, "dtype", like)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        block = ir.ArrayType(context.get_value_type(number), signature.args[0].literal_value)
        memory = cgutils.alloca_once(builder, block)
        memory.align = 64
        return cgutils.gep(builder, memory, 0, 0)

    return types.CPointer(number)(size, like), generate


@intrinsic
def zero_of(context: Any, pointer: Any) -> Any:
    """Return 0 in the dtype that numbers of an array are computed in."""
    number = computed_in(pointer)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.get_constant(number, 0)

    return number(pointer), generate


@intrinsic
def get(context: Any, pointer: Any, i: Any) -> Any:
    """Return the number at i; words of half precision become float32."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return read(builder, pointer, *args)

    return computed_in(pointer)(pointer, types.int64), generate


@intrinsic
def put(context: Any, pointer: Any, i: Any, value: Any) -> Any:
    """Write a number at i, rounded to nearest where it is kept in half precision."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        write(builder, pointer, *args)
        return context.get_dummy_value()

    return types.none(pointer, types.int64, computed_in(pointer)), generate


@intrinsic
def put_alone(context: Any, pointer: Any, i: Any, word: Any) -> Any:
    """Write what `get_word` returned; never as a part of a vector.

    The vectoriser would make scatters of the writes that transpose a tile: slower by far.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer, i, value = args
        at = place(builder, pointer, i)
        builder.store_atomic(value, at, "monotonic", word.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(pointer, types.int64, word), generate


@intrinsic
def get_word(context: Any, pointer: Any, i: Any) -> Any:
    """Return the number at i as it is stored."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(place(builder, *args))

    return pointer.dtype(pointer, types.int64), generate


# What intrinsics are made of, which others than these may be.


def computed_in(pointer: Any) -> Any:
    """Return float32 for words of half precision, and any other dtype itself."""
    return types.float32 if is_half(pointer) else pointer.dtype


def read(builder: Any, kind: Any, pointer: Any, i: Any) -> Any:
    """Emit the reading of the number at i behind a pointer of a kind."""
    value = builder.load(place(builder, pointer, i))
    if kind.dtype == FLOAT16_WORD:
        return builder.fpext(builder.bitcast(value, ir.HalfType()), ir.FloatType())
    if kind.dtype == BFLOAT16_WORD:
        word = ir.IntType(32)
        return builder.bitcast(builder.shl(builder.zext(value, word), word(16)), ir.FloatType())
    return value


def write(builder: Any, kind: Any, pointer: Any, i: Any, value: Any) -> None:
    """Emit the writing of a number at i behind a pointer of a kind."""
    if kind.dtype == FLOAT16_WORD:
        value = builder.bitcast(builder.fptrunc(value, ir.HalfType()), ir.IntType(16))
    elif kind.dtype == BFLOAT16_WORD:
        value = _to_bfloat16(builder, value)
    builder.store(value, place(builder, pointer, i))


def place(builder: Any, pointer: Any, i: Any) -> Any:
    """Emit the address of what is at i."""
    return builder.gep(pointer, [i], inbounds=True)


def _to_bfloat16(builder: Any, value: Any) -> Any:
    """Return the upper half of a float32's bits, rounded to nearest even; NaN stays NaN."""
    word = ir.IntType(32)
    bits = builder.bitcast(value, word)
    odd = builder.and_(builder.lshr(bits, word(16)), word(1))
    rounded = builder.lshr(builder.add(bits, builder.add(odd, word(0x7FFF))), word(16))
    quiet_nan = builder.or_(builder.lshr(bits, word(16)), word(0x40))
    chosen = builder.select(builder.fcmp_unordered("uno", value, value), quiet_nan, rounded)
    return builder.trunc(chosen, ir.IntType(16))
