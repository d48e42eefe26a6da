"""The targets of rows, checked, and spread over the classes only when somebody asks for them.

All of this needs no logits: what a row counts is known before any work.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import prod
from typing import Any, Literal, NamedTuple

import array_api_compat
import numpy as np

from softgrad.arithmetic import accurate_sum
from softgrad.arrays import Array, compute_dtype, indices, namespace
from softgrad.linear.rows import weighted
from softgrad.losses.simplex import check_probabilities
from softgrad.losses.targets import Labels, TopK, check_labels, spread_labels

__all__ = [
    "AbstractTargets",
    "DenseTargets",
    "Label",
    "LabelTargets",
    "Rest",
    "SparseTargets",
    "add_at",
    "targets_of",
]

Rest = Literal["ignore", "spread"]


class Label(NamedTuple):
    """The only class of each row that has a target."""

    index: Array  # [..., 1]
    t: Array  # [..., 1]


@dataclass(frozen=True, eq=False)
class AbstractTargets(ABC):
    """The target of each row: t_j of class j."""

    @property
    @abstractmethod
    def counts(self) -> Array | None:
        """False where a row is ignored: [...]; None where all count."""

    @abstractmethod
    def flat(self) -> AbstractTargets:
        """Return the same targets with a single batch axis."""

    @abstractmethod
    def take(self, rows: Any) -> AbstractTargets:
        """Return the targets of some rows: a slice or positions along the only batch axis."""

    @abstractmethod
    def mass(self, class_weights: Array) -> Array:
        """Return Σ_j c_j t_j of every row, for class weights c [K] or [..., K]: [...]."""

    @abstractmethod
    def listed(self, class_weights: Array | None) -> tuple[Array, Array | None] | None:
        """Return the few classes that have a target, and c_j t_j, None for ones: [..., k].

        It is None where every class may have one.
        """

    @abstractmethod
    def label(self, class_weights: Array | None, weights: Array) -> Label | None:
        """Return the only class that has a target, and c_j t_j, 0 in rows without weight.

        It is None where several may have one.
        """

    @abstractmethod
    def dense(self, like: Array, first: int = 0) -> Array:
        """Return t in the shape of logits, in the dtype that is computed in or theirs: [..., K].

        Logits of some of the classes have the targets of those, from the class `first` on.
        """

    @abstractmethod
    def check(self, weights: Array) -> None:
        """Raise unless the target of every row with a weight is not negative and sums to one."""


@dataclass(frozen=True, eq=False)
class LabelTargets(AbstractTargets):
    """One class a row."""

    labels: Labels

    @property
    def counts(self) -> Array | None:
        return self.labels.counts

    def flat(self) -> AbstractTargets:
        return LabelTargets(self.labels.each(lambda part: _flat(part, 0)))

    def take(self, rows: Any) -> AbstractTargets:
        return LabelTargets(self.labels.each(lambda part: part[rows]))

    def mass(self, class_weights: Array) -> Array:
        labels, fine = self.labels, self.labels.in_range
        fine = fine if labels.counts is None else fine & labels.counts
        return _at(class_weights, labels.index[..., None], fine[..., None])[..., 0]

    def listed(self, class_weights: Array | None) -> tuple[Array, Array | None]:
        ids = self.labels.index[..., None]
        if class_weights is None:
            return ids, None
        return ids, self.mass(class_weights)[..., None]

    def label(self, class_weights: Array | None, weights: Array) -> Label:
        xp, labels, used = namespace(weights), self.labels, weights != 0
        t = xp.ones_like(weights) if class_weights is None else self.mass(class_weights)
        t = xp.where(labels.in_range, t, xp.zeros_like(t) + xp.nan)
        t = xp.where(used, t, xp.zeros_like(t))
        index = xp.where(labels.in_range & used, labels.index, xp.zeros_like(labels.index))
        return Label(index[..., None], t[..., None])

    def dense(self, like: Array, first: int = 0) -> Array:
        return spread_labels(self.labels._replace(index=self.labels.index - first), like)

    def check(self, weights: Array) -> None:
        """Do nothing: a label's target is its one-hot vector."""


@dataclass(frozen=True, eq=False)
class DenseTargets(AbstractTargets):
    """A number a class."""

    t: Array  # [..., K]

    @property
    def counts(self) -> Array | None:
        return None

    def flat(self) -> AbstractTargets:
        return DenseTargets(_flat(self.t, 1))

    def take(self, rows: Any) -> AbstractTargets:
        return DenseTargets(self.t[rows])

    def mass(self, class_weights: Array) -> Array:
        return accurate_sum(self.dense(class_weights) * class_weights)

    def listed(self, class_weights: Array | None) -> None:
        return None

    def label(self, class_weights: Array | None, weights: Array) -> None:
        return None

    def dense(self, like: Array, first: int = 0) -> Array:
        xp = namespace(self.t)
        return self.t if self.t.dtype == like.dtype else xp.astype(self.t, compute_dtype(like))

    def check(self, weights: Array) -> None:
        check_probabilities(self.dense(weights), weights != 0)


@dataclass(frozen=True, eq=False)
class SparseTargets(AbstractTargets):
    """A number for each of k classes a row, and an equal share of the rest for all others."""

    ids: Labels  # [..., k]
    probabilities: Array  # [..., k]
    rest: Rest
    classes: int

    @property
    def counts(self) -> Array | None:
        return None

    def flat(self) -> AbstractTargets:
        ids = self.ids.each(lambda part: _flat(part, 1))
        return SparseTargets(ids, _flat(self.probabilities, 1), self.rest, self.classes)

    def take(self, rows: Any) -> AbstractTargets:
        ids = self.ids.each(lambda part: part[rows])
        return SparseTargets(ids, self.probabilities[rows], self.rest, self.classes)

    def mass(self, class_weights: Array) -> Array:
        c = _at(class_weights, self.ids.index, self.ids.in_range)  # [..., k]
        listed = accurate_sum(weighted(self.probabilities, c))
        if self.rest == "ignore":
            return listed
        c = _at(class_weights, self._sorted, self._first_of_each)
        return listed + self._share * (accurate_sum(class_weights) - accurate_sum(c))

    def listed(self, class_weights: Array | None) -> tuple[Array, Array | None] | None:
        if self.rest == "spread":
            return None
        if class_weights is None:
            return self.ids.index, self.probabilities
        c = _at(class_weights, self.ids.index, self.ids.in_range)
        return self.ids.index, weighted(self.probabilities, c)

    def label(self, class_weights: Array | None, weights: Array) -> None:
        return None

    def dense(self, like: Array, first: int = 0) -> Array:
        xp, zeros = namespace(like), namespace(like).zeros_like(like, dtype=compute_dtype(like))
        if not like.shape[-1]:
            return zeros
        index, p, ones = (
            self.ids.index - first,
            self.probabilities,
            xp.ones_like(self.probabilities),
        )
        # Others may be another rank's; or wrong, where a GPU was not waited for.
        here = (index >= 0) & (index < like.shape[-1])
        index, p, ones = (xp.where(here, v, xp.zeros_like(v)) for v in (index, p, ones))
        t = add_at(zeros + 0, index, p)
        if self.rest == "spread":
            listed = add_at(zeros, index, ones) != 0
            t = t + xp.where(listed, xp.zeros_like(t), self._share[..., None])
        bad = xp.any(~self.ids.in_range, axis=-1, keepdims=True)
        return xp.where(bad, xp.zeros_like(t) + xp.nan, t)

    def check(self, weights: Array) -> None:
        p, xp = self.probabilities, namespace(self.probabilities)
        if self.rest == "spread":
            p = xp.concat([p, self._missing[..., None]], axis=-1)
        check_probabilities(p, weights != 0)

    @property
    def _missing(self) -> Array:
        """What the listed probabilities leave of one; nothing where they are more."""  # [...]
        p, xp = self.probabilities, namespace(self.probabilities)
        ones = xp.ones_like(xp.sum(p, axis=-1, keepdims=True))  # there may be no class listed
        missing = accurate_sum(xp.concat([ones, -p], axis=-1))
        return xp.where(missing < 0, xp.zeros_like(missing), missing)

    @property
    def _share(self) -> Array:
        """What each class that is not listed gets of the rest."""  # [...]
        xp = namespace(self.probabilities)
        listed = xp.sum(xp.astype(self._first_of_each, self.probabilities.dtype), axis=-1)
        others = self.classes - listed
        return xp.where(others > 0, self._missing / others, xp.zeros_like(others))

    @property
    def _sorted(self) -> Array:
        return namespace(self.ids.index).sort(self.ids.index, axis=-1)  # [..., k]

    @property
    def _first_of_each(self) -> Array:
        """True once for every class among the sorted ids."""  # [..., k]
        xp, ids = namespace(self.ids.index), self._sorted
        return xp.concat([xp.ones_like(ids[..., :1]) == 1, ids[..., 1:] != ids[..., :-1]], axis=-1)


def targets_of(
    targets: Array | TopK,
    like: Array,
    classes: int,
    ignore_index: int | None,
    rest: Rest,
    *,
    look: bool = False,
) -> AbstractTargets:
    """Return laid out targets as an object; `like` [...] has the shape of the rows.

    Class indices on a GPU are looked at only if that is said.

    Raises
    ------
    IndexError
        A class index is out of range: the message has the first position and its value.
    """
    if isinstance(targets, TopK):
        ids = check_labels(targets.ids, targets.ids, classes, None, "targets.ids", look=look)
        return SparseTargets(ids, targets.probabilities, rest, classes)
    if targets.ndim == like.ndim:
        return LabelTargets(check_labels(targets, like, classes, ignore_index, look=look))
    return DenseTargets(targets)


def _flat(x: Array, class_axes: int) -> Array:
    """Make one axis of the batch axes."""
    batch = x.shape[: x.ndim - class_axes]
    return namespace(x).reshape(x, (prod(batch), *x.shape[x.ndim - class_axes :]))


def _at(values: Array, index: Array, fine: Array) -> Array:
    """Return values [K], or [..., K] beside rows, at positions [..., k]; 0 where not fine."""
    xp = namespace(values)
    index = xp.where(fine, index, xp.zeros_like(index))
    beside = xp.broadcast_to(values, (*index.shape[:-1], values.shape[-1]))
    found = xp.take_along_axis(beside, index, axis=-1)
    return xp.where(fine, found, xp.zeros_like(found))


def add_at(t: Array, ids: Array, values: Array) -> Array:
    """Add values [..., k] to fresh t [..., K] at the ids; what stands twice adds up."""
    if array_api_compat.is_torch_array(t):
        return t.scatter_add_(-1, ids, values)
    if isinstance(t, np.ndarray):
        rows = np.ix_(*(np.arange(n) for n in ids.shape))[:-1]
        np.add.at(t, (*rows, ids), values)
        return t
    xp, index = namespace(t), indices(t)
    for i in range(ids.shape[-1]):
        here = ids[..., i : i + 1] == index
        t = t + xp.where(here, values[..., i : i + 1], xp.zeros_like(t))
    return t
