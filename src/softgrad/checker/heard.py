"""Warnings of the user's functions: each is heard once, however often they are called."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["heard_once"]


@contextmanager
def heard_once() -> Iterator[None]:
    """Let every warning that is given inside be given once, at the end."""
    # What catches warnings is one for all threads: two at once would undo each other.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as given:
            caught = given
            yield
    finally:
        once = {(w.category, str(w.message), w.filename, w.lineno): w for w in caught}
        for w in once.values():
            warnings.warn_explicit(w.message, w.category, w.filename, w.lineno, source=w.source)
