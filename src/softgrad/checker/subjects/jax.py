"""JAX: functions of its arrays, with rules for derivatives of their own or without."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from softgrad.checker.diagnosis.graph.traced import Tape
from softgrad.checker.formats import FORMATS, is_floating
from softgrad.checker.subject import AnyArray
from softgrad.checker.subjects.jax_primitives import enable_x64
from softgrad.checker.subjects.jax_steps import Array, Follower
from softgrad.checker.subjects.library import IMPLICIT, AbstractLibrary, Function, Unpacked
from softgrad.errors import mismatch

__all__ = ["Library", "is_function", "is_tensor", "to_tensor", "unpack"]


def is_tensor(value: Any) -> bool:
    """Whether it is an array of JAX."""
    return isinstance(value, jax.Array)


def to_tensor(array: AnyArray) -> Any:
    """Return a NumPy array as one of JAX, with all its bits."""
    with enable_x64(True):
        return jnp.array(np.array(array, array.dtype.newbyteorder("=")))


def is_function(value: Any) -> bool:
    """Whether it is a transformed function, such as `jax.custom_vjp` and `jax.jit` make."""
    return callable(value) and type(value).__module__.partition(".")[0] in ("jax", "jaxlib")


def unpack(function: Any, inputs: tuple[Any, ...]) -> Unpacked:
    """Return the function that is to be checked."""
    names = tuple(f"input {place}" for place in range(len(inputs)))
    return Unpacked(getattr(function, "__name__", type(function).__name__), function, inputs, names)


class Library(AbstractLibrary):
    """JAX's arrays do not change; float64 ones are there only where 64 bits are enabled."""

    def __init__(self) -> None:
        self.remarks = []
        self._floating: tuple[int, ...] = ()
        self._is_array: list[bool] = []

    def read(self, name: str, value: Any) -> AnyArray | None:
        """Return an array as a NumPy array; None for what is handed on as it is."""
        if not is_tensor(value) and not isinstance(value, np.ndarray):
            if any(map(is_tensor, jax.tree_util.tree_leaves(value))):
                got = f"arrays in a {type(value).__name__}"
                raise TypeError(mismatch(name, "an array", got))
            return None
        if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            return None
        array = np.array(value, value.dtype.newbyteorder("="))
        if jnp.issubdtype(array.dtype, jnp.floating) and not is_floating(array):
            raise TypeError(mismatch(name, f"of {FORMATS}, or of integers", array.dtype))
        return array

    def prepare(self, inputs: tuple[Any, ...], floating: tuple[int, ...]) -> None:
        """Take note of which inputs are arrays."""
        self._floating = floating
        self._is_array = [self.read("", value) is not None for value in inputs]

    def call(self, function: Function, arrays: tuple[Any, ...], *cotangent: Any) -> Any:
        """Call a function of arrays."""
        with self._width(arrays):
            result = function(*self._inward(arrays), *map(_inward, cotangent))
            if isinstance(result, (tuple, list, dict)):
                return tuple(map(_outward, jax.tree_util.tree_leaves(result, is_leaf=_is_none)))
            return _outward(result)

    def automatic(self, function: Function) -> tuple[Function, None]:
        """Return the VJP by `jax.vjp`."""

        def backward(*arguments: Any) -> tuple[AnyArray, ...]:
            *arrays, cotangent = arguments
            with self._width(tuple(arrays)):
                of_floats, floats = _of_floats(
                    function, self._inward(tuple(arrays)), self._floating
                )
                _, pull_back = jax.vjp(_real_outputs(of_floats), *floats)
                given = cotangent if isinstance(cotangent, tuple) else (cotangent,)
                return tuple(map(np.array, pull_back([jnp.array(c) for c in given if _real(c)])))

        backward.__wrapped__ = function  # type: ignore[attr-defined]
        return backward, None

    def push(
        self, function: Function, arrays: tuple[Any, ...], tangents: tuple[AnyArray, ...]
    ) -> tuple[tuple[AnyArray, ...], tuple[AnyArray, ...]]:
        """Return outputs and their tangents by `jax.jvp`."""
        with self._width(arrays):
            of_floats, floats = _of_floats(_primal(function), self._inward(arrays), self._floating)
            outputs, slopes = jax.jvp(of_floats, floats, tuple(map(jnp.array, tangents)))
            return tuple(map(np.array, outputs)), tuple(map(np.array, slopes))

    def excuse(self, function: Function, arrays: tuple[Any, ...]) -> str | None:
        """Say that gamma's gradient is implicit, where it is drawn from."""
        with self._width(arrays):
            of_floats, floats = _of_floats(function, self._inward(arrays), self._floating)
            program = str(jax.make_jaxpr(of_floats)(*floats))
        return IMPLICIT.format("JAX") if "random_gamma" in program else None

    def backward_of(self, function: Function) -> Function:
        """Return the backward as a function of inputs and cotangents, itself differentiable."""
        count, floating = len(self._is_array), self._floating

        def backward(*arguments: Any) -> tuple[Any, ...]:
            of_floats, floats = _of_floats(function, arguments[:count], floating)
            _, pull_back = jax.vjp(_real_outputs(of_floats), *floats)
            return tuple(pull_back(list(arguments[count:])))

        backward.__wrapped__ = function  # type: ignore[attr-defined]
        return backward

    def follow(
        self, function: Function, arrays: tuple[Any, ...], tape: Tape, inputs: Sequence[int]
    ) -> list[int]:
        """Run the function's program operation by operation; those of an expression are a step."""
        with self._width(arrays):
            of_floats, floats = _of_floats(_primal(function), self._inward(arrays), self._floating)
            program = jax.make_jaxpr(of_floats)(*floats)
            follower = Follower()
            given = [Array(tape.steps[step].value, step=step) for step in inputs]
            return follower.write(tape, follower.run(program, given))

    def _inward(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        given = zip(values, self._is_array, strict=False)
        return tuple(jnp.array(value) if is_array else value for value, is_array in given)

    def _width(self, arrays: tuple[Any, ...]) -> AbstractContextManager[Any]:
        """Enable 64 bits for a call with float64 arrays, where they are not."""
        if jax.config.jax_enable_x64 or not any(_is_double(array) for array in arrays):
            return nullcontext()
        remark = "JAX's 64 bits are not enabled here; the float64 runs were made with them enabled."
        if remark not in self.remarks:
            self.remarks.append(remark)
        return enable_x64(True)  # type: ignore[no-any-return]


def _of_floats(
    function: Function, values: tuple[Any, ...], floating: tuple[int, ...]
) -> tuple[Function, tuple[Any, ...]]:
    """Return all outputs as a function of the inputs that are differentiated, and those inputs."""

    def of_floats(*floats: Any) -> list[Any]:
        arguments = list(values)
        for place, value in zip(floating, floats, strict=True):
            arguments[place] = value
        return [jnp.asarray(out) for out in jax.tree_util.tree_leaves(function(*arguments))]

    return of_floats, tuple(values[place] for place in floating)


def _real_outputs(function: Function) -> Function:
    return lambda *floats: [out for out in function(*floats) if _real(out)]


def _primal(function: Any) -> Any:
    """Return what a function computes, without its rules for derivatives."""
    while is_function(function) and hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function


def _is_none(value: Any) -> bool:
    return value is None


def _outward(value: Any) -> AnyArray | None:
    # JAX writes the gradient of an integer as a number without a bit.
    nothing = value is None or getattr(value, "dtype", None) == jax.dtypes.float0
    return None if nothing else np.array(value)


def _inward(cotangent: Any) -> Any:
    if isinstance(cotangent, tuple):
        return tuple(map(jnp.array, cotangent))
    return jnp.array(cotangent)


def _real(value: Any) -> bool:
    return bool(jnp.issubdtype(value.dtype, jnp.floating))


def _is_double(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.float64
