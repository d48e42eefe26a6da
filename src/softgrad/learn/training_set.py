"""Rows that count: with class indices and positive weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from softgrad.arrays import Array, describe, real_array
from softgrad.errors import mismatch
from softgrad.learn.affine import is_sparse
from softgrad.learn.labels import united
from softgrad.learn.stored_rows import StoredRows
from softgrad.learn.team import ALONE, AbstractTeam

__all__ = [
    "ClassWeight",
    "TrainingSet",
    "check_some",
    "check_squares",
    "class_indices",
    "class_masses",
    "counted",
    "labelled",
    "sample_weights",
    "weighed",
]

ClassWeight = Mapping[Any, float] | str | None


class TrainingSet(NamedTuple):
    """Rows of positive weight."""

    X: Any  # [N, D], dense, CSR or StoredRows
    y: Array  # class indices [N]
    weights: Array  # float64 [N], positive
    classes: Array  # labels [K], sorted; those of all processes
    team: AbstractTeam = ALONE  # who has the other rows

    @property
    def total(self) -> float:
        """The weights' sum over all processes."""
        return float(self.team.summed(self.weights.sum())[0])

    @property
    def masses(self) -> Array:
        """The weights' sum of each class: [K]."""
        return self.team.summed(class_masses(self.y, self.weights, len(self.classes)))[0]

    def of(self, rows: Array) -> TrainingSet:
        """Return some rows, with all classes."""
        X = self.X.taken(rows) if isinstance(self.X, StoredRows) else self.X[rows]
        return TrainingSet(X, self.y[rows], self.weights[rows], self.classes, self.team)


def labelled(X: Any, labels: Array, weights: Array, team: AbstractTeam = ALONE) -> TrainingSet:
    """Return the rows that count: one of weight 0 is as good as not there.

    Raises
    ------
    TypeError, ValueError
        Labels of processes are of different kinds, or no weight is positive.
    """
    if not weights.all():
        X = X[np.flatnonzero(weights)]
    classes, y = np.unique(labels, return_inverse=True)
    y, classes = united(y, classes, team)
    return counted(X, y, weights, classes, team)


def counted(
    X: Any, y: Array, weights: Array, classes: Array, team: AbstractTeam = ALONE
) -> TrainingSet:
    """Return rows X of positive weight; y and the weights are still those of all rows."""
    kept = weights > 0
    (counts,) = team.summed(np.bincount(y[kept], minlength=len(classes)))
    check_some(counts)
    if not counts.all():
        rank: Array = np.cumsum(counts > 0) - 1
        y, classes = rank[y], classes[counts > 0]
    if not kept.all():
        y, weights = y[kept], weights[kept]
    return TrainingSet(X, y, weights, classes, team)


def weighed(
    rows: TrainingSet,
    class_weight: Any,
    all_classes: Callable[[Array], Array] | None = None,
) -> TrainingSet:
    """Return rows with the weights of their classes.

    The classes are those of the rows, at least two of them, or what a function makes of those.

    Raises
    ------
    TypeError, ValueError
        There are fewer than two classes, or weights of classes do not fit.
    """
    X, y, weights, classes, team = rows
    if all_classes is not None:
        found, classes = classes, all_classes(classes)
        places: Array = np.searchsorted(classes, found)
        y = places[y]
        if isinstance(class_weight, Mapping):  # the other labels may still come
            known = set(classes.tolist())
            class_weight = {label: w for label, w in class_weight.items() if label in known}
    if len(classes) < 2:
        got = f"one class: {classes.tolist()[0]!r}"
        raise ValueError(mismatch("y", "of at least two classes in rows of positive weight", got))
    rows = TrainingSet(X, y, weights, classes, team)
    rows = rows._replace(weights=weights * _class_weights(class_weight, rows)[y])
    if not np.finfo(float).tiny <= rows.total < np.inf:
        expected = "of a sum that is finite and not rounded to 0"
        raise ValueError(mismatch("sample_weight", expected, rows.total))
    return rows


def check_some(weights: Array) -> None:
    """Raise where no row counts."""
    if not weights.any():
        raise ValueError(mismatch("sample_weight", "positive in some rows", "zero in all"))


def check_squares(X: Any) -> None:
    """Raise for numbers whose squares would overflow."""
    numbers = X.data if is_sparse(X) else X
    largest = max(float(numbers.max(initial=0)), -float(numbers.min(initial=0)))
    if largest > 1e150:
        raise ValueError(mismatch("X", "no larger than 1e150 in absolute value", f"{largest:.3g}"))


def class_masses(y: Array, weights: Array, K: int) -> Array:
    """Return the weights' sum of each class [K], in float64 even where there are no rows."""
    return np.bincount(y, weights, minlength=K).astype(np.float64, copy=False)


def class_indices(classes: Array, y: Array) -> Array:
    """Return the position in `classes` of every label [N]."""
    order = np.argsort(classes, kind="stable")
    at = np.searchsorted(classes[order], y).clip(max=len(classes) - 1)
    ids = order[at]
    known = classes[ids] == y
    if not np.all(known):
        unknown = y.tolist()[int(np.argmin(known))]
        raise ValueError(mismatch("y", f"among the classes {classes.tolist()}", repr(unknown)))
    return ids


def sample_weights(given: Any, N: int) -> Array:
    """Return weights [N] that are not negative: those given, or ones."""
    if given is None:
        return np.ones(N)
    weights = np.asarray(real_array("sample_weight", np.asarray(given)), dtype=np.float64)
    if weights.shape != (N,):
        got = describe(weights)
        raise ValueError(mismatch("sample_weight", f"of shape ({N},), one weight a row", got))
    fine = np.isfinite(weights) & (weights >= 0)
    if not fine.all():
        i = int(np.argmin(fine))
        expected = "not negative and finite"
        raise ValueError(mismatch("sample_weight", expected, f"{weights[i]} at position {i}"))
    return weights


def _class_weights(given: Any, rows: TrainingSet) -> Array:
    """Return the weight of each class [K]."""
    classes = rows.classes
    if given is None:
        return np.ones(len(classes))
    if isinstance(given, str) and given == "balanced":
        masses = rows.masses
        return np.asarray(masses.sum() / (len(classes) * masses))
    if not isinstance(given, Mapping):
        expected = "None, 'balanced' or a dict of weights by label"
        raise ValueError(mismatch("class_weight", expected, repr(given)))
    labels = classes.tolist()
    missing, unknown = [c for c in labels if c not in given], set(given) - set(labels)
    if missing and unknown:  # labels that were not met, such as "1" for 1, or a misprint
        expected = f"a dict whose keys are among the labels {labels}"
        raise ValueError(mismatch("class_weight", expected, f"{sorted(unknown, key=repr)}"))
    found = real_array("class_weight", [given.get(label, 1.0) for label in labels])
    if not (np.isfinite(found) & (found > 0)).all():
        raise ValueError(mismatch("class_weight", "positive and finite", repr(dict(given))))
    return np.asarray(found, dtype=np.float64)
