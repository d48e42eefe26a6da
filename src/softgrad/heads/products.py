"""Matrix products that end where they are wanted: the one thing NumPy and PyTorch do differently.

All else in this room is written once, for both.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cache
from typing import Any

import array_api_compat
import numpy as np

from softgrad.arrays import Array, dtype_name, is_want_of_memory, namespace, quiet
from softgrad.errors import mismatch
from softgrad.heads.plan import cuts
from softgrad.kernels.threads import over_rows

__all__ = ["AbstractProducts", "MixedProducts", "NumPyProducts", "TorchProducts", "products_for"]

_REFUSES = re.compile(r"not.supported|not.implemented|same dtype|out_dtype", re.IGNORECASE)
"""What PyTorch and the vendors' libraries say of a product that they do not have."""

_TILE = 1 << 20
"""Entries of the small product that NumPy adds by: 4 MiB in float32 keep a bare product's speed."""

_TILE_ON_GPU = 1 << 22
"""The same of a GPU that writes and cannot add: 16 MiB stay in its cache."""


class AbstractProducts(ABC):
    """Products of matrices into arrays that exist."""

    @abstractmethod
    def write(self, a: Array, b: Array, out: Array) -> None:
        """Write a @ b, whatever `out` held before."""

    @abstractmethod
    def add(self, a: Array, b: Array, out: Array) -> None:
        """Add a @ b."""

    @abstractmethod
    def write_affine(self, a: Array, b: Array, c: Array | None, out: Array) -> None:
        """Write a @ b + c, for c [k] and `out` [n, k]; None is a c of zeros."""

    def operand(self, v: Array, dtype: Any) -> Array:
        """Return an array in the dtype that it is multiplied in, for results of a dtype."""
        return namespace(v).astype(v, dtype, copy=False)

    def operand_at(self, z: Array, dtype: Any) -> Array:
        """Return memory for an operand like z [n, K] in the memory of z, for arrays of a dtype."""
        return z

    def empty(self, shape: tuple[int, ...], dtype: Any, like: Array) -> Array:
        """Return fresh memory on the device of `like`, with nothing sensible in it.

        Raises
        ------
        MemoryError
            There is not so much.
        """
        try:
            return namespace(like).empty(shape, dtype=dtype, device=array_api_compat.device(like))
        except RuntimeError as error:
            if not is_want_of_memory(error):  # a device that failed
                raise
            raise MemoryError(f"no memory for {dtype} of shape {shape}") from error

    def zeros(self, shape: tuple[int, ...], dtype: Any, like: Array) -> Array:
        """Return fresh zeros, or raise MemoryError."""
        return self.full(shape, 0, dtype, like)

    def full(self, shape: tuple[int, ...], number: int, dtype: Any, like: Array) -> Array:
        """Return fresh memory full of a number, or raise MemoryError."""
        array = self.empty(shape, dtype, like)
        array[...] = number
        return array


class NumPyProducts(AbstractProducts):
    """NumPy's BLAS writes and cannot add: a small product at a time is added by hand."""

    def write(self, a: Array, b: Array, out: Array) -> None:
        np.matmul(a, b, out=out)

    def add(self, a: Array, b: Array, out: Array) -> None:
        if out.shape[0] < out.shape[1]:  # cut the long side
            a, b, out = b.T, a.T, out.T
        step = max(1, _TILE // max(1, out.shape[1]))
        for start in range(0, out.shape[0], step):
            _add_to(out[start : start + step], a[start : start + step] @ b)

    def write_affine(self, a: Array, b: Array, c: Array | None, out: Array) -> None:
        self.write(a, b, out)
        if c is not None:
            _add_to(out, np.broadcast_to(c, out.shape))


def _add_to(out: Array, terms: Array) -> None:
    """Add in place, in all threads: [n, k] to [n, k]."""

    def add(first: int, last: int) -> None:
        with quiet():  # every thread has its own settings for warnings
            out[first:last] += terms[first:last]

    over_rows(add, *out.shape)


class TorchProducts(AbstractProducts):
    """PyTorch hands BLAS the factor of what is there already: 0 or 1."""

    def write(self, a: Array, b: Array, out: Array) -> None:
        out.addmm_(a, b, beta=0)

    def add(self, a: Array, b: Array, out: Array) -> None:
        out.addmm_(a, b)

    def write_affine(self, a: Array, b: Array, c: Array | None, out: Array) -> None:
        if c is None:
            self.write(a, b, out)
        else:
            out[...] = c
            self.add(a, b, out)


class MixedProducts(TorchProducts):
    """A GPU multiplies half precision and adds in float32, tens of times as fast as float32.

    Logits, x_bar and W_bar are float32 then; what is multiplied is rounded to half precision.
    """

    def operand(self, v: Array, dtype: Any) -> Array:
        return v

    def operand_at(self, z: Array, dtype: Any) -> Array:
        return z.view(dtype)[:, : z.shape[1]]

    def write(self, a: Array, b: Array, out: Array) -> None:
        a, b = _alike(a, b)
        if _sums_in_float32("mm", namespace(out), a.dtype, out.device):
            namespace(out).mm(a, b, out_dtype=out.dtype, out=out)
        else:
            super().write(a.to(out.dtype), b.to(out.dtype), out)

    def add(self, a: Array, b: Array, out: Array) -> None:
        a, b = _alike(a, b)
        xp, where = namespace(out), (a.dtype, out.device)
        if _sums_in_float32("addmm", xp, *where):
            xp.addmm(out, a, b, out_dtype=out.dtype, out=out)
        elif _sums_in_float32("mm", xp, *where):
            for rows, columns in _tiles(*out.shape):
                out[rows, columns].add_(xp.mm(a[rows], b[:, columns], out_dtype=out.dtype))
        else:
            super().add(a.to(out.dtype), b.to(out.dtype), out)


def _tiles(n: int, k: int) -> Iterator[tuple[slice, slice]]:
    """Cut the long side of a product [n, k] for a GPU."""
    step = max(1, _TILE_ON_GPU // max(1, min(n, k)))
    for cut in cuts(max(n, k), step):
        yield (cut, slice(None)) if n >= k else (slice(None), cut)


@cache
def _sums_in_float32(product: str, xp: Any, dtype: Any, device: Any) -> bool:
    """Tell whether PyTorch has "mm" or "addmm" of half precision there, with sums of float32.

    It is tried, once: CPUs have neither, and PyTorch had the first before the second. Any other
    error is no answer.
    """
    a = xp.zeros((16, 16), dtype=dtype, device=device)
    total = xp.zeros((16, 16), dtype=xp.float32, device=device)
    terms = (a, a) if product == "mm" else (total, a, a)
    try:
        getattr(xp, product)(*terms, out_dtype=xp.float32, out=total)
    except (NotImplementedError, TypeError):  # not on this device; not in this version
        return False
    except RuntimeError as error:
        if _REFUSES.search(str(error)):
            return False
        raise  # no memory, a device that failed: another time it may do
    return True


def _alike(a: Array, b: Array) -> tuple[Array, Array]:
    """Return two operands in the shorter of their dtypes."""
    dtype = min(a.dtype, b.dtype, key=lambda dtype: dtype.itemsize)
    return a.to(dtype), b.to(dtype)


def products_for(x: Array, impl: str = "reference") -> AbstractProducts:
    """Return the products of the library that an array is from.

    Raises
    ------
    TypeError
        It is JAX's, whose arrays are not written to.
    """
    if isinstance(x, np.ndarray):
        return NumPyProducts()
    if array_api_compat.is_torch_array(x):
        mixed = impl == "triton" and dtype_name(x) == "bfloat16"
        return MixedProducts() if mixed else TorchProducts()
    expected = (
        "an array that is not JAX's for this verb of a head "
        "(jax.grad, jax.jvp and jax.vjp differentiate its value)"
    )
    raise TypeError(mismatch("x", expected, type(x).__module__.split(".")[0]))
