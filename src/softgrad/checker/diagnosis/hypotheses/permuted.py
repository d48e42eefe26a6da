"""Right numbers in other places, in any order: halves swapped, pairs interleaved, and others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from softgrad.checker.diagnosis.hypotheses.base import Guess, Hypothesis
from softgrad.checker.diagnosis.jacobians import Matrix
from softgrad.checker.diagnosis.view import View
from softgrad.checker.richardson import rms

__all__ = ["PERMUTED"]

_NEAR = 1e-6
"""Columns are the same that differ by this part of all of them."""
_LEAST = 4
"""Fewer columns than these are in another order by luck."""


def _permuted(view: View) -> Iterator[Guess]:
    order = _order(view.A, view.J)
    if order is not None:
        own, other = _first_moved(order, view.x.shape)
        text = f"The gradient's numbers stand in other places: what is entry {own}'s is at {other}."
        yield Guess(f"gradient {order.tolist()}", view.J[:, order], text)
    order = _order(view.A.T, view.J.T)
    if order is not None and view.y is not None:
        own, other = _first_moved(order, view.y.shape)
        text = f"The incoming gradient is used in another order: entry {other} as if it were {own}."
        yield Guess(f"cotangent {order.tolist()}", view.J[order], text)


def _order(A: Matrix, J: Matrix) -> NDArray[np.intp] | None:
    """Return the order in which J's columns are A's; None where they are not, or stand as in A."""
    size = np.sqrt(len(J)) * rms(J)
    if not size or np.unique(np.round(J / size, 5), axis=1).shape[1] < _LEAST:
        return None
    order, left = np.arange(J.shape[1]), np.linalg.norm(A - J, axis=0) > _NEAR * size
    apart = np.flatnonzero(left)
    for i in apart:
        near = np.linalg.norm(J[:, left] - A[:, [i]], axis=0) <= _NEAR * size
        if not near.any():
            return None
        order[i] = np.flatnonzero(left)[np.argmax(near)]
        left[order[i]] = False
    return order if apart.size >= _LEAST else None


def _first_moved(order: NDArray[np.intp], shape: tuple[int, ...]) -> tuple[str, str]:
    """Return the indices of the first entry that is another's: the other's, and its own."""
    moved = int(np.flatnonzero(order != np.arange(order.size))[0])
    indices = (np.unravel_index(place, shape) for place in (order[moved], moved))
    own, other = (", ".join(map(str, index)).join("[]") for index in indices)
    return own, other


PERMUTED = Hypothesis(
    "axis", "A = J·P or P·J", "entries that J has nowhere", _permuted, factor=False, costly=True
)
