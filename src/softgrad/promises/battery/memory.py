"""How arrays lie in memory, and what becomes of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from softgrad.promises.implementations.base import NotOffered
from softgrad.promises.measures import differing
from softgrad.promises.promise import Measured, Promise
from softgrad.promises.rows import AnyArray, Rows, random_rows
from softgrad.promises.subject import Subject
from softgrad.promises.suites import SUITES

__all__ = ["PROMISES"]


def _strided(subject: Subject) -> Iterator[Measured]:
    if not subject.implementation.has_strides:
        raise NotOffered("its arrays have no strides")
    rows = random_rows(6, 9)
    y_bar = subject.cotangent(rows)
    values = subject.values(rows)
    for name, z in _views(rows.z):
        view = Rows(z, rows.t)
        yield Measured(differing(subject.values(view), values), name)
    gradients = subject.gradients(rows, y_bar)
    for name, z in _views(rows.z):
        found = subject.gradients(Rows(z, rows.t), y_bar)
        yield Measured(differing(found, gradients), f"{name}, the gradient")
    for name, bar in _views(y_bar):
        found = subject.gradients(rows, bar)
        yield Measured(differing(found, gradients), f"{name}, as the cotangent")


def _views(array: AnyArray) -> Iterator[tuple[str, AnyArray]]:
    """Yield views with the same numbers, in memory that holds others between them."""
    N, M = array.shape
    yield "a transposed array", np.ascontiguousarray(array.T).T
    spread = np.full((N, 2 * M), 7, array.dtype)
    spread[:, ::2] = array
    yield "every second column of an array", spread[:, ::2]
    middle = np.full((N + 2, M + 3), 7, array.dtype)
    middle[1:-1, 2:-1] = array
    yield "the middle of a larger array", middle[1:-1, 2:-1]


def _unchanged(subject: Subject) -> Iterator[Measured]:
    if not subject.implementation.has_strides:
        raise NotOffered("its arrays cannot be written to")
    rows = random_rows(5, 7)
    z, t = rows.z.copy(), rows.t.copy()
    subject.values(rows)
    yield Measured(_changes(rows, z, t), "the arguments, after the value")
    y_bar = subject.cotangent(rows)
    before = y_bar.copy()
    subject.gradients(rows, y_bar)
    yield Measured(_changes(rows, z, t), "the arguments, after the gradient")
    yield Measured(differing(y_bar, before), "the cotangent, after the gradient")


def _changes(rows: Rows, z: AnyArray, t: AnyArray) -> float:
    return differing(rows.z, z) + float(np.count_nonzero(rows.t != t))


PROMISES = (
    Promise(
        "strided-input",
        "Views that are not contiguous give the bits of a contiguous copy.",
        tuple(SUITES),
        "entries that differ",
        0,
        _strided,
    ),
    Promise(
        "inputs-unchanged",
        "Neither value nor gradient changes an argument or the cotangent.",
        tuple(SUITES),
        "entries changed",
        0,
        _unchanged,
    ),
)
