"""The classifier's settings, checked."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from softgrad.errors import mismatch
from softgrad.learn.minibatch.training import Optimiser
from softgrad.learn.progress import Callback
from softgrad.learn.randomness import check_random_state
from softgrad.learn.solvers import SOLVERS, Settings, choose_solver
from softgrad.maps import AbstractMap
from softgrad.nn import SGD, Adam
from softgrad.nn.arguments import check_flag, check_kind, positive_integer
from softgrad.nn.mlp import one_a_layer, widths

__all__ = ["BY_BATCHES", "Options", "takes_parts"]

BY_BATCHES: Mapping[str, Callable[[float, float], Optimiser]] = {
    "adam": lambda lr, momentum: Adam(lr=lr),
    "sgd": lambda lr, momentum: SGD(lr=lr, momentum=momentum),
}
"""The solvers that take mini-batches, as functions of learning rate and momentum."""

_RATE = 1e-2
"""The learning rate, unless one is given: for columns of about unit size."""

_STEPS = 1000
"""Of a convex solver, at most."""

_HUGE = 1e11
"""Multiplications of a pass over the rows, from which several passes take minutes."""


def takes_parts(estimator: Any) -> bool:
    """Tell whether an estimator has `partial_fit`, or raise an AttributeError that says why not."""
    if estimator.solver in SOLVERS:
        expected = "'auto', 'adam' or 'sgd' for partial_fit"
        raise AttributeError(mismatch("solver", expected, repr(estimator.solver)))
    for name in ("early_stopping", "polish", "standardize"):
        if getattr(estimator, name) is True:
            raise AttributeError(mismatch(name, "False for partial_fit", "True"))
    return True


@dataclass(frozen=True)
class Options:
    """What `SoftmaxClassifier` was constructed with."""

    hidden: tuple[int, ...]
    activations: tuple[AbstractMap, ...]
    C: float
    tol: float
    solver: str
    max_iter: int | None
    class_weight: Any
    warm_start: bool
    batch_size: int | None
    learning_rate: float | None
    momentum: float
    schedule: str
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int
    polish: bool
    callbacks: tuple[Callback, ...]
    verbose: bool
    random_state: Any
    checkpoint: str | os.PathLike[str] | None
    checkpoint_every: float
    cache: str | os.PathLike[str] | None
    standardize: bool

    @classmethod
    def checked(cls, given: Mapping[str, Any]) -> Options:
        """Return them, or raise for one that does not fit, or two that do not go together."""
        hidden = widths(given["hidden"])
        found = cls(
            hidden=hidden,
            activations=one_a_layer(given["activation"], len(hidden))[: len(hidden)],
            C=_number("C", given["C"], "positive", lambda C: C > 0),
            tol=_number("tol", given["tol"], "not negative", lambda tol: tol >= 0),
            solver=_one_of("solver", given["solver"], ["auto", *SOLVERS, *BY_BATCHES]),
            max_iter=_perhaps(positive_integer, "max_iter", given["max_iter"]),
            class_weight=given["class_weight"],
            warm_start=_flag("warm_start", given["warm_start"]),
            batch_size=_perhaps(positive_integer, "batch_size", given["batch_size"]),
            learning_rate=_perhaps(_positive, "learning_rate", given["learning_rate"]),
            momentum=_number("momentum", given["momentum"], "from 0 to below 1", _below_one),
            schedule=_one_of("schedule", given["schedule"], ["linear", "constant"]),
            early_stopping=_flag("early_stopping", given["early_stopping"]),
            validation_fraction=_number(
                "validation_fraction",
                given["validation_fraction"],
                "between 0 and 1",
                lambda share: 0 < share < 1,
            ),
            n_iter_no_change=positive_integer("n_iter_no_change", given["n_iter_no_change"]),
            polish=_flag("polish", given["polish"]),
            callbacks=_callbacks(given["callbacks"]),
            verbose=_verbose(given["verbose"]),
            random_state=given["random_state"],
            checkpoint=_path("checkpoint", given["checkpoint"]),
            checkpoint_every=_number(
                "checkpoint_every", given["checkpoint_every"], "not negative", lambda s: s >= 0
            ),
            cache=_path("cache", given["cache"]),
            standardize=_flag("standardize", given["standardize"]),
        )
        found._check_together()
        check_random_state(found.random_state)
        return found

    def _check_together(self) -> None:
        batches = " or ".join(map(repr, ["auto", *BY_BATCHES]))
        if self.hidden and self.solver in SOLVERS:
            raise ValueError(mismatch("solver", f"{batches} for hidden layers", repr(self.solver)))
        if self.early_stopping and not self.hidden and self.solver not in BY_BATCHES:
            expected = "False without mini-batches; solver='adam' takes them"
            raise ValueError(mismatch("early_stopping", expected, "True"))
        if self.polish and (self.hidden or self.early_stopping):
            reason = "hidden layers" if self.hidden else "early_stopping"
            raise ValueError(mismatch("polish", f"False with {reason}", "True"))
        if self.polish and self.solver in SOLVERS:
            expected = f"False without mini-batches; {self.solver!r} reaches the optimum itself"
            raise ValueError(mismatch("polish", expected, "True"))

    @property
    def deciding(self) -> dict[str, str]:
        """What processes that train together must agree on, as text.

        Who shows and who writes may differ; of seeds and checkpoints it is the first one's.
        """
        said = {field.name: repr(getattr(self, field.name)) for field in fields(self)}
        for name in ("verbose", "cache", "checkpoint_every"):
            del said[name]
        if not isinstance(self.random_state, (numbers.Integral, type(None))):
            said["random_state"] = "a generator"
        said["callbacks"] = f"{len(self.callbacks)} functions"
        said["checkpoint"] = "none" if self.checkpoint is None else "a file"
        return said

    def check_partial(self) -> None:
        """Raise for what `partial_fit` cannot do."""
        if self.class_weight == "balanced":
            expected = "None or a dict for partial_fit, which has not seen all rows"
            raise ValueError(mismatch("class_weight", expected, "'balanced'"))

    def solver_for(self, entries: int, K: int, D: int) -> str:
        """Return who fits X of so many entries, D columns, and K classes."""
        if self.solver != "auto":
            return self.solver
        return "adam" if self.hidden or entries * K > _HUGE else choose_solver(K, D)

    @property
    def settings(self) -> Settings:
        """When a convex solver stops."""
        return Settings(self.tol, self.max_iter or _STEPS)

    @property
    def polish_settings(self) -> Settings:
        """When it stops where `max_iter` counts epochs."""
        return Settings(self.tol, _STEPS)

    def batch_size_for(self, N: int) -> int:
        """Return the rows of a mini-batch: a 32nd of all, but from 64 to 1024."""
        return self.batch_size or min(max(N // 32, 64), 1024)

    def epochs_for(self, N: int) -> int:
        """Return how many epochs to train: those of 2000 steps, but from 10 to 200."""
        steps = -(-N // self.batch_size_for(N))
        return self.max_iter or min(max(-(-2000 // steps), 10), 200)

    @property
    def by_batches(self) -> str:
        """The solver that takes mini-batches."""
        return "adam" if self.solver == "auto" else self.solver

    def optimiser(self) -> Optimiser:
        """Return one that remembers nothing yet."""
        return BY_BATCHES[self.by_batches](self.learning_rate or _RATE, self.momentum)


def _number(name: str, value: Any, expected: str, fits: Callable[[float], bool]) -> float:
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(mismatch(name, "a number", repr(value)))
    try:
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        raise ValueError(mismatch(name, "a number that float64 holds", value)) from None
    if not fits(number):
        raise ValueError(mismatch(name, expected, value))
    return number


def _positive(name: str, value: Any) -> float:
    return _number(name, value, "positive and finite", lambda x: 0 < x < math.inf)


def _below_one(value: float) -> bool:
    return 0 <= value < 1


def _perhaps(check: Callable[[str, Any], Any], name: str, value: Any) -> Any:
    """Check a value unless it is None, which stands for what suits the problem."""
    return None if value is None else check(name, value)


def _one_of(name: str, value: Any, known: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in known:
        raise ValueError(mismatch(name, " or ".join(map(repr, known)), repr(value)))
    return value


def _path(name: str, value: Any) -> str | os.PathLike[str] | None:
    if value is not None:
        check_kind(name, value, (str, os.PathLike), "a path or None")
    return value  # type: ignore[no-any-return]


def _flag(name: str, value: Any) -> bool:
    check_flag(name, value)
    return bool(value)


def _verbose(value: Any) -> bool:
    if not isinstance(value, int) or value < 0:
        raise ValueError(
            mismatch("verbose", "True, False or an integer of at least 0", repr(value))
        )
    return value > 0


def _callbacks(given: Any) -> tuple[Callback, ...]:
    callbacks = () if given is None else (given,) if callable(given) else given
    if not isinstance(callbacks, (tuple, list)) or not all(map(callable, callbacks)):
        expected = "None, a function of a record, or a list of them"
        raise TypeError(mismatch("callbacks", expected, repr(given)))
    return tuple(callbacks)
