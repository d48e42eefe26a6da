"""What a check found: findings, a verdict that is the worst of them, and two numbers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Literal

from softgrad.errors import mismatch
from softgrad.results import Block, Fields, Paragraph, Result, Tone, number

__all__ = [
    "Cost",
    "Diagnosis",
    "Finding",
    "Formula",
    "Level",
    "Report",
    "Verdict",
    "Where",
    "verdict_of",
]

Verdict = Literal["pass", "fail", "inconclusive"]
Level = Literal["fail", "doubt", "note"]

_TONES: dict[str, Tone] = {
    "pass": "good",
    "fail": "bad",
    "inconclusive": "title",
    "doubt": "plain",
    "note": "quiet",
}


@dataclass(frozen=True)
class Finding:
    """One sentence; a ``fail`` fails the check, a ``doubt`` leaves it inconclusive."""

    level: Level
    message: str


@dataclass(frozen=True)
class Cost:
    """What the check took: calls of the user's two functions, and seconds."""

    forward: int
    """Those that PyTorch and JAX make inside every call of a backward are not among them."""
    backward: int
    seconds: float
    forward_mode: int = 0
    """Calls of the forward that carried tangents along."""
    diagnosis_forward: int = 0
    """Further calls, on a small twin of the inputs above all, that naming the mistake took."""
    diagnosis_backward: int = 0


@dataclass(frozen=True)
class Formula:
    """A line of code as it seems to be, and as it should be."""

    returned: str
    expected: str


@dataclass(frozen=True)
class Diagnosis:
    """The mistake behind a failed check, or that it cannot be named."""

    code: str
    """One of `softgrad.checker.diagnosis.CODES`; ``"unnamed"`` where no explanation fits alone."""
    message: str
    """The mistake in one sentence."""
    formula: Formula | None = None
    evidence: str = ""
    """How well the explanation fits, in numbers."""
    runner_up: str | None = None
    """The next explanation, and how much worse it is."""


@dataclass(frozen=True)
class Where:
    """The part of the inputs whose gradient is wrong; None is all of it."""

    input: int
    """The input's place in the call; at second order cotangents follow the inputs."""
    axis: int | None
    start: int | None
    """The wrong slice along `axis` begins here and ends before `stop`."""
    stop: int | None
    subset: str | None
    """A named set of entries, such as ``"labels"``."""
    text: str


@dataclass(frozen=True)
class Report(Result):
    """The result of `softgrad.check`."""

    schema: ClassVar[str] = "softgrad.check/1"

    verdict: Verdict
    """``"pass"``, ``"fail"`` or ``"inconclusive"``: the worst of the findings."""
    subject: str
    """The name of the backward, or of the layer's class."""
    relative_error: float | None
    """RMS(analytic − numeric) / RMS(numeric); None where nothing could be compared."""
    error_bar: float | None
    """What a right backward may show of `relative_error`, and the verdict's limit: a larger error
    fails, and a pass has none. It is 8 times what differences and rounding leave open."""
    oracle: str
    """What the backward was compared with."""
    findings: tuple[Finding, ...]
    cost: Cost
    dtype: str
    seed: int
    order: int = 1
    """Of the derivatives that were checked; at 2 the backward is what is differentiated."""
    diagnosis: Diagnosis | None = None
    """What the mistake is; None where the check did not fail."""
    where: Where | None = None
    """Where the gradient is wrong; None where the check did not fail, or it could not be told."""

    @property
    def passed(self) -> bool:
        """Whether the verdict is ``"pass"``."""
        return self.verdict == "pass"

    def blocks(self) -> Iterable[Block]:
        """Yield the verdict's line, the diagnosis, then one line a finding."""
        yield Paragraph(f"{self.verdict.upper()}  {self.subject}{self._sizes()}", self._tone())
        if self.diagnosis is not None:
            yield from self._diagnosed(self.diagnosis)
        cost = self.cost
        forward_mode = f"{cost.forward_mode} forward-mode + " if cost.forward_mode else ""
        for finding in self.findings:
            yield Paragraph(f"  {finding.message}", _TONES[finding.level])
        yield Paragraph(
            f"  {self.dtype}; oracle: {self.oracle}; {cost.forward} forward + {forward_mode}"
            f"{cost.backward} backward calls{self._further()}; {1e3 * cost.seconds:.1f} ms; "
            f"seed {self.seed}",
            "quiet",
        )

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Report:
        """Return the report that `to_dict` wrote.

        Raises
        ------
        ValueError
            The fields are of another schema.
        """
        if fields.get("schema") != cls.schema:
            raise ValueError(mismatch("fields", f"of {cls.schema}", repr(fields.get("schema"))))
        diagnosis, where = fields["diagnosis"], fields["where"]
        if diagnosis is not None:
            formula = diagnosis["formula"]
            formula = None if formula is None else Formula(**formula)
            diagnosis = Diagnosis(**{**diagnosis, "formula": formula})
        read = {
            "relative_error": _size(fields["relative_error"]),
            "error_bar": _size(fields["error_bar"]),
            "findings": tuple(Finding(**finding) for finding in fields["findings"]),
            "cost": Cost(**fields["cost"]),
            "diagnosis": diagnosis,
            "where": None if where is None else Where(**where),
        }
        return cls(**{name: fields[name] for name in fields if name != "schema"} | read)

    def save_html(self, path: str | os.PathLike[str], *checked: Any, **options: Any) -> None:
        """Write the report as one offline page, that of ``softgrad check --report``.

        Parameters
        ----------
        path : path
        *checked, **options
            What was given to `softgrad.check`: forward, backward, inputs and options. Then the page
            shows the backward's Jacobian beside the measured one; both are taken anew.

        Raises
        ------
        OSError
            The folder is missing or not writable, or the disk is full; `path` is then as it was.
        """
        from softgrad.checker.jacobians import jacobians_of

        jacobians = jacobians_of(self, *checked, **options) if checked else None
        # Pages stand above the checker: they are asked by name.
        page = import_module("softgrad.report.check").check_page(self, jacobians=jacobians)
        import_module("softgrad.report.page").write(page, path)

    def _sizes(self) -> str:
        if self.relative_error is None or self.error_bar is None:
            return ""
        return f"  relative error {number(self.relative_error)} ± {self.error_bar:.2g}"

    def _diagnosed(self, diagnosis: Diagnosis) -> Iterable[Block]:
        yield Paragraph(f"  {diagnosis.message}  [{diagnosis.code}]", "title")
        lines = []
        if diagnosis.formula is not None:
            lines += [("you return", diagnosis.formula.returned)]
            lines += [("it should be", diagnosis.formula.expected)]
        if self.where is not None:
            lines.append(("where", self.where.text))
        lines.append(("evidence", diagnosis.evidence))
        if diagnosis.runner_up is not None:
            lines.append(("runner-up", diagnosis.runner_up))
        yield Fields(tuple(lines))

    def _further(self) -> str:
        forward, backward = self.cost.diagnosis_forward, self.cost.diagnosis_backward
        return f" (diagnosis: {forward} + {backward} more)" if forward or backward else ""

    def _tone(self) -> Tone:
        return _TONES[self.verdict]


def _size(written: float | str | None) -> float | None:
    """Read a number; one that is not finite is written as a string."""
    return None if written is None else float(written)


def verdict_of(findings: Iterable[Finding]) -> Verdict:
    """Return the verdict that the worst of the findings makes."""
    levels = {finding.level for finding in findings}
    if "fail" in levels:
        return "fail"
    return "inconclusive" if "doubt" in levels else "pass"
