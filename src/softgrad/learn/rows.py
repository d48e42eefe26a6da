"""Rows, labels and weights as an estimator gets them, checked: the one door for all its methods."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from softgrad.arrays import Array
from softgrad.errors import mismatch
from softgrad.learn.affine import is_sparse
from softgrad.learn.blocks import AbstractReader, feature_blocks, gather, is_stream, reader_of
from softgrad.learn.labels import labels_of
from softgrad.learn.stored_rows import StoredRows
from softgrad.learn.team import ALONE, AbstractTeam
from softgrad.learn.training_set import TrainingSet, check_squares, labelled, sample_weights

__all__ = ["checked_blocks", "checked_examples", "checked_reader"]

_FLOATS = (np.float64, np.float32)


def checked_examples(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    *,
    reset: bool,
    part: bool = False,
    team: AbstractTeam = ALONE,
) -> TrainingSet:
    """Return the rows that count, in memory or in a file, and what they are.

    With `reset` the estimator learns the number and the names of the columns, else it compares
    them. A part of the rows may lack classes, and so may those of a process, which may have none.
    """
    if _in_blocks(X, y, team) and not is_stream(X, y):
        X, y, sample_weight = iter(()), None, None
    if is_stream(X, y):

        def open_reader() -> AbstractReader:
            return checked_reader(estimator, X, y, sample_weight, reset=reset, team=team)

        rows, reader = gather(open_reader, estimator.cache, team)
        if reset and reader.features is not None:
            estimator.n_features_in_ = len(reader.features)
            estimator.feature_names_in_ = np.array(reader.features, dtype=object)
    else:
        with team.together():
            _check_kind(X)
            labels = None if y is None else labels_of(y, few=part or team.size > 1)
            X, labels = _validated(estimator, X, labels, reset, empty=team.size > 1)
            check_squares(X)
            weights = sample_weights(sample_weight, len(labels))
        rows = labelled(X, labels, weights, team)
    return rows if team.size == 1 else _alike(estimator, rows, reset)


def checked_reader(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    *,
    reset: bool,
    team: AbstractTeam = ALONE,
) -> AbstractReader:
    """Return what reads a stream, block by block."""
    _check_kind(X)
    first = iter((reset,))  # the first block says how many columns there are, and their names

    def check(X: Any) -> Array:
        checked: Array = _validated(estimator, X, "no_validation", next(first, False), sparse=False)
        return checked

    features = None if reset else _names(estimator)
    options: dict[str, Any] = {"known": not reset, "team": team}
    return reader_of(X, y, sample_weight, check, estimator.cache, features, **options)


def _in_blocks(X: Any, y: Any, team: AbstractTeam) -> bool:
    """Tell whether the processes that have rows give them in blocks.

    Raises
    ------
    ValueError
        Some do and others do not.
    """
    none, whole, blocks = range(3)
    empty = hasattr(X, "shape") and X.shape[0] == 0
    given = team.numbers(blocks if is_stream(X, y) else none if empty else whole)
    if whole in given and blocks in given:
        got = f"an array on rank {given.index(whole)} and blocks on rank {given.index(blocks)}"
        raise ValueError(mismatch("X", "of one kind on every rank", got))
    return blocks in given


def _alike(estimator: Any, rows: TrainingSet, reset: bool) -> TrainingSet:
    """Return the rows, which are of one kind in all processes; without any, they become alike.

    Raises
    ------
    ValueError
        They are not.
    """
    X, team = rows.X, rows.team
    kind = "blocks" if isinstance(X, StoredRows) else "CSR" if is_sparse(X) else "an array"
    names = _names(estimator)
    own = [kind, str(X.dtype), X.shape[1], None if names is None else list(names)]
    told = [json.loads(text) for text in team.texts(json.dumps(own if len(rows.y) else None))]
    first = next(rank for rank, about in enumerate(told) if about)
    for rank, about in enumerate(told):
        for here, there in zip(told[first], about or told[first], strict=True):
            if here != there:
                got = f"{here} on rank {first} and {there} on rank {rank}"
                raise ValueError(mismatch("X", "of one kind, dtype and width on every rank", got))
    if len(rows.y):
        return rows
    kind, dtype, D, names = told[first]
    if reset:
        estimator.n_features_in_ = D
        if names is not None:
            estimator.feature_names_in_ = np.array(names, dtype=object)
    return rows._replace(X=_no_rows(kind, np.empty((0, D), dtype)))


def _no_rows(kind: str, X: Array) -> Any:
    """Return an array without rows as rows of another kind."""
    if kind == "CSR":
        from scipy.sparse import csr_array

        return csr_array(X)
    return StoredRows(X) if kind == "blocks" else X


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
    estimator: Any,
    X: Any,
    y: Any = "no_validation",
    reset: bool = False,
    sparse: bool = True,
    empty: bool = False,
) -> Any:
    from sklearn.utils.validation import validate_data

    options: dict[str, Any] = {"accept_sparse": "csr" if sparse else False, "dtype": list(_FLOATS)}
    options["ensure_min_samples"] = 0 if empty else 1
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
