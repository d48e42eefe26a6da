"""How tests run Triton's kernels: on a GPU where there is one, else by Triton's interpreter.

The interpreter takes CPU tensors, which softgrad is told to take for a GPU's.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("triton")

import ml_dtypes
import torch
import triton
import triton.language as tl
from triton.runtime import interpreter

from softgrad import arrays
from softgrad.frameworks.torch import modes

__all__ = ["DEVICE", "INTERPRETED", "OnGPU", "on_gpu", "tensor"]

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"


@contextmanager
def on_gpu() -> Iterator[None]:
    """Take CPU tensors for a GPU's, where there is none."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.filterwarnings("ignore", "All-NaN", RuntimeWarning)  # the interpreter's maximum
        before, ordinary = set(arrays._GPUS), modes._ORDINARY
        if INTERPRETED:
            arrays._GPUS.add("cpu")
            modes._ORDINARY = ()  # what is on the CPU alone
        try:
            yield
        finally:
            arrays._GPUS.clear()
            arrays._GPUS.update(before)
            modes._ORDINARY = ordinary


@dataclass(frozen=True)
class OnGPU:
    """A map, a loss or a head, every verb of which goes through Triton's kernels."""

    inner: Any

    def __getattr__(self, verb: str) -> Any:
        return _there(getattr(self.inner, verb))

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return _there(self.inner)(*arguments, **options)


def _there(call: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(call, updated=())
    def run(*arguments: Any, **options: Any) -> Any:
        with on_gpu():
            return call(*arguments, **{"impl": "triton", **options})

    return run


def tensor(x: Any, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Return a tensor where the kernels are."""
    return torch.tensor(x, dtype=dtype, device=DEVICE)


# The interpreter does otherwise than a GPU: it cuts off what bfloat16 does not hold, and its fma
# rounded twice before 3.9.


def _rounded(number: Any, source: Any, target: Any, mode: Any) -> Any:
    """Convert a float32 to bfloat16 as a GPU does, to the nearest."""
    if (source, target) != (tl.float32, tl.bfloat16):
        return _cut_off(number, source, target, mode)
    words = np.asarray(number, np.float32).astype(ml_dtypes.bfloat16).view(np.uint16)
    return words.reshape(number.shape)


def _fused(self: Any, x: Any, y: Any, z: Any) -> Any:
    """Multiply and add with one rounding."""
    exact = np.multiply(x.data, y.data, dtype=np.float64) + z.data
    return interpreter.TensorHandle(exact.astype(z.data.dtype), z.dtype.scalar)


if INTERPRETED:
    _cut_off, interpreter._convert_float = interpreter._convert_float, _rounded
    if tuple(map(int, triton.__version__.split(".")[:2])) < (3, 9):
        interpreter.InterpreterBuilder.create_fma = _fused
