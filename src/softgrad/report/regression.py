"""The report of `softgrad train --solver`: how near the optimum is, and what the model mistakes."""

from __future__ import annotations

import numpy as np

from softgrad.explain.judged import Judged
from softgrad.explain.regression import Regression
from softgrad.explain.training import confusion_counts
from softgrad.report.judged import judged_sections
from softgrad.report.learning import confusion_section
from softgrad.report.lines import Line, line_chart
from softgrad.report.page import Figure, Page, Section
from softgrad.report.scales import pretty
from softgrad.report.sentences import named, percent
from softgrad.results import Paragraph, Tone, counted

__all__ = ["regression_page"]

_NEAR = 1e-4
"""A distance from the minimum that is this part of the objective is nothing to mention."""


def regression_page(regression: Regression, judged: Judged | None, command: str) -> Page:
    """Return the report of a softmax regression.

    Parameters
    ----------
    regression : Regression
    judged : Judged or None
        Rows, and what the model says of them; None where there are too many.
    command : str
        What repeats the fit.

    Returns
    -------
    Page
        For `softgrad.report.page.write`.
    """
    verdict = (
        f"The objective is {pretty(regression.objective)}, at most "
        f"{pretty(regression.optimality, 2)} above its minimum."
    )
    sections = [Section("How near is the optimum?", (_course(regression),), _gaps(regression))]
    if judged is None:
        text = "The data are large: no row was looked at by itself."
        sections.append(Section("What does it mistake?", (Paragraph(text),)))
    else:
        verdict += (
            f" {percent(float((judged.predicted == judged.y).mean()))} of its rows are right."
        )
        K = len(judged.classes)
        confusion = confusion_counts(judged.y, judged.predicted, K)
        sections.append(confusion_section(confusion, judged.classes, judged.are))
        sections += judged_sections(judged)
    sections.append(Section("What was trained?", (_subject(regression, judged),)))
    near = regression.optimality <= _NEAR * abs(regression.objective)
    tone: Tone = "good" if near else "plain"
    title = f"Softmax regression on {named(regression.source)}"
    return Page(title, Paragraph(verdict, tone), tuple(sections), command)


def _course(regression: Regression) -> Paragraph:
    return Paragraph(
        f"{counted(regression.steps, 'step')} of {regression.solver} took "
        f"{regression.seconds:.1f} s. The function is convex: there is one minimum. How far it "
        "may still be below is a bound that the gradient gives, not an estimate."
    )


def _gaps(regression: Regression) -> tuple[Figure, ...]:
    gaps = regression.gaps
    if not gaps:
        return ()
    line = Line("gap", gaps, np.arange(1, len(gaps) + 1))
    svg = line_chart([line], "Gap by step", x_label="step", y_label="above the minimum", log_y=True)
    words = (
        "What the objective seemed to be above its minimum before each step: "
        f"{pretty(gaps[0], 2)} at first, and {pretty(gaps[-1], 2)} before the last."
    )
    return (Figure(svg, words),)


def _subject(regression: Regression, judged: Judged | None) -> Paragraph:
    said = (
        f"z = W x + b and softmax, with {counted(regression.features, 'feature')} and "
        f"{counted(len(regression.classes), 'class')} of {named(regression.source)}; all rows were "
        "trained on."
    )
    if judged is not None:
        said += " So what this page says of single rows is not what new rows would show."
    return Paragraph(said)
