"""Labels, whatever brings them: integers, text or booleans in an array [N]."""

from __future__ import annotations

import numbers
import warnings
from typing import Any

import numpy as np

from softgrad.arrays import Array
from softgrad.errors import mismatch
from softgrad.learn.team import AbstractTeam

__all__ = ["check_same_kind", "labels_of", "united"]

_KINDS = "integers, text or booleans"


def labels_of(y: Any, *, few: bool = False) -> Array:
    """Return checked labels [N], in a dtype that says what they are.

    Few rows of many classes look like numbers to regress: where rows are known to be few, nobody is
    warned of it.
    """
    from sklearn.utils import assert_all_finite
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import column_or_1d

    if isinstance(y, str):
        raise TypeError(mismatch("y", "one label a row; a name goes with a table", repr(y)))
    given = _plain(np.asarray(y))
    if given.dtype.kind == "c":
        raise ValueError(mismatch("y", _KINDS, "complex numbers. Complex data not supported"))
    if given.dtype.kind in "SV":
        raise TypeError(mismatch("y", _KINDS, f"{given.dtype}"))
    labels = column_or_1d(given, warn=True)
    if labels.dtype == object and len({*map(_kind, labels.tolist())}) > 1:
        raise ValueError(mismatch("y", _KINDS, _odd(labels)))  # of several sorts: without an order
    with warnings.catch_warnings():
        if few:
            warnings.filterwarnings("ignore", "The number of unique classes")
        assert_all_finite(labels, input_name="y")
        try:
            if len(labels):
                check_classification_targets(labels)
        except ValueError as error:
            reason = str(error).partition(".")[0]
            raise ValueError(f"{mismatch('y', _KINDS, _odd(labels))}. {reason}.") from None
    return np.asarray(labels)


def united(y: Array, classes: Array, team: AbstractTeam) -> tuple[Array, Array]:
    """Return the labels of all processes, sorted, and rows [N] as indices into those.

    Raises
    ------
    ValueError
        Some processes have text, and others numbers.
    """
    if team.size == 1:
        return y, classes
    own = np.array(_plain(classes).tolist()) if classes.dtype == object else classes
    found = [labels for labels in team.gathered(own) if len(labels)]
    for labels in found:
        check_same_kind("y", labels, found[0])
    everyone = np.unique(np.concatenate(found or [own]))
    places: Array = np.searchsorted(everyone, own) if len(own) else np.empty(0, np.int64)
    return places[y], everyone.astype(classes.dtype) if classes.dtype == object else everyone


def check_same_kind(name: str, one: Array, other: Array) -> None:
    """Raise where one holds text and the other numbers, which have no order."""
    if (one.dtype.kind in "biuf") != (other.dtype.kind in "biuf"):
        expected = f"labels like {other.tolist()[0]!r}"
        raise ValueError(mismatch(name, expected, repr(one.tolist()[0])))


def _plain(labels: Array) -> Array:
    """Return numbers that came as objects, as numbers, and text of any length as NumPy's text."""
    if labels.dtype.kind == "T":
        return np.array(labels.tolist())
    if labels.dtype != object or not labels.size:
        return labels
    cells = labels.ravel().tolist()
    for kind in ((bool, np.bool_), numbers.Integral, numbers.Real):
        if all(isinstance(cell, kind) for cell in cells):
            return np.array(cells).reshape(labels.shape)
    return labels


def _kind(cell: Any) -> type:
    return str if isinstance(cell, str) else type(cell)


def _odd(labels: Array) -> str:
    """Show a label that is of no kind, or two of different kinds."""
    cells = labels.tolist()
    if labels.dtype.kind == "f":
        return repr(next(cell for cell in cells if cell != round(cell)))
    first = cells[0]
    other = next((cell for cell in cells if type(cell) is not type(first)), first)
    return repr(first) if other is first else f"{first!r} and {other!r}"
