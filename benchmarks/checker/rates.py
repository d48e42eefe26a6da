"""Rates: what share of the wrong was found and named, and of the right refused."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.checker.row import Row

__all__ = ["PeerRates", "Rates", "share"]


@dataclass(frozen=True)
class Rates:
    """Counts over rows, softgrad's."""

    wrong: int
    detected: int
    inconclusive: int
    missed: int
    named: int
    unnamed: int
    misnamed: int
    right: int
    alarms: int
    right_inconclusive: int

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Rates:
        """Count; what is equivalent or too small is neither wrong nor right."""
        all_rows = list(rows)
        wrong = [row for row in all_rows if row.kind == "wrong"]
        right = [row for row in all_rows if row.kind == "right"]
        return cls(
            wrong=len(wrong),
            detected=_count(wrong, "fail"),
            inconclusive=_count(wrong, "inconclusive"),
            missed=_count(wrong, "pass"),
            named=sum(row.named == "right" for row in wrong),
            unnamed=sum(row.named == "unnamed" for row in wrong),
            misnamed=sum(row.named == "wrong" for row in wrong),
            right=len(right),
            alarms=_count(right, "fail"),
            right_inconclusive=_count(right, "inconclusive"),
        )


@dataclass(frozen=True)
class PeerRates:
    """Counts over the rows that a peer was asked about."""

    wrong: int
    detected: int
    right: int
    alarms: int
    ms: float | None
    """The median of all."""

    @classmethod
    def of(cls, peer: str, rows: Iterable[Row]) -> PeerRates:
        """Count the peer's verdicts; what it was not asked is left out."""
        asked = [(row.kind, row.peers[peer]) for row in rows if peer in row.peers]
        wrong = [said.passes for kind, said in asked if kind == "wrong"]
        right = [said.passes for kind, said in asked if kind == "right"]
        ms = statistics.median(said.ms for _, said in asked) if asked else None
        return cls(len(wrong), wrong.count(False), len(right), right.count(False), ms)

    @classmethod
    def of_softgrad(cls, rows: Iterable[Row]) -> PeerRates:
        """Count softgrad's verdicts in the same way: what is inconclusive was not detected."""
        asked = [row for row in rows if row.kind in ("wrong", "right")]
        rates = Rates.of(asked)
        ms = statistics.median(row.ms for row in asked) if asked else None
        return cls(rates.wrong, rates.detected, rates.right, rates.alarms, ms)


def share(part: int, whole: int) -> str:
    """Write a share in per cent, cut and not rounded: 100 % is all of them."""
    if whole == 0:
        return "—"
    if part == whole:
        return "100 %"
    return f"{int(10000 * part / whole) / 100:.2f} %"


def _count(rows: Sequence[Row], verdict: str) -> int:
    return sum(row.verdict == verdict for row in rows)
