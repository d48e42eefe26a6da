"""Pictures of how a classifier's fit went: the gap by step, the loss by epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from softgrad.report.lines import Line, line_chart
from softgrad.report.page import Figure
from softgrad.report.scales import pretty
from softgrad.report.sentences import course

__all__ = ["course_figures"]


def course_figures(
    gaps: Sequence[float], losses: Sequence[float], held_out: Sequence[float]
) -> tuple[Figure, ...]:
    """Return the pictures of what there is: losses of epochs, and gaps of steps that follow them.

    Parameters
    ----------
    gaps : sequence of float, length T
        What the objective seemed to be above its minimum before each step.
    losses : sequence of float, length E
        The mean loss of a row in each epoch.
    held_out : sequence of float, length E or 0
        That of the rows held out, after each epoch.

    Returns
    -------
    tuple of Figure
    """
    figures = [_losses(losses, held_out)] if losses else []
    return (*figures, *([_gaps(gaps)] if gaps else []))


def _gaps(gaps: Sequence[float]) -> Figure:
    line = Line("gap", gaps, np.arange(1, len(gaps) + 1))
    svg = line_chart([line], "Gap by step", x_label="step", y_label="above the minimum", log_y=True)
    words = (
        "What the objective seemed to be above its minimum before each step: "
        f"{pretty(gaps[0], 2)} at first, and {pretty(gaps[-1], 2)} before the last."
    )
    return Figure(svg, words)


def _losses(losses: Sequence[float], held_out: Sequence[float]) -> Figure:
    epochs = np.arange(1, len(losses) + 1)
    lines = [Line("training", losses, epochs)]
    words = f"Mean loss of a row, each as its mini-batch met it: it {course(losses)}."
    if held_out:
        lines.append(Line("held out", held_out, epochs))
        words += f" Of rows that early stopping held out it {course(held_out)}."
    svg = line_chart(lines, "Loss by epoch", x_label="epoch", y_label="loss")
    return Figure(svg, words)
