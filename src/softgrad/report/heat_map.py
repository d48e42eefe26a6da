"""Signed matrices as coloured cells: blue below zero, orange above, near-white for exactly zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray

from softgrad.errors import mismatch
from softgrad.report import png
from softgrad.report.colours import diverging
from softgrad.report.grid import Axis, draw_grid, widest
from softgrad.report.scales import pretty
from softgrad.report.strongest import MOST, merge_rows, strongest
from softgrad.report.svg import Piece, drawing, join, line_of_text, stack, text
from softgrad.report.words import width_of

__all__ = ["Panel", "Reduced", "heat_map", "heat_maps", "labelled", "reduce_panel"]

MOST_WITH_NUMBERS = 12
_LEGEND_WIDTH = 180.0


@dataclass(frozen=True)
class Panel:
    """One matrix [R, C] with a title; labels count from 0 where none are given."""

    matrix: ArrayLike
    title: str = ""
    rows: Sequence[str] | None = None
    columns: Sequence[str] | None = None
    row_title: str = ""
    column_title: str = ""
    figures: int | None = None
    """Of a number in a cell; as many as have room where it is not said."""


@dataclass(frozen=True)
class Reduced:
    """A panel that has room: rows and columns past `MOST` are merged into the last one."""

    matrix: NDArray[np.float64]
    title: str
    rows: Axis
    columns: Axis
    merged: tuple[int, int]
    limit: float
    figures: int | None = None

    @property
    def numbers(self) -> list[list[str]] | None:
        """The values as written, to fewer figures where many stand side by side; None: too many."""
        n_rows, n_columns = self.matrix.shape
        if max(n_rows, n_columns) > MOST_WITH_NUMBERS:
            return None
        room = 4 if n_columns <= 5 else 3 if n_columns <= 8 else 2
        figures = self.figures or room
        return [[pretty(value, figures) for value in row] for row in self.matrix.tolist()]

    @property
    def notes(self) -> list[str]:
        """What must be said on the picture: what was merged, and what is not finite."""
        notes = [
            f"{MOST - 1} strongest {name} of {MOST + merged}; "
            f"the last: sum of the other {merged + 1}"
            for name, merged in zip(("rows", "columns"), self.merged, strict=True)
            if merged
        ]
        unknown = int((~np.isfinite(self.matrix)).sum())
        return [*notes, f"grey: {unknown} not finite"] if unknown else notes


def heat_map(
    matrix: ArrayLike,
    title: str,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    *,
    row_title: str = "",
    column_title: str = "",
) -> Markup:
    """Draw one matrix; `heat_maps` says how.

    Parameters
    ----------
    matrix : array_like, shape (R, C)
        What is not finite is grey.
    title : str
        What the picture shows, in a few words; it is written above the cells.
    rows, columns : sequence of str, optional
        Labels; the numbers from 0 where none are given.
    row_title, column_title : str
        What the labels are labels of.

    Returns
    -------
    Markup
        One <svg> element.

    Raises
    ------
    ValueError
        The matrix is empty or has not two axes, or there is not one label for each row or column.

    Examples
    --------
    >>> heat_map([[0.2, -0.2], [-0.2, 0.2]], "Jacobian", ["a", "b"]).count("<rect")
    4
    """
    return heat_maps([Panel(matrix, title, rows, columns, row_title, column_title)])


def heat_maps(panels: Sequence[Panel]) -> Markup:
    """Draw matrices on one common colour scale, each as a picture of its own.

    Matrices of up to 12 × 12 have their values written in the cells. Of more than 64 rows or
    columns the 63 with the largest entries are drawn, and the sum of all others, which the picture
    says; such a sum may lie beyond the colour scale.

    Parameters
    ----------
    panels : sequence of Panel
        At least one; the titles are written above the cells.

    Returns
    -------
    Markup
        One <svg> element a panel, and, for more than one, the colour scale as another.

    Raises
    ------
    ValueError
        As for `heat_map`, or there is no panel.
    """
    if not panels:
        raise ValueError(mismatch("panels", "at least one Panel", "none"))
    reduced = [reduce_panel(panel) for panel in panels]
    limit = max(panel.limit for panel in reduced)
    # Cells of one width, so that panels of one shape have one size.
    width = max(widest(panel.numbers) if panel.numbers else 0.0 for panel in reduced)
    legend = _legend(limit)
    if len(reduced) == 1:
        return _draw(reduced[0], limit, width, [legend])
    # Apart, they go under one another where the page is narrow.
    words = f"Blue is {pretty(-limit)}, near-white exactly 0, orange {pretty(limit)}."
    scale = drawing(legend, "Colour scale", words)
    return join(*(_draw(panel, limit, width, []) for panel in reduced), scale)


def labelled(labels: Sequence[str] | None, count: int, name: str, title: str = "") -> Axis:
    """Return the axis of `count` labels, the numbers from 0 where none are given."""
    if labels is None:
        return Axis(tuple(map(str, range(count))), title)
    if len(labels) != count:
        raise ValueError(mismatch(name, f"{count} labels", len(labels)))
    return Axis(tuple(map(str, labels)), title)


def reduce_panel(panel: Panel) -> Reduced:
    """Make a panel small enough to draw.

    Raises
    ------
    ValueError
        As for `heat_map`.
    """
    matrix = np.asarray(panel.matrix, dtype=float)
    if matrix.ndim != 2 or matrix.size == 0:
        raise ValueError(mismatch("matrix", "of shape (R, C), not empty", f"shape {matrix.shape}"))
    rows = labelled(panel.rows, matrix.shape[0], "rows", panel.row_title)
    columns = labelled(panel.columns, matrix.shape[1], "columns", panel.column_title)

    size = np.abs(matrix)
    kept_rows, kept_columns = strongest(size.max(axis=1)), strongest(size.max(axis=0))
    finite = np.where(np.isfinite(matrix), size, 0.0)
    for axis, kept in enumerate((kept_rows, kept_columns)):
        finite = finite if kept is None else finite.take(kept, axis=axis)
    small, rows = merge_rows(matrix, rows, kept_rows)
    turned, columns = merge_rows(small.T, columns, kept_columns)
    merged = (matrix.shape[0] - len(rows.labels), matrix.shape[1] - len(columns.labels))
    limit = float(finite.max())
    return Reduced(turned.T, panel.title, rows, columns, merged, limit, panel.figures)


def _draw(panel: Reduced, limit: float, width: float, legend: list[Piece]) -> Markup:
    colours = diverging(panel.matrix, limit)
    grid = draw_grid(colours, panel.rows, panel.columns, panel.numbers, width)
    heading = [line_of_text(panel.title, bold=True)] if panel.title else []
    notes = [line_of_text(note, quiet=True) for note in panel.notes]
    return drawing(stack([*heading, grid, *notes, *legend]), panel.title, _describe(panel))


def _describe(panel: Reduced) -> str:
    matrix = panel.matrix
    finite = matrix[np.isfinite(matrix)]
    size = f"{matrix.shape[0]} rows and {matrix.shape[1]} columns of coloured cells"
    if finite.size == 0:
        return f"{size}, none of them finite."
    zeros = int((finite == 0).sum())
    ends = f"{pretty(float(finite.min()))} to {pretty(float(finite.max()))}"
    return "; ".join([f"{size}, from {ends}", f"{zeros} are exactly 0", *panel.notes])


def _legend(limit: float) -> Piece:
    """Draw the colour scale from −limit to limit."""
    if limit == 0:
        return line_of_text("every value is exactly 0", quiet=True)
    margin = width_of(pretty(-limit)) / 2
    ends = [(-1.0, pretty(-limit)), (0.0, "0"), (1.0, pretty(limit))]
    bar = diverging(np.linspace(-1, 1, 61)[None], 1.0)  # [1, 61, 3]
    scale = join(
        png.image(bar, margin, 0, _LEGEND_WIDTH, 10),
        *(
            text(label, margin + (place + 1) * _LEGEND_WIDTH / 2, 22, anchor="middle", quiet=True)
            for place, label in ends
        ),
    )
    return Piece(scale, _LEGEND_WIDTH + 2 * margin, 30)
