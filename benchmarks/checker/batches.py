"""Batches: subjects that were written together, and before or after what was learnt of others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from benchmarks.checker import (
    eighth_batch,
    fifth_batch,
    fourth_batch,
    ninth_batch,
    second_batch,
    seventh_batch,
    sixth_batch,
    subjects,
    third_batch,
)
from benchmarks.checker.operators import OPERATORS
from benchmarks.checker.subject import Subject

__all__ = ["BATCHES", "SUBJECTS", "Batch", "batch_of"]


@dataclass(frozen=True)
class Batch:
    """Subjects, and the operators that are tried on each beside its edits."""

    name: str
    told: str
    """What a reader has to know of it."""
    subjects: Mapping[str, Subject]
    operators: Iterable[str] = ()


BATCHES = (
    Batch("first", "first batch", subjects.SUBJECTS, tuple(OPERATORS)),
    Batch(
        "second",
        "second batch: written after the hypotheses of the first were mended",
        second_batch.SUBJECTS,
    ),
    Batch(
        "third",
        "third batch: written when the diagnosis had learnt to follow a forward's steps",
        third_batch.SUBJECTS,
    ),
    Batch(
        "fourth",
        "fourth batch: written when log-sum-exps, masks and what is computed anew had their names",
        fourth_batch.SUBJECTS,
    ),
    Batch(
        "fifth",
        "fifth batch: mistakes as they are found in public repositories, threads and issues",
        fifth_batch.SUBJECTS,
    ),
    Batch(
        "sixth",
        "sixth batch: mistakes as they are found, in subjects and styles that the others lack",
        sixth_batch.SUBJECTS,
    ),
    Batch(
        "seventh",
        "seventh batch: everyday mistakes as often as they are met, and heads that the others lack",
        seventh_batch.SUBJECTS,
    ),
    Batch(
        "eighth",
        "eighth batch: everyday mistakes as often as they are met, and losses that the others lack",
        eighth_batch.SUBJECTS,
    ),
    Batch(
        "ninth",
        "ninth batch: everyday mistakes as often as they are met, and outputs that the others lack",
        ninth_batch.SUBJECTS,
    ),
)

SUBJECTS = {name: subject for batch in BATCHES for name, subject in batch.subjects.items()}
"""Of all batches; no name is in two of them."""


def batch_of(case: str) -> Batch:
    """Return the batch of a case's name."""
    return next(batch for batch in BATCHES if case.split("/")[0] in batch.subjects)
