"""The result of a benchmark, with its faces for the terminal, for JSON and for a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from softgrad.bench.machine import Machine
from softgrad.bench.measurement import Measured, Measurement, Verdict
from softgrad.bench.tables import case_blocks
from softgrad.results import Block, Paragraph, Result, counted

__all__ = ["Benchmark"]


@dataclass(frozen=True)
class Benchmark(Result):
    """Measured cases, and the machine that they were measured on."""

    schema: ClassVar[str] = "softgrad.bench/1"

    machine: Machine
    quick: bool
    notes: tuple[str, ...]
    cases: tuple[Measured, ...]

    @property
    def wrong(self) -> bool:
        """Whether an answer of softgrad's own was refused."""
        return any(case.wrong for case in self.cases)

    def blocks(self) -> Iterable[Block]:
        """Yield the machine, a table for each case, and how many goals hold."""
        yield Paragraph(str(self.machine))
        yield from (Paragraph(note, "quiet") for note in self.notes)
        for case in self.cases:
            yield from case_blocks(case)
        verdicts = [verdict for case in self.cases for verdict in case.verdicts]
        if verdicts:
            held = sum(verdict.holds is True for verdict in verdicts)
            goals = counted(len(verdicts), "goal")
            yield Paragraph(f"{held} of {goals} hold{'s' * (held == 1)}.", "title")

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Benchmark:
        """Read what `to_dict` wrote.

        Raises
        ------
        ValueError
            It is a document of another kind.
        """
        cls.demand_schema(document)
        cases = tuple(_case(case) for case in document["cases"])
        machine = Machine(**document["machine"])
        return cls(machine, document["quick"], tuple(document["notes"]), cases)


def _case(fields: Mapping[str, Any]) -> Measured:
    measurements = tuple(Measurement(**_numbers(m)) for m in fields["measurements"])
    verdicts = tuple(Verdict(**_numbers(v)) for v in fields["verdicts"])
    return Measured(fields["suite"], fields["shape"], fields["rounds"], measurements, verdicts)


def _numbers(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Turn what strict JSON cannot hold, "nan" and "inf", back into numbers."""
    words = {"nan", "inf", "-inf"}
    return {k: float(v) if isinstance(v, str) and v in words else v for k, v in fields.items()}
