"""Differences of the oracle's outputs along the probes, refined level by level."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from softgrad.checker.calls import Ended
from softgrad.checker.formats import narrowest
from softgrad.checker.oracle import Oracle
from softgrad.checker.probes import LEVELS, first_step
from softgrad.checker.richardson import Estimate, Table, norm, rms
from softgrad.checker.subject import Subject, Vector, flat, moved

__all__ = ["Differences", "Settled"]


_SMALL_STEPS = 2.0**-10, 2.0**-12
_DOWN = 8
"""Calls along one direction that small steps need to settle."""
_LEAST = 2.0**-13
"""The part of their own size by which outputs must move, when inputs do so by theirs."""


class Settled(NamedTuple):
    """Slopes along one direction, how far the last two agree, and the least that rounding makes."""

    value: Vector  # [C]
    gap: float
    rounding: float


class _Row(NamedTuple):
    """The outputs at a step forward, and the slope and the bend of the projected ones."""

    outputs: Vector
    behind: Vector
    """The outputs at the same step backward."""
    slope: Vector  # [C]
    bend: Vector  # [C]


class Differences:
    """Slopes of projected outputs along directions, refined level by level."""

    def __init__(
        self, subject: Subject, oracle: Oracle, directions: Vector, weights: Vector, calls: int
    ) -> None:
        self._subject = subject
        self._oracle = oracle
        self.directions = directions  # [D, inputs], fewer where calls are short
        self.weights = weights  # [C, outputs]
        self._calls = calls
        self.epsilon = oracle.epsilon
        self._step = first_step(oracle.epsilon)
        self._table = self._new_table()
        self._coarse: tuple[Table, float, Vector] | None = None
        """The table, the next step and the directions before small steps were tried."""
        self._ready: dict[float, _Row] = {}
        """What is known along the first direction already, by its step."""
        self.trouble: str | None = None
        """What the forward raised at the last point where it did."""
        self._jump = 0.0
        """The smallest move seen of the projected outputs, RMS over the cotangents."""
        self._frozen: float | None = None
        """The first step at which the outputs did not move at all, nor at any later one."""

    @property
    def scale(self) -> float:
        """RMS over the cotangents of ‖cotangent · output‖."""
        return norm(np.sqrt(np.mean(self.weights**2, axis=0)) * self._oracle.outputs)

    @property
    def _reach(self) -> float:
        """RMS over the cotangents of their norm."""
        return rms(self.weights) * math.sqrt(self.weights.shape[1])

    @property
    def hidden(self) -> float:
        """The slopes that rounding hides in a forward that has stopped moving, else 0.

        Outputs near zero may be what is left of larger numbers, and then move in jumps.
        """
        if self._frozen is None:
            return 0.0
        # If it has never moved, its outputs tell nothing: think of numbers near 1, in float32.
        jump = self._jump or 2 * max(self.epsilon, 2.0**-23) * self._reach
        return jump / (2 * self._frozen)

    def refine(self, enough: float, relative: float) -> Estimate | None:
        """Add levels until the bar is below `enough` + `relative`·slope, or the calls are spent.

        Slopes that are nothing to within their bar stop one level earlier, unless all is asked
        for (0 and 0): the call saved shows whether the forward is constant.
        """
        fine = self._refined(enough, relative)
        if self._coarse is None:
            return fine
        table, step, directions = self._coarse
        coarse = table.estimate()
        if coarse is None or (fine is not None and fine.bar <= coarse.bar):
            return fine
        self._table, self._step, self.directions = table, step, directions
        return coarse

    def _refined(self, enough: float, relative: float) -> Estimate | None:
        patient = enough == relative == 0
        while True:
            estimate, levels = self._table.estimate(), len(self._table.rows)
            if estimate:
                size = rms(estimate.value)
                close = estimate.bar <= enough + relative * size
                nothing = not patient and size <= estimate.bar and levels == LEVELS - 1
                if close or nothing or levels == LEVELS:
                    return estimate
            if self.spare < 2 * len(self.directions):
                return estimate
            self._add_level()
            before = self._table, self._step, self.directions
            may_jump = self._coarse is None and self.spare >= _DOWN
            if may_jump and self._table.kinked_somewhere and self._jump_down():
                self._coarse = before
                self.thin_out()

    def settled(self, index: int) -> Settled | None:
        """Return slopes along one direction by four calls; None outside the domain.

        The steps are small; a kink within them bids the others be small.
        """
        table = self._new_table()
        for step in _SMALL_STEPS:
            row = self._first_row(step) if index == 0 else self._row(self.directions[index], step)
            if row is None:
                return None
            table.add(step, row.slope, row.bend)
        if table.kinked:
            self._jump_down()
        plain, extrapolated = table.rows[-1]
        rounding = table.floor / _SMALL_STEPS[-1]
        return Settled(extrapolated, rms(extrapolated - plain) + rounding, rounding)

    def take(self, directions: Vector) -> bool:
        """Take other directions if the forward is smooth over their steps, and moves there."""
        step, ready = self._step, dict[float, _Row]()
        slopes: list[Vector] = []
        while len(slopes) < 3:
            row = self._row(directions[0], step)
            if row is None:
                return False
            if not slopes and self._admit(_rounding(row.outputs)):
                return self.take(directions)
            slopes.append(row.slope)
            ready[step] = row
            step /= 4
            if len(slopes) == 2 and rms(slopes[1] - slopes[0]) > rms(slopes[1]) / 16:
                return False
        # An error in h² falls 16-fold; what varies over less than the steps does not.
        # Steps that are smaller than the usual ones see no less in any case.
        before, last = rms(slopes[1] - slopes[0]), rms(slopes[2] - slopes[1])
        converges = last <= max(before / 4, 256 * self.epsilon * self.scale / step)
        converges |= rms(directions[0]) < rms(self.directions[0])
        if not (converges and rms(slopes[2]) > _LEAST * self.scale):
            return False
        self.directions, self._ready = directions, ready
        return True

    @property
    def spare(self) -> int:
        """The calls of the forward that are left."""
        return self._calls - self._subject.forward_calls

    @property
    def rounding(self) -> float:
        """The rounding of an output."""
        return self.epsilon * float(np.abs(self._oracle.outputs).max(initial=0.0))

    @property
    def kink_steps(self) -> tuple[float, float]:
        """Two steps, so small that few kinks lie within them which are not at the point itself."""
        root = math.sqrt(self.epsilon)
        return max(_SMALL_STEPS[-1], 16 * root), max(2.0**-22, root)

    def first_sides(self, step: float) -> tuple[Vector, Vector] | None:
        """Return `sides` along the first direction, whose calls are not made again."""
        row = self._first_row(step)
        if row is None:
            return None
        if self._admit(_rounding(row.outputs)):
            return self.first_sides(max(step, self.kink_steps[0]))
        self._ready[step] = row
        return self._sides(row.outputs, row.behind, step)

    def sides(self, direction: Vector, step: float) -> tuple[Vector, Vector] | None:
        """Return every output's slope, and how much more it is ahead than behind."""
        plus, minus = self._run(direction * step), self._run(direction * -step)
        if plus is None or minus is None:
            return None
        return self._sides(plus, minus, step)

    def leave_out(self, places: NDArray[np.intp]) -> None:
        """Move these entries no more.

        Where some entries are on a kink, others may be near one: the steps begin smaller.
        """
        self._ready.clear()
        self._step = max(self._step / 64, self.kink_steps[0])
        self.thin_out()
        self.directions = self.directions.copy()
        self.directions[:, places] = 0.0

    def thin_out(self) -> None:
        """Keep as many directions as there are calls for."""
        count = min(max(self.spare // _DOWN, 1), len(self.directions))
        self.directions = self.directions[:count]

    def moves_with(self, places: NDArray[np.bool_]) -> bool:
        """Whether the outputs change when only the entries at these places are moved."""
        values = self._run(np.where(places, self.directions[0] * self._step, 0.0))
        return values is not None and self._differs(values)

    def varies_elsewhere(self) -> bool:
        """Whether the forward has another value at a distant point, or no call is left to tell."""
        for part in (1 / 64, 0.0):
            if self.spare < 1:
                return True
            shrunk = flat(self._oracle.points) * (part - 1)
            direction = self.directions[0]
            values = self._run(np.where(direction != 0, shrunk, 0.0) + direction)
            if values is None or self._differs(values):
                return True
        return False

    def _differs(self, values: Vector) -> bool:
        change = rms(self.weights @ (values - self._oracle.outputs))
        return change > math.sqrt(self.epsilon) * self.scale

    def _new_table(self) -> Table:
        # Outputs below the normal numbers are rounded to multiples of the smallest one.
        scale = self.scale
        return Table(max(self.epsilon * scale, 2.0**-1074 * self._reach) if scale else 0.0)

    def _add_level(self) -> None:
        slopes, bends = [], []
        fresh = not self._table.rows
        for place, direction in enumerate(self.directions):
            row = self._row(direction, self._step) if place else self._first_row(self._step)
            if row is None:
                # Out of the forward's domain: begin again with a much smaller step.
                self._table = self._new_table()
                self._step /= 64
                return
            if fresh and self._admit(_rounding(row.outputs)):
                return
            slopes.append(row.slope)
            bends.append(row.bend)
        self._watch([2 * self._step * rms(slope) for slope in slopes])
        self._table.add(self._step, np.stack(slopes), np.stack(bends))
        self._step /= 4

    def _first_row(self, step: float) -> _Row | None:
        return self._ready.pop(step, None) or self._row(self.directions[0], step)

    def _sides(self, plus: Vector, minus: Vector, step: float) -> tuple[Vector, Vector]:
        outputs = self._oracle.outputs
        return (plus - minus) / (2 * step), (plus + minus - 2 * outputs) / step

    def _row(self, direction: Vector, step: float) -> _Row | None:
        """Return differences along one direction; None outside the domain."""
        plus, minus = self._run(direction * step), self._run(direction * -step)
        if plus is None or minus is None:
            return None
        slope = self.weights @ (plus - minus) / (2 * step)
        bend = self.weights @ (plus + minus - 2 * self._oracle.outputs) / step
        return _Row(plus, minus, slope, bend)

    def _jump_down(self) -> bool:
        """Begin again, once, with steps so small that few kinks lie within them."""
        small = 16 * math.sqrt(self.epsilon)
        if small >= self._step:
            return False
        self._step = small
        self._table = self._new_table()
        return True

    def _watch(self, moves: list[float]) -> None:
        seen = [move for move in moves if move > 0]
        if seen:
            self._jump = min([*seen, self._jump or np.inf])
            self._frozen = None
        elif self._frozen is None:
            self._frozen = self._step

    def _run(self, move: Vector) -> Vector | None:
        """Return the outputs after a move, None where they are not finite."""
        points = moved(self._oracle.points, move)
        try:
            values = flat(self._subject.evaluate(points, self._oracle.function))
        except Ended as end:
            self.trouble = end.finding.message
            return None
        if values.size != self._oracle.outputs.size or not np.isfinite(values).all():
            return None
        return values

    def _admit(self, epsilon: float) -> bool:
        """Take a coarser rounding than was thought, and with it larger steps."""
        if epsilon <= self.epsilon:
            return False
        self.epsilon = epsilon
        self._step = first_step(epsilon)
        self._table = self._new_table()
        return True


def _rounding(values: Vector) -> float:
    """Return the epsilon of the narrowest dtype that holds all values, 0 where they are plain.

    A forward may compute in float32 and return float64: nothing but its numbers gives it away.
    """
    if np.isin(values, (-1.0, 0.0, 0.5, 1.0)).all():  # exact in every dtype: they prove nothing
        return 0.0
    return narrowest(values)
