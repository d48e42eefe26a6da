"""The page of many gradient checks: those that did not pass, then all of them in one table."""

from __future__ import annotations

from collections.abc import Sequence

from softgrad.explain.layer_checks import LayerCheck
from softgrad.report.check import cost_fold, errors_figure, findings, mistake, numbers
from softgrad.report.checks import checks_table, tone_of, verdicts
from softgrad.report.page import Fold, Page, Section
from softgrad.results import Paragraph, counted

__all__ = ["session_page"]


def session_page(checks: Sequence[LayerCheck], command: str) -> Page:
    """Return the page of the checks of one session of tests.

    Parameters
    ----------
    checks : sequence of LayerCheck
        Each with the name of its test.
    command : str
        What repeats the session.

    Returns
    -------
    Page
        For `softgrad.report.page.write`.
    """
    reports = [check.report for check in checks]
    if not checks:
        verdict = Paragraph("No gradient was checked.")
        return Page("Gradient checks", verdict, (), command)
    open_yet = [check for check in checks if not check.report.passed]
    figure = errors_figure(checks, "Error of each gradient")
    sections = (
        *map(_section, open_yet),
        Section("All checks", (checks_table(checks, "test"),), (figure,)),
        *_passed([check for check in checks if check.report.passed]),
    )
    verdict = Paragraph(f"{verdicts(reports)}.", tone_of(reports))
    return Page("Gradient checks", verdict, sections, command)


def _section(check: LayerCheck) -> Section:
    report = check.report
    verdict = Paragraph(f"{report.verdict}: {report.subject}", tone_of([report]))
    blocks = (verdict, *mistake(report), *findings(report))
    folds = (Fold("Numbers", (numbers(report),)), cost_fold(report))
    return Section(check.name, blocks, folds=folds)


def _passed(checks: Sequence[LayerCheck]) -> tuple[Section, ...]:
    folds = tuple(
        Fold(check.name, (*findings(check.report), numbers(check.report))) for check in checks
    )
    heading = f"{counted(len(checks), 'check')} that passed"
    return (Section(heading, folds=folds),) if checks else ()
