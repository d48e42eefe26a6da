"""Tables in files: the names of the columns, and the rows in batches.

Both readers use pyarrow, which is imported when the first file is opened.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Self

from softgrad.errors import UsageError
from softgrad.learn.team import AbstractTeam, share_of

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "AbstractFile",
    "AbstractTable",
    "check_columns",
    "complaint",
    "no_rows",
    "other_columns",
    "trimmed",
]

_SHOWN_COLUMNS = 10


@dataclass(frozen=True)
class AbstractTable(ABC):
    """A table with at least one row."""

    path: str
    names: tuple[str, ...]
    rows: range | None = field(default=None, kw_only=True)
    """Those that are read, side by side; None for all."""

    typed: ClassVar[bool] = True
    """Whether a column has a type; else its cells are text, whatever they mean."""

    @abstractmethod
    def batches(self, columns: Sequence[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield the number of rows before a batch, and the named columns of its rows."""


@dataclass(frozen=True)
class AbstractFile(AbstractTable):
    """A table in a file, of which several processes may read some rows each."""

    @abstractmethod
    def count(self) -> int:
        """Return how many rows there are."""

    def share(self, team: AbstractTeam) -> Self:
        """Return the table of those rows that this process reads."""
        N = self.count()
        return replace(self, rows=range(N)[share_of(N, team)])


def trimmed(rows_before: int, batch: pa.RecordBatch, rows: range) -> tuple[int, pa.RecordBatch]:
    """Return the part of a batch that is among some rows, and how many are before it."""
    end = rows_before + batch.num_rows
    first = min(max(rows.start, rows_before), end)
    last = max(min(rows.stop, end), first)
    return first, batch.slice(first - rows_before, last - first)


def complaint(
    path: str, message: str, column: str | None = None, row: int | None = None
) -> UsageError:
    """Return the error for a place in a file; rows count from 1, the header is not one.

    >>> str(complaint("a.csv", "expected a number, got 'x'", column="age", row=3))
    "a.csv, column 'age', row 3: expected a number, got 'x'"
    """
    in_column = "" if column is None else f", column {column!r}"
    in_row = "" if row is None else f", row {row}"
    return UsageError(f"{path}{in_column}{in_row}: {message}")


def no_rows(path: str) -> UsageError:
    """Return the error for a file that names columns and holds nothing else."""
    return complaint(path, "there are no rows below the column names")


def check_columns(where: str, names: Sequence[str], wanted: Sequence[str]) -> None:
    """Raise unless each wanted column is there, and there once."""
    counts = Counter(names)
    for name in wanted:
        if name not in counts:
            shown = ", ".join(map(repr, names[:_SHOWN_COLUMNS]))
            more = len(names) - _SHOWN_COLUMNS
            rest = f" and {more} more" if more > 0 else ""
            raise complaint(where, f"there is no column {name!r}; the columns are {shown}{rest}")
        if counts[name] > 1:
            raise complaint(where, f"{counts[name]} columns have the same name {name!r}")


def other_columns(table: AbstractTable, taken: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the features: of all columns but those of labels and weights."""
    check_columns(table.path, table.names, taken)
    features = tuple(name for name in table.names if name not in taken)
    if not features:
        raise complaint(table.path, f"there is no feature beside the target {taken[0]!r}")
    return features
