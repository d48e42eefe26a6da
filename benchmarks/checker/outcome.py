"""The outcome of a run: rows, and the tables that a reader sees of them."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from benchmarks.checker.batches import batch_of
from benchmarks.checker.rates import PeerRates, Rates, share
from benchmarks.checker.row import Row
from softgrad.bench.machine import Machine
from softgrad.results import Block, Paragraph, Result, Table

__all__ = ["Outcome"]

_CONFUSIONS = 15
_SIZES = ((10, "to 10"), (100, "to 100"), (1000, "to 1000"), (10_000, "to 10,000"))

_SCALES = ((0.01, "below 0.01"), (0.5, "0.02 to 0.1"), (2, "1"), (11, "3 to 10"))


@dataclass(frozen=True)
class Outcome(Result):
    """Every case, and what was said of it."""

    schema: ClassVar[str] = "softgrad.checker-benchmark/1"

    machine: Machine
    quick: bool
    called: dict[str, str]
    """How each peer was called."""
    rows: tuple[Row, ...]

    def blocks(self) -> Iterable[Block]:
        """Yield the rates, the peers' beside them, and where the checker is weak."""
        yield Paragraph(f"Measured on {self.machine}. Milliseconds of the processor, one thread.")
        yield Paragraph(self._counts())
        yield Table(("", "cases", "share"), tuple(_summary(Rates.of(self.rows))))
        yield Table(("cost of a check", "median", "largest"), tuple(self._costs()))
        if self.called:
            yield Table(_PEERS, tuple(self._peers()))
        yield Table(_GROUPS, tuple(self._groups()))
        confusions = tuple(self._confusions())
        if confusions:
            yield Table(("a careful reader says", "the report says", "cases"), confusions)

    def failures(self) -> Iterator[str]:
        """Yield a line for every case that went wrong."""
        for row in self.rows:
            if row.kind == "right" and row.verdict != "pass":
                yield f"{'alarm' if row.verdict == 'fail' else 'doubt'}  {row.case}"
            elif row.kind == "wrong" and row.verdict != "fail":
                yield f"{_word(row.verdict)}  {row.case}  wrong by {row.error:.2g}"
            elif row.named in ("wrong", "unnamed"):
                said = row.code or "nothing"
                yield f"name    {row.case}  {'|'.join(row.accepted)}, said {said}"

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Outcome:
        """Read what `to_dict` wrote.

        Raises
        ------
        ValueError
            It is a document of another kind.
        """
        cls.demand_schema(document)
        rows = tuple(map(Row.from_dict, document["rows"]))
        return cls(Machine(**document["machine"]), document["quick"], document["called"], rows)

    def _counts(self) -> str:
        kinds = Counter(row.kind for row in self.rows)
        return (
            f"{kinds['wrong']} wrong and {kinds['right']} right cases. {kinds['equivalent']} more "
            f"mutants make no difference at their point, and {kinds['small']} one that is too "
            "small to be asked for; neither are counted."
        )

    def _costs(self) -> Iterator[tuple[str, str, str]]:
        failed = [row for row in self.rows if row.verdict == "fail"]
        rest = [row for row in self.rows if row.verdict != "fail"]
        yield _cost("forward calls", [row.forward for row in self.rows])
        yield _cost("backward calls", [row.backward for row in self.rows])
        yield _cost("forward calls for the name", [row.diagnosis for row in failed])
        yield _cost("ms, passed", [row.ms for row in rest])
        yield _cost("ms, failed and named", [row.ms for row in failed])

    def _peers(self) -> Iterator[tuple[str, ...]]:
        common = [row for row in self.rows if set(row.peers) == set(self.called)]
        rated = {"softgrad": (PeerRates.of_softgrad(self.rows), PeerRates.of_softgrad(common))}
        for peer in self.called:
            rated[peer] = PeerRates.of(peer, self.rows), PeerRates.of(peer, common)
        for name, (own, shared) in rated.items():
            yield (
                name, str(own.wrong), share(own.detected, own.wrong), str(own.right),
                share(own.alarms, own.right), share(shared.detected, shared.wrong),
                share(shared.alarms, shared.right), "—" if own.ms is None else f"{own.ms:.2g}",
            )  # fmt: skip
        counts = Counter(row.kind for row in common)
        yield "(common cases)", "", "", "", "", str(counts["wrong"]), str(counts["right"]), ""

    def _groups(self) -> Iterator[tuple[str, ...]]:
        by: dict[str, Callable[[Row], str]] = {
            "": lambda row: batch_of(row.case).told,
            "numbers in": lambda row: _size(row.size),
            "dtype": lambda row: row.dtype,
            "scale": lambda row: _scale(float(row.scale)),
            "wrong by": lambda row: "" if row.kind == "right" else _magnitude(row.error),
        }
        for title, key in by.items():
            # In the order of what is grouped, not of its words.
            rows = sorted(self.rows, key=lambda row: (row.size, row.dtype))
            if title == "scale":
                rows.sort(key=lambda row: float(row.scale))
            if title == "wrong by":
                rows.sort(key=lambda row: -row.error)
            groups: dict[str, list[Row]] = {}
            for row in rows:
                groups.setdefault(key(row), []).append(row)
            for group, members in groups.items():
                rates = Rates.of(members)
                if group and (rates.wrong or rates.right):
                    yield f"{title} {group}".lstrip(), *_group(rates)

    def _confusions(self) -> Iterator[tuple[str, str, str]]:
        found = Counter(
            (" or ".join(row.accepted), row.code) for row in self.rows if row.named == "wrong"
        )
        for (accepted, code), count in found.most_common(_CONFUSIONS):
            yield accepted, code, str(count)


_PEERS = (
    "checker", "wrong", "detected", "right", "false alarms", "common: detected", "false alarms",
    "ms",
)  # fmt: skip
_GROUPS = (
    "group", "wrong", "detected", "inconclusive", "named", "misnamed", "right", "false alarms",
    "inconclusive",
)  # fmt: skip


def _summary(rates: Rates) -> Iterator[tuple[str, str, str]]:
    lines = (
        ("wrong, and detected", rates.detected, rates.wrong),
        ("wrong, and inconclusive", rates.inconclusive, rates.wrong),
        ("wrong, and passed", rates.missed, rates.wrong),
        ("detected, and named rightly", rates.named, rates.detected),
        ("detected, and honestly unnamed", rates.unnamed, rates.detected),
        ("detected, and named wrongly", rates.misnamed, rates.detected),
        ("right, and a false alarm", rates.alarms, rates.right),
        ("right, and inconclusive", rates.right_inconclusive, rates.right),
    )
    for name, part, whole in lines:
        yield name, f"{part} of {whole}", share(part, whole)


def _group(rates: Rates) -> tuple[str, ...]:
    return (
        str(rates.wrong), share(rates.detected, rates.wrong), str(rates.inconclusive),
        share(rates.named, rates.detected), share(rates.misnamed, rates.detected),
        str(rates.right), str(rates.alarms), str(rates.right_inconclusive),
    )  # fmt: skip


def _cost(name: str, values: list[int] | list[float]) -> tuple[str, str, str]:
    if not values:
        return name, "—", "—"
    return name, f"{statistics.median(values):.3g}", f"{max(values):.4g}"


def _word(verdict: str) -> str:
    return {"pass": "missed", "inconclusive": "doubt "}[verdict]


def _size(size: int) -> str:
    return next((name for limit, name in _SIZES if size <= limit), "above 10,000")


def _scale(scale: float) -> str:
    return next((name for limit, name in _SCALES if scale < limit), "above 10")


def _magnitude(error: float) -> str:
    if not math.isfinite(error):
        return "what has no size"
    return next((f"{edge:g} or more" for edge in (1, 0.1, 1e-2, 1e-3) if error >= edge), "less")
