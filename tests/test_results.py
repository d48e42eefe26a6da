"""The faces of a result say the same, and foreign text stays text."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from rich.console import Console

from softgrad.results import Block, Fields, Paragraph, Result, Table, number, plain

FOREIGN = "W[k, j] <b>&amp;</b> [bold]x[/bold]"


@dataclass(frozen=True)
class Sample(Result):
    """A result with every kind of block and field."""

    schema: ClassVar[str] = "softgrad.sample/1"

    name: str
    values: np.ndarray

    def blocks(self) -> Iterable[Block]:
        yield Paragraph(self.name, "bad")
        yield Table((self.name, "value"), ((self.name, -0.05), ("n", 12)), self.name)
        yield Table(("nothing",), ())


SAMPLE = Sample(FOREIGN, np.array([1.5, np.inf, np.nan]))


def test_terminal_shows_foreign_text_as_it_is() -> None:
    assert str(SAMPLE).count(FOREIGN) == 4
    assert "-0.05" in str(SAMPLE)


def test_notebook_escapes_foreign_text() -> None:
    html = SAMPLE._repr_html_()
    assert "<b>" not in html
    assert html.count("&lt;b&gt;&amp;amp;&lt;/b&gt;") == 4
    assert "<script" not in html


def test_no_face_obeys_what_is_in_foreign_text() -> None:
    name = "red\x1b[31m \x9b2J \u202eback\r\a\nnext"

    @dataclass(frozen=True)
    class Named(Result):
        schema: ClassVar[str] = "softgrad.named/1"

        def blocks(self) -> Iterable[Block]:
            yield from Sample(name, np.array([])).blocks()
            yield Fields(((name, name),))

    for face in (str(Named()), Named()._repr_html_()):
        assert "red\ufffd[31m" in face
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", face)


def test_an_interpreter_shows_the_words_and_not_the_arrays() -> None:
    assert repr(SAMPLE) == str(SAMPLE)
    assert "array(" not in repr(SAMPLE)


@dataclass(frozen=True)
class Long(Result):
    """A result with as many tables and rows as are asked for."""

    schema: ClassVar[str] = "softgrad.long/1"

    tables: int
    rows: int

    def blocks(self) -> Iterable[Block]:
        for k in range(self.tables):
            yield Table(("name", "size"), tuple((f"row {i}", i / 7) for i in range(self.rows)))
            yield Paragraph(f"table {k}")


def test_a_long_table_is_cut_in_its_middle_and_says_so() -> None:
    html = Long(1, 1000)._repr_html_()
    assert html.count("<tr>") == 61
    assert ">… 941 more</td>" in html
    assert "row 0<" in html
    assert "row 999<" in html
    assert "more" not in Long(1, 60)._repr_html_()
    assert len(str(Long(1, 1000)).splitlines()) == 1005
    assert repr(Long(1, 1000)).endswith("… 906 more lines; print() shows all of them")


def test_what_a_notebook_shows_has_an_end() -> None:
    html = Long(200, 60)._repr_html_()
    assert len(html) < 50_000
    assert "to_dict() have all of it" in html
    assert html.endswith("</p></div>")


def test_fields_hang_under_their_names() -> None:
    @dataclass(frozen=True)
    class Named(Result):
        schema: ClassVar[str] = "softgrad.named/1"

        def blocks(self) -> Iterable[Block]:
            yield Fields((("where", "word " * 30), ("evidence", FOREIGN)))

    lines = str(Named()).splitlines()
    assert lines[0].startswith("  where     word")
    assert lines[1].startswith(" " * 12 + "word")
    assert lines[-1] == f"  evidence  {FOREIGN}"
    assert "<b>" not in Named()._repr_html_()


def test_json_is_strict_and_says_its_schema() -> None:
    def refuse(constant: str) -> float:
        raise ValueError(constant)

    read = json.loads(SAMPLE.to_json(), parse_constant=refuse)
    assert read == {
        "schema": "softgrad.sample/1",
        "name": FOREIGN,
        "values": [1.5, "inf", "nan"],
    }


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        ((1, [2.0, None]), [1, [2.0, None]]),
        ({1: "a"}, {"1": "a"}),
        (SAMPLE, {"schema": "softgrad.sample/1", "name": FOREIGN, "values": [1.5, "inf", "nan"]}),
    ],
)
def test_plain_keeps_every_value(value: object, written: object) -> None:
    assert plain(value) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.0, "0"), (-0.0, "0"), (1234567.0, "1.235e+06"), (7, "7"), (np.int64(-3), "-3")],
)
def test_number_writes_four_figures(value: float, written: str) -> None:
    assert number(value) == written


def test_terminal_hangs_the_folds_of_a_bullet() -> None:
    @dataclass(frozen=True)
    class Bullets(Result):
        schema: ClassVar[str] = "softgrad.bullets/1"

        def blocks(self) -> Iterable[Block]:
            yield Paragraph("• " + "word " * 30)
            yield Paragraph("  " + "word " * 30)
            yield Paragraph("word " * 30)

    starts = [line[:3] for line in str(Bullets()).splitlines()]
    assert starts == ["• w", "  w", "  w", "  w", "wor", "wor"]


def test_narrow_terminal_folds_a_number_and_cuts_none() -> None:
    @dataclass(frozen=True)
    class Wide(Result):
        schema: ClassVar[str] = "softgrad.wide/1"

        def blocks(self) -> Iterable[Block]:
            yield Table(tuple("abcdefghijkl"), (tuple(range(100_000_000, 100_000_012)),))

    text = io.StringIO()
    Console(file=text, width=60).print(Wide())
    assert "…" not in text.getvalue()
    digits = re.sub(r"\D", "", text.getvalue())
    assert len(digits) == 12 * len("100000000")


def test_column_with_a_word_in_a_row_still_aligns_its_numbers() -> None:
    @dataclass(frozen=True)
    class Mixed(Result):
        schema: ClassVar[str] = "softgrad.mixed/1"

        def blocks(self) -> Iterable[Block]:
            yield Table(("value",), (("—",), (1.5,), (123456.0,)))

    lines = str(Mixed()).splitlines()
    assert lines[4].rstrip(" │").endswith("1.5")
    assert len(lines[4].rstrip(" │")) == len(lines[5].rstrip(" │"))
