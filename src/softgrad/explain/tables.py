"""The part of long arrays that a table shows, and lists of places in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from softgrad.explain.arguments import Vector
from softgrad.results import number

__all__ = ["as_row", "largest", "listed", "milestones", "part_of"]


def largest(magnitudes: Vector, count: int, always: int | None = None) -> list[int]:
    """Return the places of the largest entries, in order, `always` among them."""
    order = np.argsort(-magnitudes, kind="stable").tolist()
    if always is not None:
        order.remove(always)
        order.insert(0, always)
    return sorted(order[:count])


def part_of(shown: Sequence[int], total: int, what: str) -> str:
    """Say that a table shows a part, and which: "" where it shows all."""
    return "" if len(shown) == total else f" ({len(shown)} of {total} {what})"


def listed(singular: str, places: Sequence[int] | NDArray[np.intp]) -> str:
    """Write places as words, many of them as a count.

    >>> listed("row", [1]), listed("row", [0, 2, 3]), listed("row", range(40))
    ('row 1', 'rows 0, 2 and 3', '40 rows')
    """
    names = [str(int(place)) for place in places]
    if len(names) == 1:
        return f"{singular} {names[0]}"
    if len(names) > 6:
        return f"{len(names)} {singular}s"
    return f"{singular}s {', '.join(names[:-1])} and {names[-1]}"


def as_row(values: Vector) -> str:
    """Write numbers with commas between them."""
    return ", ".join(map(number, values.tolist()))


def milestones(last: int) -> list[int]:
    """Return 0, 1, 2, 5, 10, 20, 50, … and the last step.

    >>> milestones(30)
    [0, 1, 2, 5, 10, 20, 30]
    """
    steps, decade = [0], 1
    while decade < last:
        steps += [step for step in (decade, 2 * decade, 5 * decade) if step < last]
        decade *= 10
    return [*steps, last]
