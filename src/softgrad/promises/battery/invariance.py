"""What the bits of a row may depend on: on the row alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from softgrad.promises.measures import differing
from softgrad.promises.promise import Measured, Promise
from softgrad.promises.rows import AnyArray, Rows, random_rows
from softgrad.promises.subject import Subject
from softgrad.promises.suites import SUITES

__all__ = ["PROMISES"]


def _batch(subject: Subject) -> Iterator[Measured]:
    subject.demand_rows()
    rows = random_rows(33, 37)
    y_bar = subject.cotangent(rows)
    batches = [slice(i, i + 1) for i in (0, 16, 32)] + [slice(5, 12), slice(None, None, -1)]
    values = subject.values(rows)
    for which in batches:
        part = _alone(rows[which])
        yield Measured(differing(subject.values(part), values[which]), _at(len(part)))
    gradients = subject.gradients(rows, y_bar)
    for which in batches:
        part = _alone(rows[which])
        found = subject.gradients(part, np.ascontiguousarray(y_bar[which]))
        yield Measured(differing(found, gradients[which]), f"{_at(len(part))}, the gradient")


def _alone(rows: Rows) -> Rows:
    """Return the rows in memory of their own: strides are another promise."""
    return Rows(np.ascontiguousarray(rows.z), np.ascontiguousarray(rows.t), rows.dtype)


def _at(n: int) -> str:
    return "33 rows, turned round" if n == 33 else f"{n} of 33 rows"


def _threads(subject: Subject) -> Iterator[Measured]:
    # Many rows may be shared out among threads, and so may one long row.
    for N, K in ((3001, 67), (1, 200_003)):
        rows = random_rows(N, K)
        y_bar = subject.cotangent(rows)
        with subject.implementation.threads(1):
            alone = _answers(subject, rows, y_bar)
        for n in (2, 3):
            with subject.implementation.threads(n):
                shared = _answers(subject, rows, y_bar)
            for what, a, b in zip(("", ", the gradient"), alone, shared, strict=True):
                yield Measured(differing(a, b), f"{N} × {K} logits, {n} threads{what}")


def _answers(subject: Subject, rows: Rows, y_bar: AnyArray) -> tuple[AnyArray, AnyArray]:
    return subject.values(rows), subject.gradients(rows, y_bar)


def _repeatable(subject: Subject) -> Iterator[Measured]:
    rows = random_rows(33, 37)
    y_bar = subject.cotangent(rows)
    values = subject.values(rows)
    yield Measured(differing(subject.values(rows), values), str(rows))
    gradients = subject.gradients(rows, y_bar)
    found = subject.gradients(rows, y_bar)
    yield Measured(differing(found, gradients), f"{rows}, the gradient")


PROMISES = (
    Promise(
        "batch-invariance",
        "The bits of a row depend neither on the rows around it nor on its place.",
        tuple(SUITES),
        "entries that differ",
        0,
        _batch,
    ),
    Promise(
        "thread-invariance",
        "The bits of a row do not depend on the number of threads.",
        tuple(SUITES),
        "entries that differ",
        0,
        _threads,
    ),
    Promise(
        "repeatable",
        "The same call gives the same bits again.",
        tuple(SUITES),
        "entries that differ",
        0,
        _repeatable,
    ),
)
