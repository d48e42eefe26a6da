"""The arguments of `softgrad.check`, validated and turned into a subject."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import isfunction, ismethod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from softgrad.checker.formats import FORMATS, named_format
from softgrad.checker.subject import AnyArray, Arrays, Subject, is_floating
from softgrad.checker.subjects.layers import Layer
from softgrad.checker.subjects.library import (
    AbstractLibrary,
    Function,
    Lifted,
    leaves,
    library_for,
)
from softgrad.errors import mismatch

__all__ = ["make_subject"]


class Rules(NamedTuple):
    """The functions of a subject, on NumPy arrays."""

    forward: Callable[..., Any]
    vjp: Callable[..., Any]
    kept_vjp: Callable[..., Any] | None = None
    forwards_per_vjp: int = 0


def make_subject(
    forward: Any,
    backward: Any,
    inputs: tuple[Any, ...],
    dtype: DTypeLike | None = None,
    where: Any = None,
    reference: Callable[..., Any] | None = None,
) -> Subject:
    """Return what is to be checked, or raise TypeError or ValueError naming the argument."""
    module = library_for(forward, (backward, *inputs))
    # The class of an autograd function is a function; that of a layer makes one.
    is_class = isinstance(forward, type) and hasattr(forward, "forward")
    if is_class and not (module and module.is_function(forward)):
        raise TypeError(mismatch("forward", "a layer", f"its class, {forward.__name__}"))
    if module is None:
        return _numpy_subject(forward, backward, inputs, dtype, where, reference)
    return _lifted_subject(module, forward, backward, inputs, dtype, where, reference)


def _numpy_subject(
    forward: Any,
    backward: Any,
    inputs: tuple[Any, ...],
    dtype: DTypeLike | None,
    where: Any,
    reference: Callable[..., Any] | None,
) -> Subject:
    if _is_layer(forward):
        # A layer brings its backward: the second argument is its first input.
        inputs = inputs if backward is None else (backward, *inputs)
        if any(callable(value) for value in inputs[:1]):
            raise TypeError(mismatch("inputs[0]", "an array (a layer has its own backward)", "it"))
        return _layer_subject(forward, inputs, dtype, where, reference)
    methods = _methods(forward)
    if methods and not callable(backward):
        what = "a function, or a layer with the methods `forward` and `backward`"
        raise TypeError(mismatch("forward", what, f"{type(forward).__name__} with {methods}"))
    for argument, value in (("forward", forward), ("backward", backward)):
        _refuse_tensor(argument, value)
        if not callable(value):
            raise TypeError(mismatch(argument, "callable", type(value).__name__))
    values = tuple(_value(f"inputs[{i}]", value, dtype) for i, value in enumerate(inputs))
    floating, masks = _probed(values, where)
    return Subject(_name(backward), forward, backward, values, floating, masks, reference=reference)


def _layer_subject(
    thing: Any,
    inputs: tuple[Any, ...],
    dtype: DTypeLike | None,
    where: Any,
    reference: Callable[..., Any] | None,
) -> Subject:
    """Return a subject of a layer's forward and backward; its weights join its inputs."""
    values = tuple(_value(f"inputs[{i}]", value, dtype) for i, value in enumerate(inputs))
    _probed(values, where)
    layer = Layer(thing)
    if reference is None:  # which knows nothing of weights
        layer.find_weights(values)
    names = tuple(f"input {place}" for place in range(len(values))) + layer.names
    values += tuple(
        _value(weight.name, v, dtype) for weight, v in zip(layer.weights, layer.values, strict=True)
    )
    floating, masks = _probed(values, where)
    return Subject(
        type(thing).__name__, layer.forward, layer.vjp, values, floating, masks,
        layer.kept_vjp, 1, names,
        reference=reference,
        remarks=layer.remarks,
        doubts=layer.doubts,
        calls_before=(layer.forward_calls, layer.backward_calls),
    )  # fmt: skip


def _lifted_subject(
    module: Any,
    forward: Any,
    backward: Any,
    inputs: tuple[Any, ...],
    dtype: DTypeLike | None,
    where: Any,
    reference: Callable[..., Any] | None,
) -> Subject:
    """Return a subject of functions of tensors, which it sees as functions of NumPy arrays."""
    is_pair = callable(backward) and not module.is_tensor(backward)
    is_layer = not (is_pair or module.is_function(forward)) and _is_layer(forward)
    if not (is_layer or callable(forward)):
        raise TypeError(mismatch("forward", "callable", type(forward).__name__))
    if not is_pair and backward is not None:
        inputs = (backward, *inputs)
    name = _name(backward) if is_pair else type(forward).__name__
    names: tuple[str, ...] = ()
    if not (is_pair or is_layer):
        name, forward, inputs, names = module.unpack(forward, inputs)
    library: AbstractLibrary = module.Library()
    values = tuple(_read(library, f"inputs[{i}]", value, dtype) for i, value in enumerate(inputs))
    floating, masks = _probed(values, where)
    library.prepare(inputs, floating)
    reverse, excuse = None, _none
    if is_pair:
        rules = Rules(Lifted(forward, library), _lifted_vjp(backward, library))
    elif is_layer:
        layer = Layer(forward)
        library.remarks += layer.remarks
        if any(map(module.is_tensor, leaves(vars(forward)))):
            text = "Gradients of weights that the layer keeps were not checked"
            library.remarks.append(f"{text}: give the weights as inputs of its forward.")
        kept = partial(library.call, layer.kept_vjp, ())
        rules = Rules(Lifted(layer.forward, library), _lifted_vjp(layer.vjp, library), kept, 1)
    else:
        rules = Rules(Lifted(forward, library), *library.automatic(forward))
        backward_of = library.backward_of(forward)
        reverse = partial(_rules_of, module, library.remarks, backward_of, inputs)
        excuse = partial(library.excuse, forward, values)
    run, vjp, kept_vjp, forwards = rules
    return Subject(
        name, run, vjp, values, floating, masks, kept_vjp, forwards, names,
        reference=Lifted(reference, library) if reference else None,
        call=library.call,
        reverse=reverse,
        excuse=excuse,
        remarks=library.remarks,
    )  # fmt: skip


def _rules_of(
    module: Any,
    remarks: list[str],
    function: Function,
    inputs: tuple[Any, ...],
    more: Arrays,
    floating: tuple[int, ...],
) -> tuple[Any, Any, Any]:
    """Return a function of the inputs and of `more` arrays, its VJP, and its kept VJP."""
    library: AbstractLibrary = module.Library()
    library.remarks = remarks
    library.prepare((*inputs, *more), floating)
    return Lifted(function, library), *library.automatic(function)


def _none() -> str | None:
    """Excuse nothing."""
    return None


def _is_layer(thing: Any) -> bool:
    return hasattr(thing, "forward") and hasattr(thing, "backward")


def _methods(thing: Any) -> str:
    """List an object's own methods, but for those of its class's kind: "`run` and `gradient`"."""
    if isinstance(thing, (type, np.ndarray, np.generic)) or isfunction(thing):
        return ""
    own = [name for name, value in vars(type(thing)).items() if isfunction(value)]
    names = [f"`{name}`" for name in own if name == "__call__" or not name.startswith("_")]
    return " and ".join(names[:4])


def _refuse_tensor(name: str, value: Any) -> None:
    if isinstance(value, (np.ndarray, np.generic)) or not hasattr(value, "__array__"):
        return
    if "float" in str(getattr(value, "dtype", "")):
        kind = f"{type(value).__module__.partition('.')[0]} {type(value).__name__}"
        raise TypeError(mismatch(name, "an array of NumPy, PyTorch or JAX", kind))


def _name(function: Any) -> str:
    name = getattr(function, "__name__", type(function).__name__)
    return f"{type(function.__self__).__name__}.{name}" if ismethod(function) else str(name)


def _lifted_vjp(backward: Callable[..., Any], library: AbstractLibrary) -> Callable[..., Any]:
    def vjp(*arguments: Any) -> Any:
        return library.call(backward, arguments[:-1], arguments[-1])

    vjp.__wrapped__ = backward  # type: ignore[attr-defined]
    return vjp


def _value(name: str, value: Any, dtype: DTypeLike | None) -> Any:
    """Return floats as an array of a dtype that can be checked, and the rest as it is."""
    _refuse_tensor(name, value)
    if not isinstance(value, (np.ndarray, np.generic, float, complex, list)):
        return value
    array = np.asarray(value)
    return value if array.dtype.kind in "iub" else _cast(name, array, dtype)


def _read(library: AbstractLibrary, name: str, value: Any, dtype: DTypeLike | None) -> Any:
    """Return a tensor as an array of a dtype that can be checked, and what is none as it is."""
    array = library.read(name, value)
    if array is None:
        return value
    return array if array.dtype.kind in "iub" else _cast(name, array, dtype)


def _cast(name: str, array: AnyArray, dtype: DTypeLike | None) -> AnyArray:
    if not is_floating(array):
        expected = f"{FORMATS}, or integers, which are not differentiated"
        raise TypeError(mismatch(name, expected, array.dtype))
    with np.errstate(over="ignore"):  # what becomes infinite is refused in a sentence
        return array if dtype is None else array.astype(named_format(dtype))


def _probed(
    values: tuple[Any, ...], where: Any
) -> tuple[tuple[int, ...], tuple[NDArray[np.bool_] | None, ...]]:
    """Return the places of the inputs that are differentiated, and a mask for each of them."""
    floating = tuple(
        i for i, v in enumerate(values) if isinstance(v, np.ndarray) and is_floating(v)
    )
    if not values:
        raise ValueError(mismatch("inputs", "one floating-point array at least", "none"))
    masks = _masks(where, [values[i] for i in floating])
    for place, mask in zip(floating, masks, strict=True):
        if not np.isfinite(values[place] if mask is None else values[place][mask]).all():
            expected = "finite where it is probed (exclude entries with `where`)"
            raise ValueError(mismatch(f"inputs[{place}]", expected, "infinity or NaN"))
    return floating, masks


def _masks(where: Any, points: list[AnyArray]) -> tuple[NDArray[np.bool_] | None, ...]:
    given = list(where) if isinstance(where, tuple) else [where] if points else []
    if len(given) > len(points):
        expected = f"one mask for each of the {len(points)} floating-point inputs"
        raise ValueError(mismatch("where", expected, len(given)))
    given += [None] * (len(points) - len(given))
    masks = tuple(map(_mask, given, points))
    if masks and all(mask is not None and not mask.any() for mask in masks):
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
