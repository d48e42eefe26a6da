"""Ties that no line through the point shows, as the median's where three entries are equal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from softgrad.checker.differences import Differences
from softgrad.checker.richardson import rms
from softgrad.checker.subject import Vector

__all__ = ["alike", "hidden_tie", "only"]

_LOOSE = 2.0**-8
"""Slopes are alike to this part: steps are so small that curvature bends them by far less."""
_HIDDEN = (
    "Where {} entries of one value move apart, the slopes of the forward do not add up: it has a "
    "tie there, as a median of three that are equal, and is not differentiable. The gradient "
    "agrees with it where they move together, and at all others: check with these entries apart."
)


def alike(values: Vector, places: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Return the places of one value, where there are several."""
    order = places[np.argsort(values[places], kind="stable")]
    ends = np.flatnonzero(np.diff(values[order])) + 1
    return [group for group in np.split(order, ends) if group.size > 1]


def hidden_tie(values: Vector, differences: Differences, gradients: Vector) -> str | None:
    """Say that a tie explains a gradient that is not the slope; None where it does not.

    The middle one of three moves is as smooth along a line as a linear function, and the middle of
    sums is not the sum of middles. So slopes along parts of a move must add up to that of the
    whole. `values` are those of the inputs, and `gradients` [C, inputs] what the backward gives.
    """
    size = np.abs(differences.directions[0])
    groups = [group for group in alike(values, np.flatnonzero(size)) if group.size > 2]
    if not groups:
        return None
    groups = [group[np.argsort(size[group], kind="stable")] for group in groups]
    tied = np.concatenate(groups)
    # All to one side, every second by size without the others: no order statistic of these adds up.
    whole = only(size, tied)
    part = only(size, np.concatenate([group[::2] for group in groups]))
    slopes = _slopes(differences, (whole, part, whole - part))
    if slopes is None or _same(slopes[0], slopes[1] + slopes[2], differences):
        return None
    together = np.zeros_like(size)
    for group in groups:
        together[group] = size[group[0]]
    others = differences.directions[0] - only(differences.directions[0], tied)
    slopes = _slopes(differences, (together, others))
    if slopes is None:
        return None
    for move, slope in zip((together, others), slopes, strict=True):
        if not _same(gradients @ move, differences.weights @ slope, differences):
            return None
    return _HIDDEN.format(tied.size)


def only(direction: Vector, places: NDArray[np.intp]) -> Vector:
    """Return a direction in which these entries alone move."""
    move = np.zeros_like(direction)
    move[places] = direction[places]
    return move


def _slopes(differences: Differences, moves: Sequence[Vector]) -> list[Vector] | None:
    """Return every output's slope along each move, with the smallest steps there are."""
    seen = [differences.sides(move, differences.kink_steps[1]) for move in moves]
    slopes = [sides[0] for sides in seen if sides is not None]
    return slopes if len(slopes) == len(moves) else None


def _same(one: Vector, other: Vector, differences: Differences) -> bool:
    rounding = 64 * differences.rounding / differences.kink_steps[1]
    return rms(one - other) <= _LOOSE * max(rms(one), rms(other)) + rounding
