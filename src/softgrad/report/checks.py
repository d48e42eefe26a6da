"""The checker's verdicts on several gradients: a table, and the errors beside what they may be."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from softgrad.checker import Report
from softgrad.errors import mismatch
from softgrad.explain.layer_checks import LayerCheck
from softgrad.report.dots import Dot, DotWords, dot_chart
from softgrad.results import Table, Tone

__all__ = ["checks_table", "errors_chart", "tone_of", "verdicts"]


def verdicts(reports: Sequence[Report]) -> str:
    """Say how many checks passed, as the beginning of a sentence."""
    given = [report.verdict for report in reports]
    failed, undecided = given.count("fail"), given.count("inconclusive")
    if given == ["pass"]:
        return "The gradient check passes"
    if not failed and not undecided:
        return f"All {len(given)} gradient checks pass"
    others = [f"{failed} failed"] * bool(failed) + [f"{undecided} inconclusive"] * bool(undecided)
    return f"{given.count('pass')} of {len(given)} gradient checks pass: {', '.join(others)}"


def tone_of(reports: Sequence[Report]) -> Tone:
    """Return the tone of the worst verdict."""
    given = {report.verdict for report in reports}
    if "fail" in given:
        return "bad"
    return "plain" if "inconclusive" in given else "good"


def checks_table(checks: Sequence[LayerCheck], of: str = "gradient of") -> Table:
    """Return one line a check: its verdict, its error and what the differences leave open."""
    rows = tuple(
        (
            check.name,
            check.report.verdict,
            _size(check.report.relative_error),
            _size(check.report.error_bar),
            check.report.oracle,
        )
        for check in checks
    )
    return Table((of, "verdict", "relative error", "error bar", "compared with"), rows)


def _size(value: float | None) -> str | float:
    return "—" if value is None else value


def errors_chart(checks: Sequence[LayerCheck], title: str) -> Markup:
    """Draw each relative error on one logarithmic axis, beside what rounding explains.

    A dot on its grey bar, of as many error bars as the checker forgives, is rounding; one beyond
    it is an error. Of more than 24 checks those with the largest errors are drawn.

    Parameters
    ----------
    checks : sequence of LayerCheck
        At least one.
    title : str
        What the picture shows, in a few words.

    Returns
    -------
    Markup
        One <svg> element.

    Raises
    ------
    ValueError
        There is no check.
    """
    if not checks:
        raise ValueError(mismatch("checks", "at least one LayerCheck", "none"))
    dots = [_dot(check.name, check.report) for check in checks]
    what = DotWords("relative error", "explained by rounding", "nothing to compare", "checks")
    return dot_chart(dots, title, what)


def _dot(name: str, report: Report) -> Dot:
    return Dot(name, report.relative_error, report.error_bar or 0.0, report.verdict)
