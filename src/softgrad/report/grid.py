"""A labelled grid of coloured cells: what heat maps and confusion matrices are drawn on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from softgrad.report import png
from softgrad.report.colours import INK, RGB, hexadecimal
from softgrad.report.svg import Piece, join, tag, text
from softgrad.report.words import FONT_SIZE, LABEL_GAP, width_of

__all__ = ["Axis", "draw_grid", "labelled_places", "widest"]

_ROW_HEIGHT = 30.0
_LINE = 18.0
_LONGEST_LABEL = 120.0
# Lines of text at 45 degrees are nearer to one another than along the axis.
_TURNED_PITCH = 19.0
# A grid without numbers is about this wide and high at the most, whatever its cells are.
_PICTURE = 384.0


@dataclass(frozen=True)
class Axis:
    """The labels along one side, and what they are labels of."""

    labels: tuple[str, ...]
    title: str = ""

    @property
    def widest(self) -> float:
        return min(_LONGEST_LABEL, max(map(width_of, self.labels)))


def draw_grid(
    colours: RGB,
    rows: Axis,
    columns: Axis,
    numbers: Sequence[Sequence[str]] | None,
    number_width: float = 0.0,
) -> Piece:
    """Draw cells of `colours` [R, C, 3] with their `numbers`, or as a bare picture without.

    Cells have room for their widest number, and for one of `number_width` pixels.
    """
    n_rows, n_columns, _ = colours.shape
    if numbers is None:
        cell_width, cell_height = (min(26.0, max(6.0, _PICTURE / n)) for n in (n_columns, n_rows))
        cells = png.image(colours, 0, 0, n_columns * cell_width, n_rows * cell_height)
    else:
        number_width = max(number_width, widest(numbers))
        # A little more, where labels are level then.
        cell_width = max(40.0, number_width + 6, min(number_width + 10, columns.widest + 4))
        cell_height = _ROW_HEIGHT
        cells = _numbered(colours, numbers, cell_width, cell_height)

    row_turn = _LINE if rows.title else 0.0
    left = row_turn + rows.widest + LABEL_GAP
    head, overhang = _column_labels(columns, cell_width)
    top = head.height + (_LINE if columns.title else 0.0)
    width = left + max(n_columns * cell_width + overhang, width_of(columns.title))
    height = top + n_rows * cell_height
    middle = top + n_rows * cell_height / 2
    return Piece(
        join(
            text(columns.title, left, FONT_SIZE / 2, quiet=True) if columns.title else "",
            _turned_title(rows.title, middle, height) if rows.title else "",
            head.at(left, top),
            _row_labels(rows, left - LABEL_GAP, top, cell_height),
            Piece(cells, 0, 0).at(left, top),
        ),
        width,
        max(height, middle + width_of(rows.title) / 2),
    )


def widest(numbers: Sequence[Sequence[str]]) -> float:
    """Return the width of the widest number, in pixels."""
    return max(width_of(number) for line in numbers for number in line)


def _numbered(
    colours: RGB, numbers: Sequence[Sequence[str]], width: float, height: float
) -> Markup:
    cells = []
    for r, line in enumerate(numbers):
        for c, content in enumerate(line):
            colour = colours[r, c]
            x, y = c * width, r * height
            # One pixel of page between cells lets neighbours of one colour be counted.
            cells.append(
                tag("rect", x=x, y=y, width=width - 1, height=height - 1, fill=hexadecimal(colour))
            )
            if content:
                place = (x + (width - 1) / 2, y + (height - 1) / 2)
                cells.append(text(content, *place, anchor="middle", fill=INK))
    return join(*cells)


def _row_labels(axis: Axis, x: float, top: float, pitch: float) -> Markup:
    every = math.ceil((FONT_SIZE + 2) / pitch)
    return join(
        *(
            text(axis.labels[i], x, top + (i + 0.5) * pitch, anchor="end", limit=_LONGEST_LABEL)
            for i in labelled_places(len(axis.labels), every)
        )
    )


def _column_labels(axis: Axis, pitch: float) -> tuple[Piece, float]:
    """Return the labels, which rise from y = 0, and how far the last one hangs over the cells."""
    longest, n = axis.widest, len(axis.labels)
    # Level labels are easier to read, so they may skip one more; numbered cells skip none.
    level, turned = math.ceil((longest + 4) / pitch), math.ceil(_TURNED_PITCH / pitch)
    if level <= (1 if turned == 1 else turned + 1):
        labels = (
            text(axis.labels[i], (i + 0.5) * pitch, -10, anchor="middle")
            for i in labelled_places(n, level)
        )
        return Piece(join(*labels), n * pitch, _LINE), max(0.0, (longest - pitch) / 2)
    labels = (
        text(axis.labels[i], (i + 0.5) * pitch, -8, limit=_LONGEST_LABEL, turn=-45)
        for i in labelled_places(n, turned)
    )
    rise = longest * math.sqrt(0.5) + FONT_SIZE
    return Piece(join(*labels), n * pitch, rise + 4), max(0.0, rise - pitch / 2)


def labelled_places(n: int, every: int) -> list[int]:
    """Return the labelled positions: every so many, and always the last, which may be the rest."""
    shown = list(range(0, n, every))
    if shown[-1] != n - 1:
        if n - 1 - shown[-1] < every and len(shown) > 1:
            shown.pop()
        shown.append(n - 1)
    return shown


def _turned_title(content: str, middle: float, height: float) -> Markup:
    return text(content, FONT_SIZE / 2, middle, anchor="middle", limit=height, turn=-90, quiet=True)
