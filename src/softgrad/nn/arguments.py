"""Checks of arguments that many functions share; every complaint names its argument."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from softgrad.arrays import as_integer
from softgrad.errors import mismatch

__all__ = [
    "check_callable",
    "check_flag",
    "check_kind",
    "check_names",
    "float_dtype",
    "positive_integer",
    "random_generator",
]


def check_kind(name: str, value: Any, kind: type | tuple[type, ...], expected: str) -> None:
    """Raise a TypeError unless the value is of a kind.

    >>> check_kind("loss", int, float, "a loss")
    Traceback (most recent call last):
    TypeError: `loss` must be a loss, got the class int
    """
    if not isinstance(value, kind):
        is_class = isinstance(value, type)
        got = f"the class {value.__name__}" if is_class else type(value).__name__
        raise TypeError(mismatch(name, expected, got))


def check_callable(name: str, value: Any, expected: str) -> None:
    """Raise a TypeError unless the value can be called."""
    if not callable(value):
        raise TypeError(mismatch(name, expected, repr(value)))


def check_flag(name: str, value: Any) -> None:
    """Raise a TypeError unless the value is True or False."""
    if not isinstance(value, bool):
        raise TypeError(mismatch(name, "True or False", repr(value)))


def check_names(name: str, value: Any) -> None:
    """Raise a TypeError unless the value is a tuple of strings."""
    if not isinstance(value, tuple) or not all(isinstance(text, str) for text in value):
        raise TypeError(mismatch(name, "a tuple of names", repr(value)))


def positive_integer(name: str, value: Any) -> int:
    """Return an integer of at least 1 as Python's own."""
    try:
        found = as_integer(name, value)
    except TypeError:
        found = 0
    if found < 1:
        raise ValueError(mismatch(name, "a positive integer", repr(value)))
    return found


def random_generator(seed: int | np.random.Generator) -> np.random.Generator:
    """Return the generator of a seed, and a generator as it is."""
    if isinstance(seed, np.random.Generator):
        return seed
    seed = as_integer("seed", seed)
    if seed < 0:
        raise ValueError(mismatch("seed", "an integer of at least 0", seed))
    return np.random.default_rng(seed)


def float_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """Return the dtype of parameters: float64 or float32."""
    try:
        found = np.dtype(dtype)
    except (TypeError, ValueError):
        raise TypeError(mismatch("dtype", "float64 or float32", repr(dtype))) from None
    if found not in (np.float64, np.float32):
        raise TypeError(mismatch("dtype", "float64 or float32", found))
    return found
