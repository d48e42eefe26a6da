"""The page of many gradient checks: those that did not pass, then all of them in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from softgrad.checker.jacobians import Jacobians
from softgrad.explain.layer_checks import LayerCheck
from softgrad.report.check import cost_fold, errors_figure, findings, mistake, numbers
from softgrad.report.check_jacobians import jacobians_figure
from softgrad.report.checks import checks_table, tone_of, verdicts
from softgrad.report.page import Fold, Page, Section
from softgrad.results import Paragraph, counted

__all__ = ["session_page"]


_DRAWN = 8
"""As many mistakes have a picture."""


def session_page(
    checks: Sequence[LayerCheck], command: str, jacobians: Mapping[str, Jacobians] | None = None
) -> Page:
    """Return the page of the checks of one session of tests.

    Parameters
    ----------
    checks : sequence of LayerCheck
        Each with the name of its test.
    command : str
        What repeats the session.
    jacobians : mapping of str to Jacobians, optional
        By the names of tests: the backward's Jacobian and the measured one, to be drawn. Of many
        the first eight are.

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
    drawn = dict([*(jacobians or {}).items()][:_DRAWN])
    sections = (
        *(_section(check, drawn.get(check.name)) for check in open_yet),
        Section("All checks", (checks_table(checks, "test"),), (figure,)),
        *_passed([check for check in checks if check.report.passed]),
    )
    verdict = Paragraph(f"{verdicts(reports)}.", tone_of(reports))
    return Page("Gradient checks", verdict, sections, command)


def _section(check: LayerCheck, jacobians: Jacobians | None) -> Section:
    report = check.report
    verdict = Paragraph(f"{report.verdict}: {report.subject}", tone_of([report]))
    blocks = (verdict, *mistake(report), *findings(report))
    folds = (Fold("Numbers", (numbers(report),)), cost_fold(report))
    figures = () if jacobians is None else (jacobians_figure(jacobians),)
    return Section(check.name, blocks, figures, folds)


def _passed(checks: Sequence[LayerCheck]) -> tuple[Section, ...]:
    folds = tuple(
        Fold(check.name, (*findings(check.report), numbers(check.report))) for check in checks
    )
    heading = f"{counted(len(checks), 'check')} that passed"
    return (Section(heading, folds=folds),) if checks else ()
