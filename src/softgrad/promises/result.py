"""What came of a battery: the promises that an implementation keeps, and those that it breaks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

from softgrad.results import Block, Paragraph, Result, Table, Tone, counted, number

__all__ = ["VERDICTS", "Conformance", "Conformances", "Outcome", "Verdict"]

Verdict = Literal["kept", "broken", "not offered", "could not run"]

VERDICTS: tuple[Verdict, ...] = ("kept", "broken", "not offered", "could not run")
_TONES: dict[Verdict, Tone] = {"kept": "good", "broken": "bad"}


@dataclass(frozen=True)
class Outcome:
    """One promise, and what was measured."""

    promise: str
    says: str
    verdict: Verdict
    figure: float | None
    """The worst figure; None where nothing was measured."""
    at_most: float
    """The largest figure that keeps the promise."""
    unit: str
    at: str
    """The point of the worst figure, or why there is none."""
    note: str = ""
    """What was not measured, where a part was."""


@dataclass(frozen=True)
class Conformance(Result):
    """The result of `softgrad.conformance`."""

    schema: ClassVar[str] = "softgrad.conformance/1"

    suite: str
    implementation: str
    framework: str
    versions: dict[str, str]
    outcomes: tuple[Outcome, ...]

    @property
    def verdict(self) -> Verdict:
        """``"broken"``, else ``"could not run"``, where one promise is; ``"kept"`` where all are.

        What is not offered changes nothing, unless it is everything.
        """
        found = {outcome.verdict for outcome in self.outcomes}
        return next(v for v in ("broken", "could not run", "kept", "not offered") if v in found)

    def of(self, verdict: Verdict) -> tuple[Outcome, ...]:
        """Return the outcomes of one verdict."""
        return tuple(outcome for outcome in self.outcomes if outcome.verdict == verdict)

    def blocks(self) -> Iterable[Block]:
        """Yield how many promises are kept, a table of all, and what is to be said of some."""
        counts = Counter(outcome.verdict for outcome in self.outcomes)
        found = ", ".join(f"{counts[v]} {v}" for v in VERDICTS if counts[v])
        promises = counted(len(self.outcomes), "promise")
        title = f"{self.suite} by {self.implementation}: {promises}: {found}"
        yield Paragraph(title, _TONES.get(self.verdict, "title"))
        yield Table(
            ("promise", "verdict", "measured", "at most", "unit"),
            tuple(_row(outcome) for outcome in self.outcomes),
        )
        for outcome in self.of("broken"):
            yield Paragraph(f"• {outcome.promise}: {outcome.says}", "bad")
            yield Paragraph(f"    {_measured(outcome)}; at {outcome.at}")
        for what, names in self._limits().items():
            yield Paragraph(f"• {what}: {', '.join(names)}", "quiet")
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        yield Paragraph(versions, "quiet")

    def _limits(self) -> dict[str, list[str]]:
        """Return why promises were not measured, or in part: the names by the reasons."""
        found: dict[str, list[str]] = {}
        for outcome in self.outcomes:
            if outcome.figure is None:
                found.setdefault(f"{outcome.verdict} ({outcome.at})", []).append(outcome.promise)
            elif outcome.note:
                found.setdefault(f"measured in part ({outcome.note})", []).append(outcome.promise)
        return found


@dataclass(frozen=True)
class Conformances(Result):
    """Several results: of some suites, or of some implementations."""

    schema: ClassVar[str] = "softgrad.conformances/1"

    results: tuple[Conformance, ...]

    def blocks(self) -> Iterable[Block]:
        """Yield those of every result."""
        for result in self.results:
            yield from result.blocks()


def _row(outcome: Outcome) -> tuple[str | float, ...]:
    if outcome.figure is None:
        return outcome.promise, outcome.verdict, "", "", ""
    return outcome.promise, outcome.verdict, _short(outcome.figure), outcome.at_most, outcome.unit


def _measured(outcome: Outcome) -> str:
    assert outcome.figure is not None
    return f"{number(_short(outcome.figure))} {outcome.unit}, at most {number(outcome.at_most)}"


def _short(figure: float) -> float:
    """Return three digits of a figure: no more of an error means anything."""
    return float(f"{figure:.3g}")
