"""What passes between solvers and the one loop that stops them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import numpy as np

from softgrad.arrays import Array
from softgrad.learn.objective import Objective

__all__ = ["NOTHING", "Iterate", "Memory", "Point", "Settings", "Solution", "Solver", "Step"]

Memory: TypeAlias = Mapping[str, Array]
"""All that a solver knows beside the point where it stands."""

NOTHING: Memory = MappingProxyType({})


class Point(NamedTuple):
    """Where a solver stands."""

    theta: Array  # [K, D+1]
    value: float
    gradient: Array  # [K, D+1]

    @classmethod
    def of(cls, objective: Objective, theta: Array) -> Point:
        theta = np.ascontiguousarray(theta)  # as it comes back from a file, which decides the bits
        return cls(theta, *objective.value_and_gradient(theta))


class Iterate(NamedTuple):
    """What a solver yields after a step."""

    point: Point
    gap: float
    """What f − f* seemed to be before the step: what it is now is less."""

    memory: Memory = NOTHING
    """With it and the point, the solver goes on as if it had never stopped, to the last bit."""


Solver: TypeAlias = Callable[[Objective, Point, Memory], Iterator[Iterate]]
"""It yields an iterate after every step, and ends only where rounding lets it go no further.

What it is given is where it stands: at the start with no memory, or an iterate that it yielded.
"""


@dataclass(frozen=True)
class Settings:
    """When to stop."""

    tol: float
    """The gap to reach, relative to f."""

    max_iter: int


@dataclass(frozen=True)
class Step:
    """A step of a convex solver, as histories and callbacks have it.

    Parameters
    ----------
    number : int
        From 1.
    objective : float
        Its value after the step.
    gap : float
        What it seemed to be above its minimum before the step.
    """

    number: int
    objective: float
    gap: float

    def __str__(self) -> str:
        return f"objective {self.objective:.6g}, at most {self.gap:.1e} to gain, it seems"


class Solution(NamedTuple):
    """Where a solver was stopped."""

    theta: Array  # [K, D+1]
    value: float
    iterations: int
    gap: float
    """What f − f* seemed to be before the last step."""

    bound: float
    """What f − f* is at most."""

    converged: bool

    steps: tuple[Step, ...]
    """All of them, those before a checkpoint too."""
