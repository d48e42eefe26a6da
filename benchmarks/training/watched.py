"""Fits that end as soon as their objective is as low as was asked for.

So nobody is timed for digits that were not asked for, and nobody has to guess the tolerance that
brings them. Every solver of scikit-learn takes values from one class, which is where it is watched.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from unittest import mock

from sklearn.linear_model import LogisticRegression
from sklearn.linear_model._linear_loss import LinearModelLoss

import softgrad as sg

__all__ = ["Clock", "TooSlowError", "Watch", "fit_peer", "fit_softgrad"]


Clock: TypeAlias = Callable[[], float]
"""What tells the seconds."""


class TooSlowError(Exception):
    """The patience ended before the value was reached."""


class _ReachedError(Exception):
    """The value was reached."""


@dataclass
class Watch:
    """Sees the objective's values as a solver does."""

    best: float
    """The minimum: of the mean over rows, which is what both libraries minimise."""
    gap: float
    """What a value may be above it, relative to it."""
    clock: Clock = time.perf_counter
    patience: float = math.inf
    """Seconds."""
    values: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.started = self.clock()

    def reached(self, value: float) -> bool:
        """Write a value down, and say whether it is low enough.

        Raises
        ------
        TooSlowError
        """
        self.values.append(value)
        enough = value <= (1 + self.gap) * self.best
        if not enough and self.clock() > self.started + self.patience:
            raise TooSlowError(f"{self.patience:g} s were not enough")
        return enough


def fit_softgrad(solver: str, X: Any, y: Any, watch: Watch) -> None:
    """Fit, certificate included, and stop where it is near enough; raise TooSlowError."""
    sg.SoftmaxClassifier(
        solver=solver,
        tol=watch.gap,
        max_iter=10_000,
        callbacks=lambda step: watch.reached(step.objective),
    ).fit(X, y)


def fit_peer(solver: str, X: Any, y: Any, watch: Watch) -> None:
    """Fit scikit-learn's, and stop where it is near enough; raise TooSlowError."""
    seen = {
        name: _seen(getattr(LinearModelLoss, name), watch) for name in ("loss", "loss_gradient")
    }
    model = LogisticRegression(solver=solver, tol=1e-14, max_iter=20_000)
    with mock.patch.multiple(LinearModelLoss, **seen), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is broken off
        try:
            model.fit(X, y)
        except _ReachedError:
            return
    raise TooSlowError(f"it ended after {len(watch.values)} values")


def _seen(method: Callable[..., Any], watch: Watch) -> Callable[..., Any]:
    """Return the method, watched; it returns a value, or a tuple that begins with one."""

    def call(*args: Any, **kwargs: Any) -> Any:
        found = method(*args, **kwargs)
        if watch.reached(float(found[0] if isinstance(found, tuple) else found)):
            raise _ReachedError
        return found

    return call
