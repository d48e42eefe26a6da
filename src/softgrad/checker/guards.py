"""The small constants that a forward adds, as to a probability before its logarithm.

A backward that is written for the formula without them is off by their size. That is no mistake of
its own, and it would hide what another mistake is.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import numpy as np

from softgrad.checker.calls import Ended
from softgrad.checker.diagnosis.graph.bound import rebound
from softgrad.checker.diagnosis.graph.constructors import constructors_write
from softgrad.checker.diagnosis.graph.traced import Tape, Traced
from softgrad.checker.richardson import rms
from softgrad.checker.subject import Arrays, Subject, flat
from softgrad.checker.subjects.layers import Layer
from softgrad.checker.subjects.library import Lifted
from softgrad.results import number

__all__ = ["NEXT_TO_NOTHING", "SLIGHT", "Bare", "Unguarded", "in_words", "unguarded"]

NEXT_TO_NOTHING = 2.0**-20
"""A relative error that float32 would hardly show."""
SLIGHT = 2.0**-10
"""A relative error that constants which only keep a number from 0 may make."""
_GUARD = 1e-6
"""The largest constant that is nothing but a guard, however near to 0 comes what it guards."""
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
            return rebound(self.function, tape)(*arguments)
        tape = Tape()
        tape.spared = self.spared
        handed = [_wrapped(argument, tape) for argument in arguments]
        function = rebound(self.function, tape)
        with constructors_write(tape):
            result = function(*handed)
        return _plain(result)

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        """The function as it is."""
        return self.function


@dataclass(frozen=True)
class Bare(Generic[AnySubject]):
    """A subject without the constants, and which of its functions had some that matter."""

    subject: AnySubject
    in_forward: bool
    in_backward: bool

    @property
    def only_guards(self) -> bool:
        """Whether the constants are so small that they are there for safety alone."""
        return max(map(abs, _spared(self.subject).values()), default=0.0) <= _GUARD


def unguarded(subject: AnySubject) -> Bare[AnySubject] | None:
    """Return the subject without the constants.

    None where neither function adds any, or the forward is something else without them.
    """
    if isinstance(subject.forward, Lifted) or subject.reference or subject.cotangents:
        return None
    functions = _of_a_copy(subject)
    if functions is None:
        return None
    forward, vjp = map(Unguarded, functions)
    bare = replace(subject, forward=forward, vjp=vjp, kept_vjp=None, damage=set())
    # In a narrow dtype a constant may be lost, and on a twin it is not.
    points = tuple(point.astype(np.float64) for point in bare.points)
    try:
        others = bare.evaluate(points)
        g = _drawn(others)
        theirs = bare.vector(bare.pull_back(points, g))
        if not (forward.spared or vjp.spared):
            return None
        own, new = flat(subject.evaluate(points)), flat(others)
        if own.size != new.size or not rms(new - own) <= _NEAR * rms(own):
            return None
        gradient = subject.vector(subject.pull_back(points, g))
    except Ended:
        return None
    gap, size = rms(theirs - gradient), rms(gradient)
    if not np.isfinite(gap):
        return None
    return Bare(bare, bool(forward.spared), gap > 1e-14 * size)


def _of_a_copy(subject: Subject) -> tuple[Callable[..., Any], Callable[..., Any]] | None:
    """Return both functions; of a copy of a layer, which would keep what is traced."""
    owner = getattr(subject.forward, "__self__", None)
    if not isinstance(owner, Layer):
        return subject.forward, subject.vjp
    try:
        owner = deepcopy(owner)
    except Exception:  # whatever it keeps
        return None
    return owner.forward, owner.vjp


def in_words(subject: Subject) -> str:
    """Say which constants a subject does without: "the 1e-08 in `p + eps`"."""
    parts = [
        f"the {number(value)} in `{text}`" if text else f"the constant {number(value)}"
        for text, value in _spared(subject).items()
    ]
    return ", ".join(parts[:2]) + (" and others" if len(parts) > 2 else "")


def _spared(subject: Subject) -> dict[str, float]:
    """Return the constants that a subject does without, by the expression that adds them."""
    return {
        text: value
        for function in (subject.vjp, subject.forward)
        if isinstance(function, Unguarded)
        for text, value in function.spared.items()
    }


def _drawn(outputs: Arrays) -> Arrays:
    rng = np.random.default_rng(0)
    return tuple(rng.standard_normal(y.shape) for y in outputs)


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
