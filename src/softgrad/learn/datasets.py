"""A data set for classification, and its split into training and validation rows."""

from __future__ import annotations

import numbers
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from softgrad.arrays import describe
from softgrad.errors import mismatch
from softgrad.nn.arguments import check_kind, check_names, random_generator

__all__ = ["Dataset", "held_out_rows", "split"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows of features, each with a class.

    Parameters
    ----------
    name : str
        What the data are called in what is printed.
    X : float64 [N, D]
        The features.
    y : int64 [N]
        The class of each row, an index into `classes`.
    classes : tuple of str, length K
        The names of the classes.
    features : tuple of str, length D
        The names of the columns of `X`.

    Raises
    ------
    TypeError
        `X` or `y` is no array of its kind, or `classes` or `features` no tuple of names.
    ValueError
        The shapes do not belong together.

    Examples
    --------
    >>> data = Dataset("toy", np.eye(2), np.array([0, 1]), ("no", "yes"), ("a", "b"))
    >>> data.classes[data.y[1]]
    'yes'
    """

    name: str
    X: npt.NDArray[np.float64]
    y: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    features: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_array("X", self.X, "fiu", "a NumPy array of numbers")
        _check_array("y", self.y, "iu", "a NumPy array of integers")
        for name in ("classes", "features"):
            check_names(name, getattr(self, name))
        if self.X.ndim != 2 or self.X.shape[1] != len(self.features):
            expected = f"of shape [N, {len(self.features)}], a column for each feature"
            raise ValueError(mismatch("X", expected, self.X.shape))
        if self.y.shape != self.X.shape[:1]:
            expected = f"of shape {self.X.shape[:1]}, a class for each row"
            raise ValueError(mismatch("y", expected, self.y.shape))
        if self.y.size and not 0 <= self.y.min() <= self.y.max() < len(self.classes):
            expected = f"class indices from 0 to {len(self.classes) - 1}"
            raise ValueError(mismatch("y", expected, f"{self.y.min()} to {self.y.max()}"))


def split(
    dataset: Dataset, validation: float = 0.2, seed: int | np.random.Generator = 0
) -> tuple[Dataset, Dataset]:
    """Split a data set into training and validation rows, stratified by class.

    Each class gives its share of the validation rows, to within one row where its size allows,
    and keeps at least one row for training. Rows stay in their order.

    Parameters
    ----------
    dataset : Dataset
        At least one class must have two rows.
    validation : float in (0, 1)
        The share of the rows to validate on; at least one row is.
    seed : int, at least 0, or numpy.random.Generator
        The same seed gives the same split.

    Returns
    -------
    train, validation : Dataset
        Both non-empty; together they hold every row once.

    Raises
    ------
    TypeError
        `dataset` is no Dataset, or `seed` is no integer.
    ValueError
        `validation` or `seed` is out of its range, or no class has two rows.

    Examples
    --------
    >>> y = np.repeat([0, 1], [15, 5])
    >>> data = Dataset("toy", np.arange(20.0)[:, None], y, ("no", "yes"), ("a",))
    >>> train, held_out = split(data)
    >>> np.bincount(train.y), np.bincount(held_out.y)
    (array([12,  4]), array([3, 1]))
    """
    held_out = held_out_rows(dataset, validation, seed)
    return _rows(dataset, ~held_out), _rows(dataset, held_out)


def held_out_rows(
    dataset: Dataset, validation: float = 0.2, seed: int | np.random.Generator = 0
) -> npt.NDArray[np.bool_]:
    """Return which rows `split` takes to validate on [N]; it takes and raises the same."""
    check_kind("dataset", dataset, Dataset, "a Dataset")
    if not isinstance(validation, numbers.Real) or not 0 < validation < 1:
        raise ValueError(mismatch("validation", "between 0 and 1, both excluded", repr(validation)))
    rng = random_generator(seed)
    counts = np.bincount(dataset.y, minlength=len(dataset.classes))  # [K]
    if not np.any(counts >= 2):
        raise ValueError(mismatch("dataset", "one with two rows of a class", "none"))

    held_out = np.zeros(len(dataset.y), dtype=bool)
    for k, count in enumerate(_validation_counts(counts, validation)):
        held_out[rng.permutation(np.flatnonzero(dataset.y == k))[:count]] = True
    return held_out


def _check_array(name: str, array: Any, dtype_kinds: str, expected: str) -> None:
    check_kind(name, array, np.ndarray, expected)
    if array.dtype.kind not in dtype_kinds:
        raise TypeError(mismatch(name, expected, describe(array)))


def _validation_counts(counts: npt.NDArray[np.int64], validation: float) -> npt.NDArray[np.int64]:
    """Share the validation rows among the classes by largest remainders; [K] -> [K]."""
    most = np.maximum(counts - 1, 0)  # one row of each class stays for training
    total = min(max(round(validation * counts.sum()), 1), most.sum())
    quota = counts * (total / counts.sum())
    taken: npt.NDArray[np.int64] = np.minimum(np.floor(quota).astype(np.int64), most)
    while taken.sum() < total:
        taken[np.argmax(np.where(taken < most, quota - taken, -np.inf))] += 1
    return taken


def _rows(dataset: Dataset, mask: npt.NDArray[np.bool_]) -> Dataset:
    return replace(dataset, X=dataset.X[mask], y=dataset.y[mask])
