"""Calls of the user's functions: what they raise becomes a sentence with its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from softgrad.checker.report import Finding, Level

__all__ = ["Ended", "guarded"]

_NUMPY = str(Path(np.__file__).parent)
_HERE = str(Path(__file__).parent)


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
        return function(*arguments)
    except Exception as error:
        text = " ".join(str(error).split())
        what = f"{type(error).__name__}: {text}" if text else type(error).__name__
        raise Ended(level, f"{who} raised {what} ({_place(error, function)}).") from None


def _place(error: Exception, function: Callable[..., Any]) -> str:
    """Return file and line of the user's innermost frame, or where the function begins."""
    found = None
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith((_NUMPY, _HERE)):
            found = f"{Path(file).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    code = getattr(function, "__code__", None)
    if found is None and code is not None and not code.co_filename.startswith(_HERE):
        # The call itself failed, so no frame is the user's: the arguments do not fit.
        found = f"{Path(code.co_filename).name}:{code.co_firstlineno}"
    return found or "place unknown"
