"""Arguments of the explanations, copied to float64: a result does not change with them."""

from __future__ import annotations

import operator
from typing import Any, TypeAlias

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from softgrad.arrays import real_array
from softgrad.errors import mismatch

__all__ = ["MOST_ENTRIES", "Vector", "class_index", "finite", "linear_layer"]

Vector: TypeAlias = NDArray[np.float64]

MOST_ENTRIES = 250_000
"""As large a Jacobian as is looked at."""


def finite(name: str, x: Any, ndim: int | None = None, like: str = "") -> Vector:
    """Return finite numbers as a float64 array of its own.

    Raises
    ------
    TypeError
        They are not real numbers.
    ValueError
        There are none, they have another number of axes, or one is infinite or NaN.
    """
    x = real_array(name, x)
    if array_api_compat.is_torch_array(x):
        x = x.detach().cpu().double()
    array: Vector = np.asarray(x).astype(np.float64)  # a copy
    if ndim is not None and array.ndim != ndim:
        raise ValueError(mismatch(name, f"of shape {like}", f"shape {array.shape}"))
    if not array.size:
        raise ValueError(mismatch(name, "of one number at least", f"shape {array.shape}"))
    if not np.isfinite(array).all():
        position = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(mismatch(name, "finite", f"{array[position]} at {list(position)}"))
    return array


def linear_layer(x: Any, W: Any, b: Any = None) -> tuple[Vector, Vector, Vector | None]:
    """Return x [D], W [K, D] and b [K] of one linear layer."""
    x, W = finite("x", x, 1, "(D,)"), finite("W", W, 2, "(K, D)")
    if W.shape[1] != x.size:
        raise ValueError(mismatch("W", f"of shape (K, {x.size}), as `x` has", f"shape {W.shape}"))
    if b is None:
        return x, W, None
    b = finite("b", b, 1, "(K,)")
    if b.size != len(W):
        raise ValueError(mismatch("b", f"of shape ({len(W)},), as `W` has", f"shape {b.shape}"))
    return x, W, b


def class_index(name: str, value: Any, classes: int) -> int:
    """Return a class index.

    Raises
    ------
    TypeError
        It is not an integer.
    IndexError
        There is no such class.
    """
    expected = f"a class index from 0 to {classes - 1}"
    try:
        index = operator.index(value)
    except TypeError:
        index = None
    if index is None or isinstance(value, (bool, np.bool_)):
        raise TypeError(mismatch(name, expected, repr(value)))
    if not 0 <= index < classes:
        raise IndexError(mismatch(name, expected, index))
    return index
