"""A matrix in the terminal: cells coloured by sign and size, blue below zero, orange above."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from softgrad.report.colours import INK, diverging, hexadecimal
from softgrad.results import number

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.measure import Measurement
    from rich.style import Style
    from rich.table import Table

__all__ = ["coloured_matrix"]


def coloured_matrix(
    matrix: npt.NDArray[np.float64],  # [R, C]
    rows: Sequence[str],
    columns: Sequence[str],
    before: tuple[str, npt.NDArray[np.float64]] | None = None,
    after: tuple[str, npt.NDArray[np.float64]] | None = None,
    figures: int = 4,
) -> Table:
    """Return a table of the matrix, with a plain column [R] before its own and one after."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    # The colour fills a cell: what parts the columns stands inside the cells.
    table = Table(box=SIMPLE_HEAD, padding=0, pad_edge=False)
    table.add_column("", no_wrap=True)
    first, last = ([] if its is None else [its] for its in (before, after))
    for name in (*(name for name, _ in first), *columns, *(name for name, _ in last)):
        table.add_column(f" {name} ", justify="right", no_wrap=True)
    texts = [[_written(value, figures) for value in row] for row in matrix.tolist()]
    widths = [max(map(len, column)) for column in zip(columns, *texts, strict=True)]
    limit = float(np.abs(matrix).max())
    for i, label in enumerate(rows):
        cells = (
            _Cell(text.rjust(width), value, limit)
            for text, width, value in zip(texts[i], widths, matrix[i].tolist(), strict=True)
        )
        left, right = ([f" {number(values[i])} " for _, values in its] for its in (first, last))
        table.add_row(label, *left, *cells, *right)
    return table


def _written(value: float, figures: int) -> str:
    return number(value if figures >= 4 else float(f"{value:.{figures}g}"))


@dataclass(frozen=True)
class _Cell:
    text: str
    value: float
    limit: float

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        # Set right by its spaces: a justified text would lose the last one, and its colour.
        yield Text(f" {self.text} ", style=self._style(console.color_system), justify="left")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        from rich.measure import Measurement

        width = len(self.text) + 2
        return Measurement(width, width)

    def _style(self, colours: str | None) -> Style:
        from rich.style import Style

        if colours == "standard":  # of 16 colours none is a shade: the sign is what they tell
            names = {-1.0: "bright_blue", 1.0: "yellow"}
            sign = float(np.sign(self.value))
            return Style(color="black", bgcolor=names[sign]) if sign in names else Style()
        # A terminal's colours have six digits.
        figure = "#" + "".join(2 * digit for digit in INK[1:])
        return Style(color=figure, bgcolor=hexadecimal(diverging(self.value, self.limit)))
