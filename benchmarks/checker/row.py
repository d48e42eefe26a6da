"""One row of the benchmark: a case, what it is, and what every checker said."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import softgrad as sg
from benchmarks.checker.cases import Case
from benchmarks.checker.peers.peer import Peer
from benchmarks.checker.truth import Kind, truth_of
from softgrad.checker.report import Report

__all__ = ["Asked", "Row", "report_of", "row_of"]


@dataclass(frozen=True)
class Asked:
    """What a peer said, and the processor's time that it took."""

    passes: bool
    ms: float


@dataclass(frozen=True)
class Row:
    """A case and its verdicts."""

    case: str
    kind: Kind
    error: float
    """How wrong the backward is, relative to its gradient."""
    size: int
    """Numbers that go in."""
    dtype: str
    scale: str
    accepted: tuple[str, ...]
    """The names that would be right."""
    verdict: str
    code: str
    forward: int
    backward: int
    diagnosis: int
    """Forward calls for the name."""
    ms: float
    """Of the processor: what else runs on the machine does not count."""
    peers: dict[str, Asked]

    @property
    def named(self) -> str:
        """Return "right", "unnamed" or "wrong"; "" where nothing was to be named."""
        if self.kind != "wrong" or self.verdict != "fail":
            return ""
        if self.code in self.accepted:
            return "right"
        return "unnamed" if self.code in ("unnamed", "") else "wrong"

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Row:
        """Read what JSON keeps of a row; an infinite error is a word there."""
        peers = {name: Asked(**said) for name, said in fields["peers"].items()}
        error, accepted = float(fields["error"]), tuple(fields["accepted"])
        return cls(**{**fields, "error": error, "accepted": accepted, "peers": peers})


def report_of(case: Case) -> Report:
    """Return softgrad's report on a case."""
    return sg.check(case.right.forward, case.backward(), *case.right.inputs, where=case.where)


def row_of(case: Case, peers: Iterable[Peer]) -> Row:
    """Ask softgrad and the peers about a case."""
    truth = truth_of(case)
    # What is not wrong, and was made to be, teaches nothing.
    asked = peers if truth.kind in ("right", "wrong") else ()
    started = time.process_time()
    report = report_of(case)
    ms = 1e3 * (time.process_time() - started)
    return Row(
        case=case.name,
        kind=truth.kind,
        error=truth.error,
        size=sum(x.size for x in case.right.points),
        dtype=case.point.dtype,
        scale=f"{case.point.scale:g}",
        accepted=tuple(sorted(case.codes | truth.also)),
        verdict=report.verdict,
        code=report.diagnosis.code if report.diagnosis else "",
        forward=report.cost.forward,
        backward=report.cost.backward,
        diagnosis=report.cost.diagnosis_forward,
        ms=ms,
        peers={peer.name: said for peer in asked if (said := _asked(peer, case)) is not None},
    )


def _asked(peer: Peer, case: Case) -> Asked | None:
    started = time.process_time()
    passes = peer.verdict(case)
    return None if passes is None else Asked(passes, 1e3 * (time.process_time() - started))
