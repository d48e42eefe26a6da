"""The right derivative at another point: of the opposite sign, scaled, rows rolled."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from softgrad.checker.diagnosis.hypotheses.base import Guess, Hypothesis
from softgrad.checker.diagnosis.jacobians import Matrix, Unusable
from softgrad.checker.diagnosis.view import View
from softgrad.checker.richardson import rms
from softgrad.checker.subject import AnyArray, Arrays

__all__ = ["ANOTHER_POINT"]

_MOVES: dict[str, Callable[[AnyArray], AnyArray]] = {
    "−x": lambda x: -x,
    "2·x": lambda x: 2 * x,
    "x/2": lambda x: x / 2,
    "0": lambda x: 0 * x,
    "1": np.ones_like,
    "x, its rows rolled by one": lambda x: np.roll(x, 1, 0) if x.ndim else x,
}


def _another_point(view: View) -> Iterator[Guess]:
    slopes = np.abs(view.J[view.pattern != 0])
    if slopes.size == 0 or np.ptp(slopes) <= 1e-6 * slopes.max():
        return  # a map made of pieces of one slope: its points are told apart by the pieces alone
    for name, move in _MOVES.items():
        everywhere = tuple(map(move, view.spot.points))
        for whose, points in (("", everywhere), (" alone", view.at(move(view.x)))):
            J = _jacobian(view, points)
            # Where this point has the same derivative, it explains nothing.
            if J is not None and rms(J - view.J) > 1e-6 * view.true_size:
                text = f"The derivative is right, and taken at another point: at {name}."
                yield Guess(f"at {name}{whose}", J, text)
            if len(everywhere) == 1:
                break


def _jacobian(view: View, points: Arrays) -> Matrix | None:
    """Return J there, if it may explain A: one direction tells, before all are asked for."""
    direction = np.random.default_rng(0).uniform(0.5, 1.5, view.x.size)
    try:
        slope = view.spot.slope(view.where, points, direction)[0]
        wanted = view.A @ direction
        if rms(wanted - slope) > 1e-3 * rms(wanted):
            return None
        return view.jacobian_at(points)
    except Unusable:
        return None


ANOTHER_POINT = Hypothesis(
    "wrong-variable",
    "A = J(x′)",
    "J(x′), which is measured",
    _another_point,
    factor=False,
    costly=True,
)
