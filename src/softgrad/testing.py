"""What test suites use: a wrong gradient raises."""

from __future__ import annotations

from typing import Any

from softgrad.checker import check

__all__ = ["assert_gradient"]


def assert_gradient(forward: Any, backward: Any = None, *inputs: Any, **options: Any) -> None:
    """Raise unless `softgrad.check` passes; its parameters and options are taken.

    Raises
    ------
    AssertionError
        The verdict is ``"fail"`` or ``"inconclusive"``; the message is the report.
    TypeError, ValueError
        As for `softgrad.check`.

    Examples
    --------
    >>> import numpy as np
    >>> assert_gradient(np.sin, lambda x, g: g * np.cos(x), np.array([0.3, 1.2]))
    """
    report = check(forward, backward, *inputs, **options)
    if not report.passed:
        raise AssertionError(str(report))
