"""How a twin is laid out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["AGAIN", "Plan", "Shape"]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """How the shapes of a twin follow from those of the original."""

    name: str
    reshape: Callable[[Shape], Shape]
    sizes: dict[int, int]
    """The length of an axis in the twin, by its length in the original."""
    fresh: bool = True
    """Whether the numbers are drawn anew, at a scale of 1."""
    spare: bool = False
    """Whether it is only for functions that take no other sizes."""


AGAIN = Plan("the same shapes", lambda shape: shape, {})
