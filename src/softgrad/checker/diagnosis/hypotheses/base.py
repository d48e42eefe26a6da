"""The form of a hypothesis: which Jacobian a mistake would make the backward have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from softgrad.checker.diagnosis.jacobians import Matrix
from softgrad.checker.diagnosis.view import View
from softgrad.checker.report import Formula

__all__ = ["Guess", "Hypothesis"]


@dataclass(frozen=True)
class Guess:
    """One variant of a hypothesis at one point; the name is the same at every point."""

    name: str
    matrix: Matrix
    """What A would be."""
    message: str
    formula: Formula | None = None


@dataclass(frozen=True)
class Hypothesis:
    """A mistake and what it would make of the backward's Jacobian A; J is the true one."""

    code: str
    signature: str
    refuted_by: str
    guesses: Callable[[View], Iterable[Guess]]
    factor: bool = True
    """Whether a further constant factor, one of those that are known, may stand before it."""
    any_factor: bool = False
    """Whether that factor may be any number."""
    vanishing: bool = False
    """Whether it may say that A is nothing but rounding."""
    costly: bool = False
    """Whether it needs further calls, or a number that it finds: tried where nothing else fits."""
