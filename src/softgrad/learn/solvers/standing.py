"""How far a run of a solver has come, and when that is far enough."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from softgrad.arrays import Array
from softgrad.learn.checkpoint import Arrays, Numbers, State
from softgrad.learn.objective import Objective
from softgrad.learn.solvers.iterate import NOTHING, Iterate, Memory, Point, Settings, Step
from softgrad.learn.solvers.line_search import rounding

__all__ = ["Standing"]

_PATIENCE = 8
"""Steps in a row that may bring nothing that is more than rounding."""

_SOLVER, _NUMBERS = "solver.", ("best", "idle", "done", "gap")
"""How a checkpoint calls what a solver knows, and which numbers it holds."""


@dataclass(frozen=True, eq=False)
class Standing:
    """How far a run has come: all that decides how it goes on."""

    point: Point
    memory: Memory
    best: float
    """The least value so far, but for rounding."""

    idle: int = 0
    """Steps since then."""

    done: int = 0
    """Steps in all."""

    gap: float = 0.0
    """What f − f* seemed to be before the last one."""

    steps: tuple[Step, ...] = ()

    @classmethod
    def at(cls, objective: Objective, start: Array) -> Standing:
        """Return the beginning of a run.

        A start that does worse than coefficients of 0 is none: where it is sure and wrong, nothing
        but its penalty has a curvature, and Newton's steps lead nowhere.
        """
        point = Point.of(objective, start - start.mean(axis=0))
        if start.any():
            blank = Point.of(objective, objective.start)
            point = point if point.value <= blank.value else blank
        return cls(point, NOTHING, point.value)

    def after(self, objective: Objective, iterate: Iterate) -> Standing:
        """Return where the run stands after a step."""
        point, gap, memory = iterate
        best, idle = self.best, self.idle + 1
        if point.value < best - rounding(objective, best):
            best, idle = point.value, 0
        step = Step(self.done + 1, point.value, gap)
        return Standing(point, memory, best, idle, step.number, gap, (*self.steps, step))

    def ended(self, settings: Settings) -> bool:
        """Say whether the run is at its end."""
        if self.done == 0:
            return False
        arrived = self.gap <= settings.tol * self.point.value
        return arrived or self.idle >= _PATIENCE or self.done >= settings.max_iter

    def state(self) -> State:
        """Return it as arrays and numbers, for a checkpoint."""
        told = np.array([(step.objective, step.gap) for step in self.steps])
        arrays = {"theta": self.point.theta, "steps": told}
        arrays |= {f"{_SOLVER}{name}": array for name, array in self.memory.items()}
        return arrays, {name: getattr(self, name) for name in _NUMBERS}

    @classmethod
    def recalled(cls, objective: Objective, arrays: Arrays, numbers: Numbers) -> Standing:
        """Return what `state` wrote down: value and gradient are computed again, to the bit."""
        memory = {
            name.removeprefix(_SOLVER): array
            for name, array in arrays.items()
            if name.startswith(_SOLVER)
        }
        point = Point.of(objective, arrays["theta"])
        told = enumerate(arrays["steps"].tolist(), start=1)
        steps = tuple(Step(number, value, gap) for number, (value, gap) in told)
        return cls(point, memory, **{name: numbers[name] for name in _NUMBERS}, steps=steps)
