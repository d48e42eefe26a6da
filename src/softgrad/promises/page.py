"""Results on a page: for each suite a table of promises by implementations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from softgrad.promises.battery import PROMISES
from softgrad.promises.result import Conformance, Outcome
from softgrad.promises.suites import SUITES
from softgrad.results import number

__all__ = ["END", "START", "markdown"]

START, END = "<!-- conformance:start -->", "<!-- conformance:end -->"


def markdown(results: Sequence[Conformance], where: str, missing: Iterable[str] = ()) -> str:
    """Return results of shipped implementations as a page shows them.

    `where` names machine and versions; `missing` are implementations that are not installed.
    """
    parts = [f"Measured on {where}."]
    parts += [f"`{name}` is not installed there, and has no column." for name in missing]
    parts += ["### The promises", "\n".join(_promises())]
    for suite in SUITES:
        columns = [result for result in results if result.suite == suite]
        if columns:
            parts += [f"### {suite}", _table(columns), "\n".join(_broken(columns))]
    return "\n\n".join(parts)


def _table(columns: Sequence[Conformance]) -> str:
    head = ("promise", "at most", *(result.implementation for result in columns))
    lines: list[tuple[str, ...]] = [head, ("---",) * len(head)]
    for outcomes in zip(*(result.outcomes for result in columns), strict=True):
        first = outcomes[0]
        cells = (_cell(outcome) for outcome in outcomes)
        lines.append((f"`{first.promise}`", number(first.at_most), *cells))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(outcome: Outcome) -> str:
    if outcome.figure is None:
        return "–" if outcome.verdict == "not offered" else outcome.verdict
    word = "**broken**" if outcome.verdict == "broken" else outcome.verdict
    figure = f", {outcome.figure:.2g}" if outcome.figure or outcome.at_most else ""
    return f"{word}{figure}{' ¹' if outcome.note else ''}"


def _broken(columns: Sequence[Conformance]) -> Iterator[str]:
    """Yield where each promise was broken, and why others could not be measured."""
    for result in columns:
        for outcome in result.of("broken"):
            yield f"- {result.implementation}, `{outcome.promise}`: {_at(outcome)}"
        for outcome in result.of("could not run"):
            yield f"- {result.implementation}, `{outcome.promise}` could not run: {outcome.at}"


def _at(outcome: Outcome) -> str:
    assert outcome.figure is not None
    return f"{outcome.figure:.2g} {outcome.unit}, at {outcome.at}"


def _promises() -> Iterator[str]:
    for promise in PROMISES:
        yield f"- `{promise.name}` ({promise.unit}): {promise.says}"
