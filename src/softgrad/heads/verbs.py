"""Verbs of heads at arrays that their loop does not take: DTensors, and other libraries' arrays."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

import array_api_compat
import numpy as np

from softgrad.arrays import Array, describe, is_of_another_library, is_spread, namespace, same_kind
from softgrad.errors import mismatch

__all__ = ["takes_every_array"]

P = ParamSpec("P")
T = TypeVar("T")

_CPU = 1
"""DLPack's number of the device."""


def takes_every_array(verb: Callable[P, T]) -> Callable[P, T]:
    """Let a verb take DTensors, of which it gets its rank's parts, and other libraries' arrays.

    What it returns is of the kind that came in.
    """

    @wraps(verb)
    def call(*args: P.args, **options: P.kwargs) -> T:
        given = (*args, *options.values())
        found: T
        if _is_compiling():
            found = verb(*args, **options)
        elif any(map(_is_spread, given)):
            dtensors = import_module("softgrad.frameworks.torch.dtensors")
            found = dtensors.at_head(verb, args, options)
        elif any(map(is_of_another_library, given)):
            found = _by_numpy(verb, args, options)
        else:
            found = verb(*args, **options)
        return found

    return call


def _is_spread(x: object) -> bool:
    return any(map(is_spread, x)) if isinstance(x, tuple) else is_spread(x)


def _is_compiling() -> bool:
    """Tell whether PyTorch reads the program: it is to find one node, which meets DTensors anew."""
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.compiler.is_dynamo_compiling())


def _by_numpy(verb: Callable[..., Any], args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    """Return what a verb gives at NumPy arrays that share the memory of x and the others."""
    given = inspect.signature(verb).bind(*args, **named).arguments
    given |= given.pop("options", {})
    x = given["x"]
    if not is_of_another_library(x):
        return verb(*args, **named)  # which refuses two kinds of arrays
    return _given_back(verb(**{name: _taken(name, v, x) for name, v in given.items()}), x)


def _taken(name: str, v: Any, x: Array) -> Any:
    """Return an argument's arrays as NumPy's."""
    if isinstance(v, tuple) and hasattr(v, "_fields"):  # a TopK
        return type(v)(*(_taken(name, part, x) for part in v))
    if isinstance(v, dict):  # directions
        return {name: _taken(name, part, x) for name, part in v.items()}
    if not array_api_compat.is_array_api_obj(v):
        return v
    v = same_kind(name, v, x)
    if not hasattr(v, "__dlpack__") or v.__dlpack_device__()[0] != _CPU:
        expected = "in the memory of the CPU for a head, or a PyTorch tensor (torch.from_dlpack)"
        raise TypeError(mismatch(name, expected, f"{type(v).__module__} {describe(v)}"))
    try:
        return np.from_dlpack(v)
    except (BufferError, RuntimeError) as error:  # a dtype that NumPy does not have
        raise TypeError(mismatch(name, f"what NumPy takes ({error})", describe(v))) from None


def _given_back(found: Any, x: Array) -> Any:
    """Return arrays of x's library and device, which nobody else has."""
    if isinstance(found, tuple):
        parts = [_given_back(part, x) for part in found]
        return type(found)(*parts) if hasattr(found, "_fields") else tuple(parts)
    if not isinstance(found, np.ndarray | np.generic):
        return found
    there = namespace(x).from_dlpack(np.asarray(found))
    return array_api_compat.to_device(there, array_api_compat.device(x))
