"""SVG elements as safe markup: a string becomes a text node, escaped, and never anything else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from softgrad.foreign import clean
from softgrad.report.words import FONT_SIZE, LONGEST, shorten, width_of

__all__ = [
    "Attributes",
    "Piece",
    "drawing",
    "join",
    "line_of_text",
    "stack",
    "standalone",
    "tag",
    "text",
]

Attributes = dict[str, str | float | None]
"""Attributes of an element, to be given as `**attributes`."""

_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', sans-serif"
# Wider than this and a drawing scrolls on a narrow screen instead of shrinking to small print.
_WIDE = 520


@dataclass(frozen=True)
class Piece:
    """A part of a drawing with the size that it takes, drawn from the origin."""

    markup: Markup
    width: float
    height: float

    def at(self, x: float, y: float) -> Markup:
        """Return the markup moved to (x, y)."""
        return tag("g", self.markup, transform=f"translate({_form(x)} {_form(y)})")


def stack(pieces: Sequence[Piece], gap: float = 10.0) -> Piece:
    """Put pieces under one another, left-aligned."""
    y, parts = 0.0, []
    for piece in pieces:
        parts.append(piece.at(0, y))
        y += piece.height + gap
    return Piece(join(*parts), max(piece.width for piece in pieces), y - gap)


def tag(name: str, *children: str, **attributes: str | float | None) -> Markup:
    """Return one element; `text_anchor` becomes `text-anchor`, `class_` `class`, None nothing.

    >>> print(tag("text", "a < b", x=1.50, text_anchor="end"))
    <text x="1.5" text-anchor="end">a &lt; b</text>
    """
    pairs = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_form(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    body = join(*children)
    return Markup(f"<{name}{pairs}>{body}</{name}>" if body else f"<{name}{pairs}/>")


def join(*children: str) -> Markup:
    """Put elements and texts one after another; what is not markup yet is cleaned and escaped."""
    return Markup("").join(c if isinstance(c, Markup) else clean(c) for c in children)


def _form(value: str | float) -> str:
    """Write an attribute; a coordinate has two decimals at most."""
    if isinstance(value, str):
        return value
    rounded = round(value, 2) or 0.0  # no −0
    return f"{rounded:.2f}".rstrip("0").rstrip(".")


def text(
    content: str,
    x: float,
    y: float,
    *,
    anchor: str = "start",
    limit: float | None = None,
    size: float = FONT_SIZE,
    fill: str | None = None,
    quiet: bool = False,
    bold: bool = False,
    turn: float = 0,
) -> Markup:
    """Write `content` vertically centred on y, cut at `limit` pixels, with a tooltip then."""
    content = clean(content)
    shown = content if limit is None else shorten(content, limit, size)
    return tag(
        "text",
        tag("title", content[:LONGEST]) if shown != content else "",
        shown,
        x=x,
        y=y,
        dy="0.35em",
        text_anchor=None if anchor == "start" else anchor,
        font_size=None if size == FONT_SIZE else size,
        font_weight=600 if bold else None,
        fill=fill,
        fill_opacity=0.7 if quiet else None,
        transform=f"rotate({_form(turn)} {_form(x)} {_form(y)})" if turn else None,
    )


def line_of_text(content: str, *, bold: bool = False, quiet: bool = False) -> Piece:
    """Return a heading or a note as a piece of its own."""
    width = min(width_of(content, FONT_SIZE * (1.1 if bold else 1)), _WIDE)
    return Piece(text(content, 0, 8, limit=_WIDE, bold=bold, quiet=quiet), width, 16)


def drawing(piece: Piece, title: str, description: str) -> Markup:
    """Return the whole <svg>; what a screen reader says is its title and its description."""
    width, height = round(piece.width), round(piece.height)
    return tag(
        "svg",
        tag("title", title),
        tag("desc", description),
        piece.markup,
        xmlns="http://www.w3.org/2000/svg",
        role="img",
        class_="wide" if width > _WIDE else None,
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        font_family=_FONTS,
        font_size=FONT_SIZE,
        fill="currentColor",
    )


def standalone(svg: Markup) -> str:
    """Return a drawing as a file of its own, with dark ink on light pages and light on dark."""
    style = Markup(
        "<style>svg{color:#1d2127;font-variant-numeric:tabular-nums}"
        "@media(prefers-color-scheme:dark){svg{color:#e4e7eb}}</style>"
    )
    head, body = svg.split("<desc>", 1)
    return f"{head}{style}<desc>{body}\n"
