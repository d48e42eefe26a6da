"""What is left when no formula fits: rounding to a narrow dtype, or an error in few entries."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from softgrad.checker.diagnosis.hypotheses.base import Guess, Hypothesis
from softgrad.checker.diagnosis.view import View
from softgrad.checker.subject import Vector

__all__ = ["NARROW", "SLICES", "is_zero_elsewhere"]


def _narrow(view: View) -> Iterator[Guess]:
    """The backward computes in fewer digits than its input has."""
    for dtype in (np.float16, np.float32):
        info = np.finfo(dtype)
        stored = view.A.astype(dtype).astype(np.float64)
        close = np.abs(view.A - view.J).max() <= 4 * float(info.eps) * np.abs(view.J).max()
        plain = np.isin(view.A, (-1.0, 0.0, 0.5, 1.0)).all()  # exact in every dtype
        if (stored == view.A).all() and close and not plain:
            text = f"The formula is right, and its numbers are rounded to {np.dtype(dtype).name}."
            yield Guess(f"rounded to {np.dtype(dtype).name}", view.A, text)
            return


def _slices(view: View) -> Iterator[Guess]:
    """One slice of the gradient alone is computed, or one is left out."""
    for text, kept in _kept(view.x.shape) if view.x.size > 2 else ():
        yield Guess(text, view.J * kept.ravel(), text)


def _kept(shape: tuple[int, ...]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield what is said where a slice is zero, or all but it, and what is left."""
    for axis, length in enumerate(shape):
        index = np.indices(shape)[axis]
        for name, at in (("first", 0), ("last", length - 1)):
            if length > 1:
                where = f"the {name} slice along axis {axis}."
                yield f"The gradient is zero but for {where}", index == at
                yield f"The gradient is zero at {where}", index != at


def is_zero_elsewhere(text: str, gradient: Vector) -> bool:
    """Whether a gradient at other inputs is zero where it is said to be, if it is of slices."""
    return not any(gradient[~kept].any() for said, kept in _kept(gradient.shape) if said == text)


SLICES = Hypothesis("subset", "A = J on a slice, else 0", "two slices", _slices, factor=False)
NARROW = Hypothesis(
    "arithmetic", "A = round(J)", "digits beyond those of the dtype", _narrow, factor=False
)
