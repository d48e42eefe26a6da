"""Whatever need not fit into memory, read once and checked: rows in a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np

from softgrad.arrays import Array
from softgrad.errors import mismatch
from softgrad.learn.blocks.batches import BatchTable, is_table
from softgrad.learn.blocks.features import check_named, opened
from softgrad.learn.blocks.readers import (
    AbstractReader,
    Check,
    MappedReader,
    PairReader,
    TableReader,
)
from softgrad.learn.sources import open_labelled, open_table
from softgrad.learn.stored_rows import Spill, StoredRows
from softgrad.learn.tables import AbstractTable
from softgrad.learn.team import ALONE, AbstractTeam
from softgrad.learn.training_set import TrainingSet, check_squares, counted
from softgrad.nn.arguments import check_kind

__all__ = ["gather", "is_stream", "reader_of"]


def is_stream(X: Any, y: Any = None) -> bool:
    """Tell what is read block by block from what is an array, or would make one.

    That is a path, a mapped array, a function that returns blocks, a list of them, what can be gone
    through and nothing else, and a table with the name of its labels.
    """
    if isinstance(X, (str, os.PathLike)):
        return True
    if isinstance(X, np.memmap):
        mapped = X._mmap is not None  # type: ignore[attr-defined]
        return mapped and X.ndim == 2 and X.size > 0 and X.dtype.kind in "biuf"
    if isinstance(X, (list, tuple)):
        return bool(X) and _is_block(X[0])
    if is_table(X):
        return isinstance(y, str)
    arrays = ("__array__", "__getitem__", "shape")
    if any(hasattr(X, name) for name in arrays):
        return False
    return callable(X) or isinstance(X, Iterable)


def gather(
    open_reader: Callable[[], AbstractReader],
    folder: str | os.PathLike[str] | None,
    team: AbstractTeam = ALONE,
) -> tuple[TrainingSet, AbstractReader]:
    """Read all blocks, once, and return the rows that count, which stay in a file."""
    weights_of: list[Array] = [np.empty(0)]
    with team.together():
        reader = open_reader()
        with Spill(folder) as spill:
            for block in reader.blocks():
                check_squares(block.X)
                weights_of.append(block.weights)
                if reader.stored is None:
                    spill.add(block.X if block.weights.all() else block.X[block.weights > 0])
            stored = spill.rows() if reader.stored is None else reader.stored
    weights = np.concatenate(weights_of)
    if not sum(team.numbers(len(weights))):
        raise ValueError(mismatch("X", "blocks with rows", "none"))
    y, classes = reader.labels(team)
    return counted(stored, y, weights, classes, team), reader


def reader_of(
    X: Any,
    y: Any,
    sample_weight: Any,
    check: Check,
    folder: str | os.PathLike[str] | None,
    features: Sequence[str] | None = None,
    *,
    known: bool = False,
    team: AbstractTeam = ALONE,
) -> AbstractReader:
    """Return what reads X, or raise where y does not go with it.

    Where the columns are known already, tables are read by their names. A file is one for all
    processes, and each reads its share; all else are its own rows, of which there may be none.
    """
    if isinstance(X, np.memmap):
        return MappedReader(StoredRows(X, folder), y, sample_weight, check)
    if isinstance(X, (str, os.PathLike)):
        file = open_table(X) if known else open_labelled(X)
        table: AbstractTable = file if team.size == 1 else file.share(team)
    else:
        blocks = opened([X] if is_table(X) else X)
        first = next(blocks, None)
        if first is None and team.size > 1:
            if y is None:
                return PairReader(blocks, check)
            names = _columns(y, sample_weight)
            return TableReader(BatchTable.without_rows([name for name in names if name]), *names)
        if first is None:
            raise ValueError(mismatch("X", "blocks with rows", "none"))
        blocks = chain([first], blocks)
        if isinstance(first, (tuple, list)):
            for name, value in (("y", y), ("sample_weight", sample_weight)):
                if value is not None:
                    expected, got = "None, for the blocks of `X` bring it", type(value).__name__
                    raise TypeError(mismatch(name, expected, got))
            return PairReader(blocks, check)
        table = BatchTable.of(blocks)
    y, weight = _columns(y, sample_weight)
    if known:
        check_named(table, features)
    return TableReader(table, y, weight, features)


def _is_block(first: Any) -> bool:
    """Tell a block of rows, or a pair of such and labels, from a row."""
    rows = first[0] if isinstance(first, (list, tuple)) and first else first
    return is_table(rows) or len(getattr(rows, "shape", ())) == 2


def _columns(y: Any, sample_weight: Any) -> tuple[str, str | None]:
    """Return the names of the columns of labels and weights."""
    check_kind("y", y, str, "the name of a column of `X`")
    if sample_weight is not None:
        check_kind("sample_weight", sample_weight, str, "the name of a column of `X`, or None")
    return y, sample_weight
