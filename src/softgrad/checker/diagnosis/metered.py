"""A subject that may be called so many times, all its twins together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from softgrad.checker.diagnosis.slopes import Unusable
from softgrad.checker.examination import CALLS_ALIKE
from softgrad.checker.subject import Arrays, Entries, Layout, Subject

__all__ = ["Meter", "Metered", "Spent"]


class Spent(Unusable):
    """No call is left."""


@dataclass
class Meter:
    """The calls that were made, and how many may be."""

    most_forward: int = 150 - CALLS_ALIKE
    most_backward: int = 300
    forward: int = 0
    backward: int = 0
    work: int = 1_400_000
    """Steps that edits may still be held against, all twins together: some seconds."""

    def take(self, forward: int, backward: int = 0) -> None:
        """Count calls that are about to be made.

        Raises
        ------
        Spent
            They are more than may be.
        """
        if self.forward + forward > self.most_forward:
            raise Spent
        if self.backward + backward > self.most_backward:
            raise Spent
        self.forward += forward
        self.backward += backward

    @contextmanager
    def keeping(self, calls: int) -> Iterator[None]:
        """Leave so many calls of the forward for what comes after."""
        self.most_forward -= calls
        try:
            yield
        finally:
            self.most_forward += calls

    @property
    def left(self) -> int:
        """How many calls of the forward may still be made."""
        return self.most_forward - self.forward


@dataclass
class Metered(Subject):
    """A subject whose calls are counted on a meter, which what `replace` makes of it shares."""

    meter: Meter = field(default_factory=Meter)

    @classmethod
    def of(cls, subject: Subject) -> Metered:
        """Return a subject with a meter of its own."""
        return cls(**{f.name: getattr(subject, f.name) for f in fields(subject)})

    def first_outputs(self) -> Arrays:
        """Run the forward, as `Subject` does, if a call is left."""
        self.meter.take(1)
        return super().first_outputs()

    def evaluate(self, points: Arrays, function: Callable[..., Any] | None = None) -> Arrays:
        """Run the forward elsewhere, as `Subject` does, if a call is left."""
        self.meter.take(1)
        return super().evaluate(points, function)

    def pull_back(self, points: Arrays, cotangent: Arrays, layout: Layout = np.array) -> Entries:
        """Run the backward, as `Subject` does, if a call is left."""
        self.meter.take(self.forwards_per_vjp, 1)
        return super().pull_back(points, cotangent, layout)

    def pull_back_again(self, cotangent: Arrays) -> Entries | None:
        """Run the backward alone, as `Subject` does, if a call is left."""
        if self.kept_vjp is not None:
            self.meter.take(0, 1)
        return super().pull_back_again(cotangent)
