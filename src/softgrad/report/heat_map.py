"""Signed matrices as coloured cells: blue below zero, orange above, near-white for exactly zero."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike

from softgrad.errors import mismatch
from softgrad.report import png
from softgrad.report.colours import diverging
from softgrad.report.grid import draw_grid, widest
from softgrad.report.panels import Panel, Reduced, reduce_panels
from softgrad.report.scales import pretty
from softgrad.report.svg import Piece, drawing, join, line_of_text, stack, text
from softgrad.report.words import width_of

__all__ = ["heat_map", "heat_maps"]

_LEGEND_WIDTH = 180.0


def heat_map(
    matrix: ArrayLike,
    title: str,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    *,
    row_title: str = "",
    column_title: str = "",
    figures: int | None = None,
    scale: bool = True,
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
    figures : int, optional
        Of the number in a cell; as many as have room where it is not said.
    scale : bool
        Whether the colour scale stands under the cells.

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
    whole = Panel(matrix, title, rows, columns, row_title, column_title, figures)
    (panel,) = reduce_panels([whole])
    return _draw(panel, panel.limit, [_legend(panel.limit)] if scale else [])


def heat_maps(panels: Sequence[Panel]) -> Markup:
    """Draw matrices on one common colour scale, each as a picture of its own.

    Matrices of up to 12 × 12 have their values written in the cells. Of more than 64 rows or
    columns the 63 with the largest entries are drawn, the same in all matrices of one size, and the
    sum of all others, which the picture says; such a sum may lie beyond the colour scale.

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
    reduced = reduce_panels(panels)
    limit = max(panel.limit for panel in reduced)
    legend = _legend(limit)
    if len(reduced) == 1:
        return _draw(reduced[0], limit, [legend])
    # Cells of one width, so that panels of one shape have one size.
    width = max(widest(panel.numbers) if panel.numbers else 0.0 for panel in reduced)
    # Apart, they go under one another where the page is narrow.
    words = f"Blue is {pretty(-limit)}, near-white exactly 0, orange {pretty(limit)}."
    scale = drawing(legend, "Colour scale", words)
    return join(*(_draw(panel, limit, [], width) for panel in reduced), scale)


def _draw(panel: Reduced, limit: float, legend: list[Piece], width: float = 0.0) -> Markup:
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
