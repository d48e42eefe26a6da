"""What a report says of single rows: the worst mistakes, how sure, and how they moved."""

from __future__ import annotations

from softgrad.explain.judged import Judged
from softgrad.report.calibration import calibration_figure
from softgrad.report.mistakes import mistakes_figures, mistakes_fold
from softgrad.report.motion import motion_figure
from softgrad.report.page import Section
from softgrad.results import Paragraph

__all__ = ["judged_sections"]


def judged_sections(judged: Judged) -> tuple[Section, ...]:
    """Return the sections about rows that a model was asked about."""
    sections = []
    wrong = mistakes_figures(judged)
    if wrong:
        sections.append(
            Section("Where is it wrong and sure of it?", (), wrong, mistakes_fold(judged))
        )
    heading = "Do its probabilities come true?"
    if judged.sums_to_one:
        sections.append(Section(heading, (), (calibration_figure(judged),)))
    else:
        text = "Each class is decided by itself: a row's probabilities are no distribution."
        sections.append(Section(heading, (Paragraph(text),)))
    moved = motion_figure(judged)
    if moved is not None:
        sections.append(Section("How did single rows move?", (), (moved,)))
    return tuple(sections)
