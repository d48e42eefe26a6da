"""The arguments of `softgrad.check`, validated and turned into a subject."""

from __future__ import annotations

from collections.abc import Callable
from inspect import ismethod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from softgrad.checker.subject import AnyArray, Subject, is_floating
from softgrad.errors import mismatch

__all__ = ["make_subject"]


def make_subject(
    forward: Any, backward: Any, inputs: tuple[Any, ...], dtype: DTypeLike | None, where: Any
) -> Subject:
    """Return what is to be checked, or raise TypeError or ValueError naming the argument."""
    _refuse_tensor("backward", backward)
    for i, value in enumerate(inputs):
        _refuse_tensor(f"inputs[{i}]", value)
    if hasattr(forward, "forward") and hasattr(forward, "backward"):
        # A layer brings its backward: the second argument is its first input.
        inputs = inputs if backward is None else (backward, *inputs)
        if any(callable(value) for value in inputs[:1]):
            raise TypeError(mismatch("inputs[0]", "an array (a layer has its own backward)", "it"))
        name, run, vjp = type(forward).__name__, forward.forward, _layer_vjp(forward)
        kept = forward.backward
    else:
        for argument, value in (("forward", forward), ("backward", backward)):
            if not callable(value):
                raise TypeError(mismatch(argument, "callable", type(value).__name__))
        name = _name(backward)
        run, vjp, kept = forward, backward, None
    values = tuple(_value(f"inputs[{i}]", value, dtype) for i, value in enumerate(inputs))
    floating = tuple(
        i for i, v in enumerate(values) if isinstance(v, np.ndarray) and is_floating(v)
    )
    if not any(values[i].size for i in floating):
        raise ValueError(mismatch("inputs", "one non-empty floating-point array at least", "none"))
    masks = _masks(where, [values[i] for i in floating])
    for place, mask in zip(floating, masks, strict=True):
        if not np.isfinite(values[place] if mask is None else values[place][mask]).all():
            expected = "finite where it is probed (exclude entries with `where`)"
            raise ValueError(mismatch(f"inputs[{place}]", expected, "infinity or NaN"))
    return Subject(name, run, vjp, values, floating, masks, kept)


def _refuse_tensor(name: str, value: Any) -> None:
    if isinstance(value, (np.ndarray, np.generic)) or not hasattr(value, "__array__"):
        return
    if "float" in str(getattr(value, "dtype", "")):
        kind = f"{type(value).__module__.partition('.')[0]} {type(value).__name__}"
        expected = "a NumPy array (arrays of PyTorch and JAX are not read yet)"
        raise TypeError(mismatch(name, expected, kind))


def _name(function: Any) -> str:
    name = getattr(function, "__name__", type(function).__name__)
    return f"{type(function.__self__).__name__}.{name}" if ismethod(function) else str(name)


def _layer_vjp(layer: Any) -> Callable[..., Any]:
    def vjp(*arguments: Any) -> Any:
        layer.forward(*arguments[:-1])
        return layer.backward(arguments[-1])

    return vjp


def _value(name: str, value: Any, dtype: DTypeLike | None) -> Any:
    """Return floats as an array of a dtype that can be checked, and the rest as it is."""
    if not isinstance(value, (np.ndarray, np.generic, float, complex, list)):
        return value
    array = np.asarray(value)
    if array.dtype.kind in "iub":
        return value
    if not is_floating(array):
        expected = "float16, float32 or float64, or integers, which are not differentiated"
        raise TypeError(mismatch(name, expected, array.dtype))
    if dtype is None:
        return array
    wanted = np.dtype(dtype)
    if wanted.kind != "f" or wanted.itemsize > 8:
        raise TypeError(mismatch("dtype", "float16, float32 or float64", wanted))
    return array.astype(wanted)


def _masks(where: Any, points: list[AnyArray]) -> tuple[NDArray[np.bool_] | None, ...]:
    given = list(where) if isinstance(where, tuple) else [where]
    if len(given) > len(points):
        expected = f"one mask for each of the {len(points)} floating-point inputs"
        raise ValueError(mismatch("where", expected, len(given)))
    given += [None] * (len(points) - len(given))
    masks = tuple(map(_mask, given, points))
    if not any(p.size if m is None else m.any() for m, p in zip(masks, points, strict=True)):
        raise ValueError(mismatch("where", "True somewhere", "a mask that excludes every entry"))
    return masks


def _mask(mask: Any, point: AnyArray) -> NDArray[np.bool_] | None:
    if mask is None:
        return None
    array = np.asarray(mask)
    if array.dtype != np.bool_ or array.shape != point.shape:
        expected = f"booleans of the input's shape {point.shape}"
        raise ValueError(mismatch("where", expected, f"{array.dtype} {array.shape}"))
    return array
