"""Results on a page: what was measured, on which machine, and every goal that is missed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from softgrad.bench.measurement import Measured, Measurement, best, named
from softgrad.bench.result import Benchmark
from softgrad.bench.tables import ABSENT, verdict_text
from softgrad.files import rewrite_between

__all__ = ["END", "START", "markdown", "rewrite", "table"]

START, END = "<!-- benchmarks:start -->", "<!-- benchmarks:end -->"

_ERRORS = (
    "Errors are those of confident rows, where 1 − p is 1e-9, relative to the row's gradient: at "
    "1e+00 no digit is right."
)
_TIMES = ("work", "shape", "way", "ms", "over the floor", "best peer", "its ms", "speed-up",
          "error", "peer's", "goals")  # fmt: skip
_MEMORY = ("peak memory beyond inputs and outputs", "way", "MiB")


def rewrite(page: Path, results: Path) -> None:
    """Put the table of the results between the markers of a page.

    Raises
    ------
    ValueError
        The results were quick ones, or the page does not have each marker once.
    """
    result = Benchmark.from_dict(json.loads(results.read_text(encoding="utf-8")))
    if result.quick:
        raise ValueError(f"{results}: expected results of a whole run, got those of --quick")
    rewrite_between(page, START, END, markdown(result))


def markdown(result: Benchmark) -> str:
    """Return the results as a page shows them."""
    timed = [row for case in result.cases for row in _timed_rows(case)]
    memory = [row for case in result.cases for row in _memory_rows(case)]
    missed = [f"- {line}" for line in _missed(result)]
    parts = [
        f"Measured on {result.machine}. Medians, float32. {_ERRORS}",
        *([table(_TIMES, timed)] if timed else []),
        *([table(_MEMORY, memory)] if memory else []),
        *(["Goals that are missed:", "\n".join(missed)] if missed else []),
    ]
    return "\n\n".join(parts)


def _timed_rows(case: Measured) -> Iterator[tuple[str, ...]]:
    """Yield a row for each way of softgrad's."""
    if case.suite == "memory":
        return
    peer = best(m for m in case.measurements if m.role == "peer")
    for ours in (m for m in case.measurements if m.role == "ours"):
        floor = ours.over(named(case.measurements, ours.floor))
        holds = [v.holds for v in case.verdicts if v.way == ours.way and v.holds is not None]
        yield (
            case.suite,
            case.shape,
            ours.way,
            _ms(ours),
            ABSENT if floor is None else f"{floor:.2f} × {ours.floor}",
            peer.way if peer else ABSENT,
            _ms(peer),
            ABSENT if peer is None else _ratio(peer.over(ours)),
            _error(ours),
            _error(peer),
            "missed" if False in holds else "hold" if holds else ABSENT,
        )


def _memory_rows(case: Measured) -> Iterator[tuple[str, ...]]:
    """Yield a row for each way, if the case is one of memory."""
    for m in case.measurements if case.suite == "memory" else ():
        yield case.shape, m.way, ABSENT if m.mebibytes is None else f"{m.mebibytes:.0f}"


def _missed(result: Benchmark) -> Iterator[str]:
    for case in result.cases:
        for verdict in case.verdicts:
            if verdict.holds is False:
                yield f"{case.suite}, {case.shape}: {verdict_text(verdict)}"


def table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table as a page shows it."""
    lines = [columns, ("---",) * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _ms(m: Measurement | None) -> str:
    if m is None or m.seconds is None:
        return ABSENT
    ms = 1e3 * m.seconds
    return f"{ms:.3g}" if ms < 1000 else f"{ms:,.0f}"


def _ratio(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.2f} ×"


def _error(m: Measurement | None) -> str:
    return ABSENT if m is None or m.confident_error is None else f"{m.confident_error:.0e}"
