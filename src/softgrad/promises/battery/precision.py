"""Numbers of 16 bits."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from softgrad.promises.measures import off
from softgrad.promises.promise import Measured, Promise
from softgrad.promises.rows import Rows, random_rows
from softgrad.promises.subject import Subject
from softgrad.promises.suites import SUITES

__all__ = ["PROMISES"]


def _half(dtype: str, subject: Subject) -> Iterator[Measured]:
    # Eighths below 16 are numbers of both formats. A sum of 16 bits stands still at 3,000 terms.
    for N, K, scale in ((5, 7, 2.0), (1, 3001, 0.5)):
        z = np.clip(np.round(8 * random_rows(N, K, scale).z) / 8, -15, 15)
        yield from off(subject, Rows(z, random_rows(N, K).t, dtype))


PROMISES = tuple(
    Promise(
        dtype,
        f"{dtype} logits give the exact result, rounded once, over 3,001 classes too.",
        tuple(SUITES),
        f"ulp of the largest entry, in {dtype}",
        1,
        partial(_half, dtype),
    )
    for dtype in ("float16", "bfloat16")
)
