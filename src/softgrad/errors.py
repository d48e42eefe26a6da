"""The library's own exceptions, and the one sentence that every complaint about an argument has."""

from __future__ import annotations

__all__ = ["MissingExtraError", "RankStoppedError", "SoftgradError", "UsageError", "mismatch"]


class SoftgradError(Exception):
    """Base of the errors that are softgrad's own; wrong arguments raise Python's own errors."""


class UsageError(SoftgradError):
    """What a user can mend in data, files or settings, in one line that says what.

    A missing column, an empty file, a cell that is no number, a learning rate that is too large.
    The command line prints the line alone.
    """


class MissingExtraError(SoftgradError, ImportError):
    """An optional dependency is absent; the message holds the command that installs it."""

    def __init__(self, need: str, extra: str) -> None:
        super().__init__(f"{need} is needed here: pip install 'softgrad[{extra}]'")


class RankStoppedError(SoftgradError, RuntimeError):
    """A process of a group has died, or has raised amid an exchange with the others.

    The message names it. The group is out of step, and of no use any more.
    """


def mismatch(name: str, expected: str, got: object) -> str:
    """Return the sentence for the argument `name`: what was expected and what was got.

    >>> mismatch("axis", "an integer", "'rows'")
    "`axis` must be an integer, got 'rows'"
    """
    return f"`{name}` must be {expected}, got {got}"
