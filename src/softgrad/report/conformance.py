"""The page of promises: which an implementation keeps, which it breaks, and where."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from softgrad.promises import Conformance, Outcome
from softgrad.promises.result import VERDICTS
from softgrad.report.dots import Dot, DotWords, dot_chart
from softgrad.report.page import Figure, Fold, Page, Section
from softgrad.report.scales import pretty
from softgrad.report.sentences import named
from softgrad.results import Block, Paragraph, Table, Tone, counted

__all__ = ["conformance_page", "promises_figure"]

_WORDS = DotWords(
    "measured, as a part of what is allowed", "allowed", "not measured", "promises", least=1e-3
)
_TONES: dict[str, Tone] = {"kept": "good", "broken": "bad"}


def conformance_page(results: Sequence[Conformance], command: str = "") -> Page:
    """Return the page of one implementation's promises, in one suite or several.

    Parameters
    ----------
    results : sequence of Conformance
        At least one.
    command : str
        What repeats the measurement.

    Returns
    -------
    Page
        For `softgrad.report.page.write`.
    """
    outcomes = [outcome for result in results for outcome in result.outcomes]
    name = named(results[0].implementation)
    counts = Counter(outcome.verdict for outcome in outcomes)
    worst = next(v for v in ("broken", "could not run", "kept", "not offered") if counts[v])
    said = f"{name} keeps {counts['kept']} of {counted(len(outcomes), 'promise')}"
    others = [f"{counts[v]} {v}" for v in VERDICTS if counts[v] and v != "kept"]
    verdict = said + (f": {', '.join(others)}." if others else ".")
    sections = tuple(map(_section, results))
    versions = {n: v for result in results for n, v in result.versions.items()}
    measured = Table(("package", "version"), tuple(versions.items()))
    last = Section("What was measured?", (_method(),), folds=(Fold("Versions", (measured,)),))
    title = f"Promises of {name}"
    return Page(title, Paragraph(verdict, _TONES.get(worst, "plain")), (*sections, last), command)


def _section(result: Conformance) -> Section:
    blocks: list[Block] = []
    for outcome in result.of("broken"):
        blocks.append(Paragraph(f"{outcome.promise}: {outcome.says}", "title"))
        blocks.append(Paragraph(f"{_measured(outcome)}, at {outcome.at}.", "quiet"))
    if not blocks:
        blocks.append(Paragraph("No promise is broken."))
    folds = (Fold("Every promise", (_table(result),)), *_unmeasured(result))
    return Section(result.suite, tuple(blocks), (promises_figure(result),), folds)


def promises_figure(result: Conformance) -> Figure:
    """Draw what was measured of every promise beside what it allows."""
    dots = [
        Dot(outcome.promise, _share(outcome), 1.0, outcome.verdict) for outcome in result.outcomes
    ]
    caption = (
        "The worst that was measured of each promise, as a part of the most that is allowed. A dot "
        "in the grey is a promise that is kept; one beyond it is broken. Less than 0.001 stands at "
        "0.001, and more than 1000 at 1000."
    )
    return Figure(dot_chart(dots, f"Promises of {result.suite}", _WORDS), caption)


def _share(outcome: Outcome) -> float | None:
    """Return the figure over what is allowed, which may be nothing."""
    if outcome.figure is None:
        return None
    if outcome.at_most:
        return outcome.figure / outcome.at_most
    return math.inf if outcome.figure else 0.0


def _measured(outcome: Outcome) -> str:
    assert outcome.figure is not None
    figure, allowed = pretty(outcome.figure, 3), pretty(outcome.at_most)
    return f"Measured were {figure} {outcome.unit}; {allowed} are allowed"


def _table(result: Conformance) -> Table:
    rows = tuple(
        (outcome.promise, outcome.says, outcome.verdict, *_figures(outcome))
        for outcome in result.outcomes
    )
    return Table(("promise", "what it says", "verdict", "measured", "at most", "unit"), rows)


def _figures(outcome: Outcome) -> tuple[str | float, ...]:
    if outcome.figure is None:
        return "—", "—", ""
    return outcome.figure, outcome.at_most, outcome.unit


def _unmeasured(result: Conformance) -> tuple[Fold, ...]:
    """Return why promises were not measured, or only in part."""
    rows: list[tuple[str, ...]] = []
    for outcome in result.outcomes:
        if outcome.figure is None:
            rows.append((outcome.promise, outcome.verdict, outcome.at))
        elif outcome.note:
            rows.append((outcome.promise, "measured in part", outcome.note))
    table = Table(("promise", "what became of it", "why"), tuple(rows))
    return (Fold("What was not measured", (table,)),) if rows else ()


def _method() -> Paragraph:
    return Paragraph(
        "Every promise is measured at points where implementations are known to fail, against "
        "decimal arithmetic with 200 digits. One ulp is the distance between neighbouring numbers "
        "of the input's format at the size of the exact answer. The points are the same in every "
        "run."
    )
