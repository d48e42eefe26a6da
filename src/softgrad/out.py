"""The argument `out`: an array of the caller that a result is written to."""

from __future__ import annotations

from typing import Any

import array_api_compat
import numpy as np

from softgrad.arrays import Array, as_array, describe, dtype_name, same_kind
from softgrad.errors import mismatch
from softgrad.layout import Layout, copy_in_parts

__all__ = ["check_out", "is_contiguous", "is_row_buffer", "overlaps", "refuse_out", "write"]


def check_out(out: Any, x: Array, shape: tuple[int, ...] | None = None) -> Array | None:
    """Return `out` as it is.

    Raises
    ------
    TypeError, ValueError
        It is not an array of x's library, shape (or the one that is given) and dtype, or cannot be
        written to.
    """
    if out is None:
        return None
    if as_array("out", out) is not out:
        raise TypeError(mismatch("out", "an array", type(out).__name__))
    same_kind("out", out, x)
    shape = tuple(x.shape) if shape is None else shape
    if tuple(out.shape) != shape or out.dtype != x.dtype:
        raise ValueError(mismatch("out", f"{dtype_name(x)} {shape}", describe(out)))
    read_only = isinstance(out, np.ndarray) and not out.flags.writeable
    if read_only or array_api_compat.is_jax_array(out):
        raise ValueError(mismatch("out", "writable", "a read-only array"))
    if getattr(out, "requires_grad", False):
        raise ValueError(mismatch("out", "without requires_grad", "a tensor with it"))
    return out


def overlaps(out: Array, *others: Array) -> bool:
    """Tell whether memory may be shared, by PyTorch tensors or by any other arrays."""
    if isinstance(out, np.ndarray):
        return any(isinstance(x, np.ndarray) and np.may_share_memory(out, x) for x in others)
    if array_api_compat.is_torch_array(out):
        memory = out.untyped_storage().data_ptr()  # 0 where there is none
        return memory != 0 and any(x.untyped_storage().data_ptr() == memory for x in others)
    return True


def write(result: Array, out: Array | None) -> Array:
    """Copy a result into `out`, unless it stands there already; return where it is."""
    if out is None or result is out:
        return result
    if isinstance(out, np.ndarray) and not overlaps(out, result):
        copy_in_parts(result, out)
    else:
        out[...] = result
    return out


def refuse_out(out: Any) -> None:
    """Raise if `out` is given where PyTorch records what is done to x."""
    if out is not None:
        expected = "None for a tensor that requires a gradient (PyTorch records no writing)"
        raise TypeError(mismatch("out", expected, type(out).__name__))


def is_row_buffer(out: Array | None, layout: Layout) -> bool:
    """Tell whether rows can be written straight to `out`: nothing to move or step over."""
    return layout.is_last and is_contiguous(out)


def is_contiguous(out: Array | None) -> bool:
    """Tell whether there is an array, in C order, that a kernel can write to."""
    if isinstance(out, np.ndarray):
        return bool(out.flags.c_contiguous and out.flags.aligned)
    return out is not None and array_api_compat.is_torch_array(out) and bool(out.is_contiguous())
