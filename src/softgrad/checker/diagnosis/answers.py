"""The backward's answer as it comes: number, shape and dtype of its entries are looked at later."""

from __future__ import annotations

from typing import Any

import numpy as np

from softgrad.checker.calls import guarded
from softgrad.checker.diagnosis.metered import Metered
from softgrad.checker.subject import Arrays

__all__ = ["raw_answer"]


def raw_answer(subject: Metered, points: Arrays, cotangent: Arrays) -> list[Any]:
    """Run the backward; return one entry for each floating-point input, if it has so many.

    Raises
    ------
    Ended
        It raised.
    """
    subject.meter.take(subject.forwards_per_vjp, 1)
    own = tuple(np.array(c) for c in cotangent)
    handed = own if subject.several_outputs else own[0]
    arguments = [*subject.arguments(points), handed]
    result = guarded("The backward", "fail", subject.vjp, arguments)
    entries = subject.listed(result)
    # The backward may write its answers into the same memory again.
    return [entry.copy() if isinstance(entry, np.ndarray) else entry for entry in entries]
