"""Benchmark cases with made-up work and a clock that the work itself moves on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from softgrad.bench.exact import Exact
from softgrad.bench.measurement import Measured, Measurement, Role, Verdict
from softgrad.bench.timing import Effort
from softgrad.bench.work import Answer, Run, Way

EXACT = Exact(
    (np.array(1.5), np.array([[1e-9, -1e-9], [0.5, -0.5], [0.25, -0.25]])),
    confident_in=1,
    confident=slice(0, 1),
)
EFFORT = Effort(seconds=100.0, least=3, most=5, settle=0.0, calls=1)


@dataclass
class Clock:
    """Time that passes only when someone works."""

    now: float = 0.0
    order: list[str] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def work(self, name: str, durations: Iterator[float], answer: Answer) -> Run:
        """Return a run that takes the next of the durations."""

        def run() -> Answer:
            self.order.append(name)
            self.now += next(durations)
            return answer

        return run


def right(off: float = 0.0, confident: float = 0.0) -> Answer:
    """Return the exact answer, but for its largest entry and for its confident row."""
    loss, gradient = (array.copy() for array in EXACT.arrays)
    gradient[1, 0] *= 1 + off
    gradient[0] *= 1 + confident
    return loss, gradient


def way(name: str, role: Role, run: Run, library: str = "", floor: str = "") -> Way:
    """Return a way that is compared with the exact answer, unless it is a floor."""
    exact = None if role == "floor" else lambda: EXACT
    return Way(name, role, library or name, lambda: run, exact, floor)


OURS = Measurement(
    "softgrad", "ours", "softgrad", "copy", seconds=2e-3, error=1e-7, confident_error=6e-8
)
PEER = Measurement(
    "PyTorch", "peer", "PyTorch", "copy", seconds=7e-3, error=2e-7, confident_error=1.0
)
SLOW = Measurement("JAX jit", "peer", "JAX", "copy", seconds=9e-3, error=2e-7, confident_error=1.0)
ABSENT = Measurement("SciPy", "peer", "SciPy", "copy", problem="not available: no scipy")
FLOOR = Measurement("copy", "floor", "NumPy", seconds=1e-3)
ALL = (OURS, PEER, SLOW, ABSENT, FLOOR)
CASE = Measured(
    "cross-entropy",
    "8 × 3",
    7,
    ALL,
    (
        Verdict("softgrad", "≥ 3 × as fast as PyTorch", 3.5, True),
        Verdict("softgrad", "≤ 1.5 × copy", 2.0, False),
        Verdict("softgrad", "≥ 1 × as fast as SciPy", None, None),
    ),
)
MEMORY = Measured(
    "memory", "4 × 2 × 8", 1, (Measurement("softgrad", "ours", "softgrad", mebibytes=71.6),), ()
)
