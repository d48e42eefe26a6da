"""Random numbers of the user's functions: the global generators begin every call alike."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec, TypeVar

import numpy as np

__all__ = ["alike", "draws_alike", "other_draws"]

P = ParamSpec("P")
R = TypeVar("R")

_LOOKED_AT = 4
"""The calls after which a check is taken to draw nothing."""


class _Draws:
    """The states of `random` and `numpy.random` with which every call of one check begins.

    They are what users' functions draw from, whatever better generators there are.
    """

    def __init__(self) -> None:
        self.states = random.getstate(), np.random.get_state()  # noqa: NPY002
        self.calls, self.found = 0, False

    @contextmanager
    def around(self) -> Iterator[None]:
        """Begin with the states, if one of the first calls has moved them."""
        if self.found:
            self.put_back()
        try:
            yield
        finally:
            self.calls += 1
            if not self.found and self.calls <= _LOOKED_AT:
                self.found = self._have_moved()

    def put_back(self) -> None:
        """Leave the generators as they were."""
        own, numpys = self.states
        random.setstate(own)
        np.random.set_state(numpys)  # noqa: NPY002

    @contextmanager
    def others(self) -> Iterator[None]:
        """Begin with other states for a while."""
        kept = self.states
        self.states = random.Random(1).getstate(), np.random.RandomState(1).get_state()
        try:
            yield
        finally:
            self.states = kept

    def _have_moved(self) -> bool:
        own, (_, keys, *rest) = random.getstate(), np.random.get_state()  # noqa: NPY002
        _, before, *rest_before = self.states[1]
        return own != self.states[0] or rest != rest_before or not np.array_equal(keys, before)


_DRAWS: ContextVar[_Draws | None] = ContextVar("draws", default=None)


def draws_alike(check: Callable[P, R]) -> Callable[P, R]:
    """Let all calls of the user's functions within a check draw the same numbers."""

    @wraps(check)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        draws = _Draws()
        token = _DRAWS.set(draws)
        try:
            return check(*args, **kwargs)
        finally:
            _DRAWS.reset(token)
            if draws.found:
                draws.put_back()

    return checked


def alike() -> AbstractContextManager[None]:
    """Return what one call of a user's function is run in."""
    draws = _DRAWS.get()
    return nullcontext() if draws is None else draws.around()


def other_draws() -> AbstractContextManager[None] | None:
    """Return what lets calls draw other numbers than before; None where none are drawn."""
    draws = _DRAWS.get()
    return draws.others() if draws is not None and draws.found else None
