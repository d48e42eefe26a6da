"""Subjects: a forward with a right backward, where it is checked, and lines edited to be wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Codes", "Edit", "Function", "Pair", "Rng", "Shape", "Subject", "codes", "edit"]

Array = NDArray[Any]
Codes = frozenset[str]
Function = Callable[..., Any]
Rng = np.random.Generator
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Pair:
    """A forward and a backward at one point."""

    forward: Function
    backward: Function
    inputs: tuple[Any, ...]

    @property
    def floating(self) -> tuple[int, ...]:
        """The places of the inputs that are differentiated."""
        return tuple(i for i, value in enumerate(self.inputs) if is_floating(value))

    @property
    def points(self) -> tuple[Array, ...]:
        """The inputs that are differentiated."""
        return tuple(self.inputs[place] for place in self.floating)

    def gradients(self, *arguments: Any) -> tuple[Any, ...]:
        """Run the backward; return its answers as a tuple, also where there is one."""
        return as_tuple(self.backward(*arguments))


@dataclass(frozen=True)
class Edit:
    """A right backward with a line changed, and the names that a careful reader would accept."""

    name: str
    codes: Codes
    backward: Function


@dataclass(frozen=True)
class Subject:
    """One operation: what every case about it has in common."""

    name: str
    forward: Function
    backward: Function
    """``backward(*inputs, cotangent)``; one answer for every floating-point input."""
    sample: Callable[[Rng, Shape, float], tuple[Any, ...]]
    """Inputs in float64 (and integers) for a size and a scale of the numbers."""
    shapes: tuple[Shape, ...]
    edits: tuple[Edit, ...] = ()
    also_right: Mapping[str, Function] = field(default_factory=dict)
    """Other formulas for the same gradient."""
    scales: tuple[float, ...] = (0.02, 1.0, 30.0)
    extremes: tuple[float, ...] = (1e-8,)
    """Further scales, of right cases alone."""
    accepts: Mapping[str, str] = field(default_factory=dict)
    """Names that hold here besides those of an operator, by the operator's name."""
    kinked: bool = False
    """Whether ties among the inputs are kinks."""
    masked: bool = False
    """Whether inputs may be infinite: these are not probed."""


def edit(name: str, accepted: str, backward: Function) -> Edit:
    """Return an edit; the accepted codes are words of one string."""
    return Edit(name, codes(accepted), backward)


def codes(accepted: str) -> Codes:
    """Return the words of a string as a set."""
    return frozenset(accepted.split())


def as_tuple(value: Any) -> tuple[Any, ...]:
    """Return a tuple as it is, and anything else as a tuple of one."""
    return value if isinstance(value, tuple) else (value,)


def is_floating(value: Any) -> bool:
    """Return whether a value is an array of numbers that are differentiated."""
    if not isinstance(value, np.ndarray):
        return False
    return value.dtype.kind == "f" or value.dtype.name == "bfloat16"
