"""Calls of the user's functions: what they raise becomes a sentence with its place."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from softgrad.checker.draws import alike
from softgrad.checker.report import Finding, Level

__all__ = ["Ended", "guarded", "is_of_the_call", "misfit_of", "with_place"]

_HERE = str(Path(__file__).parent)
_LIBRARIES = ("numpy", "torch", "jax", "jaxlib")
_LONGEST = 240
_CUSTOM = (
    "a forward takes all inputs, a backward all inputs and then the gradient of the output, as in "
    "`lambda z, g: g * derivative(z)`, and a layer's backward this gradient alone. Bind the rest."
)


class Ended(Exception):
    """The examination cannot go on; the finding says why."""

    def __init__(self, level: Level, message: str) -> None:
        super().__init__(message)
        self.finding = Finding(level, message)


def guarded(
    who: str,
    level: Level,
    function: Callable[..., Any],
    arguments: Sequence[Any],
) -> Any:
    """Call the user's function; raise `Ended` with its exception in one sentence."""
    try:
        with alike():
            return function(*arguments)
    except Ended:  # it has its sentence already
        raise
    except TypeError as error:
        misfit = misfit_of(function, arguments) if is_of_the_call(error) else None
        if misfit is not None:
            raise Ended("doubt", f"{who} {misfit}") from None
        raise Ended(level, f"{who} raised {with_place(error, function)}.") from None
    except (Exception, SystemExit) as error:  # a sys.exit(0) of theirs would end as a silent pass
        raise Ended(level, f"{who} raised {with_place(error, function)}.") from None


def is_of_the_call(error: BaseException) -> bool:
    """Tell whether an error that was caught here was raised by the call, before it was begun."""
    return error.__traceback__ is not None and error.__traceback__.tb_next is None


def misfit_of(function: Callable[..., Any], arguments: Sequence[Any]) -> str | None:
    """Say that a function does not take so many arguments; None where it does, or cannot be told.

    The cotangent, where there is one, is the last of them.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    try:
        signature.bind(*arguments)
    except TypeError:
        count = f"{len(arguments)} argument{'s' if len(arguments) != 1 else ''}"
        return f"takes {_listed(signature)}, and is called with {count}: {_CUSTOM}"
    return None


def _listed(signature: inspect.Signature) -> str:
    """Write the parameters as the user did: ``(z, *, axis)``."""
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
    ]
    return str(inspect.Signature(parameters))


def with_place(error: BaseException, function: Callable[..., Any]) -> str:
    """Write what a user's function raised, with file and line: ``ValueError: odd (mine.py:3)``."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # it cannot even be printed
        text = ""
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return f"{what} ({_place(error, function)})"


def _place(error: BaseException, function: Callable[..., Any]) -> str:
    """Return file and line of the user's innermost frame, or where the function begins."""
    found = None
    not_theirs = _not_theirs()
    caught = error.__traceback__  # its first frame is the one that called the user's function
    trace: TracebackType | None = caught.tb_next if caught else None
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith(not_theirs):
            found = f"{Path(file).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    code = getattr(inspect.unwrap(function), "__code__", None)
    if found is None and code is not None and not code.co_filename.startswith(not_theirs):
        # The call itself failed, so no frame is the user's: the arguments do not fit.
        found = f"{Path(code.co_filename).name}:{code.co_firstlineno}"
    return found or "place unknown"


def _not_theirs() -> tuple[str, ...]:
    """Return the folders of the checker and of the libraries that it calls."""
    loaded = (sys.modules.get(name) for name in _LIBRARIES)
    files = (getattr(module, "__file__", None) for module in loaded)
    return (_HERE, *(str(Path(file).parent) for file in files if file), "<frozen")
