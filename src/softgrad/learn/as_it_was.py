"""All or nothing: an object that was changed halfway is as it was before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["as_it_was"]


@contextmanager
def as_it_was(thing: object) -> Iterator[None]:
    """Take back the attributes that were set before an error or Ctrl-C.

    >>> class Thing: ...
    >>> thing = Thing()
    >>> try:
    ...     with as_it_was(thing):
    ...         thing.x = 1 / 2
    ...         thing.y = 1 / 0
    ... except ZeroDivisionError:
    ...     vars(thing)
    {}
    """
    before = dict(vars(thing))
    try:
        yield
    except BaseException:
        vars(thing).clear()
        vars(thing).update(before)
        raise
