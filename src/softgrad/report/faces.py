"""The pictures of results that a notebook shows; `softgrad.results` asks for them by name."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from softgrad.explain import Comparison, Followed
from softgrad.explain.tables import largest
from softgrad.explain.training import Training
from softgrad.nn import History
from softgrad.promises import Conformance
from softgrad.report.colours import FOLLOWED
from softgrad.report.conformance import promises_figure
from softgrad.report.learning import confusion_figure, loss_figure
from softgrad.report.lines import Line, line_chart
from softgrad.report.simplex import Path, simplex
from softgrad.report.svg import join
from softgrad.report.tour_pictures import draw_heads
from softgrad.results import Result

__all__ = ["picture_of"]

_LINES = 6
"""As many outputs have a curve."""


def picture_of(result: Result) -> Markup:
    """Return one or more <svg> elements; nothing for a result that has no picture."""
    match result:
        case Comparison():
            return draw_heads(result, [_class(k, result.target) for k in range(len(result.W))])
        case Followed():
            return _followed(result)
        case Training():
            confusion = confusion_figure(result.confusion, result.classes)
            return join(loss_figure(result).svg, confusion.svg)
        case History():
            return _losses(result)
        case Conformance():
            return promises_figure(result).svg
    return Markup("")


def _class(k: int, target: int) -> str:
    return f"{k} (target)" if k == target else str(k)


def _followed(result: Followed) -> Markup:
    seen = result.trajectory
    shown = largest(np.ptp(seen.outputs, axis=0), _LINES)
    lines = [Line(f"p[{k}]", seen.outputs[:, k]) for k in shown]
    curves = line_chart(lines, "Outputs by step", x_label="step", y_label="output")
    three, sums = seen.outputs.shape[1] == 3, seen.outputs.sum(axis=1)
    if not three or np.abs(sums - 1).max() > 1e-6:
        return curves
    path = Path(result.objective, seen.outputs, FOLLOWED)
    return join(simplex([path], ["p[0] = 1", "p[1] = 1", "p[2] = 1"], "Outputs"), curves)


def _losses(result: History) -> Markup:
    numbers = [epoch.number for epoch in result.epochs]
    lines = [Line("training", [epoch.loss for epoch in result.epochs], numbers)]
    held_out = [epoch.validation_loss for epoch in result.epochs]
    if held_out[0] is not None:
        lines.append(Line("validation", np.array(held_out, dtype=float), numbers))
    return line_chart(lines, "Loss by epoch", x_label="epoch", y_label="loss")
