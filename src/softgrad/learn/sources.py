"""Where data come from: data sets built into scikit-learn, and the user's own files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from softgrad.errors import MissingExtraError, UsageError, mismatch
from softgrad.learn.cells import add_texts, encode, feature_rows, label_texts
from softgrad.learn.csv_table import open_csv
from softgrad.learn.datasets import Dataset
from softgrad.learn.numbering import Numbering
from softgrad.learn.parquet_table import open_parquet
from softgrad.learn.tables import (
    AbstractFile,
    AbstractTable,
    check_columns,
    complaint,
    other_columns,
)

__all__ = ["BUILT_IN", "load", "load_features", "open_labelled", "open_table"]

BUILT_IN = ("digits", "iris", "wine", "breast-cancer")
"""The names that `load` takes in the place of a path."""

_OPENERS = {".csv": open_csv, ".tsv": open_csv, ".parquet": open_parquet, ".pq": open_parquet}


def load(source: str | os.PathLike[str], target: str | None = None) -> Dataset:
    """Load a built-in data set, or read one from a CSV or Parquet file.

    A file has a header (CSV), a column of labels, and features in all its other columns.
    Labels are text, integers or booleans. Features are finite numbers; booleans count as 0 and 1,
    and text that reads as a number is one. CSV is UTF-8, separated by comma, semicolon or tab.

    Parameters
    ----------
    source : str or path
        ``digits``, ``iris``, ``wine``, ``breast-cancer``, or the path of a file whose name
        ends in .csv, .tsv, .parquet or .pq.
    target : str, optional
        The name of the column of labels in a file; by default, the last column.

    Returns
    -------
    Dataset
        At least two classes with at least two rows each.

    Raises
    ------
    TypeError
        `source` is no name and no path.
    UsageError
        What the user has to mend, in one line: the file, the column and the row.
    MissingExtraError
        scikit-learn (built-in data) or pyarrow (files) is not installed.

    Examples
    --------
    >>> iris = load("iris")
    >>> iris.X.shape, iris.classes
    ((150, 4), ('setosa', 'versicolor', 'virginica'))
    """
    if source in BUILT_IN:
        if target is not None:
            raise UsageError(f"{source} has its own target; expected none, got {target!r}")
        return _built_in(str(source))
    table = open_labelled(source)
    return _read(table, table.names[-1] if target is None else target)


def load_features(
    source: str | os.PathLike[str], features: Sequence[str]
) -> npt.NDArray[np.float64]:
    """Read the named columns, in the order of `features`; all other columns are ignored.

    Parameters
    ----------
    source : str or path
        As in `load`.
    features : sequence of str, length D
        The names of the columns, at least one.

    Returns
    -------
    float64 [N, D]
        At least one row.

    Raises
    ------
    TypeError
        `source` is no name and no path, or `features` is no sequence.
    UsageError, MissingExtraError
        As in `load`.
    ValueError
        `features` is empty.

    Examples
    --------
    >>> load_features("iris", ["petal width (cm)", "petal length (cm)"])[0]
    array([0.2, 1.4])
    """
    if isinstance(features, str) or not isinstance(features, Sequence):
        raise TypeError(mismatch("features", "a sequence of names", repr(features)))
    if not features:
        raise ValueError(mismatch("features", "the names of columns", "none"))
    if source in BUILT_IN:
        dataset = _built_in(str(source))
        check_columns(dataset.name, dataset.features, features)
        return dataset.X[:, [dataset.features.index(name) for name in features]]
    table = open_table(source)
    check_columns(table.path, table.names, features)
    return np.concatenate(
        [
            feature_rows(table.path, batch, features, rows_before)
            for rows_before, batch in table.batches(features)
        ]
    )


def _built_in(name: str) -> Dataset:
    try:
        from sklearn import datasets
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "learn") from error
    bunch = getattr(datasets, f"load_{name.replace('-', '_')}")()
    return Dataset(
        name=name,
        X=bunch.data.astype(np.float64),
        y=bunch.target.astype(np.int64),
        classes=tuple(str(label) for label in bunch.target_names),
        features=tuple(str(feature) for feature in bunch.feature_names),
    )


def open_table(source: str | os.PathLike[str]) -> AbstractFile:
    """Open a table, or say in one line why it cannot be opened."""
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(mismatch("source", "a name or a path", repr(source)))
    path = Path(source)
    if path.is_dir():
        raise complaint(str(path), "expected a file, got a directory")
    opener = _OPENERS.get(path.suffix.lower())
    if opener is None:
        message = f"expected {', '.join(BUILT_IN)} or the path of a .csv or .parquet file"
        raise UsageError(f"{message}, got {str(path)!r}")
    try:
        # The file first: whoever mistypes its name need not install anything to be told.
        with path.open("rb") as file:
            if not file.read(1):
                raise complaint(str(path), "the file is empty")
    except OSError as error:
        raise complaint(str(path), str(error.strerror).lower()) from error
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("pyarrow", "learn") from error
    return opener(str(path))


def open_labelled(source: str | os.PathLike[str]) -> AbstractFile:
    """Open a table all of whose columns are wanted: each has a name of its own."""
    table = open_table(source)
    check_columns(table.path, table.names, table.names)
    if "" in table.names:
        position = table.names.index("") + 1
        raise complaint(table.path, f"column {position} has no name; is it an index of the rows?")
    return table


def _read(table: AbstractTable, target: str) -> Dataset:
    """Read a whole table, checking that it can be learned from."""
    features = other_columns(table, (target,))
    blocks, labels = [], Numbering()
    for rows_before, batch in table.batches(table.names):
        add_texts(labels, label_texts(table.path, target, batch.column(target), rows_before))
        blocks.append(feature_rows(table.path, batch, features, rows_before))
    y, classes = encode(table.path, target, labels)
    _check_classes(table.path, target, y, classes)
    return Dataset(Path(table.path).name, np.concatenate(blocks), y, classes, features)


def _check_classes(
    path: str, target: str, y: npt.NDArray[np.int64], classes: tuple[str, ...]
) -> None:
    if len(classes) == 1:
        raise complaint(path, f"expected two classes or more, got only {classes[0]!r}", target)
    lonely = np.flatnonzero(np.bincount(y) == 1)
    if lonely.size:
        row = int(np.flatnonzero(np.isin(y, lonely))[0])
        message = f"expected two rows or more of each class, got one of {classes[y[row]]!r}"
        raise complaint(path, message, target, row + 1)
