"""Whatever need not fit into memory, read once and checked: a training set in a file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from softgrad.arrays import Array
from softgrad.errors import mismatch
from softgrad.learn.blocks.batches import BatchTable
from softgrad.learn.blocks.features import opened
from softgrad.learn.blocks.readers import (
    AbstractReader,
    Check,
    MappedReader,
    PairReader,
    TableReader,
)
from softgrad.learn.sources import open_labelled
from softgrad.learn.stored_rows import Spill, StoredRows
from softgrad.learn.training_set import ClassWeight, TrainingSet, check_some, check_squares, weighed
from softgrad.nn.arguments import check_kind

__all__ = ["Gathered", "gather", "is_stream"]


class Gathered(NamedTuple):
    """What was read."""

    rows: TrainingSet
    features: tuple[str, ...] | None
    """The names of the columns, if they have names."""


def is_stream(X: Any) -> bool:
    """Tell what is read block by block from what is an array, or would make one.

    That is a path, a mapped array, a function that returns blocks, and what can be gone through
    and nothing else.
    """
    if isinstance(X, (str, os.PathLike)):
        return True
    if isinstance(X, np.memmap):
        mapped = X._mmap is not None  # type: ignore[attr-defined]
        return mapped and X.ndim == 2 and X.size > 0 and X.dtype.kind in "biuf"
    arrays = ("__array__", "__getitem__", "shape")
    if any(hasattr(X, name) for name in arrays):
        return False
    return callable(X) or isinstance(X, Iterable)


def gather(
    X: Any,
    y: Any,
    sample_weight: Any,
    class_weight: ClassWeight,
    check: Check,
    folder: str | os.PathLike[str] | None,
) -> Gathered:
    """Read all blocks, once, and return rows that stay in a file."""
    reader = _reader(X, y, sample_weight, check, folder)
    weights_of: list[Array] = []
    with Spill(folder) as spill:
        for block in reader.blocks():
            check_squares(block.X)
            weights_of.append(block.weights)
            if reader.stored is None:
                spill.add(block.X if block.weights.all() else block.X[block.weights > 0])
        if not weights_of:
            raise ValueError(mismatch("X", "blocks with rows", "none"))
        y, classes = reader.labels()
        rows = _counted(y, np.concatenate(weights_of), classes, class_weight)
        stored = spill.rows() if reader.stored is None else reader.stored
    return Gathered(rows._replace(X=stored), reader.features)


def _reader(
    X: Any, y: Any, sample_weight: Any, check: Check, folder: str | os.PathLike[str] | None
) -> AbstractReader:
    """Return what reads X, or raise where y does not go with it."""
    if isinstance(X, np.memmap):
        return MappedReader(StoredRows(X, folder), y, sample_weight, check)
    if isinstance(X, (str, os.PathLike)):
        return TableReader(open_labelled(X), *_columns(y, sample_weight))
    blocks = opened(X)
    first = next(blocks, None)
    if first is None:
        raise ValueError(mismatch("X", "blocks with rows", "none"))
    blocks = chain([first], blocks)
    if not isinstance(first, (tuple, list)):
        return TableReader(BatchTable.of(blocks), *_columns(y, sample_weight))
    for name, value in (("y", y), ("sample_weight", sample_weight)):
        if value is not None:
            raise TypeError(
                mismatch(name, "None, for the blocks of `X` bring it", type(value).__name__)
            )
    return PairReader(blocks, check)


def _columns(y: Any, sample_weight: Any) -> tuple[str, str | None]:
    """Return the names of the columns of labels and weights."""
    check_kind("y", y, str, "the name of a column of `X`")
    if sample_weight is not None:
        check_kind("sample_weight", sample_weight, str, "the name of a column of `X`, or None")
    return y, sample_weight


def _counted(y: Array, weights: Array, classes: Array, class_weight: ClassWeight) -> TrainingSet:
    """Return labels and weights of the rows that count, for X to be put in."""
    kept = weights > 0
    if not kept.all():
        y, weights = y[kept], weights[kept]
        check_some(weights)
        present = np.bincount(y, minlength=len(classes)) > 0
        y, classes = (np.cumsum(present) - 1)[y], classes[present]
    return weighed(None, y, weights, classes, class_weight)
