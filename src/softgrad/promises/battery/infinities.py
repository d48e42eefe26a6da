"""−∞, which masks a class, and NaN."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from softgrad.promises.measures import differing, off
from softgrad.promises.promise import Measured, Promise
from softgrad.promises.rows import Rows, random_rows
from softgrad.promises.subject import Subject
from softgrad.promises.suites import SUITES

__all__ = ["PROMISES"]


def _masked(subject: Subject) -> Iterator[Measured]:
    rows = random_rows(4, 6)
    z, seen = rows.z.copy(), np.array([True, False, True, True, False, True])
    z[:, ~seen] = -np.inf
    masked = Rows(z, np.array([0, 2, 3, 5]))
    y_bar = subject.cotangent(masked)
    if not subject.suite.is_loss:
        y_bar = np.where(seen, y_bar, 0).astype(y_bar.dtype)
    yield from off(subject, masked, y_bar=y_bar)


def _spoilt_row(subject: Subject) -> Iterator[Measured]:
    subject.demand_rows()
    rows = random_rows(5, 7)
    others = np.array([True, False, True, True, True])
    y_bar = subject.cotangent(rows)
    for name, wrong in (("NaN", np.nan), ("−inf alone", -np.inf)):
        z = rows.z.copy()
        z[~others] = wrong
        spoilt = Rows(z, rows.t)
        at = f"5 × 7 logits, row 1 is {name}"
        yield Measured(differing(subject.values(spoilt)[others], subject.values(rows)[others]), at)
        before = subject.gradients(rows, y_bar)[others]
        after = subject.gradients(spoilt, y_bar)[others]
        yield Measured(differing(after, before), f"{at}, the gradient")


PROMISES = (
    Promise(
        "masked-classes",
        "A class at −∞ has probability 0 and gradient 0, and the other classes are right.",
        tuple(SUITES),
        "ulp of the largest entry",
        16,
        _masked,
    ),
    Promise(
        "spoilt-row",
        "A row of NaN or of −∞ alone changes no bit of another row.",
        tuple(SUITES),
        "entries that differ",
        0,
        _spoilt_row,
    ),
)
