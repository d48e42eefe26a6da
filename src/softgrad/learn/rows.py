"""Rows, labels and weights as an estimator gets them, checked: the one door for all its methods."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from softgrad.arrays import Array
from softgrad.errors import mismatch
from softgrad.learn.blocks import AbstractReader, feature_blocks, gather, is_stream, reader_of
from softgrad.learn.labels import labels_of
from softgrad.learn.training_set import TrainingSet, check_squares, labelled

__all__ = ["checked_blocks", "checked_examples", "checked_reader"]

_FLOATS = (np.float64, np.float32)


def checked_examples(
    estimator: Any, X: Any, y: Any, sample_weight: Any, *, reset: bool, part: bool = False
) -> TrainingSet:
    """Return the rows that count, in memory or in a file, and what they are.

    With `reset` the estimator learns the number and the names of the columns, else it compares
    them. A part of the rows may lack classes.
    """
    _check_kind(X)
    if is_stream(X, y):
        reader = checked_reader(estimator, X, y, sample_weight, reset=reset)
        rows = gather(reader, estimator.cache)
        if reset and reader.features is not None:
            estimator.n_features_in_ = len(reader.features)
            estimator.feature_names_in_ = np.array(reader.features, dtype=object)
        return rows
    X, y = _validated(estimator, X, None if y is None else labels_of(y, few=part), reset)
    check_squares(X)
    return labelled(X, y, sample_weight)


def checked_reader(
    estimator: Any, X: Any, y: Any, sample_weight: Any, *, reset: bool
) -> AbstractReader:
    """Return what reads a stream, block by block."""
    first = iter((reset,))  # the first block says how many columns there are, and their names

    def check(X: Any) -> Array:
        checked: Array = _validated(estimator, X, "no_validation", next(first, False), sparse=False)
        return checked

    features = None if reset else _names(estimator)
    return reader_of(X, y, sample_weight, check, estimator.cache, features, known=not reset)


def checked_blocks(estimator: Any, X: Any) -> Iterator[Any]:
    """Yield rows without labels, dense or CSR: all of them, or block by block."""
    _check_kind(X)
    if is_stream(X):
        yield from feature_blocks(X, _names(estimator), lambda X: _validated(estimator, X))
    else:
        yield _validated(estimator, X)


def _names(estimator: Any) -> Sequence[str] | None:
    names: Sequence[str] | None = getattr(estimator, "feature_names_in_", None)
    return names


def _validated(
    estimator: Any, X: Any, y: Any = "no_validation", reset: bool = False, sparse: bool = True
) -> Any:
    from sklearn.utils.validation import validate_data

    options = {"accept_sparse": "csr" if sparse else False, "dtype": list(_FLOATS)}
    with _explained(X):
        return validate_data(estimator, X, y, reset=reset, **options)


def _check_kind(X: Any) -> None:
    """Raise for what is neither rows nor blocks of them, and what scikit-learn has no name for."""
    if hasattr(X, "sink_parquet"):
        expected = "rows, or what yields blocks of them; collect() or sink_parquet() makes such"
        raise TypeError(mismatch("X", expected, "a LazyFrame"))
    if type(X) in (dict, set):  # a sparse matrix may be a dict, too
        raise TypeError(mismatch("X", "rows [N, D] of numbers", type(X).__name__))


@contextmanager
def _explained(X: Any) -> Iterator[None]:
    """Say of rows that are no numbers what they are; other complaints have the names they need."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if "Complex data" in str(error):
            got = "complex ones. Complex data not supported"
            raise ValueError(mismatch("X", "real numbers", got)) from None
        found = _first_text(X)
        if found is None:
            raise
        name, cell = found
        raise ValueError(mismatch("X", "numbers", f"{cell!r} in column {name!r}")) from None


def _first_text(X: Any) -> tuple[Any, Any] | None:
    """Return the column and the cell of the first text or date that is no number."""
    try:
        if hasattr(X, "columns"):
            names = list(X.columns)
            columns = [np.asarray(X[name]) for name in names]
        else:
            table = np.asarray(X, dtype=None if hasattr(X, "dtype") else object)
            names, columns = list(range(table.shape[1])), list(table.T)
    except (IndexError, TypeError, ValueError):  # no table at all
        return None
    for name, cells in zip(names, columns, strict=True):
        if cells.dtype.kind in "mM":
            return name, str(cells.ravel()[0])
        if cells.dtype.kind in "OUST":
            for cell in cells.ravel().tolist():
                if isinstance(cell, (str, bytes)) and not _reads_as_number(cell):
                    return name, cell
    return None


def _reads_as_number(text: str | bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
