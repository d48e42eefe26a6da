"""Digits: of ordinary rows, of saturated ones, of a common offset, and of a wide range."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from softgrad.promises.measures import off, ulps
from softgrad.promises.promise import Measured, Promise
from softgrad.promises.rows import Rows, random_rows
from softgrad.promises.subject import Subject
from softgrad.promises.suites import SUITES

__all__ = ["PROMISES"]

_CONFIDENT = (
    *(Rows.of((gap, 0.0)) for gap in (10.0, 17.5, 20.0, 40.0, 80.0)),
    Rows.of((25.0, 1.0, 0.0, -2.0)),
    *(Rows.of((gap, 0.0), dtype="float64") for gap in (40.0, 300.0)),
)


def _ordinary(subject: Subject) -> Iterator[Measured]:
    for rows in (random_rows(5, 7), random_rows(3, 50), random_rows(4, 6, dtype="float64")):
        yield from off(subject, rows)


def _confident(subject: Subject) -> Iterator[Measured]:
    for rows in _CONFIDENT:
        exact = subject.exact_values(rows)
        yield Measured(ulps(subject.values(rows), exact, rows.dtype, own_size=True), str(rows))


def _confident_gradients(subject: Subject) -> Iterator[Measured]:
    for rows in _CONFIDENT:
        y_bar = subject.label_cotangent(rows)
        exact = subject.exact_gradients(rows, y_bar)
        figure = ulps(subject.gradients(rows, y_bar), exact, rows.dtype, own_size=True)
        yield Measured(figure, str(rows))


def _offset(subject: Subject) -> Iterator[Measured]:
    for c in (1e8, -1e8, 2.0**40):
        yield from off(subject, Rows.of((c, c)))
    for c in (2.0**23, -(2.0**23)):  # where neighbours are 1 apart
        yield from off(subject, Rows.of((c, c + 1)))
        yield from off(subject, Rows.of((c, c + 1, c + 3)))


def _wide(subject: Subject) -> Iterator[Measured]:
    for scale in (10.0, 20.0):
        rows = random_rows(3, 40, scale)
        # Probabilities stay among the normal numbers of float32.
        rows = Rows(np.clip(rows.z, -38, 38), rows.t)
        if subject.suite.name == "softmax":
            exact = subject.exact_values(rows)
            yield Measured(ulps(subject.values(rows), exact, rows.dtype, True), str(rows))
            continue
        y_bar = subject.label_cotangent(rows)
        exact = subject.exact_gradients(rows, y_bar)
        yield Measured(ulps(subject.gradients(rows, y_bar), exact, rows.dtype, True), str(rows))


PROMISES = (
    Promise(
        "ordinary-rows",
        "Values and gradients of ordinary rows are right.",
        tuple(SUITES),
        "ulp of the largest entry",
        16,
        _ordinary,
    ),
    Promise(
        "confident-values",
        "Where one class has nearly all of the probability, what is left keeps its digits: small "
        "probabilities, and the small loss −log p.",
        tuple(SUITES),
        "ulp of each entry",
        16,
        _confident,
    ),
    Promise(
        "confident-gradients",
        "Where one class has nearly all of the probability, every entry of the gradient keeps its "
        "digits.",
        tuple(SUITES),
        "ulp of each entry",
        16,
        _confident_gradients,
    ),
    Promise(
        "common-offset",
        "A number added to all logits of a row costs no digit.",
        tuple(SUITES),
        "ulp of the largest entry",
        16,
        _offset,
    ),
    Promise(
        "wide-range",
        "Logits that are far apart cost no digit of the small probabilities.",
        tuple(SUITES),
        "ulp of each entry",
        16,
        _wide,
    ),
)
