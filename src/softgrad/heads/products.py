"""Matrix products that end where they are wanted: the one thing NumPy and PyTorch do differently.

All else in this room is written once, for both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import array_api_compat
import numpy as np

from softgrad.arrays import Array, namespace, quiet
from softgrad.errors import mismatch
from softgrad.kernels.threads import over_rows

__all__ = ["AbstractProducts", "NumPyProducts", "TorchProducts", "products_for"]

_TILE = 1 << 20
"""Entries of the small product that NumPy adds by: 4 MiB in float32 keep a bare product's speed."""


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

    def empty(self, shape: tuple[int, ...], dtype: Any, like: Array) -> Array:
        """Return fresh memory on the device of `like`, with nothing sensible in it.

        Raises
        ------
        MemoryError
            There is not so much.
        """
        try:
            return namespace(like).empty(shape, dtype=dtype, device=array_api_compat.device(like))
        except RuntimeError as error:  # PyTorch's word for it
            raise MemoryError(f"no memory for {dtype} of shape {shape}") from error

    def zeros(self, shape: tuple[int, ...], dtype: Any, like: Array) -> Array:
        """Return fresh zeros, or raise MemoryError."""
        zeros = self.empty(shape, dtype, like)
        zeros[...] = 0
        return zeros


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


def products_for(x: Array) -> AbstractProducts:
    """Return the products of the library that an array is from.

    Raises
    ------
    TypeError
        It is from another library than NumPy and PyTorch.
    """
    if isinstance(x, np.ndarray):
        return NumPyProducts()
    if array_api_compat.is_torch_array(x):
        return TorchProducts()
    expected = "a NumPy array or a PyTorch tensor for this verb of a head"
    if array_api_compat.is_jax_array(x):
        expected += " (jax.grad, jax.jvp and jax.vjp differentiate its value)"
    raise TypeError(mismatch("x", expected, type(x).__module__.split(".")[0]))
