"""What f − f* seems to be to a solver that does not know the Hessian."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

__all__ = ["GapEstimate"]

_DOUBT = 8
"""Times half the squared decrement, the largest of three: it was low by up to six in trials with
the Kronecker metric, and by hundreds with a diagonal one, where the pace says more."""

_LAP = 10
"""Steps over which the pace is measured."""

_PACE_DOUBT = 3
"""Times what is left to gain if every lap gains the same share of the one before."""


class GapEstimate:
    """An estimate from the steps so far: large rather than small.

    It begins with the value at the start, or goes on with the values and decrements of another.
    """

    def __init__(self, values: Iterable[float], decrements: Iterable[float] = ()) -> None:
        self.values = deque(values, maxlen=2 * _LAP + 1)
        self.decrements = deque(decrements, maxlen=3)

    def after(self, decrement: float, value: float) -> float:
        """Return f − f* after a step of half that squared decrement, to that value."""
        self.decrements.append(decrement)
        self.values.append(value)
        return max(_DOUBT * max(self.decrements), _PACE_DOUBT * self._left_at_this_pace())

    def _left_at_this_pace(self) -> float:
        """Return the sum of the geometric series that the last two laps begin."""
        values = self.values
        if len(values) < 2 * _LAP + 1:
            return 0.0
        before, latest = values[0] - values[_LAP], values[_LAP] - values[-1]
        share = min(latest / before, 0.95) if before > 0 else 0.95
        return latest * share / (1 - share)
