"""Words around numbers: how a series went, shares in percent, foreign names cut for a sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence

from softgrad.report.scales import pretty
from softgrad.report.words import shorten

__all__ = ["course", "named", "percent"]

_LONGEST_NAME = 200.0


def course(values: Sequence[float]) -> str:
    """Say where a series began and where it ended.

    >>> course([2.0, 0.5]), course([0.0, 0.0]), course([1.5])
    ('falls from 2 to 0.5', 'stays 0', 'is 1.5')
    """
    first, last = values[0], values[-1]
    if len(values) == 1:
        return f"is {pretty(last)}"
    if pretty(first) == pretty(last):
        return f"stays {pretty(first)}"
    if not (math.isfinite(first) and math.isfinite(last)):
        verb = "goes"
    else:
        verb = "rises" if last > first else "falls"
    return f"{verb} from {pretty(first)} to {pretty(last)}"


def percent(share: float) -> str:
    """Write a share as everywhere in softgrad.

    >>> percent(0.9693)
    '96.9 %'
    """
    return f"{100 * share:.1f} %"


def named(name: str) -> str:
    """Return a foreign name with room in a sentence.

    >>> named("x" * 100)
    'xxxxxxxxxxxxxxxx…xxxxxxxx'
    """
    return shorten(name, _LONGEST_NAME)
