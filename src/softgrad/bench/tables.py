"""A measured case as blocks: a row for each way, what could not be timed, the verdicts."""

from __future__ import annotations

from collections.abc import Iterator

from softgrad.bench.measurement import Measured, Measurement, Verdict, named
from softgrad.results import Block, Paragraph, Table, Tone, counted

__all__ = ["ABSENT", "case_blocks", "verdict_text"]

ABSENT = "—"

Cell = str | float


def case_blocks(case: Measured) -> Iterator[Block]:
    """Yield what a reader sees of a case."""
    if case.suite == "memory":
        yield Table(("way", "MiB"), _memory_rows(case), f"peak memory of the head, {case.shape}")
    else:
        title = f"{case.suite}, {case.shape}, float32, {counted(case.rounds, 'round')}"
        yield Table(_COLUMNS, tuple(_row(m, case) for m in case.measurements), title)
    for m in case.measurements:
        if m.problem:
            yield Paragraph(f"• {m.way}: {m.problem}", "bad" if m.wrong else "quiet")
    if case.wrong:
        yield Paragraph("• softgrad is wrong here: nothing was timed.", "bad")
    for verdict in case.verdicts:
        yield Paragraph(f"• {verdict_text(verdict)}", _TONES[verdict.holds])


_COLUMNS = ("way", "ms", "× floor", "× softgrad", "error", "confident")
_TONES: dict[bool | None, Tone] = {True: "good", False: "bad", None: "quiet"}


def verdict_text(verdict: Verdict) -> str:
    """Say a goal and what came of it."""
    words = {True: "holds", False: "missed", None: "not measured"}
    value = "" if verdict.value is None else f" {verdict.value:.3g}:"
    return f"{verdict.way}: {verdict.goal}:{value} {words[verdict.holds]}"


def _row(m: Measurement, case: Measured) -> tuple[Cell, ...]:
    ours = next((o for o in case.measurements if o.role == "ours"), None)
    return (
        m.way,
        _cell(None if m.seconds is None else 1e3 * m.seconds),
        _cell(m.over(named(case.measurements, m.floor))),
        _cell(m.over(ours)),
        _error(m.error),
        _error(m.confident_error),
    )


def _memory_rows(case: Measured) -> tuple[tuple[Cell, ...], ...]:
    return tuple((m.way, _cell(m.mebibytes)) for m in case.measurements)


def _cell(value: float | None) -> Cell:
    return ABSENT if value is None else value


def _error(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.0e}"
