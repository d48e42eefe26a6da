"""NumPy, which has no derivatives of its own: they are functions beside the function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from softgrad.promises.implementations.base import AbstractImplementation, Call, NotOffered
from softgrad.promises.rows import AnyArray

__all__ = ["Implementation", "WithVjp"]


@dataclass(frozen=True)
class WithVjp:
    """A pair of a function and its VJP as one object."""

    function: Callable[..., Any]
    vjp: Callable[..., Any]

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        """The function, whose parameters those of the pair are."""
        return self.function

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self.function(*arguments, **options)


@dataclass(frozen=True)
class Implementation(AbstractImplementation):
    """A function of NumPy arrays; its methods vjp, jvp and hvp, where it has them."""

    has_strides: ClassVar[bool] = True

    def inward(self, array: AnyArray, dtype: str) -> AnyArray:
        return array.astype(_format(dtype), copy=False) if array.dtype.kind == "f" else array

    def value(self, call: Call) -> AnyArray:
        arguments, options = self.given(call)
        return _outward(self.function(*arguments, **options))

    def vjp(self, call: Call, y_bar: AnyArray) -> tuple[AnyArray, ...]:
        return _each(self._derivative("vjp", call, y_bar))

    def jvp(self, call: Call, tangents: tuple[AnyArray, ...]) -> AnyArray:
        return _outward(self._derivative("jvp", call, _alone(tangents)))

    def hvp(
        self, call: Call, y_bar: AnyArray, tangents: tuple[AnyArray, ...]
    ) -> tuple[AnyArray, ...]:
        return _each(self._derivative("hvp", call, y_bar, _alone(tangents)))

    def _derivative(self, name: str, call: Call, *directions: Any) -> Any:
        method = getattr(self.function, name, None)
        if method is None:
            raise NotOffered(f"it has no {name}")
        arguments, options = self.given(call)
        return method(*arguments, *directions, **options)


def _alone(tangents: tuple[AnyArray, ...]) -> Any:
    return tangents if len(tangents) > 1 else tangents[0]


def _format(dtype: str) -> np.dtype[Any]:
    if dtype != "bfloat16":
        return np.dtype(dtype)
    try:
        import ml_dtypes
    except ImportError:
        raise NotOffered("NumPy has no bfloat16 without ml_dtypes") from None
    found: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return found


def _each(result: Any) -> tuple[AnyArray, ...]:
    return tuple(map(_outward, result if isinstance(result, tuple) else (result,)))


def _outward(result: Any) -> AnyArray:
    array = np.asarray(result)
    return array.astype(np.float32) if array.dtype.itemsize == 2 else array
