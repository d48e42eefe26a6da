"""The incoming gradient in part: one row for all, a mean, one output of several."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from softgrad.checker.diagnosis.hypotheses.base import Guess, Hypothesis
from softgrad.checker.diagnosis.view import View

__all__ = ["IN_PART", "OUTPUT_FORGOTTEN"]


def _in_part(view: View) -> Iterator[Guess]:
    """A = Bᵀ·J, where g becomes B·g: a slice or a mean of it, for all slices."""
    y = view.y
    if y is None or y.size < 2:
        return
    size = y.size
    for axis, length in enumerate(y.shape):
        if length < 2:
            continue
        index = np.indices(y.shape).reshape(y.ndim, -1)
        along = index[axis]
        rest = np.ones((size, size), dtype=bool)
        for other in range(y.ndim):
            if other != axis:
                rest &= index[other][:, None] == index[other][None, :]
        variants = {
            f"g[0] along axis {axis} is used for all": rest * (along == 0)[None, :],
            f"g[-1] along axis {axis} is used for all": rest * (along == length - 1)[None, :],
            f"its mean along axis {axis} is used for all": rest / length,
            f"its sum along axis {axis} is used for all": rest * 1.0,
        }
        for name, B in variants.items():
            yield Guess(
                name, B.T @ view.J, f"The incoming gradient is not used entry by entry: {name}."
            )
        # Where x has y's shape, that is a slice of the gradient, too.
        for name, at in () if view.elementwise else (("first", 0), ("last", length - 1)):
            only = view.J * (along == at)[:, None]
            text = f"Only the {name} slice of the incoming gradient along axis {axis} is used."
            yield Guess(f"only the {name} of axis {axis}", only, text)
            without = view.J * (along != at)[:, None]
            text = f"The {name} slice of the incoming gradient along axis {axis} is not used."
            yield Guess(f"not the {name} of axis {axis}", without, text)
    ones = np.ones((size, size))
    for name, B in (("its sum", ones), ("its mean", ones / size), ("its first entry", None)):
        if B is None:
            B = np.zeros((size, size))
            B[:, 0] = 1
        text = f"The incoming gradient is not used entry by entry: {name} is used for all."
        yield Guess(f"{name} for all", B.T @ view.J, text)


def _output_forgotten(view: View) -> Iterator[Guess]:
    outputs = view.spot.outputs
    if len(outputs) < 2:
        return
    start = 0
    for k, output in enumerate(outputs):
        rows = np.zeros(view.J.shape[0], dtype=bool)
        rows[start : start + output.size] = True
        start += output.size
        yield Guess(
            f"output {k} forgotten",
            view.J * ~rows[:, None],
            f"The incoming gradient of output {k} is not used.",
        )
        yield Guess(
            f"output {k} alone",
            view.J * rows[:, None],
            f"Of the incoming gradients only that of output {k} is used.",
        )


IN_PART = Hypothesis(
    "cotangent", "A = Bᵀ·J, B a slice or a mean", "slices of A that differ", _in_part, factor=False
)
OUTPUT_FORGOTTEN = Hypothesis(
    "cotangent", "A = J but 0 for an output", "an entry for that output", _output_forgotten
)
