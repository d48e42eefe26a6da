"""What a language model expects at places of a text: p − t of its likeliest tokens, as bars."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from softgrad.explain.judged_tokens import JudgedTokens
from softgrad.report.colours import PALETTE
from softgrad.report.scales import pretty
from softgrad.report.svg import Piece, drawing, join, stack, tag, text
from softgrad.report.words import LABEL_GAP, shorten, width_of

__all__ = ["expected_chart", "visible"]

_EXPECTED = 3
"""As many tokens are drawn, besides the one that stands there."""
_WIDTH, _MIDDLE, _SIDE, _PITCH = 500.0, 300.0, 140.0, 19.0
_LONGEST_TOKEN = 130.0
_MARKS = str.maketrans({" ": "␣", "\n": "⏎", "\t": "⇥"})


def visible(token: str) -> str:
    """Return a token whose spaces and line breaks are seen.

    >>> visible("\\n    "), visible(" def")
    ('⏎␣␣␣␣', '␣def')
    """
    return token.translate(_MARKS)


def expected_chart(judged: JudgedTokens, places: Sequence[int]) -> Markup:
    """Draw some places: the text before, and under it p − t of the likeliest tokens."""
    pieces = [_place(judged, place) for place in places]
    said = "; ".join(
        f"{visible(judged.tokens[place])}, for the model {visible(judged.likeliest[place][0])}"
        for place in places
    )
    return drawing(stack(pieces, gap=16), "Expected and found", said)


def _place(judged: JudgedTokens, place: int) -> Piece:
    token = judged.tokens[place]
    p = dict(zip(judged.likeliest[place], judged.their_probabilities[place].tolist(), strict=True))
    likeliest = [name for name in p if name != token][:_EXPECTED]
    bars = [(token, float(judged.probabilities[place]) - 1), *((k, p[k]) for k in likeliest)]
    rows = [_bar(name, value, i) for i, (name, value) in enumerate(bars, 1)]
    return Piece(
        join(_heading(judged.before[place], token), *rows), _WIDTH, _PITCH * len(rows) + 22
    )


def _heading(before: str, token: str) -> Markup:
    """Write the end of the text before, as much as there is room for, and the token, marked."""
    marked = f"▸{visible(token)}"
    room = _WIDTH - min(width_of(marked), _LONGEST_TOKEN) - width_of("…")
    end = before
    while width_of(visible(end)) > room:
        end = end[1:]
    shown = visible(end if end == before else f"…{end}")
    parts = (
        tag("tspan", shown, fill_opacity=0.7),
        tag("tspan", shorten(marked, _LONGEST_TOKEN), font_weight=600),
    )
    return tag("text", *parts, x=0, y=8, dy="0.35em")


def _bar(name: str, value: float, row: int) -> Markup:
    """Draw one entry of p − t: to the left what is raised, to the right what is lowered."""
    y = row * _PITCH + 10
    left, right = sorted((_MIDDLE, _MIDDLE + value * _SIDE))
    colour = PALETTE[0] if value < 0 else PALETTE[1]
    start = _MIDDLE - _SIDE - LABEL_GAP
    return join(
        text(visible(name), start, y, anchor="end", limit=_LONGEST_TOKEN, bold=value < 0),
        tag("rect", x=left, y=y - 6, width=right - left, height=12, fill=colour),
        tag("line", x1=_MIDDLE, y1=y - 9, x2=_MIDDLE, y2=y + 9, stroke="currentColor"),
        text(pretty(value, 2), _MIDDLE + _SIDE + LABEL_GAP, y),
    )
