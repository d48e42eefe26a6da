"""What a promise is: a sentence, and a function that measures how far an implementation is off."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from softgrad.promises.subject import Subject

__all__ = ["Measured", "Promise"]


class Measured(NamedTuple):
    """How far off an answer was, and at which point."""

    figure: float
    at: str


@dataclass(frozen=True)
class Promise:
    """Kept where no figure that `measure` yields is above `at_most`; NaN is above everything.

    `measure` raises `NotOffered` where the implementation has not what the promise is about. What
    it had measured until then counts.
    """

    name: str
    says: str
    """One sentence for users."""
    suites: tuple[str, ...]
    unit: str
    at_most: float
    measure: Callable[[Subject], Iterable[Measured]]
