"""The small constants that a forward adds, as to a probability before its logarithm.

A backward that is written for the formula without them is off by their size. That is no mistake of
its own, and it would hide what another mistake is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from softgrad.checker.calls import Ended
from softgrad.checker.diagnosis.graph.constructors import constructors_write
from softgrad.checker.diagnosis.graph.traced import Tape, Traced
from softgrad.checker.richardson import rms
from softgrad.checker.subject import Arrays, Subject, flat
from softgrad.checker.subjects.library import Lifted
from softgrad.results import number

__all__ = ["NEXT_TO_NOTHING", "Unguarded", "in_words", "unguarded"]

NEXT_TO_NOTHING = 2.0**-20
"""A relative error that float32 would hardly show."""
_NEAR = 2.0**-7
"""How far the outputs may move, relatively, when the constants go."""

AnySubject = TypeVar("AnySubject", bound=Subject)


@dataclass
class Unguarded:
    """A function of NumPy arrays in which 0 stands for every small constant that it adds."""

    function: Callable[..., Any]
    spared: dict[str, float] = field(default_factory=dict)
    """The constants that were met, by the expression that adds them."""

    def __call__(self, *arguments: Any) -> Any:
        """Call the function; what traces it goes on doing so."""
        tape = next((a.tape for a in arguments if isinstance(a, Traced) and a.tape), None)
        if tape is not None:
            tape.spared = self.spared
            return self.function(*arguments)
        tape = Tape()
        tape.spared = self.spared
        handed = [_wrapped(argument, tape) for argument in arguments]
        with constructors_write(tape):
            result = self.function(*handed)
        return _plain(result)

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        """The function as it is."""
        return self.function


def unguarded(subject: AnySubject) -> tuple[AnySubject, bool] | None:
    """Return the subject without the constants, and whether the backward has any of them.

    None where the forward adds none, or is something else without them.
    """
    if isinstance(subject.forward, Lifted) or subject.reference or subject.cotangents:
        return None
    forward, vjp = Unguarded(subject.forward), Unguarded(subject.vjp)
    bare = replace(subject, forward=forward, vjp=vjp, kept_vjp=None, damage=set())
    try:
        outputs, others = subject.first_outputs(), bare.first_outputs()
        own, new = flat(outputs), flat(others)
        if not forward.spared or own.size != new.size or not rms(new - own) <= _NEAR * rms(own):
            return None
        g = _drawn(outputs)
        gradients = [subject.vector(its.pull_back(its.points, g)) for its in (subject, bare)]
    except Ended:
        return None
    gap, size = rms(gradients[1] - gradients[0]), rms(gradients[0])
    return (bare, gap > 1e-14 * size) if np.isfinite(gap) else None


def in_words(subject: Subject) -> str:
    """Say which constants a subject does without: "the 1e-08 in `p + eps`"."""
    assert isinstance(subject.forward, Unguarded)
    parts = [
        f"the {number(value)} in `{text}`" if text else f"the constant {number(value)}"
        for text, value in subject.forward.spared.items()
    ]
    return ", ".join(parts[:2]) + (" and others" if len(parts) > 2 else "")


def _drawn(outputs: Arrays) -> Arrays:
    rng = np.random.default_rng(0)
    return tuple(np.asarray(rng.standard_normal(y.shape), y.dtype) for y in outputs)


def _wrapped(argument: Any, tape: Tape) -> Any:
    if isinstance(argument, tuple):
        return tuple(_wrapped(part, tape) for part in argument)
    if not isinstance(argument, np.ndarray):
        return argument
    if argument.dtype.kind == "c":  # what is done with complex numbers is not followed
        raise TypeError("complex numbers")
    return tape.array(argument, None) if argument.dtype.kind == "f" else argument


def _plain(result: Any) -> Any:
    if isinstance(result, (tuple, list)):
        return type(result)(map(_plain, result))
    return np.array(result.view(np.ndarray)) if isinstance(result, Traced) else result
