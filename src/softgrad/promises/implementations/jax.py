"""JAX: derivatives by its transformations."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

try:
    from jax import enable_x64
except ImportError:  # before JAX 0.8
    from jax.experimental import enable_x64

from softgrad.promises.implementations.base import AbstractImplementation, Call
from softgrad.promises.rows import AnyArray

__all__ = ["Implementation"]


@dataclass(frozen=True)
class Implementation(AbstractImplementation):
    """A function of JAX's arrays, which do not change and have no strides."""

    has_strides: ClassVar[bool] = False
    no_threads: ClassVar[str] = "JAX does not change its threads in a running process"

    def inward(self, array: AnyArray, dtype: str) -> Any:
        return jnp.asarray(array, dtype) if array.dtype.kind == "f" else jnp.asarray(array)

    def value(self, call: Call) -> AnyArray:
        with _width(call):
            of_floats, floats = self._of_floats(call)
            return _outward(of_floats(*floats))

    def vjp(self, call: Call, y_bar: AnyArray) -> tuple[AnyArray, ...]:
        with _width(call):
            of_floats, floats = self._of_floats(call)
            y, pull_back = jax.vjp(of_floats, *floats)
            return tuple(map(_outward, pull_back(jnp.asarray(y_bar, y.dtype))))

    def jvp(self, call: Call, tangents: tuple[AnyArray, ...]) -> AnyArray:
        with _width(call):
            of_floats, floats = self._of_floats(call)
            dots = tuple(self.inward(tangent, call.dtype) for tangent in tangents)
            return _outward(jax.jvp(of_floats, floats, dots)[1])

    def hvp(
        self, call: Call, y_bar: AnyArray, tangents: tuple[AnyArray, ...]
    ) -> tuple[AnyArray, ...]:
        with _width(call):
            of_floats, floats = self._of_floats(call)

            def backward(*point: Any) -> Any:
                y, pull_back = jax.vjp(of_floats, *point)
                return pull_back(jnp.asarray(y_bar, y.dtype))

            dots = tuple(self.inward(tangent, call.dtype) for tangent in tangents)
            # Second derivatives are symmetric: the VJP of the backward is its JVP.
            return tuple(map(_outward, jax.vjp(backward, *floats)[1](dots)))

    def _of_floats(self, call: Call) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Return the value as a function of what is differentiated, and that."""
        arguments, options = self.given(call)

        def of_floats(*floats: Any) -> Any:
            given = dict(zip(call.floating, floats, strict=True))
            return self.function(*(given.get(i, a) for i, a in enumerate(arguments)), **options)

        return of_floats, tuple(arguments[i] for i in call.floating)


def _width(call: Call) -> AbstractContextManager[Any]:
    return enable_x64(call.dtype == "float64")  # type: ignore[no-any-return]


def _outward(result: Any) -> AnyArray:
    array = jnp.asarray(result)
    return np.asarray(array.astype(jnp.float32) if array.dtype.itemsize == 2 else array)
