"""Sizes on one logarithmic axis, each beside the grey bar that it should not leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from softgrad.report.colours import PALETTE
from softgrad.report.scales import Log, pretty
from softgrad.report.svg import Piece, drawing, join, line_of_text, stack, tag, text
from softgrad.report.words import LABEL_GAP, shorten, width_of

__all__ = ["Dot", "DotWords", "dot_chart"]

_MOST = 24
_WIDTH, _PITCH, _TOP = 460.0, 26.0, 22.0
_LONGEST_LABEL = 190.0
# Sizes stand no further out: 0 below the rounding of float64, what is not finite above all.
_LEAST, _LARGEST = 1e-17, 1e3
_GOOD, _BAD, _OPEN = PALETTE[0], PALETTE[1], PALETTE[4]
_COLOURS = {"pass": _GOOD, "kept": _GOOD, "fail": _BAD, "broken": _BAD}


@dataclass(frozen=True)
class Dot:
    """One size; None where nothing was measured."""

    name: str
    size: float | None
    allowed: float
    """The bar's end."""
    verdict: str


@dataclass(frozen=True)
class DotWords:
    """What a chart of dots says around them."""

    axis: str
    bar: str
    nothing: str
    """In the place of a dot that has no size."""
    dots: str
    """What the dots stand for."""
    least: float = _LEAST
    """What is smaller stands here, zeros with it."""


def dot_chart(dots: Sequence[Dot], title: str, what: DotWords) -> Markup:
    """Draw dots and their bars, one under the other; of more than 24 those that are largest."""
    shown = list(dots)
    if len(dots) > _MOST:
        worst = sorted(range(len(dots)), key=lambda i: -_within(dots[i].size, what))[:_MOST]
        shown = [dots[i] for i in sorted(worst)]
    left = max(width_of(shorten(dot.name, _LONGEST_LABEL)) for dot in shown) + LABEL_GAP
    # The axis holds 1: an error as large as the gradient, or all that is allowed.
    sizes = [1.0]
    for dot in shown:
        if dot.size is not None:
            sizes += [_within(dot.size, what), _within(dot.allowed, what)]
    scale = Log.around(min(sizes), max(sizes), left + 8, _WIDTH - 12)
    bottom = _TOP + len(shown) * _PITCH
    rows = (_row(dot, _TOP + (i + 0.5) * _PITCH, scale, what) for i, dot in enumerate(shown))
    chart = join(text(what.axis, scale.start, 6, quiet=True), _axis(scale, bottom), *rows)
    verdicts = dict.fromkeys(dot.verdict for dot in shown if dot.size is not None)
    pieces = [Piece(chart, _WIDTH, bottom + 24), _legend(what.bar, list(verdicts))]
    words = [_describe(dot, what) for dot in shown]
    if len(shown) < len(dots):
        words.append(f"{len(shown)} of {len(dots)} {what.dots}: those with the largest sizes")
        pieces.append(line_of_text(words[-1], quiet=True))
    return drawing(stack(pieces), title, "; ".join(words))


def _within(size: float | None, what: DotWords) -> float:
    return float(np.clip(np.nan_to_num(size or 0.0, nan=_LARGEST), what.least, _LARGEST))


def _axis(scale: Log, bottom: float) -> Markup:
    parts = []
    for value, label in scale.ticks():
        x = float(scale(value))
        ends = {"x1": x, "y1": _TOP, "x2": x, "y2": bottom}
        parts.append(tag("line", **ends, stroke="currentColor", stroke_opacity=0.13))
        parts.append(text(label, x, bottom + 12, anchor="middle", quiet=True))
    return join(*parts)


def _row(dot: Dot, y: float, scale: Log, what: DotWords) -> Markup:
    name = text(dot.name, scale.start - 8 - LABEL_GAP, y, anchor="end", limit=_LONGEST_LABEL)
    if dot.size is None:
        return join(name, text(what.nothing, scale.start, y, quiet=True))
    end, place = (float(scale(_within(size, what))) for size in (dot.allowed, dot.size))
    bar = tag("rect", x=scale.start, y=y - 6, width=end - scale.start, height=12, fill_opacity=0.16)
    return join(name, bar, tag("circle", cx=place, cy=y, r=5, fill=_colour(dot.verdict)))


def _colour(verdict: str) -> str:
    return _COLOURS.get(verdict, _OPEN)


def _legend(bar: str, verdicts: Sequence[str]) -> Piece:
    """Explain the bar and the dots."""
    parts = [tag("rect", x=0, y=2, width=24, height=12, fill_opacity=0.16), text(bar, 30, 8)]
    x = 30 + width_of(bar) + 20
    for verdict in verdicts:
        colour = _colour(verdict)
        parts += [tag("circle", cx=x, cy=8, r=5, fill=colour), text(verdict, x + 10, 8)]
        x += 10 + width_of(verdict) + 20
    return Piece(join(*parts), x, 16)


def _describe(dot: Dot, what: DotWords) -> str:
    size = what.nothing if dot.size is None else f"{what.axis} {pretty(dot.size)}"
    return f"{dot.name}: {dot.verdict}, {size}"
