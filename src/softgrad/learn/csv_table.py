"""CSV files with a header: comma, semicolon or tab, quoted fields, UTF-8 with or without a BOM."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from softgrad.errors import UsageError
from softgrad.learn.tables import AbstractFile, complaint, no_rows, trimmed

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CsvTable", "open_csv"]

# pyarrow wants every row to fit into a block, and reads some 40 blocks ahead: they are as large as
# rows may need, judged by the header. 16 MiB hold a row of a million numbers.
_LEAST_BLOCK, _MOST_BLOCK = 1 << 22, 1 << 24


@dataclass(frozen=True)
class CsvTable(AbstractFile):
    """The rows of a CSV file; every cell is text."""

    delimiter: str
    header_rows: int
    """Rows to skip: the header and the blank lines above it."""

    block_bytes: int
    """What is parsed at a time, and the most that a row may have."""

    typed = False

    def batches(self, columns: Sequence[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        for rows_before, batch in self._parsed(columns):
            if self.rows is None:
                yield rows_before, self._decoded(batch, rows_before)
                continue
            # The rows of others are split into cells, since their ends are found so, and no more.
            first, own = trimmed(rows_before, batch, self.rows)
            if own.num_rows:
                yield first, self._decoded(own, first)
            if rows_before >= self.rows.stop:
                return

    def count(self) -> int:
        return sum(batch.num_rows for _, batch in self._parsed(self.names[:1]))

    def _parsed(self, columns: Sequence[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield the cells of batches as bytes, with the number of rows before."""
        import pyarrow as pa
        from pyarrow import csv as pa_csv

        read = pa_csv.ReadOptions(
            column_names=self.names,
            skip_rows_after_names=self.header_rows,
            block_size=self.block_bytes,
        )
        parse = pa_csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True)
        # Types are not guessed: a guess holds for the first block only. Bytes become text below,
        # where the row of a cell that is not UTF-8 can be named.
        convert = pa_csv.ConvertOptions(
            include_columns=columns, column_types=dict.fromkeys(columns, pa.binary())
        )
        rows_before = 0
        try:
            for batch in pa_csv.open_csv(self.path, read, parse, convert):
                yield rows_before, batch
                rows_before += batch.num_rows
        except pa.ArrowInvalid as error:
            raise self._ragged() from error

    def _ragged(self) -> UsageError:
        """Return the error for the first row with too few or too many cells."""
        expected = len(self.names)
        with _opened(self.path) as file, suppress(csv.Error):
            rows = (row for _, row in _numbered_rows(file, self.delimiter))
            for number, row in enumerate(rows):  # 0 is the header
                if len(row) != expected:
                    message = f"expected {expected} cells, got {len(row)}"
                    return complaint(self.path, message, row=number)
        most = f"{self.block_bytes >> 20} MiB"
        message = f"expected rows of {expected} cells and at most {most}; is a quote left open?"
        return complaint(self.path, message)

    def _decoded(self, batch: pa.RecordBatch, rows_before: int) -> pa.RecordBatch:
        """Return the cells as text, without the blanks around them."""
        import pyarrow as pa
        import pyarrow.compute as pc

        columns = []
        for name, cells in zip(batch.schema.names, batch.columns, strict=True):
            try:
                text = cells.cast(pa.string())
            except pa.ArrowInvalid as error:
                row = rows_before + _first_undecodable(cells) + 1
                raise complaint(self.path, "expected UTF-8 text", name, row) from error
            columns.append(pc.utf8_trim_whitespace(text))
        return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def open_csv(path: str) -> CsvTable:
    """Read the header of a CSV file and find its delimiter."""
    with _opened(path) as file:
        first_line = next((line for line in file if line.strip()), None)
        if first_line is None:
            raise complaint(path, "the file is empty")
        file.seek(0)
        delimiter = _delimiter(first_line)
        try:
            position, header = next(_numbered_rows(file, delimiter))
        except csv.Error as error:
            raise complaint(path, f"expected column names, got a bad row: {error}") from error
        has_rows = any(line.strip("\r\n") for line in file)
    names = tuple(name.strip() for name in header)
    if any("\udc80" <= character <= "\udcff" for name in names for character in name):
        raise complaint(path, "expected UTF-8 text, got other bytes in the column names")
    if not has_rows:
        raise no_rows(path)
    block_bytes = min(max(64 * len(first_line), _LEAST_BLOCK), _MOST_BLOCK)
    return CsvTable(path, names, delimiter, header_rows=position + 1, block_bytes=block_bytes)


def _opened(path: str) -> TextIO:
    """Open a file as text; bytes that are not UTF-8 become surrogates, for others to name."""
    return open(path, newline="", encoding="utf-8-sig", errors="surrogateescape")


def _numbered_rows(file: TextIO, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not blank, with their numbers among all rows."""
    return ((i, row) for i, row in enumerate(csv.reader(file, delimiter=delimiter)) if row)


def _delimiter(header: str) -> str:
    """Return the delimiter that is most frequent outside quotes; the comma wins a draw.

    >>> _delimiter('"a;b;c",d,e')
    ','
    """
    bare = re.sub(r'"[^"]*"', "", header)
    return max(",;\t", key=bare.count)


def _first_undecodable(cells: pa.Array) -> int:
    for i, cell in enumerate(cells.to_pylist()):
        try:
            cell.decode()
        except UnicodeDecodeError:
            return i
    raise AssertionError("every cell is UTF-8")
