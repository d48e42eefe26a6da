"""Signed matrices as coloured cells: the colours of the report, with exactly 0 in their middle."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from softgrad.report.colours import INK, diverging
from softgrad.report.grid import labelled_places
from softgrad.report.plots.canvas import PLAIN, SMALL, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh

__all__ = ["draw_cells", "draw_scale", "label_cells", "size_of"]

_SHADES = 257
"""An odd number: one shade is that of 0."""
_MOST_LABELS = 12
_CELL = 0.62
"""The width of a cell with a number, in inches."""
_LETTERS = 13
"""About as many stand on an inch."""


@cache
def _shades() -> Any:
    from matplotlib.colors import ListedColormap

    colours = diverging(np.linspace(-1, 1, _SHADES), 1.0) / 255
    return ListedColormap(colours, name="softgrad").with_extremes(bad=diverging(np.nan, 1.0) / 255)


def size_of(rows: int, columns: int, *, numbers: bool) -> tuple[float, float]:
    """Return how many inches a figure of cells is wide and high."""
    if numbers:
        return max(3.0, 1.4 + _CELL * columns), max(2.2, 1.3 + 0.36 * rows)
    return 5.2, 4.6


def draw_cells(
    ax: Axes,
    matrix: NDArray[np.float64],
    numbers: Sequence[Sequence[str]] | None,
    limit: float,
    left: float = 0.0,
) -> QuadMesh:
    """Draw cells [R, C] from x = left and y = 0 on, one wide and one high, downwards."""
    R, C = matrix.shape
    mesh = ax.pcolormesh(
        left + np.arange(C + 1),
        np.arange(R + 1),
        np.ma.masked_invalid(matrix),
        cmap=_shades(),
        vmin=-(limit or 1.0),
        vmax=limit or 1.0,
        edgecolors="white" if numbers else "face",
        linewidth=1.0 if numbers else 0.2,
    )
    for r, line in enumerate(numbers or ()):
        for c, content in enumerate(line):
            place = (left + c + 0.5, r + 0.5)
            ax.text(*place, content, ha="center", va="center", color=INK, clip_on=True, **SMALL)
    return mesh


def draw_scale(ax: Axes, mesh: QuadMesh) -> None:
    """Draw the colour scale beside cells that have no numbers."""
    bar = ax.figure.colorbar(mesh, ax=ax, shrink=0.8, pad=0.03)
    bar.outline.set_visible(False)


def label_cells(
    ax: Axes, rows: Sequence[str], columns: Sequence[str], places: NDArray[np.float64]
) -> None:
    """Name rows and columns, whose cells begin at `places`; of many, every so many."""
    shown = labelled_places(len(rows), -(-len(rows) // _MOST_LABELS))
    ax.set_yticks([r + 0.5 for r in shown], [short(rows[r]) for r in shown], **PLAIN)
    shown = labelled_places(len(columns), -(-len(columns) // _MOST_LABELS))
    names = [short(columns[c]) for c in shown]
    turned: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    room = _LETTERS * ax.get_window_extent().width / ax.figure.dpi
    style = PLAIN | (turned if max(map(len, names)) * len(names) > room else {})
    ax.set_xticks([places[c] + 0.5 for c in shown], names, **style)
    ax.tick_params(length=0)
    ax.set_ylim(len(rows), 0)
    for side in ax.spines.values():
        side.set_visible(False)
