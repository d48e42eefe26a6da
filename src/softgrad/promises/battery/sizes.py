"""Numbers of classes: odd ones, one, and very many."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from softgrad.promises.measures import off
from softgrad.promises.promise import Measured, Promise
from softgrad.promises.rows import AnyArray, Rows, random_rows
from softgrad.promises.subject import Subject
from softgrad.promises.suites import SUITES

__all__ = ["PROMISES"]

_MANY = 100_003


def _tails(subject: Subject) -> Iterator[Measured]:
    for K in (3, 17, 33, 65, 129):
        # The last class has a good part of the probability. Below 0, padding with zeros shows.
        z = random_rows(2, K, 1.0).z - np.array([[0], [6]], np.float32)
        z[:, -1] = z[:, :-1].max(axis=1) + np.float32(np.log(K))
        yield from off(subject, Rows(z, np.array([K - 1, 0])))


def _one_class(subject: Subject) -> Iterator[Measured]:
    for rows in (Rows.of((3.0,), (-2.0,)), Rows.of((1e30,), (-1e30,))):
        yield from off(subject, rows)


def _many_classes(subject: Subject) -> Iterator[Measured]:
    # Three logits in turns, below a first one: terms of a sum whose rounding adds up.
    z = np.resize(np.array([-0.1, -0.3, -0.7], np.float32), (1, _MANY))
    z[0, 0] = 0
    yield from off(subject, Rows(z, np.array([_MANY - 1])), y_bar=_alternating(subject))


def _alternating(subject: Subject) -> AnyArray:
    if subject.suite.is_loss:
        return np.ones((1, 1), np.float32)
    return np.resize(np.array([1.0, -0.5, 2.0, 0.25, -1.0], np.float32), (1, _MANY))


PROMISES = (
    Promise(
        "tails",
        "Rows whose length fits no block are right up to their last class: 3, 17, 33, 65, 129.",
        tuple(SUITES),
        "ulp of the largest entry",
        16,
        _tails,
    ),
    Promise(
        "one-class",
        "A single class has probability 1 and loss 0, and its gradient is 0.",
        tuple(SUITES),
        "ulp of the largest entry",
        0,
        _one_class,
    ),
    Promise(
        "many-classes",
        "A sum over 100,003 classes is right.",
        tuple(SUITES),
        "ulp of the largest entry",
        16,
        _many_classes,
    ),
)
