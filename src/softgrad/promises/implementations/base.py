"""What the battery asks of an implementation, whatever library its arrays are of."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from softgrad.promises.rows import AnyArray

__all__ = ["AbstractImplementation", "Call", "NotOffered", "Threads"]

Threads = Callable[[int], AbstractContextManager[Any]]
"""Limits the number of threads inside a with block."""


class NotOffered(Exception):
    """An implementation has not what a promise is about; the message says what."""


class Call(NamedTuple):
    """Arguments of an implementation: NumPy arrays, of which those of floats are differentiated.

    Arrays of floats go in as numbers of the format `dtype`.
    """

    arguments: tuple[AnyArray, ...]
    options: dict[str, Any]
    dtype: str

    @property
    def floating(self) -> tuple[int, ...]:
        """The places of the arguments that are differentiated."""
        return tuple(i for i, a in enumerate(self.arguments) if a.dtype.kind == "f")


@dataclass(frozen=True)
class AbstractImplementation(ABC):
    """A function of one library's arrays; results come back as NumPy arrays of floats."""

    function: Any
    limit_threads: Threads | None = None

    has_strides: ClassVar[bool]
    """Whether the library's arrays may be views, and be written to."""
    no_threads: ClassVar[str] = "nothing was given that sets its threads"

    @abstractmethod
    def inward(self, array: AnyArray, dtype: str) -> Any:
        """Return an array as the library's own; floats as numbers of the format `dtype`."""

    @abstractmethod
    def value(self, call: Call) -> AnyArray:
        """Return what the function returns."""

    @abstractmethod
    def vjp(self, call: Call, y_bar: AnyArray) -> tuple[AnyArray, ...]:
        """Return the gradients in all arguments of floats, for a cotangent like the value."""

    @abstractmethod
    def jvp(self, call: Call, tangents: tuple[AnyArray, ...]) -> AnyArray:
        """Return how the value changes along tangents of all arguments of floats."""

    @abstractmethod
    def hvp(
        self, call: Call, y_bar: AnyArray, tangents: tuple[AnyArray, ...]
    ) -> tuple[AnyArray, ...]:
        """Return how the gradients change along the tangents."""

    def given(self, call: Call) -> tuple[list[Any], dict[str, Any]]:
        """Return arguments and options as the library's own."""
        arguments = [self.inward(a, call.dtype) for a in call.arguments]
        options = {
            name: self.inward(value, call.dtype) if isinstance(value, np.ndarray) else value
            for name, value in call.options.items()
        }
        return arguments, options

    def threads(self, n: int) -> AbstractContextManager[Any]:
        """Limit the threads inside a with block."""
        if self.limit_threads is None:
            raise NotOffered(self.no_threads)
        return self.limit_threads(n)

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """The parameters of the function, by their names."""
        # A module can be called with anything; it is its forward that says what it takes.
        function = getattr(self.function, "forward", self.function)
        try:
            return inspect.signature(function).parameters
        except (TypeError, ValueError):  # of code that is not Python
            return {}

    def takes(self, option: str) -> bool:
        """Whether the function has a parameter of this name, or takes any."""
        any_name = (p.kind is p.VAR_KEYWORD for p in self.parameters.values())
        return option in self.parameters or any(any_name)
