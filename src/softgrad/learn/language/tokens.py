"""Text cut into tokens: parts of words, numbers, punctuation and layout, none of it lost.

A token takes along the one space or underscore before it, a line break the indentation behind it.
So the tokens of a text, one after the other, are the text, and long names are made of known parts.
"""

from __future__ import annotations

import re

__all__ = ["split_text"]

_TOKEN = re.compile(
    r"[ _]?[^\W\d_]+"  # letters
    r"| ?\d{1,3}"  # three digits of a number at most
    r"| ?_+"
    r"|\n[ \t]*"  # the end of a line, and how the next one is indented
    r"| ?([^\w\s])\1*"  # punctuation; the same mark several times is one token
    r"|[ \t]+"  # more than one space
    r"|\s"
)


def split_text(text: str) -> list[str]:
    r"""Cut a text into tokens that are the text again when they are joined.

    >>> split_text("def get_name(x):\n    return x == 10")
    ['def', ' get', '_name', '(', 'x', ')', ':', '\n    ', 'return', ' x', ' ==', ' 10']
    """
    return [found.group() for found in _TOKEN.finditer(text)]
