"""Foreign words made fit to draw: without what breaks a page, measured, and cut where room ends."""

from __future__ import annotations

import unicodedata

import numpy as np

__all__ = ["FONT_SIZE", "LABEL_GAP", "LONGEST", "clean", "shorten", "width_of"]

FONT_SIZE = 12
LABEL_GAP = 6
# Characters of a label: marks that combine take no width, so that width alone bounds nothing.
LONGEST = 200

# Embeddings, overrides and isolates: one of them left open turns the rest of a page around.
_BIDI = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}
_NARROW = set("ijlrtfI.,:;'|!()[]-/ ")
_BROAD = set("mwMW@%−×+=<>~…—")


def clean(value: str) -> str:
    """Make a foreign string one line that HTML and XML can hold and that keeps its direction.

    >>> clean("a\\tb\\x00")
    'a b\ufffd'
    """
    if value.isprintable():  # nearly always, and none of these has anything to clean
        return value
    return "".join(map(_clean_character, value))


def _clean_character(c: str) -> str:
    if c in "\t\n\r\u2028\u2029\x85":
        return " "
    code = ord(c)
    forbidden = unicodedata.category(c) in ("Cc", "Cs") or code & 0xFFFE == 0xFFFE
    return "\ufffd" if forbidden or 0xFDD0 <= code <= 0xFDEF or code in _BIDI else c


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
