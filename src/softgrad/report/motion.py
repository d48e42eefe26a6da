"""Real rows on the triangle of their three likeliest classes, at moments of a training."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from softgrad.explain.judged import Judged, OnTheWay
from softgrad.report.colours import PALETTE
from softgrad.report.page import Figure
from softgrad.report.scales import pretty
from softgrad.report.sentences import named
from softgrad.report.simplex import Triangle
from softgrad.report.svg import Piece, drawing, join, line_of_text, stack, tag
from softgrad.results import counted

__all__ = ["motion_figure"]

_MOMENTS = 6
_MOST_ROWS = 60
_SMALL = Triangle(side=190.0, margin=40.0)
_OTHER = 3
"""What stands for a class that has no corner."""


def motion_figure(judged: Judged) -> Figure | None:
    """Draw the rows that have the same three likeliest classes; None where no three can be had."""
    seen = judged.on_the_way
    if seen is None or not judged.sums_to_one or len(judged.classes) < 3 or len(seen.epochs) < 2:
        return None
    corners, rows = _companions(seen)
    moments = _moments(len(seen.epochs))
    p = seen.probabilities[moments][:, rows][:, :, corners]  # [M, R, 3]
    inside = p.sum(axis=2, keepdims=True)
    if not (inside > 0).all():
        return None
    y = judged.y[seen.rows[rows]]  # [R]
    own = np.array([corners.index(k) if k in corners else _OTHER for k in y.tolist()])
    names = [judged.classes[k] for k in corners]
    pictures = [
        _picture(p / inside, m, own, names, seen.epochs[moment]) for m, moment in enumerate(moments)
    ]
    home = p.argmax(axis=2) == own  # [M, R]
    listed = ", ".join(map(named, names))
    others = ""
    if len(judged.classes) > 3:
        share = pretty(float(1 - inside[-1].min()), 2)
        others = f" alone; all others have at most {share} together at the end"
    words = (
        f"{counted(len(rows), 'row')} of the {judged.are}, those that moved most between "
        f"{listed}, by the probabilities of these three{others}. A dot has the colour of its "
        "class's corner, and its tail comes from where it was in the picture before. Nearest to "
        f"their own corner are {int(home[0].sum())} of them at first, and {int(home[-1].sum())} at "
        "the end."
    )
    return Figure(join(*pictures, _legend(names, own)), words)


def _companions(seen: OnTheWay) -> tuple[list[int], NDArray[np.intp]]:
    """Return the three classes that rows moved between most, and the rows that did so most.

    Of a row the two likeliest classes, on average over the moments, must be among the three.
    """
    mean = seen.probabilities.mean(axis=0)  # [F, K]
    top = np.argsort(-mean, axis=1, kind="stable")[:, :3]  # [F, 3]
    way = np.abs(np.diff(seen.probabilities, axis=0)).sum(axis=(0, 2))  # [F]
    best, most = top[0], -1.0
    for triple in np.unique(np.sort(top, axis=1), axis=0):
        among = float(way[np.isin(top[:, :2], triple).all(axis=1)].sum())
        if among > most:
            best, most = triple, among
    rows = np.flatnonzero(np.isin(top[:, :2], best).all(axis=1))
    rows = rows[np.argsort(-way[rows], kind="stable")[:_MOST_ROWS]]
    return np.sort(best).tolist(), rows


def _moments(count: int) -> list[int]:
    """Return some places among so many, the first and the last with them."""
    return sorted(set(np.linspace(0, count - 1, _MOMENTS).round().astype(int).tolist()))


def _picture(
    p: NDArray[np.float64], moment: int, own: NDArray[np.intp], names: list[str], epoch: int
) -> Markup:
    """Draw one moment: every row a dot, with a tail to where it was."""
    before, now = (p[m] @ _SMALL.corners for m in (max(moment - 1, 0), moment))  # [R, 2]
    marks = []
    for start, end, corner in zip(before.tolist(), now.tolist(), own.tolist(), strict=True):
        (x1, y1), (x2, y2) = start, end
        colour = _colour(corner)
        if moment:
            ends = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
            marks.append(tag("line", **ends, stroke=colour, stroke_opacity=0.3))
        marks.append(tag("circle", cx=x2, cy=y2, r=3, fill=colour, fill_opacity=0.85))
    when = f"after epoch {epoch}" if epoch else "before the first step"
    plane = Piece(join(_SMALL.drawn(names), *marks), _SMALL.width, _SMALL.height)
    said = f"{len(p[moment])} rows on the triangle of {', '.join(names)}"
    return drawing(stack([line_of_text(when, bold=True), plane], gap=6), when, said)


def _colour(corner: int) -> str:
    return "currentColor" if corner == _OTHER else PALETTE[corner]


def _legend(names: list[str], own: NDArray[np.intp]) -> Markup:
    """Name the colours of the classes that have a dot."""
    pieces = []
    for corner, name in enumerate([*names, "another class"]):
        if (own == corner).any():
            dot = tag("circle", cx=6, cy=8, r=4, fill=_colour(corner))
            label = line_of_text(name)
            pieces.append(Piece(join(dot, label.at(18, 0)), 18 + label.width, 16))
    return drawing(stack(pieces, gap=4), "Colours", "The class of each dot")
