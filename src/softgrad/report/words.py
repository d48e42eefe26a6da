"""Foreign words made fit to draw: measured, and cut where room ends."""

from __future__ import annotations

import unicodedata

import numpy as np

from softgrad.foreign import clean

__all__ = ["FONT_SIZE", "LABEL_GAP", "LONGEST", "shorten", "width_of"]

FONT_SIZE = 12
LABEL_GAP = 6
# Characters of a label: marks that combine take no width, so that width alone bounds nothing.
LONGEST = 200

_NARROW = set("ijlrtfI.,:;'|!()[]-/ ")
_BROAD = set("mwMW@%−×+=<>~…—")


def width_of(content: str, size: float = FONT_SIZE) -> float:
    """Estimate a text's width in pixels, on the wide side, whatever the reader's font is."""
    return size * sum(map(_character_width, clean(content)))


def _character_width(c: str) -> float:
    if c in _NARROW:
        return 0.41
    if c in _BROAD:
        return 0.98
    if unicodedata.category(c) in ("Mn", "Me", "Cf"):
        return 0.0
    if unicodedata.east_asian_width(c) in "WF":
        return 1.05
    return 0.78 if c.isupper() else 0.65


def shorten(content: str, limit: float, size: float = FONT_SIZE) -> str:
    """Cut a text to `limit` pixels; head and tail stay, since names often differ in the last part.

    >>> shorten("feature number 17", limit=90)
    'feature…r 17'
    """
    content = clean(content)
    if len(content) <= LONGEST and width_of(content, size) <= limit:
        return content
    room = limit - width_of("…", size)
    tail = _fitting(content[: -LONGEST - 1 : -1], room / 3, size)[::-1].lstrip()
    head = _fitting(content[:LONGEST], room - width_of(tail, size), size).rstrip()
    return f"{head}…{tail}"


def _fitting(content: str, room: float, size: float) -> str:
    """Return the longest beginning of `content` that takes no more than `room` pixels."""
    ends = size * np.cumsum([_character_width(c) for c in content])
    return content[: int(np.searchsorted(ends, room, side="right"))]
