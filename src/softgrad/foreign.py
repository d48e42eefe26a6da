"""Foreign words, such as the names of classes, made fit to be shown anywhere."""

from __future__ import annotations

import unicodedata

__all__ = ["clean", "clean_lines"]

# Embeddings, overrides and isolates: one of them left open turns the rest of a page around.
_BIDI = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}


def clean(value: str) -> str:
    """Make a foreign string one line that HTML, XML and a terminal show and do not obey.

    >>> clean("a\\tb\\x00")
    'a b\ufffd'
    """
    if value.isprintable():  # nearly always, and none of these has anything to clean
        return value
    return "".join(map(_clean_character, value))


def clean_lines(value: str) -> str:
    """Make each line of a foreign string so; only its line breaks stay.

    >>> clean_lines("red\\n\\x1b[31m")
    'red\\n\ufffd[31m'
    """
    return value if value.isprintable() else "\n".join(map(clean, value.split("\n")))


def _clean_character(c: str) -> str:
    if c in "\t\n\r\u2028\u2029\x85":
        return " "
    code = ord(c)
    forbidden = unicodedata.category(c) in ("Cc", "Cs") or code & 0xFFFE == 0xFFFE
    return "\ufffd" if forbidden or 0xFDD0 <= code <= 0xFDEF or code in _BIDI else c
