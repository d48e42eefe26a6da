"""NumPy's constructors of arrays, which would forget where an array comes from."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from softgrad.checker.diagnosis.graph.traced import Tape, Traced

__all__ = ["constructors_write"]

_NAMES = ("asarray", "array", "ascontiguousarray", "zeros", "empty", "ones", "full")
_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def constructors_write(tape: Tape) -> Iterator[None]:
    """Let ``np.asarray``, ``np.zeros`` and their kin, in this thread, return traced arrays.

    They are functions that no subclass of an array can answer for, and forwards begin with them.
    """
    with _ONE_AT_A_TIME:
        originals = {name: getattr(np, name) for name in _NAMES}
        try:
            for name, original in originals.items():
                setattr(np, name, _writing(original, tape, threading.get_ident()))
            yield
        finally:
            for name, original in originals.items():
                setattr(np, name, original)


def _writing(original: Callable[..., Any], tape: Tape, thread: int) -> Callable[..., Any]:
    def construct(*arguments: Any, **options: Any) -> Any:
        if tape.is_writing or threading.get_ident() != thread:
            return original(*arguments, **options)
        source = arguments[0] if arguments else None
        if isinstance(source, (list, tuple)) and _holds_traced(source):
            return np.stack([construct(entry) for entry in source])
        with tape.writing():
            made = original(*arguments, **options)
        if not isinstance(made, np.ndarray) or made.dtype != np.float64:
            return made
        same = isinstance(source, Traced) and made.shape == source.shape
        return tape.array(made, tape.place_of(source) if same else None)

    return construct


def _holds_traced(entries: Sequence[Any]) -> bool:
    return any(
        _holds_traced(entry) if isinstance(entry, (list, tuple)) else isinstance(entry, Traced)
        for entry in entries
    )
