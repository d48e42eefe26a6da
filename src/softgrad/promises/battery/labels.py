"""Labels: ignored, out of range, smoothed, weighted."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np

from softgrad.promises.exact import Row
from softgrad.promises.measures import off, ulps
from softgrad.promises.promise import Measured, Promise
from softgrad.promises.rows import AnyArray, Rows, random_rows
from softgrad.promises.subject import Subject, labels_of
from softgrad.promises.suites import LOSSES

__all__ = ["LABEL_RANGE", "PROMISES"]

_BAR = 1.5


def _ignored(subject: Subject) -> Iterator[Measured]:
    for index in (-100, 1):
        rows = random_rows(5, 6)
        t = np.array([3, index, 0, index, 5])
        given = Rows(rows.z, t)
        weights = (t != index).astype(int)
        yield from _weighted_mean(subject, given, weights, ignore_index=index)


def _ignored_garbage(subject: Subject) -> Iterator[Measured]:
    rows = random_rows(4, 6)
    for name, garbage in (("NaN", np.nan), ("inf", np.inf)):
        z, t = rows.z.copy(), np.array([3, -100, 0, 5])
        z[1] = garbage
        at = f"; row 1 is ignored, and {name}"
        for found in _weighted_mean(subject, Rows(z, t), np.array([1, 0, 1, 1]), ignore_index=-100):
            yield Measured(found.figure, found.at + at)


def _label_range(subject: Subject) -> Iterator[Measured]:
    rows = random_rows(3, 5)
    subject.values(rows)  # what raises for every label says nothing of this one
    for label in (5, 1000, -1):
        wrong = Rows(rows.z, np.array([0, label, 4]))
        try:
            values = subject.values(wrong)
        except Exception:  # whatever it raises, the label was not taken
            yield Measured(0, f"the label {label}")
        else:
            # Where labels cannot be looked at, as under JAX's jit, NaN says the same.
            yield Measured(float(not np.isnan(values[1, 0])), f"the label {label} of 5 classes")


def _smoothing(subject: Subject) -> Iterator[Measured]:
    rows = random_rows(4, 6)
    for smoothing in (0.125, 1.0):
        share = Decimal(smoothing)
        targets = [
            [(1 - share) * v + share / rows.classes for v in target] for target in labels_of(rows)
        ]
        for found in off(subject, rows, targets=targets, label_smoothing=smoothing):
            yield Measured(found.figure, f"{found.at}, smoothing {smoothing:g}")


def _class_weights(subject: Subject) -> Iterator[Measured]:
    rows = random_rows(6, 4)
    given = Rows(rows.z, np.array([0, 1, 1, 3, 1, 2]))
    weight = np.array([1, 2, 0, 1], rows.z.dtype)  # [K]
    targets: list[Row] = [
        [v * int(weight[label]) for v in target]
        for target, label in zip(labels_of(given), given.t, strict=True)
    ]
    if subject.returns != "one number":
        yield from off(subject, given, targets=targets, weight=weight)
    if subject.returns != "rows":
        weights = weight[given.t].astype(int)
        yield from _weighted_mean(subject, given, weights, weight=weight)


def _weighted_mean(
    subject: Subject, rows: Rows, counts: AnyArray, **options: Any
) -> Iterator[Measured]:
    """Yield how far the mean is from that of rows that are dropped, or repeated."""
    kept, total = counts > 0, Decimal(int(counts.sum()))
    part = rows[kept]
    losses = subject.exact_values(part)
    mean = sum((n * v[0] for n, v in zip(counts[kept].tolist(), losses, strict=True)), Decimal(0))
    at = f"the mean of {len(rows)} × {rows.classes} logits"
    value = subject.mean(rows, **options)
    yield Measured(ulps(value, [[mean / total]], rows.dtype), at)
    gradients = subject.mean_gradients(rows, _BAR, **options)
    ones = subject.label_cotangent(part)
    exact = iter(subject.exact_gradients(part, ones))
    zero = [Decimal(0)] * rows.classes
    expected = [
        [Decimal(_BAR) * n * v / total for v in next(exact)] if n else zero for n in counts.tolist()
    ]
    yield Measured(ulps(gradients, expected, rows.dtype), f"{at}, the gradient")


LABEL_RANGE = Promise(
    "label-range",
    "A label that is no class raises an error, or makes the loss NaN.",
    LOSSES,
    "taken",
    0,
    _label_range,
)
PROMISES = (
    Promise(
        "ignored-rows",
        "An ignored row counts nothing: the mean and its gradients are those of the other rows.",
        LOSSES,
        "ulp of the largest entry",
        16,
        _ignored,
    ),
    Promise(
        "ignored-garbage",
        "An ignored row counts nothing even where its logits are NaN or ∞.",
        LOSSES,
        "ulp of the largest entry",
        16,
        _ignored_garbage,
    ),
    Promise(
        "label-smoothing",
        "Smoothing ε is the loss of the target (1 − ε)·t + ε/K.",
        LOSSES,
        "ulp of the largest entry",
        16,
        _smoothing,
    ),
    Promise(
        "class-weights",
        "A class of weight 2 counts as if its rows stood there twice, one of weight 0 as if they "
        "were dropped; in the mean, too.",
        LOSSES,
        "ulp of the largest entry",
        16,
        _class_weights,
    ),
)
