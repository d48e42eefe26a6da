"""Cells of a table turned into features and class labels."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Sequence
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from softgrad.learn.numbering import Numbering
from softgrad.learn.tables import complaint

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["add_texts", "encode", "feature_rows", "label_texts", "narrow"]

_TRUTH = {"true": 1.0, "false": 0.0}
# An exponent beyond all bounds, such as that of 0e99999999999999999999, makes a NaN, no error.
_NO_TRAPS = Context(traps=[])


def feature_rows(
    path: str,
    batch: pa.RecordBatch,
    features: Sequence[str],
    rows_before: int,
    dtype: npt.DTypeLike = np.float64,
) -> npt.NDArray[Any]:
    """Return the features [n, D], all finite, or name the first cell that is not a number."""
    X = np.empty((batch.num_rows, len(features)), dtype)
    for d, name in enumerate(features):
        X[:, d] = _floats(batch.column(name))
    finite = np.isfinite(X)
    if not finite.all():
        i, d = divmod(int(np.argmin(finite)), len(features))
        message = f"expected a finite number, got {_shown(batch.column(features[d]), i)}"
        raise complaint(path, message, features[d], rows_before + i + 1)
    return X


def narrow(batch: pa.RecordBatch, features: Sequence[str]) -> bool:
    """Tell whether float32 holds all that the columns of these types may hold."""
    import pyarrow as pa

    kinds = [batch.schema.field(name).type for name in features]
    return all(pa.types.is_float32(kind) or pa.types.is_float16(kind) for kind in kinds)


def label_texts(path: str, column: str, cells: pa.Array, rows_before: int) -> pa.Array:
    """Return the labels as text [n], or name the first one that is missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = _plain(cells)
    kind = cells.type
    if not (_is_text(kind) or _is_number(kind) or pa.types.is_null(kind)):
        raise complaint(path, f"expected text, integers or booleans as labels, got {kind}", column)
    texts = cells.cast(pa.string())
    missing = pc.is_in(pc.utf8_lower(texts), value_set=pa.array(["", "nan", None], pa.string()))
    first = pc.index(missing, True).as_py()
    if first >= 0:
        message = f"expected a label, got {_shown(cells, first)}"
        raise complaint(path, message, column, rows_before + first + 1)
    return texts


def add_texts(labels: Numbering, texts: pa.Array) -> None:
    """Number the labels of a batch, which are text [n]."""
    encoded = texts.dictionary_encode()
    labels.add(encoded.dictionary.to_pylist(), encoded.indices.to_numpy())


def encode(
    path: str, column: str, labels: Numbering, rows_before: int = 0
) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Return class indices [N] and the names of the classes.

    Classes are sorted: as numbers when all of them are numbers, as text otherwise. Not every class
    need have a row here.
    """
    codes, names = labels.rows(), labels.found
    values = [_number(name) for name in names]
    if not any(math.isnan(value) for value in values):
        for k, value in enumerate(values):
            if not value.is_integer():
                message = f"expected text, integers or booleans as labels, got {names[k]}"
                raise complaint(path, message, column, _row_of(k, codes, rows_before))
        _check_written_once(path, column, names, codes, rows_before)
        order = sorted(range(len(names)), key=lambda k: (values[k], names[k]))
    else:
        order = sorted(range(len(names)), key=lambda k: names[k])
    rank = np.empty(len(names), dtype=np.int64)
    rank[order] = np.arange(len(names))
    return rank[codes], tuple(names[k] for k in order)


def _check_written_once(
    path: str, column: str, names: Sequence[str], codes: npt.NDArray[np.int64], rows_before: int
) -> None:
    """Raise where two labels write one number, such as 1 and 1.0."""
    written: dict[Decimal, str] = {}
    for k, name in enumerate(names):
        # As decimals, which are exact: integers beyond 2^53 stay apart.
        value = Decimal(_TRUTH.get(name.lower(), name), _NO_TRAPS)
        first = written.setdefault(value, name)
        if first != name:
            message = f"expected one way to write a label, got {first!r} and {name!r}"
            raise complaint(path, message, column, _row_of(k, codes, rows_before))


def _row_of(k: int, codes: npt.NDArray[np.int64], rows_before: int) -> int | None:
    """Return the first row of a class, from 1, if it has one here."""
    found = np.flatnonzero(codes == k)
    return rows_before + int(found[0]) + 1 if len(found) else None


def _floats(cells: pa.Array) -> npt.NDArray[np.float64]:
    """Return the cells as float64 [n]; what is no number becomes NaN."""
    import pyarrow as pa

    cells = _plain(cells)
    if _is_number(cells.type):
        # Not safe: an integer beyond 2^53 may be rounded.
        floats = cells.cast(pa.float64(), safe=False)
        return np.asarray(floats.to_numpy(zero_copy_only=False))
    if not _is_text(cells.type):
        return np.full(len(cells), np.nan)
    try:
        return np.asarray(cells.cast(pa.float64()).to_numpy(zero_copy_only=False))
    except pa.ArrowInvalid:  # booleans, or a cell that is no number
        return np.array([_number(cell) for cell in cells.to_pylist()])


def _number(text: str | None) -> float:
    """Return the number that a text writes, true and false being 1 and 0, or NaN."""
    # Python reads 1_000 as a number; no table means one by it.
    if text is None or "_" in text:
        return math.nan
    try:
        return _TRUTH.get(text.lower(), math.nan) if text.isalpha() else float(text)
    except ValueError:
        return math.nan


def _plain(cells: pa.Array) -> pa.Array:
    """Return the cells of a categorical column as cells of their own type."""
    import pyarrow as pa

    if not pa.types.is_dictionary(cells.type):
        return cells
    if pa.types.is_string_view(cells.type.value_type):  # which pyarrow cannot decode
        cells = pa.DictionaryArray.from_arrays(cells.indices, cells.dictionary.cast(pa.string()))
    return cells.dictionary_decode()


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return bool(is_text or pa.types.is_string_view(kind))


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return bool(is_number or pa.types.is_boolean(kind) or pa.types.is_decimal(kind))


def _shown(cells: pa.Array, i: int) -> str:
    """Say what a cell holds, on one short line."""
    cells = _plain(cells)
    if not cells[i].is_valid:
        return "an empty cell"
    if not (_is_text(cells.type) or _is_number(cells.type)):
        return f"a cell of type {cells.type}"
    value = cells[i].as_py()
    return "an empty cell" if value == "" else reprlib.repr(value)
