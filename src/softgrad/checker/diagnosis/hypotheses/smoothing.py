"""A cross-entropy whose targets are others: more at the label, or at every other class."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from softgrad.checker.diagnosis.hypotheses.base import Guess, Hypothesis
from softgrad.checker.diagnosis.view import View

__all__ = ["OTHER_TARGETS"]

_LEAST = 5
"""Entries that two numbers must explain."""


def _other_targets(view: View) -> Iterator[Guess]:
    """A − J is one number at all labels, and another one at all other classes."""
    x = view.x
    if view.J.shape[0] > 1 or x.ndim < 2 or x.shape[-1] < 3:
        return
    R, K = (view.A - view.J).reshape(-1, x.shape[-1]), x.shape[-1]
    for array in view.others.values():
        if array.dtype.kind not in "iu" or array.shape != x.shape[:-1]:
            continue
        labels = array.reshape(-1)
        known = (labels >= 0) & (labels < K)
        t = np.eye(K, dtype=bool)[np.where(known, labels, 0)] & known[:, None]
        rest = ~t & known[:, None]
        if K * known.sum() < _LEAST:
            continue
        a, b = float(R[t].mean()), float(R[rest].mean())
        if min(abs(a), abs(b)) <= 1e-6 * max(abs(a), abs(b)):
            continue  # wrong at the labels alone, or at all others
        matrix = view.J + (a * t + b * rest).reshape(1, -1)
        text = (
            f"The targets of the cross-entropy are others than the loss has: by {-a:.3g} at the "
            f"label and {-b:.3g} at every other class, as where smoothing is left out in part."
        )
        yield Guess(f"{a / b:.3g}", matrix, text)


OTHER_TARGETS = Hypothesis(
    "chain-term", "A = J + a·t + b·(1 − t)", "a or b that varies", _other_targets, factor=False
)
