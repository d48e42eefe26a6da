"""What is measured: a case is one piece of work, and the ways to do it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from softgrad.bench.exact import Exact
from softgrad.bench.goals import Goal
from softgrad.bench.measurement import Role

__all__ = ["Answer", "Case", "Run", "UnavailableError", "Way"]

Answer: TypeAlias = tuple[Any, ...]
"""Arrays of any library that NumPy can look at."""
Run: TypeAlias = Callable[[], Answer]


class UnavailableError(Exception):
    """A way cannot be taken on this machine; the message says why."""


@dataclass(frozen=True)
class Way:
    """One way to do the work of a case."""

    name: str
    role: Role
    library: str
    prepare: Callable[[], Run]
    """Make buffers, compile, and return what is timed. One that raises is shown without a time."""
    exact: Callable[[], Exact] | None = None
    """The answer in float64; a floor has none."""
    floor: str = ""
    """The floor that this way is measured against."""
    work: float = 1.0
    """In units of one's own choice; the ways of a case may differ in it."""


@dataclass(frozen=True)
class Case:
    """One piece of work of one shape."""

    suite: str
    shape: str
    ways: tuple[Way, ...]
    goals: tuple[Goal, ...] = ()
