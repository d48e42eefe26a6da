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
        moved = int(np.flatnonzero(order != np.arange(order.size))[0])
        own, other = (_index(view.x.shape, place) for place in (order[moved], moved))
        text = f"The gradient's numbers stand in other places: what is entry {own}'s is at {other}."
        yield Guess(f"gradient {order.tolist()}", view.J[:, order], text)
    order = _order(view.A.T, view.J.T)
    if order is not None and view.y is not None:
        moved = int(np.flatnonzero(order != np.arange(order.size))[0])
        own, other = (_index(view.y.shape, place) for place in (order[moved], moved))
        text = f"The incoming gradient is used in another order: entry {other} as if it were {own}."
        yield Guess(f"cotangent {order.tolist()}", view.J[order], text)


def _order(A: Matrix, J: Matrix) -> NDArray[np.intp] | None:
    """Return the order in which J's columns are A's; None where they are not, or stand as in A."""
    size = np.sqrt(len(J)) * rms(J)
    if not size or np.unique(np.round(J / size, 5), axis=1).shape[1] < _LEAST:
        return None
    left = np.ones(J.shape[1], bool)
    order = np.arange(J.shape[1])
    apart = [i for i in order if np.linalg.norm(A[:, i] - J[:, i]) > _NEAR * size]
    left[[i for i in order if i not in set(apart)]] = False
    for i in apart:
        near = np.linalg.norm(J[:, left] - A[:, [i]], axis=0) <= _NEAR * size
        if not near.any():
            return None
        order[i] = np.flatnonzero(left)[np.argmax(near)]
        left[order[i]] = False
    return order if len(apart) >= _LEAST else None


def _index(shape: tuple[int, ...], place: int) -> str:
    return ", ".join(map(str, np.unravel_index(place, shape))).join("[]")


PERMUTED = Hypothesis(
    "axis", "A = J·P or P·J", "entries that J has nowhere", _permuted, factor=False, costly=True
)
