"""The page of one gradient check: the verdict, what was found, the numbers, the cost."""

from __future__ import annotations

from collections.abc import Sequence

from softgrad.checker import Report
from softgrad.checker.jacobians import Jacobians
from softgrad.explain.layer_checks import LayerCheck
from softgrad.report.check_jacobians import jacobians_figure
from softgrad.report.checks import errors_chart, tone_of
from softgrad.report.page import Figure, Fold, Page, Section
from softgrad.report.scales import pretty
from softgrad.report.sentences import named
from softgrad.results import Block, Paragraph, Table, Tone

__all__ = ["check_page", "cost_fold", "errors_figure", "findings", "mistake", "numbers"]

_SENTENCES = {
    "pass": "The gradient of {} passes",
    "fail": "The gradient of {} is wrong",
    "inconclusive": "The check of {} is inconclusive",
}
_TONES: dict[str, Tone] = {"fail": "bad", "doubt": "plain", "note": "plain"}


def check_page(report: Report, command: str = "", jacobians: Jacobians | None = None) -> Page:
    """Return the page of one check.

    Parameters
    ----------
    report : Report
    command : str
        What repeats the check; a line of Python where none is given.
    jacobians : Jacobians, optional
        The backward's Jacobian and the measured one, to be drawn side by side.

    Returns
    -------
    Page
        For `softgrad.report.page.write`.
    """
    subject = named(report.subject)
    verdict = f"{_SENTENCES[report.verdict].format(subject)}{_error(report)}."
    named_mistake = mistake(report)
    pictures = () if jacobians is None else (jacobians_figure(jacobians),)
    heading = "The mistake" if named_mistake else "What is compared"
    sections = (
        *((Section(heading, named_mistake, pictures),) if named_mistake or pictures else ()),
        Section("What was found", findings(report), _figures(report)),
        Section("Numbers", (numbers(report),), folds=(cost_fold(report),)),
    )
    command = command or f"softgrad.check(forward, {report.subject}, *inputs, seed={report.seed})"
    title = f"Gradient check of {subject}"
    return Page(title, Paragraph(verdict, tone_of([report])), sections, command)


def findings(report: Report) -> tuple[Block, ...]:
    """Return what was found, a paragraph each."""
    return tuple(Paragraph(found.message, _TONES[found.level]) for found in report.findings)


def mistake(report: Report) -> tuple[Block, ...]:
    """Return the diagnosis: one sentence, and a table of what else there is to say."""
    diagnosis = report.diagnosis
    if diagnosis is None:
        return ()
    rows: list[tuple[str | float, ...]] = [("name", diagnosis.code)]
    if diagnosis.formula is not None:
        rows.append(("you return", diagnosis.formula.returned))
        rows.append(("it should be", diagnosis.formula.expected))
    if report.where is not None:
        rows.append(("where", report.where.text))
    rows.append(("evidence", diagnosis.evidence))
    if diagnosis.runner_up is not None:
        rows.append(("runner-up", diagnosis.runner_up))
    return Paragraph(diagnosis.message, "title"), Table(("what", "the mistake"), tuple(rows))


def _error(report: Report) -> str:
    if report.relative_error is None:
        return ""
    return f": relative error {pretty(report.relative_error, 2)}"


def errors_figure(checks: Sequence[LayerCheck], title: str) -> Figure:
    """Return the picture of the errors, and what it shows."""
    caption = (
        "How far the gradient is from the derivative of the forward, as a part of their size. "
        "Grey is what rounding explains: a dot beyond it is an error."
    )
    return Figure(errors_chart(checks, title), caption)


def _figures(report: Report) -> tuple[Figure, ...]:
    if report.relative_error is None:
        return ()
    return (errors_figure([LayerCheck(report.subject, report)], "Error of the gradient"),)


def numbers(report: Report) -> Table:
    """Return the error and what it was measured with."""
    sizes = (("relative error", report.relative_error), ("error bar", report.error_bar))
    rows = (
        ("verdict", report.verdict),
        *((name, "nothing to compare" if size is None else pretty(size)) for name, size in sizes),
        ("compared with", report.oracle),
        ("numbers", report.dtype),
        ("seed", str(report.seed)),
    )
    return Table(("what", "value"), rows)


def cost_fold(report: Report) -> Fold:
    """Return the calls and the milliseconds that the check took."""
    cost = report.cost
    rows = (
        ("calls of the forward", cost.forward),
        ("calls of the backward", cost.backward),
        ("calls of the forward to name the mistake", cost.diagnosis_forward),
        ("calls of the backward to name the mistake", cost.diagnosis_backward),
        ("milliseconds", 1e3 * cost.seconds),
    )
    return Fold("Cost", (Table(("what", "value"), rows),))
