"""Whether probabilities come true: what a model says against how often it is right."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from softgrad.explain.judged import Judged
from softgrad.learn.statistics import Reliability, reliability
from softgrad.report.colours import PALETTE
from softgrad.report.page import Figure
from softgrad.report.scales import Linear, pretty
from softgrad.report.sentences import percent
from softgrad.report.svg import Piece, drawing, join, stack, tag, text
from softgrad.report.words import LABEL_GAP, width_of

__all__ = ["calibration_chart", "calibration_figure"]

_BINS = 10
_SIDE, _LEFT, _TOP, _BOTTOM = 260.0, 40.0, 24.0, 44.0
_RIGHT = 14.0
_CHANCE = 2.0
"""Standard errors that the roughness of few rows explains."""


def calibration_figure(judged: Judged) -> Figure:
    """Draw how often the model is right, by how sure it is."""
    bins = reliability(judged.probabilities, judged.y, bins=_BINS)
    said = float(judged.probabilities.max(axis=1).mean())
    true = float((judged.predicted == judged.y).mean())
    words = (
        f"How often the likeliest class is right, by the probability it is given. On average the "
        f"model says {percent(said)}, and {percent(true)} come true. On the line both are one; "
        "grey is what so few rows may do by chance, and a dot's area is the share of the rows. "
        f"Expected calibration error: {pretty(bins.error, 2)}."
    )
    rows = len(judged.y)
    return Figure(calibration_chart(bins, rows, "Said and came true"), words)


def calibration_chart(bins: Reliability, rows: int, title: str) -> Markup:
    """Draw the bins of `rows` probabilities as dots beside the line of equality.

    Parameters
    ----------
    bins : Reliability
    rows : int
        How many probabilities are in all bins together.
    title : str
        What the picture shows, in a few words.

    Returns
    -------
    Markup
        One <svg> element.
    """
    x_scale = Linear.tight(0, 1, _LEFT, _LEFT + _SIDE)
    y_scale = Linear.tight(0, 1, _TOP + _SIDE, _TOP)
    filled = np.flatnonzero(bins.weight > 0)
    marks, words = [], []
    for k in filled.tolist():
        said, true, share = (float(a[k]) for a in (bins.confidence, bins.frequency, bins.weight))
        room = _CHANCE * np.sqrt(max(said * (1 - said), 0) / (share * rows))
        ends = np.clip([said - room, said + room], 0, 1)
        x, y = float(x_scale(said)), float(y_scale(true))
        low, high = y_scale(ends).tolist()
        beyond = not ends[0] <= true <= ends[1]
        marks.append(tag("rect", x=x - 5, y=high, width=10, height=low - high, fill_opacity=0.16))
        colour = PALETTE[1] if beyond else PALETTE[0]
        radius = 3 + 7 * np.sqrt(share)
        marks.append(tag("circle", cx=x, cy=y, r=radius, fill=colour, fill_opacity=0.85))
        words.append(f"says {pretty(said, 3)}, {pretty(true, 3)} come true")
    chart = join(_axes(x_scale, y_scale), *marks)
    plane = Piece(chart, _LEFT + _SIDE + _RIGHT, _TOP + _SIDE + _BOTTOM)
    return drawing(stack([plane, _legend()]), title, "; ".join(words))


def _axes(x_scale: Linear, y_scale: Linear) -> Markup:
    bottom, left, right = y_scale.start, x_scale.start, x_scale.end
    ends = {"x1": left, "y1": bottom, "x2": right, "y2": y_scale.end}
    parts = [
        tag("line", **ends, stroke="currentColor", stroke_opacity=0.45),
        text("comes true", 0, 6, quiet=True),
        text("is said", (left + right) / 2, bottom + 34, anchor="middle", quiet=True),
    ]
    for value, label in x_scale.ticks():
        x, y = float(x_scale(value)), float(y_scale(value))
        faint = 0.45 if value == 0 else 0.13
        across = {"x1": left, "y1": y, "x2": right, "y2": y}
        parts += [
            tag("line", **across, stroke="currentColor", stroke_opacity=faint),
            text(label, left - LABEL_GAP, y, anchor="end", quiet=True),
            text(label, x, bottom + 14, anchor="middle", quiet=True),
        ]
    return join(*parts)


def _legend() -> Piece:
    """Explain the bar and the colours."""
    parts, x = [tag("rect", x=2, y=0, width=10, height=16, fill_opacity=0.16)], 20.0
    for words, colour in (("chance", None), ("within it", PALETTE[0]), ("beyond", PALETTE[1])):
        if colour:
            parts.append(tag("circle", cx=x - 8, cy=8, r=5, fill=colour))
        parts.append(text(words, x + (2 if colour else 0), 8))
        x += width_of(words) + 34
    return Piece(join(*parts), x - 20, 16)
