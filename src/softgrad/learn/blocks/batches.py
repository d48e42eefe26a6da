"""Record batches and other tables in memory, one after another, as one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from softgrad.errors import MissingExtraError, mismatch
from softgrad.learn.parquet_table import is_pandas_index
from softgrad.learn.tables import AbstractTable, check_columns, complaint

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["BatchTable", "is_table"]


def is_table(X: Any) -> bool:
    """Tell a record batch, a data frame or another table from arrays and from streams of tables."""
    return hasattr(X, "__arrow_c_stream__") and len(getattr(X, "shape", ())) == 2


@dataclass(frozen=True)
class BatchTable(AbstractTable):
    """Tables with the same columns; they are read once."""

    tables: Iterator[pa.Table]

    @classmethod
    def of(cls, blocks: Iterator[Any]) -> BatchTable:
        """Look at the first of the blocks: record batches, or whatever Arrow reads."""
        tables = map(_table, blocks)
        first = next(tables)
        names = tuple(first.schema.names)
        check_columns("`X`", names, names)
        return cls("`X`", names, chain([first], tables))

    @classmethod
    def without_rows(cls, names: Sequence[str]) -> BatchTable:
        """Return a table of which nothing is known but some columns' names."""
        return cls("`X`", (*names, ""), iter(()))

    def batches(self, columns: Sequence[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        rows_before = 0
        for number, table in enumerate(self.tables, start=1):
            where = f"{self.path}, block {number}"
            check_columns(where, table.schema.names, columns)
            new = [name for name in table.schema.names if name not in self.names]
            if new:
                raise complaint(where, f"the column {new[0]!r} is in no block before")
            for batch in table.select(columns).to_batches():
                yield rows_before, batch
                rows_before += batch.num_rows


def _table(block: Any) -> pa.Table:
    """Return a record batch, a data frame or another table as Arrow's own."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingExtraError("pyarrow", "learn") from error

    if isinstance(block, pa.Table):
        return block
    if isinstance(block, pa.RecordBatch):
        return pa.Table.from_batches([block])
    if not hasattr(block, "__arrow_c_stream__"):
        expected = "blocks (X, y), record batches or data frames"
        raise TypeError(mismatch("X", expected, type(block).__name__))
    table = pa.table(block)
    index = [name for name in table.schema.names if is_pandas_index(name)]
    return table.drop_columns(index)
