"""The floating-point formats that are checked: NumPy's three, and bfloat16 of ml_dtypes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from softgrad.errors import MissingExtraError, mismatch

__all__ = ["FORMATS", "Limits", "bfloat16", "is_floating", "limits", "named_format", "narrowest"]

FORMATS = "float16, bfloat16, float32 or float64"


@dataclass(frozen=True)
class Limits:
    """The spacing of a format's numbers at 1, and its smallest number."""

    epsilon: float
    smallest: float


_BFLOAT16 = Limits(2.0**-7, 2.0**-133)


def is_floating(array: NDArray[Any]) -> bool:
    """Whether an array holds numbers of a format that is checked."""
    return _is_format(array.dtype)


def limits(dtype: np.dtype[Any]) -> Limits:
    """Return the limits of a format."""
    if dtype.name == "bfloat16":
        return _BFLOAT16
    info = np.finfo(dtype)
    return Limits(float(info.eps), float(info.smallest_subnormal))


def bfloat16() -> np.dtype[Any]:
    """Return NumPy's bfloat16, which comes with ml_dtypes.

    Raises
    ------
    MissingExtraError
        There is no ml_dtypes.
    """
    try:
        import ml_dtypes
    except ImportError:
        raise MissingExtraError("ml_dtypes, for bfloat16,", "torch") from None
    found: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return found


def named_format(dtype: DTypeLike) -> np.dtype[Any]:
    """Return the format that is meant by a dtype of NumPy, PyTorch or JAX, or by its name.

    Raises
    ------
    TypeError
        It is none of those that are checked.
    """
    name = str(dtype).removeprefix("torch.")
    if name == "bfloat16":
        return bfloat16()
    known = hasattr(np, name) and str(dtype).startswith("torch.")
    found = np.dtype(name if known else dtype)
    if not _is_format(found):
        raise TypeError(mismatch("dtype", FORMATS, found))
    return found


def narrowest(values: NDArray[np.float64]) -> float:
    """Return epsilon of the narrowest format below float64 that holds all values, 0 for none."""
    with np.errstate(over="ignore", under="ignore"):
        single = values.astype(np.float32)
        if not (single == values).all():
            return 0.0
        if not (single.view(np.uint32) & 0xFFFF).any():
            return _BFLOAT16.epsilon
        half = (values.astype(np.float16) == values).all()
    return limits(np.dtype(np.float16 if half else np.float32)).epsilon


def _is_format(dtype: np.dtype[Any]) -> bool:
    return dtype.name == "bfloat16" or (dtype.kind == "f" and dtype.itemsize <= 8)
