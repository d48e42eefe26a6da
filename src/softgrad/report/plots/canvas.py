"""What all plots share: axes to draw on, and words that are never read as mathematics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from softgrad.errors import MissingExtraError, mismatch
from softgrad.foreign import clean
from softgrad.report.words import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "FAINT",
    "PLAIN",
    "SMALL",
    "add_legend",
    "axes_or_new",
    "one_each",
    "short",
    "with_notes",
]

PLAIN: dict[str, Any] = {"parse_math": False}
"""A class may be called $5 or x_1."""
SMALL: dict[str, Any] = {"fontsize": "small"}
FAINT: dict[str, Any] = {"color": "0.5", "alpha": 0.25, "linewidth": 0.8}
"""Of lines that measure: they stay behind on white and on black."""
_LONGEST_LABEL = 120.0


def axes_or_new(ax: Axes | None, width: float, height: float) -> Axes:
    """Return the axes that are given, or those of a new figure of so many inches.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    TypeError
        `ax` is something else.
    ValueError
        They are polar, or another projection, or have three dimensions.
    """
    try:
        from matplotlib import pyplot
        from matplotlib.axes import Axes
    except ImportError:
        raise MissingExtraError("matplotlib", "plot") from None
    if ax is None:
        figure = pyplot.figure(figsize=(width, height), layout="constrained")
        made: Axes = figure.add_subplot()
        return made
    if not isinstance(ax, Axes):
        raise TypeError(mismatch("ax", "axes of matplotlib", type(ax).__name__))
    # On others straight lines bend, and points outside of a range vanish.
    if not ax.transData.is_separable or hasattr(ax, "zaxis"):
        raise ValueError(mismatch("ax", "axes with straight, upright x and y", ax.name))
    return ax


def one_each(labels: Sequence[str] | None, default: Sequence[str]) -> list[str]:
    """Return one label for each of the default ones, which stand where none are given."""
    if labels is None:
        return list(default)
    if len(labels) != len(default):
        raise ValueError(mismatch("labels", f"{len(default)} labels", len(labels)))
    return [*map(str, labels)]


def short(label: str) -> str:
    """Return a foreign name, with room beside cells."""
    return shorten(label, _LONGEST_LABEL)


def with_notes(label: str, notes: Sequence[str]) -> str:
    """Return an axis's label with what must be said of the picture under it."""
    return "\n".join(filter(None, [label, *notes]))


def add_legend(ax: Axes, handles: Sequence[Any], names: Sequence[str]) -> None:
    """Name lines; more than a dozen stand in two columns."""
    columns = 1 if len(names) <= 12 else 2
    # Written afterwards: matplotlib leaves out names that begin with an underscore.
    blank = [f"{k}" for k in range(len(names))]
    legend = ax.legend(handles, blank, frameon=False, ncols=columns, **SMALL)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set(text=clean(name), **PLAIN)
