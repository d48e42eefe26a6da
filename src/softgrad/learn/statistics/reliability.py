"""Whether probabilities mean what they say: of all that were given 0.8, are four in five right?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from softgrad.arrays import Array, describe, real_array
from softgrad.errors import mismatch
from softgrad.learn.training_set import check_some, class_indices, sample_weights
from softgrad.nn.arguments import positive_integer
from softgrad.results import Block, Paragraph, Result, Table, number

__all__ = ["Reliability", "expected_calibration_error", "reliability"]


@dataclass(frozen=True, eq=False)
class Reliability(Result):
    """Bins of probabilities, and how often they came true.

    Parameters
    ----------
    lower, upper : array [bins]
        A bin holds what is above the first and at most the second; the first bin holds 0 as well.
    weight : array [bins]
        The share of all probabilities that fell into it; the shares sum to 1.
    confidence, frequency : array [bins]
        The mean probability in the bin, and the share that came true; NaN where the bin is empty.
    """

    schema: ClassVar[str] = "softgrad.reliability/1"

    lower: Array
    upper: Array
    weight: Array
    confidence: Array
    frequency: Array

    @property
    def error(self) -> float:
        """The expected calibration error: Σ weight · |frequency − confidence|."""
        there = self.weight > 0
        gap = np.abs(self.frequency - self.confidence)
        return float(np.sum(self.weight[there] * gap[there]))

    @property
    def largest(self) -> float:
        """The maximum calibration error: the largest |frequency − confidence| of a bin."""
        return float(np.nanmax(np.abs(self.frequency - self.confidence)))

    def blocks(self) -> Iterable[Block]:
        yield Paragraph(f"Expected calibration error {number(self.error)}", "title")
        columns = ("above", "up to", "share of rows", "said", "came true")
        fields = (self.lower, self.upper, self.weight, self.confidence, self.frequency)
        rows = [row for row in np.stack(fields, axis=-1).tolist() if row[2] > 0]
        yield Table(columns, tuple(map(tuple, rows)))


def reliability(
    p: Any,
    y: Any,
    *,
    bins: int = 15,
    binning: str = "width",
    label: Any = None,
    classes: Any = None,
    sample_weight: Any = None,
) -> Reliability:
    """Return the reliability table of probabilities.

    Parameters
    ----------
    p : array [N, K]
        The probabilities of every class.
    y : array [N]
        What came true: class indices, or labels where `classes` are given.
    bins : int, 15
        How many there are at most.
    binning : {"width", "mass"}
        Bins as wide as each other, or holding as many rows as each other; equal probabilities are
        never parted.
    label : label, optional
        The class whose probabilities are judged. By default it is each row's likeliest class.
    classes : array [K], optional
        The labels of the columns, such as ``model.classes_``; 0 … K−1 by default.
    sample_weight : array [N], optional
        Not negative; 1 by default.

    Raises
    ------
    TypeError, ValueError
        An argument does not fit; the message has its name.

    Examples
    --------
    >>> import softgrad as sg
    >>> p = [[0.9, 0.1], [0.7, 0.3], [0.6, 0.4], [0.2, 0.8]]
    >>> print(sg.learn.reliability(p, [0, 0, 1, 1], bins=2).frequency)
    [ nan 0.75]
    """
    p, ids, labels, weights = _checked(p, y, classes, sample_weight)
    if label is None:
        top = p.argmax(axis=1)
        said, true = p[np.arange(len(p)), top], top == ids
    else:
        found = np.flatnonzero(labels == label)
        if len(found) != 1:
            raise ValueError(mismatch("label", f"among {labels.tolist()}", repr(label)))
        said, true = p[:, found[0]], ids == found[0]
    return _binned(said, true, weights, _edges(said, bins, binning))


def expected_calibration_error(
    p: Any,
    y: Any,
    *,
    bins: int = 15,
    binning: str = "width",
    classwise: bool = False,
    classes: Any = None,
    sample_weight: Any = None,
) -> float:
    """Return how far probabilities are from what comes true, on average over bins.

    Parameters
    ----------
    p, y, bins, binning, classes, sample_weight
        As in `softgrad.learn.reliability`, of whose table this is the error.
    classwise : bool, False
        The mean over all classes of the error of its probabilities (Kull et al., 2019). Otherwise
        only the likeliest class of every row counts (Guo et al., 2017).

    Raises
    ------
    TypeError, ValueError
        An argument does not fit; the message has its name.

    Numerics
    --------
    The error of few rows is not 0 even of the right probabilities: each bin's share is as rough as
    its rows are few. Fewer bins, or bins of equal mass, make it less so.

    Examples
    --------
    >>> import softgrad as sg
    >>> p = [[0.9, 0.1], [0.7, 0.3], [0.6, 0.4], [0.2, 0.8]]
    >>> round(sg.expected_calibration_error(p, [0, 0, 1, 1], bins=10), 12)
    0.3
    """
    options = {"bins": bins, "binning": binning, "classes": classes, "sample_weight": sample_weight}
    if not classwise:
        return reliability(p, y, **options).error
    _, _, labels, _ = _checked(p, y, classes, sample_weight)
    return float(np.mean([reliability(p, y, label=k, **options).error for k in labels]))


def _checked(p: Any, y: Any, classes: Any, weights: Any) -> tuple[Array, Array, Array, Array]:
    """Return probabilities [N, K], class indices [N], labels [K] and weights [N] that sum to 1."""
    p = np.asarray(real_array("p", np.asarray(p)), dtype=np.float64)
    if p.ndim != 2 or 0 in p.shape:
        raise ValueError(mismatch("p", "of shape [N, K] with a row and a class", describe(p)))
    N, K = p.shape
    sums = p.sum(axis=1)
    if not (np.isfinite(sums) & (p.min(axis=1) >= 0) & (np.abs(sums - 1) < 1e-3)).all():
        raise ValueError(mismatch("p", "probabilities that sum to 1 in every row", "others"))
    labels = np.arange(K) if classes is None else np.asarray(classes)
    if labels.shape != (K,):
        raise ValueError(mismatch("classes", f"{K} labels, one a column", describe(labels)))
    y = np.asarray(y)
    if y.shape != (N,):
        raise ValueError(mismatch("y", f"of shape ({N},), one label a row", describe(y)))
    if classes is None and not np.isin(y, labels).all():
        expected = f"the labels of the columns, such as `classes_`, unless `y` is from 0 to {K - 1}"
        raise ValueError(mismatch("classes", expected, "None"))
    ids = class_indices(labels, y)
    w = sample_weights(weights, N)
    check_some(w)
    return p, ids, labels, w / w.sum()


def _edges(said: Array, bins: Any, binning: str) -> Array:
    """Return the bins' edges from 0 to 1, rising."""
    bins = positive_integer("bins", bins)
    if binning == "width":
        return np.linspace(0, 1, bins + 1)
    if binning == "mass":
        inner = np.quantile(said, np.arange(1, bins) / bins, method="inverted_cdf")
        return np.unique(np.concatenate([[0.0], inner, [1.0]]))
    raise ValueError(mismatch("binning", "'width' or 'mass'", repr(binning)))


def _binned(said: Array, true: Array, weights: Array, edges: Array) -> Reliability:
    count = len(edges) - 1
    bin_of = (np.searchsorted(edges, said, side="left") - 1).clip(0, count - 1)
    weight, confidence, frequency = (
        np.bincount(bin_of, weights=weights * what, minlength=count) for what in (1.0, said, true)
    )
    share = np.where(weight > 0, weight, np.nan)
    return Reliability(edges[:-1], edges[1:], weight, confidence / share, frequency / share)
