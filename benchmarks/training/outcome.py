"""The outcome of a run: what each way took, and every goal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from softgrad.bench.machine import Machine
from softgrad.bench.measurement import Measured, Measurement, Verdict
from softgrad.bench.tables import ABSENT
from softgrad.results import Block, Paragraph, Result, Table

__all__ = ["Outcome"]

_WAYS = ("work", "size", "way", "values", "time", "as long as softgrad", "peak memory")
_GOALS = ("work", "goal", "measured", "")
_WORDS = {True: "holds", False: "missed", None: "not measured"}


@dataclass(frozen=True)
class Outcome(Result):
    """What was measured, where, and with how many threads."""

    schema: ClassVar[str] = "softgrad.training-benchmark/1"

    machine: Machine
    threads: int
    """Of softgrad, and of the BLAS."""
    clock: str
    """Of the wall, or of the processor."""
    cases: tuple[Measured, ...]

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Outcome:
        """Read what `to_dict` wrote.

        Raises
        ------
        ValueError
            It is a document of another kind.
        """
        cls.demand_schema(document)
        cases = tuple(_case(**case) for case in document["cases"])
        return cls(Machine(**document["machine"]), document["threads"], document["clock"], cases)

    def blocks(self) -> Iterable[Block]:
        """Yield the machine, the goals, and the ways."""
        threads = "one thread" if self.threads == 1 else f"{self.threads} threads"
        yield Paragraph(f"Measured on {self.machine}; {threads}, {self.clock}.")
        verdicts = ((case, verdict) for case in self.cases for verdict in case.verdicts)
        yield Table(_GOALS, tuple(_goal(case, verdict) for case, verdict in verdicts))
        yield Table(_WAYS, tuple(row for case in self.cases for row in _ways(case)))
        for case in self.cases:
            for m in case.measurements:
                if m.problem:
                    yield Paragraph(f"• {case.suite}, {m.way}: {m.problem}")


def _case(
    suite: str, shape: str, rounds: int, measurements: Iterable[Any], verdicts: Iterable[Any]
) -> Measured:
    ways = tuple(Measurement(**m) for m in measurements)
    return Measured(suite, shape, rounds, ways, tuple(Verdict(**v) for v in verdicts))


def _goal(case: Measured, verdict: Verdict) -> tuple[str, ...]:
    value = ABSENT if verdict.value is None else f"{verdict.value:.3g}"
    return case.suite, verdict.goal, value, _WORDS[verdict.holds]


def _ways(case: Measured) -> Iterator[tuple[str, ...]]:
    ours = case.measurements[0]
    for m in case.measurements:
        ratio = m.over(ours)
        yield (
            case.suite,
            case.shape,
            m.way,
            "" if m.error is None else f"{m.work:.0f}",  # of the objective, until it was near
            _time(m),
            ABSENT if ratio is None else f"{ratio:.2f} ×",
            "" if m.mebibytes is None else f"{m.mebibytes:.0f} MiB",
        )


def _time(m: Measurement) -> str:
    if m.seconds is None:
        return ABSENT
    return f"{1e3 * m.seconds:.0f} ms" if m.seconds < 10 else f"{m.seconds:.0f} s"
