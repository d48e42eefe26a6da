"""Rows to predict of, block by block."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from softgrad.arrays import Array
from softgrad.errors import mismatch
from softgrad.learn.blocks.batches import BatchTable, is_table
from softgrad.learn.blocks.readers import Check
from softgrad.learn.cells import feature_rows, narrow
from softgrad.learn.sources import open_table
from softgrad.learn.stored_rows import StoredRows
from softgrad.learn.tables import AbstractTable, check_columns

__all__ = ["check_named", "feature_blocks", "opened"]


def feature_blocks(X: Any, features: Sequence[str] | None, check: Check) -> Iterator[Array]:
    """Yield the rows of a stream, checked; of tables the columns that a model was trained on.

    Of pairs (X, y) the rows are taken. Blocks may have no rows, but not all of them.
    """
    if isinstance(X, np.memmap):
        yield from map(check, StoredRows(X).blocks())
        return
    if isinstance(X, (str, os.PathLike)):
        yield from _columns(open_table(X), features)
        return
    pairs = (block[0] if isinstance(block, (tuple, list)) else block for block in opened(X))
    blocks: Iterator[Any] = (rows for rows in pairs if _count(rows))
    first = next(blocks, None)
    if first is None:
        raise ValueError(mismatch("X", "blocks with rows", "none"))
    blocks = chain([first], blocks)
    if is_table(first) and features is not None:
        yield from _columns(BatchTable.of(blocks), features)
    else:
        yield from map(check, blocks)


def opened(X: Iterable[Any] | Callable[[], Iterable[Any]]) -> Iterator[Any]:
    """Return the blocks that an iterable or a function gives."""
    blocks = X() if callable(X) else X
    if not isinstance(blocks, Iterable):
        raise TypeError(mismatch("X", "a function that returns blocks", type(blocks).__name__))
    return iter(blocks)


def check_named(table: AbstractTable, features: Sequence[str] | None) -> Sequence[str]:
    """Return the names of a model's columns, or raise: it has none, or the table lacks one."""
    if features is None:
        got = f"{table.path}, and the model was trained on columns without names"
        raise TypeError(mismatch("X", "an array or blocks of arrays", got))
    check_columns(table.path, table.names, features)
    return features


def _count(rows: Any) -> int:
    """Return how many rows a block has."""
    return int(rows.shape[0] if hasattr(rows, "shape") else len(rows))


def _columns(table: AbstractTable, features: Sequence[str] | None) -> Iterator[Array]:
    features = check_named(table, features)
    for rows_before, batch in table.batches(features):
        dtype = np.float32 if narrow(batch, features) else np.float64
        if batch.num_rows:
            yield feature_rows(table.path, batch, features, rows_before, dtype)
