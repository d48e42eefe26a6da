"""Results: frozen dataclasses with a terminal, a notebook and a JSON face, written once.

A result lists its `blocks()`, paragraphs and tables; every face is drawn from them.
"""

from __future__ import annotations

import dataclasses
import html
import io
import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from softgrad.foreign import clean_lines

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table as RichTable
    from rich.text import Text

__all__ = ["Fields", "Paragraph", "Result", "Table", "counted", "number", "plain"]

Side = Literal["left", "right"]
Tone = Literal["plain", "title", "good", "bad", "quiet"]

_PICTURES = '<div style="display:flex;flex-wrap:wrap;gap:1em 2em;margin:1em 0">{}</div>'
_CELL = "padding:0.1em 0.6em;text-align:left"
_BULLET = re.compile(r" +|• ")
_RICH_STYLE = {"plain": "", "title": "bold", "good": "green", "bad": "bold red", "quiet": "dim"}
_CSS = {
    "plain": "",
    "title": "font-weight:600",
    "good": "color:#2c974b",
    "bad": "color:#d64535;font-weight:600",
    "quiet": "opacity:0.7",
}


@dataclass(frozen=True)
class Paragraph:
    """Lines of text in one tone."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True)
class Table:
    """A table; cells are strings (left-aligned) or numbers (right-aligned, four figures)."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | float, ...], ...]
    title: str = ""


@dataclass(frozen=True)
class Fields:
    """Names, and a text beside each of them; its folds hang under it."""

    rows: tuple[tuple[str, str], ...]


Block = Paragraph | Table | Fields

_MOST_LINES = 100
"""Of what an interpreter shows of a result."""
_MOST_ROWS, _LARGEST_HTML = 60, 40_000
"""Of a table in a notebook, and characters of all that a notebook shows of a result."""


def number(value: float) -> str:
    """Write a number with four significant figures; an exact zero is a bare 0.

    >>> number(0.53928), number(-4.248354255291589e-18), number(0.0), number(12)
    ('0.5393', '-4.248e-18', '0', '12')
    """
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if value == 0:
        return "0"
    return f"{value:.4g}"


def counted(n: int, noun: str) -> str:
    """Write a count with its noun, which takes an s or es where there is not one.

    >>> counted(1, "row"), counted(0, "epoch"), counted(2, "class")
    ('1 row', '0 epochs', '2 classes')
    """
    if n == 1:
        return f"1 {noun}"
    return f"{n} {noun}{'es' if noun.endswith(('s', 'tch', 'x')) else 's'}"


def plain(value: Any) -> Any:
    """Turn a value into what strict JSON can hold; non-finite numbers become strings.

    >>> plain({"g": np.array([1.0, np.inf]), "n": np.int64(3)})
    {'g': [1.0, 'inf'], 'n': 3}
    """
    if isinstance(value, Result):
        return value.to_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


class Result(ABC):
    """Base of every result that is shown: subclasses are frozen dataclasses."""

    schema: ClassVar[str]
    """The name and version of the JSON form, such as ``"softgrad.check/1"``."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # Set before `dataclass` looks: it would write all numbers of all arrays.
        cls.__repr__ = Result._repr  # type: ignore[assignment, method-assign]

    @abstractmethod
    def blocks(self) -> Iterable[Block]:
        """Yield what a reader sees, top to bottom."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain Python values, with the schema's name."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return {"schema": self.schema} | {f.name: plain(getattr(self, f.name)) for f in fields}

    @classmethod
    def demand_schema(cls, document: Mapping[str, Any]) -> None:
        """Raise ValueError unless `to_dict` of this kind of result wrote the document."""
        if document.get("schema") != cls.schema:
            raise ValueError(f"expected a document {cls.schema}, got {document.get('schema')!r}")

    def to_json(self, indent: int | None = None) -> str:
        """Return `to_dict()` as a string of strict JSON."""
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False, allow_nan=False)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for block in self.blocks():
            if isinstance(block, Paragraph):
                yield _paragraph(block)
            elif isinstance(block, Fields):
                yield _fields(block)
            else:
                table = _table(block)
                boundless = options.update(max_width=10_000)
                if console.measure(table, options=boundless).minimum <= options.max_width:
                    yield table
                else:  # a word or a number would be broken
                    yield from _records(block)

    def __str__(self) -> str:
        from rich.console import Console

        text = io.StringIO()
        # A string has no width of its own: 100 columns, no colours, also inside a notebook.
        console = Console(file=text, width=100, color_system=None, force_jupyter=False)
        console.print(self)
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines())

    def _repr(self) -> str:
        """Return what an interpreter shows: the beginning of `str`."""
        lines = str(self).splitlines()
        if len(lines) > _MOST_LINES:
            more = len(lines) - _MOST_LINES + 1
            lines[_MOST_LINES - 1 :] = [f"… {more} more lines; print() shows all of them"]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        blocks = list(self.blocks())
        faces = list(map(_html, blocks))
        # Reports stand above results: they are asked by name for what they can draw.
        pictures = import_module("softgrad.report.faces").picture_of(self)
        if pictures:
            faces.insert(isinstance(blocks[0], Paragraph), _PICTURES.format(pictures))
        parts: list[str] = []
        for face in faces:
            if sum(map(len, parts)) + len(face) > _LARGEST_HTML:
                parts.append(_html(Paragraph("… print() and to_dict() have all of it.", "quiet")))
                break
            parts.append(face)
        return f'<div class="softgrad">{"".join(parts)}</div>'


def _paragraph(block: Paragraph) -> Text | RichTable:
    """Return a paragraph for the terminal; a bullet's or an indented line's folds hang under it."""
    from rich.table import Table as RichTable

    style = _RICH_STYLE[block.tone]
    bullet = _BULLET.match(block.text)
    if bullet is None:
        return _text(block.text, style=style)
    hanging = RichTable.grid()
    hanging.add_row(_text(bullet[0], style=style), _text(block.text[bullet.end() :], style=style))
    return hanging


def _text(words: str, **options: Any) -> Text:
    """Return words for the terminal, which may be foreign: not markup, and no control codes."""
    from rich.text import Text

    return Text(clean_lines(words), **options)


def _table(block: Table) -> RichTable:
    """Return a table for the terminal."""
    from rich.table import Table as RichTable

    title = _text(block.title) if block.title else None
    table = RichTable(title=title, title_justify="left", title_style="bold")
    for index, name in enumerate(block.columns):
        sides = [_side(row[index]) for row in block.rows]
        side: Side = "right" if "right" in sides else "left"
        # A number that is cut short is another number: it is folded.
        table.add_column(_text(name, justify=side), overflow="fold")
    for row in block.rows:
        table.add_row(*(_text(_cell(cell), justify=_side(cell)) for cell in row))
    return table


def _records(block: Table) -> Iterable[Text | RichTable]:
    """Write a table as one list of fields a row, for a terminal that is too narrow."""
    if block.title:
        yield _paragraph(Paragraph(block.title, "title"))
    for row in block.rows:
        cells = zip(block.columns, map(_cell, row), strict=True)
        yield _fields(Fields(tuple((name, cell) for name, cell in cells if cell)))
        yield _paragraph(Paragraph(""))


def _fields(block: Fields) -> RichTable:
    """Return fields for the terminal: names in a column, indented."""
    from rich.table import Table as RichTable

    grid = RichTable.grid(padding=(0, 2, 0, 0))
    for name, text in block.rows:
        grid.add_row(_text(f"  {name}"), _text(text))
    return grid


def _cut(table: Table) -> Table:
    """Cut a long table in its middle, and say so."""
    if len(table.rows) <= _MOST_ROWS:
        return table
    head, tail = table.rows[: _MOST_ROWS // 2], table.rows[1 - _MOST_ROWS // 2 :]
    left_out = len(table.rows) - len(head) - len(tail)
    gap = (f"… {left_out} more", *("" for _ in table.columns[1:]))
    return Table(table.columns, (*head, gap, *tail), table.title)


def _cell(value: str | float) -> str:
    return value if isinstance(value, str) else number(value)


def _side(cell: str | float) -> Side:
    return "left" if isinstance(cell, str) else "right"


def _escape(words: str) -> str:
    return html.escape(clean_lines(words))


def _html(block: Block) -> str:
    if isinstance(block, Paragraph):
        text = _escape(block.text).replace("\n", "<br>")
        return f'<p style="margin:0.2em 0;{_CSS[block.tone]}">{text}</p>'
    if isinstance(block, Fields):
        rows = (
            f'<tr><td style="{_CELL};white-space:nowrap">{_escape(name)}</td>'
            f'<td style="{_CELL}">{_escape(text)}</td></tr>'
            for name, text in block.rows
        )
        return f"<table><tbody>{''.join(rows)}</tbody></table>"
    return _html_table(_cut(block))


def _html_table(table: Table) -> str:
    title = _escape(table.title)
    caption = f'<caption style="text-align:left;font-weight:600">{title}</caption>' if title else ""
    head = "".join(f"<th>{_escape(name)}</th>" for name in table.columns)
    rows = []
    for row in table.rows:
        cells = [f'<td style="{_cell_style(cell)}">{_escape(_cell(cell))}</td>' for cell in row]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<table style="margin:0.8em 0">{caption}<thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _cell_style(cell: str | float) -> str:
    return f"{_CELL.removesuffix('left')}{_side(cell)}"
