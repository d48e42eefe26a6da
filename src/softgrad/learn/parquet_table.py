"""Parquet files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from softgrad.learn.tables import AbstractFile, complaint, no_rows, trimmed

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ParquetTable", "is_pandas_index", "open_parquet"]

_BATCH_BYTES = 2**24
"""Of a batch of rows as float64, at most; the buffers that columns are read through have less."""

# pandas stores the labels of its rows under such a name; they are no data.
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")


@dataclass(frozen=True)
class ParquetTable(AbstractFile):
    """The rows of a Parquet file, each column with the type that it has there."""

    def batches(self, columns: Sequence[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        from pyarrow.parquet import ParquetFile

        # What is read ahead would be whole row groups, which are often the whole file.
        each = min(_BATCH_BYTES // (8 * len(columns)), 2**16)
        rows, options = max(each, 1), {"pre_buffer": False, "buffer_size": max(each, 2**12)}
        with _damage_named(self.path), ParquetFile(self.path, **options) as file:
            wanted = range(file.metadata.num_rows) if self.rows is None else self.rows
            groups, rows_before, end = _groups_of(wanted, file.metadata)
            for batch in file.iter_batches(rows, groups, columns=list(columns)):
                batch.validate(full=True)
                yield trimmed(rows_before, batch, wanted)
                rows_before += batch.num_rows
            if rows_before != end:
                raise OSError(f"rows up to {rows_before}, not {end}")

    def count(self) -> int:
        from pyarrow.parquet import ParquetFile

        with _damage_named(self.path), ParquetFile(self.path) as file:
            return int(file.metadata.num_rows)


def open_parquet(path: str) -> ParquetTable:
    """Read the names of a Parquet file's columns."""
    from pyarrow.parquet import ParquetFile

    with _damage_named(path), ParquetFile(path) as file:
        names = tuple(n for n in file.schema_arrow.names if not is_pandas_index(n))
        if file.metadata.num_rows == 0:
            raise no_rows(path)
    return ParquetTable(path, names)


def _groups_of(rows: range, metadata: pa.FileMetaData) -> tuple[list[int], int, int]:
    """Return the row groups that have some of the rows: which, and their rows from and to."""
    sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    ends = list(accumulate(sizes))
    if sum(sizes) != metadata.num_rows:
        raise OSError(f"{sum(sizes)} rows, not {metadata.num_rows}")
    groups = [
        i
        for i, (size, end) in enumerate(zip(sizes, ends, strict=True))
        if end - size < rows.stop and rows.start < end
    ]
    if not groups:
        return [], rows.start, rows.start
    return groups, ends[groups[0]] - sizes[groups[0]], ends[groups[-1]]


def is_pandas_index(name: str) -> bool:
    """Tell a column that pandas made of the labels of its rows."""
    return _PANDAS_INDEX.fullmatch(name) is not None


@contextmanager
def _damage_named(path: str) -> Iterator[None]:
    """Turn what pyarrow says of a damaged file into one line."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise complaint(path, "the file is damaged, cut short or not Parquet") from error
