"""What a library of tensors must say to have its functions read as functions of NumPy arrays."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from softgrad.checker.subject import AnyArray

if TYPE_CHECKING:
    from softgrad.checker.diagnosis.graph.traced import Tape

__all__ = ["IMPLICIT", "AbstractLibrary", "Function", "Lifted", "Unpacked", "leaves", "library_for"]

Function = Callable[..., Any]
IMPLICIT = (
    "The forward draws from a gamma or Dirichlet distribution, whose gradient {} takes implicitly: "
    "it is not the slope of the draw with the same random numbers, which differences see."
)
_FILES = {"torch": "softgrad.checker.subjects.torch", "jax": "softgrad.checker.subjects.jax"}


class Unpacked(NamedTuple):
    """A thing to be checked as a function, with all its inputs and their names."""

    name: str
    function: Function
    inputs: tuple[Any, ...]
    names: tuple[str, ...]


class AbstractLibrary(ABC):
    """Functions of one library's tensors, called with NumPy arrays.

    `arrays` below are all inputs, those that are no arrays among them.
    """

    remarks: list[str]
    """What the reader should know of how it was run."""

    @abstractmethod
    def read(self, name: str, value: Any) -> AnyArray | None:
        """Return a tensor or array as a NumPy array; None for what is handed on as it is.

        Raises
        ------
        TypeError
            `value`, an argument of that name, has a format that is not checked.
        """

    @abstractmethod
    def prepare(self, inputs: tuple[Any, ...], floating: tuple[int, ...]) -> None:
        """Take note of the inputs, and of the places of those that are differentiated."""

    @abstractmethod
    def call(self, function: Function, arrays: tuple[Any, ...], *cotangent: Any) -> Any:
        """Call a function of tensors; return a NumPy array, or a flat tuple of arrays and None.

        What it changes in its arguments is changed in the arrays. A cotangent may be a tuple.
        """

    @abstractmethod
    def automatic(self, function: Function) -> tuple[Function, Function | None]:
        """Return the VJP by the library's reverse mode, and one that reuses the last forward."""

    @abstractmethod
    def push(
        self, function: Function, arrays: tuple[Any, ...], tangents: tuple[AnyArray, ...]
    ) -> tuple[tuple[AnyArray, ...], tuple[AnyArray, ...]]:
        """Return outputs and their tangents by forward mode, past a rule of the function's own."""

    @abstractmethod
    def excuse(self, function: Function, arrays: tuple[Any, ...]) -> str | None:
        """Say why the library's own gradient is no slope of the function; None where it is one."""

    @abstractmethod
    def backward_of(self, function: Function) -> Function:
        """Return ``backward(*inputs, *cotangents)`` by reverse mode, itself differentiable."""

    @abstractmethod
    def follow(
        self, function: Function, arrays: tuple[Any, ...], tape: Tape, inputs: Sequence[int]
    ) -> list[int]:
        """Run a function in float64 and write its steps on a tape; return those it ends in.

        `inputs` are the steps that the differentiated inputs are, and what it returns that
        depends on none of them is a constant. A rule of the function's own is passed by.

        Raises
        ------
        Exception
            It cannot be followed.
        """


@dataclass(frozen=True)
class Lifted:
    """A function of tensors as a function of NumPy arrays."""

    native: Function
    library: AbstractLibrary
    only: int | None = None
    """The output that is returned alone, where it is one of several."""

    @property
    def __wrapped__(self) -> Function:
        return self.native

    def __call__(self, *arrays: Any) -> Any:
        result = self.library.call(self.native, arrays)
        if isinstance(result, tuple):
            outputs = tuple(output for output in result if output is not None)
            return outputs if self.only is None else outputs[self.only]
        return result

    def push(self, *arrays: Any, tangents: tuple[AnyArray, ...]) -> Any:
        """Return outputs and their tangents by forward mode."""
        outputs, slopes = self.library.push(self.native, arrays, tangents)
        return outputs[self._shown], slopes[self._shown]

    def follow(self, arrays: Sequence[Any], tape: Tape, inputs: Sequence[int]) -> list[int]:
        """Write the steps of a run on a tape; return those that the outputs are."""
        return self.library.follow(self.native, tuple(arrays), tape, inputs)[self._shown]

    @property
    def _shown(self) -> slice:
        return slice(None) if self.only is None else slice(self.only, self.only + 1)


def library_for(forward: Any, arguments: tuple[Any, ...]) -> Any:
    """Return the module of the library that a function or one of its arguments is of, or None.

    What is not loaded yet has made none of them.
    """
    for name, file in _FILES.items():
        if name in sys.modules:
            module = import_module(file)
            if module.is_function(forward) or any(map(module.is_tensor, leaves(arguments))):
                return module
    return None


def leaves(result: Any) -> Iterator[Any]:
    """Yield what is in nested tuples, lists and dictionaries."""
    if isinstance(result, Mapping):
        result = tuple(result.values())
    if isinstance(result, (tuple, list)):
        for part in result:
            yield from leaves(part)
    else:
        yield result
