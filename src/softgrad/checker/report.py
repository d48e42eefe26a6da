"""What a check found: findings, a verdict that is the worst of them, and two numbers."""

from __future__ import annotations

import html
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

from softgrad.files import write_atomically
from softgrad.results import Block, Paragraph, Result, Tone, number

__all__ = ["Cost", "Finding", "Level", "Report", "Verdict", "verdict_of"]

Verdict = Literal["pass", "fail", "inconclusive"]
Level = Literal["fail", "doubt", "note"]

_TONES: dict[str, Tone] = {
    "pass": "good",
    "fail": "bad",
    "inconclusive": "title",
    "doubt": "plain",
    "note": "quiet",
}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
</head>
<body style="font-family:system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em">
{body}
</body>
</html>
"""


@dataclass(frozen=True)
class Finding:
    """One sentence; a ``fail`` fails the check, a ``doubt`` leaves it inconclusive."""

    level: Level
    message: str


@dataclass(frozen=True)
class Cost:
    """What the check took: calls of the user's two functions, and seconds."""

    forward: int
    backward: int
    seconds: float
    forward_mode: int = 0
    """Calls of the forward that carried tangents along."""


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
    """What the differences and the backward's rounding leave open of `relative_error`."""
    oracle: str
    """What the backward was compared with."""
    findings: tuple[Finding, ...]
    cost: Cost
    dtype: str
    seed: int
    order: int = 1
    """Of the derivatives that were checked; at 2 the backward is what is differentiated."""

    @property
    def passed(self) -> bool:
        """Whether the verdict is ``"pass"``."""
        return self.verdict == "pass"

    def blocks(self) -> Iterable[Block]:
        """Yield the verdict's line, then one line a finding."""
        yield Paragraph(f"{self.verdict.upper()}  {self.subject}{self._sizes()}", self._tone())
        cost = self.cost
        forward_mode = f"{cost.forward_mode} forward-mode + " if cost.forward_mode else ""
        for finding in self.findings:
            yield Paragraph(f"  {finding.message}", _TONES[finding.level])
        yield Paragraph(
            f"  {self.dtype}; oracle: {self.oracle}; {cost.forward} forward + {forward_mode}"
            f"{cost.backward} backward calls; {1e3 * cost.seconds:.1f} ms; "
            f"seed {self.seed}",
            "quiet",
        )

    def save_html(self, path: str | os.PathLike[str]) -> None:
        """Write the report as one small offline page.

        Raises
        ------
        OSError
            The folder is missing or not writable.
        """
        title = html.escape(f"{self.verdict}: {self.subject}")
        write_atomically(path, _PAGE.format(title=title, body=self._repr_html_()))

    def _sizes(self) -> str:
        if self.relative_error is None or self.error_bar is None:
            return ""
        return f"  relative error {number(self.relative_error)} ± {self.error_bar:.1g}"

    def _tone(self) -> Tone:
        return _TONES[self.verdict]


def verdict_of(findings: Iterable[Finding]) -> Verdict:
    """Return the verdict that the worst of the findings makes."""
    levels = {finding.level for finding in findings}
    if "fail" in levels:
        return "fail"
    return "inconclusive" if "doubt" in levels else "pass"
