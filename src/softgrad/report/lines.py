"""Line charts: losses, accuracies, gradients step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray

from softgrad.errors import mismatch
from softgrad.report.colours import stroke
from softgrad.report.paths import spread, thin
from softgrad.report.scales import AbstractScale, Linear, Log, pretty
from softgrad.report.svg import Piece, drawing, join, line_of_text, stack, tag, text
from softgrad.report.words import FONT_SIZE, LABEL_GAP, shorten, width_of

__all__ = ["Line", "line_chart"]

MOST_LINES = 12
_WIDTH, _HEIGHT = 460.0, 270.0
_TOP, _BOTTOM = 30.0, 44.0
_LONGEST_LABEL = 120.0
_SWATCH = 14.0
# Beyond these the arithmetic of an axis would overflow or underflow.
_LARGEST, _SMALLEST = 1e300, 1e-300


@dataclass(frozen=True)
class Line:
    """One line: its name and its values [T], at 0, 1, ... where no `x` [T] is given."""

    name: str
    y: ArrayLike
    x: ArrayLike | None = None
    colour: int | None = None
    """Which of the palette's, where it means something; else lines count from 0."""


@dataclass(frozen=True)
class _Points:
    """A line as it is drawn: two arrays [T], NaN where there is a gap."""

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    colour: int

    @property
    def drawn(self) -> NDArray[np.bool_]:
        return np.isfinite(self.x) & np.isfinite(self.y)


def line_chart(
    lines: Sequence[Line], title: str, *, x_label: str = "", y_label: str = "", log_y: bool = False
) -> Markup:
    """Draw lines over one pair of axes, each named at its right end.

    Values that are not finite are gaps. On a logarithmic axis so are zeros and negative values,
    which the picture says; without any positive value the axis is linear. Of more than 12 lines
    the 12 with the widest range are drawn, which the picture says too.

    Parameters
    ----------
    lines : sequence of Line
        At least one; lines may have different lengths.
    title : str
        What the picture shows, in a few words.
    x_label, y_label : str
        What the axes measure.
    log_y : bool
        Whether equal ratios of y are equally high.

    Returns
    -------
    Markup
        One <svg> element.

    Raises
    ------
    ValueError
        There is no line, or one has not as many `x` as `y` along one axis.

    Examples
    --------
    >>> line_chart([Line("loss", [2.3, 0.9, 0.4])], "Loss by epoch").count("<path")
    1
    """
    if not lines:
        raise ValueError(mismatch("lines", "at least one Line", "none"))
    points = [_points(line, place) for place, line in enumerate(lines)]
    notes = []
    if len(points) > MOST_LINES:
        notes.append(f"{MOST_LINES} of {len(points)} lines: those with the widest range")
        points = _widest(points)
    log_y = log_y and any((line.y > 0).any() for line in points)
    if log_y:
        points, hidden = _positive(points)
        notes += [f"{hidden} values of 0 or below have no place on this axis"] if hidden else []

    bottom = _HEIGHT - _BOTTOM
    y_scale = _y_scale(points, bottom, log_y)
    left = max(width_of(label) for _, label in y_scale.ticks()) + LABEL_GAP + 2
    names = [shorten(line.name, _LONGEST_LABEL) for line in points]
    right = _WIDTH - max(map(width_of, names)) - _SWATCH - 3 * LABEL_GAP
    x_scale = _x_scale(points, left, right)
    chart = join(
        text(y_label, 0, FONT_SIZE / 2, limit=_WIDTH, quiet=True) if y_label else "",
        _below(x_label, (left + right) / 2) if x_label else "",
        _axes(x_scale, y_scale),
        *(_line(line, x_scale, y_scale) for line in points),
        _names(points, y_scale, right + LABEL_GAP),
    )
    pieces = [Piece(chart, _WIDTH, _HEIGHT), *(line_of_text(note, quiet=True) for note in notes)]
    words = [*(_describe(line) for line in points), *notes]
    return drawing(stack(pieces), title, "; ".join(words))


def _points(line: Line, place: int) -> _Points:
    y = np.asarray(line.y, dtype=float)
    x = np.arange(y.size, dtype=float) if line.x is None else np.asarray(line.x, dtype=float)
    if y.ndim != 1 or x.shape != y.shape:
        expected = "as many values along one axis as `x`"
        raise ValueError(mismatch("y", expected, f"shapes {y.shape} and {x.shape}"))
    colour = place if line.colour is None else line.colour
    return _Points(line.name, _drawable(x), _drawable(y), colour)


def _drawable(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return NaN for what is too large to draw and 0 for what is too small."""
    size = np.abs(values)
    return np.where(size < _LARGEST, np.where(size < _SMALLEST, 0.0, values), np.nan)


def _widest(points: Sequence[_Points]) -> list[_Points]:
    ranges = [float(np.ptp(line.y[line.drawn])) if line.drawn.any() else -1.0 for line in points]
    kept = np.sort(np.argsort(np.negative(ranges), kind="stable")[:MOST_LINES])
    return [replace(points[i], colour=place) for place, i in enumerate(kept)]


def _positive(points: Sequence[_Points]) -> tuple[list[_Points], int]:
    """Return the lines with gaps where a logarithm has no place, and how many those are."""
    hidden = sum(int((line.y <= 0).sum()) for line in points)
    return [replace(p, y=np.where(p.y > 0, p.y, np.nan)) for p in points], hidden


def _ends(values: list[NDArray[np.float64]]) -> tuple[float, float]:
    together = np.concatenate(values)
    return (float(together.min()), float(together.max())) if together.size else (0.0, 1.0)


def _x_scale(points: Sequence[_Points], left: float, right: float) -> Linear:
    values = [line.x[line.drawn] for line in points]
    whole = all((x % 1 == 0).all() for x in values)
    return (Linear.counting if whole else Linear.tight)(*_ends(values), left, right)


def _y_scale(points: Sequence[_Points], bottom: float, log_y: bool) -> AbstractScale:
    low, high = _ends([line.y[line.drawn] for line in points])
    return (Log if log_y else Linear).around(low, high, bottom, _TOP)


def _axes(x_scale: AbstractScale, y_scale: AbstractScale) -> Markup:
    """Draw the grid with its labels: level lines across, short marks below."""
    bottom = y_scale.start
    parts = [_rule(x_scale.start, bottom, x_scale.end, bottom, 0.45)]
    for (_, label), y in _placed(y_scale):
        if y < bottom - 1:
            parts.append(_rule(x_scale.start, y, x_scale.end, y, 0.13))
        parts.append(text(label, x_scale.start - LABEL_GAP, y, anchor="end", quiet=True))
    for (_, label), x in _placed(x_scale):
        parts.append(_rule(x, bottom, x, bottom + 4, 0.45))
        parts.append(text(label, x, bottom + 14, anchor="middle", quiet=True))
    return join(*parts)


def _below(x_label: str, middle: float) -> Markup:
    room = 2 * min(middle, _WIDTH - middle)
    return text(x_label, middle, _HEIGHT - 8, anchor="middle", limit=room, quiet=True)


def _placed(scale: AbstractScale) -> list[tuple[tuple[float, str], float]]:
    return [(tick, float(scale(tick[0]))) for tick in scale.ticks()]


def _rule(x1: float, y1: float, x2: float, y2: float, strength: float) -> Markup:
    ends = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    return tag("line", **ends, stroke="currentColor", stroke_opacity=strength)


def _line(line: _Points, x_scale: AbstractScale, y_scale: AbstractScale) -> Markup:
    path = thin(x_scale(line.x), y_scale(line.y))
    style = {"fill": "none", "stroke_linejoin": "round"}
    return tag("path", d=path, **style, **stroke(line.colour)) if path else Markup("")


def _names(points: Sequence[_Points], y_scale: AbstractScale, x: float) -> Markup:
    """Write each name beside its line's end, with a swatch, as near as the others allow."""
    top, bottom = y_scale.end, y_scale.start
    ends = [float(y_scale(p.y[p.drawn][-1])) if p.drawn.any() else bottom for p in points]
    places = spread(ends, FONT_SIZE + 4, top, bottom)
    parts = []
    for line, y in zip(points, places, strict=True):
        parts.append(tag("line", x1=x, y1=y, x2=x + _SWATCH, y2=y, **stroke(line.colour)))
        parts.append(text(line.name, x + _SWATCH + LABEL_GAP, y, limit=_LONGEST_LABEL))
    return join(*parts)


def _describe(line: _Points) -> str:
    y = line.y[line.drawn]
    if y.size == 0:
        return f"{line.name}: no values"
    return f"{line.name}: from {pretty(float(y[0]))} to {pretty(float(y[-1]))} at {y.size} points"
