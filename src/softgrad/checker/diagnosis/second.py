"""A failed check of second derivatives: wrong first ones are named, and mended, first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from softgrad.checker.calls import Ended
from softgrad.checker.diagnosis.explain import diagnose
from softgrad.checker.examination import Examination
from softgrad.checker.report import Diagnosis, Verdict, Where, verdict_of
from softgrad.checker.subject import Subject

__all__ = ["diagnose_second"]

_FIRST: dict[Verdict, str] = {
    "fail": "The first derivatives are wrong, and must be mended first.",
    "pass": "The first derivatives are right, and the second derivative{} is not.",
    "inconclusive": "The first derivatives cannot be judged, and the second derivative{} is wrong.",
}


def diagnose_second(first: Subject, second: Subject, seed: int) -> tuple[Diagnosis, Where | None]:
    """Say what the mistake is, and where, of first derivatives and of second ones."""
    own = replace(first, forward_calls=0, backward_calls=0, damage=set())
    # Where no chain leads to an input PyTorch says None, and here that is a zero like another.
    vjp = _with_zeros(second)
    filled = replace(second, vjp=vjp, kept_vjp=None, forward_calls=0, backward_calls=0)
    verdict = _verdict(own, seed)
    found, where = diagnose(own if verdict == "fail" else filled, seed)
    for subject in (own, filled):
        second.forward_calls += subject.forward_calls
        second.backward_calls += subject.backward_calls
    if verdict == "fail":
        return replace(found, message=f"{_FIRST[verdict]} {found.message}"), where
    part = "" if where is None else f" in {second.names[where.input]}"
    message = f"{_FIRST[verdict].format(part)} {found.message}"
    return replace(found, code="second-order", message=message), where


def _verdict(first: Subject, seed: int) -> Verdict:
    examination = Examination(seed, 3)
    try:
        examination.run(first)
    except Ended as end:
        examination.findings.append(end.finding)
    return "fail" if first.damage else verdict_of(examination.findings)


def _with_zeros(second: Subject) -> Any:
    def vjp(*arguments: Any) -> Any:
        result = second.vjp(*arguments)
        if not isinstance(result, (tuple, list)) or len(result) != len(second.floating):
            return result
        points = (arguments[place] for place in second.floating)
        pairs = zip(result, points, strict=True)
        return tuple(np.zeros_like(x) if entry is None else entry for entry, x in pairs)

    vjp.__wrapped__ = second.vjp  # type: ignore[attr-defined]
    return vjp
