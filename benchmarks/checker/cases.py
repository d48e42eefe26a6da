"""Cases: a subject, what is done to its backward, and the point; each can be made from its name."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from benchmarks.checker.batches import BATCHES, SUBJECTS, Batch
from benchmarks.checker.operators import OPERATORS
from benchmarks.checker.right import FORMS
from benchmarks.checker.subject import (
    Array,
    Codes,
    Function,
    Pair,
    Rng,
    Shape,
    Subject,
    is_floating,
)

__all__ = ["Case", "Point", "dtype_named", "named", "right_cases", "wrong_cases"]

OF_OPERATORS, OF_EDITS = 1, 3
"""The number of points at which a subject meets an operator, and an edit."""
WRONG_DTYPES = ("float64",) * 5 + ("float32",) * 4 + ("float16",)
RIGHT_DTYPES = ("float64", "float32", "float16", "bfloat16")
HALF_LARGEST = 5000
"""Numbers in a case of half precision; further sums overflow or vanish."""


@dataclass(frozen=True)
class Point:
    """Where a pair is checked."""

    shape: Shape
    scale: float
    dtype: str
    ties: bool = False

    def __str__(self) -> str:
        shape = "x".join(map(str, self.shape))
        return f"{shape}/{self.scale:g}{'-ties' if self.ties else ''}/{self.dtype}"

    @classmethod
    def parse(cls, shape: str, scale: str, dtype: str) -> Point:
        """Return the point that is written so."""
        number = scale.removesuffix("-ties")
        ties = number != scale
        return cls(tuple(map(int, shape.split("x"))), float(number), dtype, ties)

    @property
    def is_possible(self) -> bool:
        """Whether the numbers fit the dtype."""
        half = self.dtype in ("float16", "bfloat16")
        return not half or (math.prod(self.shape) <= HALF_LARGEST and 1e-3 <= self.scale <= 1)

    def inputs(self, subject: Subject) -> tuple[Any, ...]:
        """Return the subject's inputs here; the same ones for every backward of it."""
        rng = _rng(f"{subject.name}/{self}")
        inputs = subject.sample(rng, self.shape, self.scale)
        return tuple(self._cast(value) if is_floating(value) else value for value in inputs)

    def _cast(self, value: Array) -> Array:
        if self.ties:
            value = np.round(2 * value / self.scale) / 2 * self.scale
        return value.astype(dtype_named(self.dtype))


@dataclass(frozen=True)
class Case:
    """A pair at a point, right or wrong."""

    subject: Subject
    mutation: str
    """The name of an operator, of an edit, or of a right form."""
    point: Point
    is_wrong: bool

    @property
    def name(self) -> str:
        """Return the name that makes the case again."""
        return f"{self.subject.name}/{self.mutation}/{self.point}"

    @cached_property
    def right(self) -> Pair:
        """The right pair at the point."""
        subject = self.subject
        return Pair(subject.forward, subject.backward, self.point.inputs(subject))

    @cached_property
    def where(self) -> Array | None:
        """The entries that are probed; None is all of them."""
        return np.isfinite(self.right.points[0]) if self.subject.masked else None

    @property
    def codes(self) -> Codes:
        """The names that a careful reader accepts; none, where the backward is right."""
        if not self.is_wrong:
            return frozenset()
        if self.mutation in OPERATORS:
            more = self.subject.accepts.get(self.mutation, "")
            return OPERATORS[self.mutation].codes | frozenset(more.split())
        return self._edit.codes

    @property
    def is_breach(self) -> bool:
        """Whether the numbers are right, and the backward wrong all the same."""
        return self.is_wrong and self.mutation in OPERATORS and OPERATORS[self.mutation].breach

    @property
    def applies(self) -> bool:
        """Whether the mistake can be made here at all."""
        operator = OPERATORS.get(self.mutation)
        return operator is None or operator.applies(self.right)

    def backward(self, right: Pair | None = None) -> Function:
        """Return a fresh backward, wrong or right; `right` may be the pair at another point."""
        right = right or self.right
        if not self.is_wrong:
            return FORMS[self.mutation](right) if self.mutation in FORMS else self._form
        if self.mutation in OPERATORS:
            return OPERATORS[self.mutation].mutate(right)
        return self._edit.backward

    @property
    def _form(self) -> Function:
        return self.subject.also_right[self.mutation]

    @property
    def _edit(self) -> Any:
        return next(e for e in self.subject.edits if e.name == self.mutation)


def named(name: str) -> Case:
    """Return the case of a name.

    Raises
    ------
    KeyError
        There is no such subject or mutation.
    ValueError
        The name does not have five parts, or its numbers cannot be read.
    """
    subject_name, mutation, *point = name.split("/")
    subject = SUBJECTS[subject_name]
    edits = {e.name for e in subject.edits}
    is_wrong = mutation in OPERATORS or mutation in edits
    if not (is_wrong or mutation in FORMS or mutation in subject.also_right):
        raise KeyError(mutation)
    return Case(subject, mutation, Point.parse(*point), is_wrong)


def wrong_cases(batches: Iterable[Batch] = BATCHES) -> Iterator[Case]:
    """Yield every subject with its batch's operators and every edit, at points drawn by lot."""
    for batch, subject in _subjects(batches):
        points = list(_points(subject, subject.scales, WRONG_DTYPES))
        for name in batch.operators:
            yield from _drawn(subject, name, points, OF_OPERATORS)
        for edit in subject.edits:
            yield from _drawn(subject, edit.name, points, OF_EDITS)


def right_cases(batches: Iterable[Batch] = BATCHES) -> Iterator[Case]:
    """Yield every subject at all its points, each in one of its right forms."""
    for _, subject in _subjects(batches):
        forms = [*FORMS, *subject.also_right]
        plain = _points(subject, subject.scales + subject.extremes, RIGHT_DTYPES)
        tied = _points(subject, (1.0,), RIGHT_DTYPES, ties=True)
        for point in (*plain, *tied):
            form = forms[_rng(f"{subject.name}/{point}/form").integers(len(forms))]
            yield Case(subject, form, point, False)


def dtype_named(name: str) -> Any:
    """Return NumPy's dtype of a name; bfloat16 is ml_dtypes'."""
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def _subjects(batches: Iterable[Batch]) -> Iterator[tuple[Batch, Subject]]:
    return ((batch, subject) for batch in batches for subject in batch.subjects.values())


def _points(
    subject: Subject, scales: tuple[float, ...], dtypes: tuple[str, ...], ties: bool = False
) -> Iterator[Point]:
    for shape, scale, dtype in product(subject.shapes, scales, dtypes):
        point = Point(shape, scale, dtype, ties)
        if point.is_possible:
            yield point


def _drawn(subject: Subject, mutation: str, points: list[Point], count: int) -> Iterator[Case]:
    """Yield the mutation at `count` points where it can be made, or at as many as there are."""
    found: dict[Point, Case] = {}
    for index in _rng(f"{subject.name}/{mutation}").permutation(len(points)):
        case = Case(subject, mutation, points[index], True)
        if len(found) == count:
            break
        if case.applies:
            found.setdefault(case.point, case)
    yield from found.values()


def _rng(name: str) -> Rng:
    return np.random.default_rng(zlib.crc32(name.encode()))
