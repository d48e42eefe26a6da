"""The gradient that comes from above."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import numpy as np

from softgrad.promises.measures import ulps
from softgrad.promises.promise import Measured, Promise
from softgrad.promises.rows import random_rows
from softgrad.promises.subject import Subject
from softgrad.promises.suites import LOSSES

__all__ = ["PROMISES"]


def _of_rows(subject: Subject) -> Iterator[Measured]:
    subject.demand_rows()
    rows = random_rows(4, 6)
    loss_bar = np.array([[2.0], [0.0], [-0.5], [1.0]], np.float32)
    gradients = subject.gradients(rows, loss_bar)
    exact = subject.exact_gradients(rows, loss_bar)
    yield Measured(ulps(gradients, exact, rows.dtype), "the factors 2, 0, −1/2, 1")


def _of_the_mean(subject: Subject) -> Iterator[Measured]:
    rows = random_rows(4, 6)
    ones = subject.label_cotangent(rows)
    for bar in (3.0, 0.0, -0.25):
        factor = Decimal(bar) / len(rows)
        exact = [[factor * v for v in row] for row in subject.exact_gradients(rows, ones)]
        gradients = subject.mean_gradients(rows, bar)
        yield Measured(ulps(gradients, exact, rows.dtype), f"the factor {bar:g}")


PROMISES = (
    Promise(
        "upstream-of-rows",
        "The gradient of every row is multiplied by what comes from above for that row.",
        LOSSES,
        "ulp of the largest entry",
        16,
        _of_rows,
    ),
    Promise(
        "upstream-of-the-mean",
        "The gradient of the mean is multiplied by what comes from above.",
        LOSSES,
        "ulp of the largest entry",
        16,
        _of_the_mean,
    ),
)
