"""Where blocks of rows come from: tables, and pairs of rows and labels. Each is read once."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from softgrad.arrays import Array, describe
from softgrad.errors import mismatch
from softgrad.learn.cells import add_texts, encode, feature_rows, label_texts, narrow
from softgrad.learn.labels import labels_of, united
from softgrad.learn.numbering import Numbering
from softgrad.learn.stored_rows import StoredRows
from softgrad.learn.tables import AbstractTable, complaint, other_columns
from softgrad.learn.team import ALONE, AbstractTeam
from softgrad.learn.training_set import sample_weights

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["AbstractReader", "Block", "Check", "MappedReader", "PairReader", "TableReader"]

Check: TypeAlias = Callable[[Any], Array]
"""What makes checked rows [n, D] of float32 or float64 of whatever stands for rows."""


class Block(NamedTuple):
    """Some rows."""

    X: Array  # [n, D], float32 or float64
    weights: Array  # float64 [n], not negative


class AbstractReader(ABC):
    """Blocks of rows, whose labels are known when all of them were read."""

    features: tuple[str, ...] | None = None
    """The names of the columns, if they have names."""

    stored: StoredRows | None = None
    """The rows, if they are in a file as they are wanted; else they are written to one."""

    @abstractmethod
    def blocks(self) -> Iterator[Block]:
        """Yield all rows, once, in blocks of one dtype and at least one row."""

    @abstractmethod
    def labels(self, team: AbstractTeam = ALONE) -> tuple[Array, Array]:
        """Return the class index of every row that was read [N], and the labels [K], sorted.

        The labels are those of all processes.
        """


class MappedReader(AbstractReader):
    """A mapped array, with labels and weights as `fit` has them for any array."""

    def __init__(self, rows: StoredRows, y: Any, sample_weight: Any, check: Check) -> None:
        from sklearn.utils.validation import check_consistent_length

        if y is None:
            raise ValueError(mismatch("y", "the label of every row", "None"))
        self.check, self.rows, X = check, rows, rows.array
        self.given = labels_of(y)
        check_consistent_length(X, self.given)
        self.weights = sample_weights(sample_weight, len(X))
        as_it_is = X.dtype in (np.float32, np.float64) and X.strides[1] == X.itemsize
        if as_it_is and self.weights.all():
            self.stored = self.rows

    def blocks(self) -> Iterator[Block]:
        first = 0
        for X in self.rows.blocks():
            yield Block(self.check(X), self.weights[first : first + len(X)])
            first += len(X)

    def labels(self, team: AbstractTeam = ALONE) -> tuple[Array, Array]:
        classes, y = np.unique(self.given, return_inverse=True)
        return united(y, classes, team)


class TableReader(AbstractReader):
    """The rows of a table, with labels and perhaps weights in columns of their own."""

    def __init__(
        self,
        table: AbstractTable,
        y: str,
        weight: str | None,
        features: Sequence[str] | None = None,
    ) -> None:
        taken = (y,) if weight is None else (y, weight)
        self.table, self.y, self.weight = table, y, weight
        others = other_columns(table, taken)
        self.features: tuple[str, ...] = others if features is None else tuple(features)
        self._labels, self._kind = Numbering(), None

    def blocks(self) -> Iterator[Block]:
        path, dtype = self.table.path, None
        wanted = {*self.features, self.y, self.weight}
        columns = [name for name in self.table.names if name in wanted]
        for rows_before, batch in self.table.batches(columns):
            if not batch.num_rows:
                continue
            cells = batch.column(self.y)
            self._kind = self._kind or cells.type
            add_texts(self._labels, label_texts(path, self.y, cells, rows_before))
            as_narrow = narrow(batch, self.features)
            dtype = dtype or np.dtype(np.float32 if as_narrow else np.float64)
            if dtype == np.float32 and not as_narrow:
                raise complaint(path, "expected float32 columns as before", row=rows_before + 1)
            X = feature_rows(path, batch, self.features, rows_before, dtype)
            yield Block(X, self._weights(batch, rows_before))

    def labels(self, team: AbstractTeam = ALONE) -> tuple[Array, Array]:
        found = chain.from_iterable(map(json.loads, team.texts(json.dumps(self._labels.found))))
        labels = self._labels.among(dict.fromkeys(found))
        rows_before = 0 if self.table.rows is None else self.table.rows.start
        y, names = encode(self.table.path, self.y, labels, rows_before)
        kinds = {kind for kind in team.texts("" if self._kind is None else str(self._kind)) if kind}
        if len(kinds) > 1:
            expected = "labels of one type on every rank"
            raise ValueError(mismatch("y", expected, " and ".join(sorted(kinds))))
        # Text of digits is numbered by its numbers there, and sorted as text here.
        typed = _typed(names, self._kind if self.table.typed else None)
        classes, rank = np.unique(typed, return_inverse=True)
        y = rank[y]
        # Who has read no row does not know the type.
        told = zip(team.gathered(classes), team.numbers(len(y)), strict=True)
        return y, next((theirs for theirs, rows in told if rows), classes)

    def _weights(self, batch: pa.RecordBatch, rows_before: int) -> Array:
        if self.weight is None:
            return np.ones(batch.num_rows)
        weights = feature_rows(self.table.path, batch, (self.weight,), rows_before)[:, 0]
        if weights.min() < 0:
            row = int(np.argmin(weights))
            message = f"expected a weight that is not negative, got {weights[row]}"
            raise complaint(self.table.path, message, self.weight, rows_before + row + 1)
        return weights


class PairReader(AbstractReader):
    """Pairs of rows and labels, or triples with weights."""

    def __init__(self, pairs: Iterator[Any], check: Check) -> None:
        self.pairs, self.check = pairs, check
        self._numbers, self._kind = Numbering(), ""
        self._dates: Any = None
        """The dtype of labels that are dates or times, of which lists do not remember the unit."""

    def blocks(self) -> Iterator[Block]:
        dtype = None
        for number, pair in enumerate(self.pairs, start=1):
            if not isinstance(pair, (tuple, list)) or len(pair) not in (2, 3):
                raise TypeError(
                    mismatch("X", "blocks (X, y) or (X, y, weights)", _got(pair, number))
                )
            if hasattr(pair[0], "tocsr"):
                expected = "blocks of dense rows; CSR goes in whole"
                raise TypeError(mismatch("X", expected, _got(pair[0], number)))
            try:
                if not len(pair[0]):
                    continue
                X = self.check(pair[0])
                self._number(pair[1], len(X))
                weights = sample_weights(pair[2] if len(pair) == 3 else None, len(X))
            except (TypeError, ValueError) as error:
                kind = TypeError if isinstance(error, TypeError) else ValueError
                raise kind(f"block {number} of `X`: {error}") from error
            dtype = dtype or X.dtype
            if dtype == np.float32 and X.dtype != dtype:
                expected = f"blocks of one dtype, {dtype} as in the first one"
                raise TypeError(mismatch("X", expected, _got(X, number)))
            yield Block(X.astype(dtype, copy=False), weights)

    def labels(self, team: AbstractTeam = ALONE) -> tuple[Array, Array]:
        found = np.array(self._numbers.found)
        if self._dates is not None:
            found = found.astype(self._dates)
        classes, rank = np.unique(found, return_inverse=True)
        return united(rank[self._numbers.rows()], classes, team)

    def _number(self, labels: Any, N: int) -> None:
        labels = labels_of(labels, few=True)
        if len(labels) != N:
            raise ValueError(mismatch("y", f"of shape ({N},), one label a row", describe(labels)))
        found, positions = np.unique(labels, return_inverse=True)
        kind = np.array(found.tolist()).dtype.kind  # of objects, what they are
        if found.dtype.kind in "mM":
            kind, self._dates = found.dtype.kind, found.dtype
        self._kind = self._kind or kind
        if kind != self._kind:
            expected = "labels of one kind, such as text, in all blocks"
            raise TypeError(mismatch("y", expected, describe(labels)))
        self._numbers.add(found.tolist(), positions)


def _got(block: Any, number: int) -> str:
    what = describe(block) if isinstance(block, np.ndarray) else type(block).__name__
    return f"{what} in block {number}"


def _typed(names: tuple[str, ...], kind: Any) -> Array:
    """Return labels as a column of their type has them; of untyped cells, integers or text."""
    import pyarrow as pa

    if kind is not None and pa.types.is_dictionary(kind):
        kind = kind.value_type
    if kind is None:
        whole = all(re.fullmatch("0|-?[1-9][0-9]{0,17}", name) for name in names)
        kind = pa.int64() if whole else pa.string()
    if pa.types.is_boolean(kind):
        return np.array([name == "true" for name in names])
    if pa.types.is_integer(kind):
        return np.array([int(name) for name in names])
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return np.array([float(name) for name in names])
    return np.array(names)
