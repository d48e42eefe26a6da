"""The report of `softgrad train --solver`: how the fit went, and what the model mistakes."""

from __future__ import annotations

import math

from softgrad.explain.judged import Judged
from softgrad.explain.regression import Regression
from softgrad.explain.training import confusion_counts
from softgrad.report.course import course_figures
from softgrad.report.judged import judged_sections
from softgrad.report.learning import confusion_section
from softgrad.report.page import Page, Section
from softgrad.report.scales import pretty
from softgrad.report.sentences import named, percent
from softgrad.results import Paragraph, Tone, counted

__all__ = ["regression_page"]

_NEAR = 1e-4
"""A distance from the minimum that is this part of the objective is nothing to mention."""


def regression_page(regression: Regression, judged: Judged | None, command: str) -> Page:
    """Return the report of a classifier.

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
    verdict = f"The objective is {pretty(regression.objective)}"
    if math.isfinite(regression.optimality):
        verdict += f", at most {pretty(regression.optimality, 2)} above its minimum"
    verdict += "."
    figures = course_figures(regression.gaps, regression.losses, regression.held_out)
    asked = "How did it go?" if regression.losses else "How near is the optimum?"
    sections = [Section(asked, (_course(regression),), figures)]
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
    what = "Network" if regression.hidden else "Softmax regression"
    title = f"{what} on {named(regression.source)}"
    return Page(title, Paragraph(verdict, tone), tuple(sections), command)


def _course(regression: Regression) -> Paragraph:
    said = f"{regression.work} took {regression.seconds:.1f} s. "
    if regression.hidden:
        said += "With hidden layers there are many minima, and nobody knows how low others are."
    else:
        said += "The function is convex: there is one minimum."
    if math.isfinite(regression.optimality):
        said += (
            " How far it may still be below is a bound that the gradient gives, not an estimate."
        )
    if regression.held_out:
        said += f" Epoch {regression.kept_epoch} served the rows held out best, and was kept."
    return Paragraph(said)


def _subject(regression: Regression, judged: Judged | None) -> Paragraph:
    what = "z = W x + b and softmax"
    if regression.hidden:
        widths = " and ".join(map(str, regression.hidden))
        what = f"A network with hidden layers of {widths} and softmax"
    rows = "all rows were trained on"
    if regression.held_out:
        rows = "some rows were held out to say when to stop"
    said = (
        f"{what}, with {counted(regression.features, 'feature')} and "
        f"{counted(len(regression.classes), 'class')} of {named(regression.source)}; "
        f"{rows}."
    )
    if judged is not None:
        said += " So what this page says of single rows is not what new rows would show."
    return Paragraph(said)
