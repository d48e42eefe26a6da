"""Colours: two scales for cells, the ink that is readable on both, and a palette for lines.

Blue against orange stays apart for every common form of colour blindness, and in grey the sign is
still written in the cell.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "FOLLOWED",
    "INK",
    "PALETTE",
    "RGB",
    "SIGMOID",
    "SUM",
    "contrast",
    "diverging",
    "hexadecimal",
    "sequential",
    "stroke",
]

RGB = NDArray[np.uint8]
"""Colours, [..., 3]."""

# At least 3:1 against white and against the dark page, so that one palette serves both.
PALETTE = ("#2b7bc4", "#d2570d", "#0c8f6d", "#a05cc4", "#a87a08", "#c94f86")

# Where a gradient is followed three classes have the first colours, and the runs one each of their
# own: a colour means the same in every such picture.
FOLLOWED, SIGMOID, SUM = 3, 4, 5

# On every cell, 4.5:1 at the least: the same number looks the same in all of them.
INK = "#000"

_STOPS = np.array([0.0, 0.5, 1.0])
_ORANGE = np.array([(0xF7, 0xF7, 0xF5), (0xF9, 0xB3, 0x73), (0xD0, 0x5E, 0x14)])  # [stop, RGB]
_BLUE = np.array([(0xF7, 0xF7, 0xF5), (0x94, 0xBE, 0xEA), (0x3A, 0x7B, 0xC8)])
_NOT_A_NUMBER = (0xA6, 0xA6, 0xA6)


def sequential(shares: ArrayLike, *, warm: bool = False) -> RGB:
    """Return colours from near-white at 0 to blue, or orange when `warm`, at 1."""
    shares = np.asarray(shares, dtype=float)  # [...]
    stops = _ORANGE if warm else _BLUE
    channels = [np.interp(shares, _STOPS, channel) for channel in stops.T]
    colours = np.stack(channels, axis=-1)  # [..., 3]
    return np.where(np.isnan(shares)[..., None], _NOT_A_NUMBER, np.rint(colours)).astype(np.uint8)


def diverging(values: ArrayLike, limit: float) -> RGB:
    """Return blue for −limit and below, near-white for exactly 0, orange for limit and above.

    Infinite values and NaN are grey.
    """
    values = np.asarray(values, dtype=float)  # [...]
    shares = np.where(np.isfinite(values), values, np.nan) / (limit or 1.0)
    colours = np.where(shares[..., None] > 0, sequential(shares, warm=True), sequential(-shares))
    return colours.astype(np.uint8)


def stroke(index: int) -> dict[str, str | float | None]:
    """Return how line number `index` is drawn: six colours, then the same six broken."""
    broken = "5 3" if index // len(PALETTE) % 2 else None
    return {"stroke": PALETTE[index % len(PALETTE)], "stroke_width": 2, "stroke_dasharray": broken}


def hexadecimal(colour: RGB) -> str:
    """Write one colour as SVG does.

    >>> hexadecimal(diverging(0.0, limit=1.0))
    '#f7f7f5'
    """
    return "#" + colour.tobytes().hex()


def contrast(one: RGB, other: RGB) -> float:
    """Return the contrast ratio of two colours as in WCAG 2, from 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: RGB) -> float:
    share = colour / 255.0
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))
