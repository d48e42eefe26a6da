"""Arrays that a function has bound: they take part in steps, and are told nothing of them.

``X.dot(W)`` is a method of X, which answers for a product that W alone would write down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import CellType, CodeType, FunctionType
from typing import Any

import numpy as np

from softgrad.checker.diagnosis.graph.traced import Tape

__all__ = ["rebound"]


def rebound(function: Callable[..., Any], tape: Tape) -> Callable[..., Any]:
    """Return a function like this one whose arrays write on the tape, and those that it calls.

    Arrays in cells and among the globals are meant; what a method finds in its object stays.
    """
    if not isinstance(function, FunctionType):
        return function
    copier = _Copier(tape)
    copy = copier.function(function)
    return copy if copier.found else function


class _Copier:
    """Copies functions, each once, with the names that they look up."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._seen: dict[int, Any] = {}
        self._kept: list[Any] = []
        """What was copied: while it lives, no other object has its id."""
        self.found = False
        """Whether there is an array at all."""

    def function(self, function: FunctionType) -> FunctionType:
        """Return a copy of a function."""
        if id(function) in self._seen:
            known: FunctionType = self._seen[id(function)]
            return known
        cells = tuple(CellType() for _ in function.__closure__ or ())
        names = self._names(function.__globals__)
        copy = FunctionType(
            function.__code__, names, function.__name__, function.__defaults__, cells
        )
        copy.__kwdefaults__ = function.__kwdefaults__
        self._seen[id(function)] = copy
        self._kept.append(function)
        for old, new in zip(function.__closure__ or (), cells, strict=True):
            try:
                new.cell_contents = self._value(old.cell_contents, function)
            except ValueError:  # it is empty yet
                continue
        for name in _looked_up(function.__code__):
            if name in function.__globals__:
                names[name] = self._value(function.__globals__[name], function)
        return copy

    def _names(self, original: dict[str, Any]) -> dict[str, Any]:
        if id(original) not in self._seen:
            self._seen[id(original)] = dict(original)
        names: dict[str, Any] = self._seen[id(original)]
        return names

    def _value(self, value: Any, owner: FunctionType) -> Any:
        if type(value) is np.ndarray and value.dtype == np.float64:
            self.found = True
            return self._tape.array(value, None)
        if isinstance(value, FunctionType) and value.__globals__ is owner.__globals__:
            return self.function(value)
        return value


def _looked_up(code: CodeType) -> Iterator[str]:
    """Yield the names that a function, and those within it, look up among the globals."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _looked_up(constant)
