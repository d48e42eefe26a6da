"""What came of a case: a measurement for every way, a verdict for every goal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Measured", "Measurement", "Role", "Verdict", "best", "named"]

Role: TypeAlias = Literal["ours", "peer", "floor"]


@dataclass(frozen=True)
class Measurement:
    """One way: its time and its errors, or why it has none."""

    way: str
    role: Role
    library: str
    floor: str = ""
    work: float = 1.0
    seconds: float | None = None
    error: float | None = None
    """The largest, relative to the largest entry."""
    confident_error: float | None = None
    """On rows where 1 − p is 1e-9, relative to the largest entry of the row."""
    mebibytes: float | None = None
    """Peak memory beyond inputs and outputs."""
    problem: str = ""
    """Why there is no time."""
    wrong: bool = False
    """Whether the way was taken and its answer refused."""

    def over(self, other: Measurement | None) -> float | None:
        """Return how many times as long as another way this one takes."""
        if other is None or self.seconds is None or other.seconds is None:
            return None
        return self.seconds / other.seconds


@dataclass(frozen=True)
class Verdict:
    """A goal, what was measured, and whether the goal holds; None where nothing was measured."""

    way: str
    goal: str
    value: float | None
    holds: bool | None


@dataclass(frozen=True)
class Measured:
    """A case with what came of it."""

    suite: str
    shape: str
    rounds: int
    measurements: tuple[Measurement, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def wrong(self) -> bool:
        """Whether an answer of softgrad's own was refused; then nothing was timed."""
        return any(m.wrong and m.role == "ours" for m in self.measurements)


def best(measurements: Iterable[Measurement]) -> Measurement | None:
    """Return the fastest of those that have a time."""
    timed = [m for m in measurements if m.seconds is not None]
    return min(timed, key=lambda m: m.seconds or 0.0, default=None)


def named(measurements: Sequence[Measurement], way: str) -> Measurement | None:
    """Return the measurement of a way, if there is one."""
    return next((m for m in measurements if m.way == way), None)
