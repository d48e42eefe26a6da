"""Peak memory of the head beyond inputs and outputs: a process for every way, and one without."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from softgrad.bench.measurement import Measured, Measurement, Role, Verdict
from softgrad.bench.ways import head

__all__ = ["memory_cases"]

LIMIT = 96.0  # MiB
SHAPES = ((4096, 512, 32768), (128, 64, 1_000_000))  # N, D, K
QUICK_SHAPES = ((512, 64, 16384),)
WAYS: tuple[tuple[str, Role, str], ...] = (
    (head.NUMPY, "ours", "softgrad"),
    (head.TORCH, "ours", "softgrad"),
    ("PyTorch", "peer", "PyTorch"),
    ("PyTorch chunked, as it comes", "peer", "PyTorch"),
    ("PyTorch chunked, 1024 rows", "peer", "PyTorch"),
)
_SECONDS = 300


def memory_cases(quick: bool) -> Iterator[Measured]:
    """Yield what every way needs at every shape."""
    for shape in QUICK_SHAPES if quick else SHAPES:
        ways = WAYS[:1] if quick else WAYS
        found = tuple(_measure(way, role, library, shape) for way, role, library in ways)
        ours = (m for m in found if m.role == "ours" and not quick)
        yield Measured("memory", " × ".join(map(str, shape)), 1, found, tuple(map(_judge, ours)))


def _judge(found: Measurement) -> Verdict:
    memory = found.mebibytes
    goal = f"≤ {LIMIT:g} MiB beyond inputs and outputs"
    return Verdict(found.way, goal, memory, None if memory is None else memory <= LIMIT)


def _measure(way: str, role: Role, library: str, shape: tuple[int, ...]) -> Measurement:
    """Return the peak of a process that runs the way, less that of one that only holds arrays."""
    try:
        _peak(way=way, shape=shape, run=False)  # what is compiled once in a machine's life
        peaks = [_peak(way=way, shape=shape, run=run) for run in (True, False)]
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        wrong = not str(error).startswith("not available")
        return Measurement(way, role, library, problem=str(error), wrong=wrong)
    return Measurement(way, role, library, mebibytes=(peaks[0] - peaks[1]) / 2**20)


def _peak(**what: Any) -> int:
    """Return the peak resident memory of a child, in bytes."""
    done = subprocess.run(
        [sys.executable, "-m", "softgrad.bench.child", json.dumps(what)],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
        raise RuntimeError(lines[-1])
    return int(done.stdout)
