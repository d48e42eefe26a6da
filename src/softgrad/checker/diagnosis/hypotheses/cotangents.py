"""The incoming gradient in part: one row for all, a mean, one output of several."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from softgrad.checker.diagnosis.hypotheses.base import Guess, Hypothesis
from softgrad.checker.diagnosis.jacobians import Matrix
from softgrad.checker.diagnosis.view import View
from softgrad.checker.subject import AnyArray

__all__ = ["IN_PART", "MEAN_FOR_ALL", "OUTPUT_FORGOTTEN", "SLICE_FOR_ALL"]


def _in_part(view: View) -> Iterator[Guess]:
    """A = Bᵀ·J, where g becomes B·g: a slice or a mean of it, for all slices."""
    y = view.y
    if y is None or y.size < 2:
        return
    for name, B in (*_mixtures(y, range(y.ndim)), *_of_all(y.size)):
        text = f"The incoming gradient is not used entry by entry: {name} is used for all."
        if not view.is_multiple(B.T @ view.J):  # what is wrong would be the factor
            yield Guess(name, B.T @ view.J, text)
    for axis, length in enumerate(y.shape):
        if length < 2:
            continue
        along = np.indices(y.shape)[axis].ravel()
        for name, at in (("first", 0), ("last", length - 1)):
            only = view.J * (along == at)[:, None]
            text = f"Only the {name} slice of the incoming gradient along axis {axis} is used."
            yield Guess(f"only the {name} of axis {axis}", only, text)
            without = view.J * (along != at)[:, None]
            text = f"The {name} slice of the incoming gradient along axis {axis} is not used."
            yield Guess(f"not the {name} of axis {axis}", without, text)


def _slice_for_all(view: View) -> Iterator[Guess]:
    yield from (guess for guess in _spread_out(view) if "slice" in guess.name)


def _mean_for_all(view: View) -> Iterator[Guess]:
    yield from (guess for guess in _spread_out(view) if "slice" not in guess.name)


def _spread_out(view: View) -> Iterator[Guess]:
    """A = J·Bᵀ: one slice of the gradient, its mean or its sum is returned for all slices."""
    y, shape = view.y, view.x.shape
    # The last axis is no batch: a mean over it is another derivative, and no slice of this one.
    is_batch = y is not None and y.shape == shape[: y.ndim]
    axes = range(len(shape) if view.elementwise else is_batch * (len(shape) - 1))
    for name, B in _mixtures(view.x, axes):
        text = f"The gradient is not its own in every entry: {name} is returned for all."
        if not view.is_multiple(view.J @ B.T):
            yield Guess(f"gradient: {name}", view.J @ B.T, text)


def _mixtures(array: AnyArray, axes: Iterable[int]) -> Iterator[tuple[str, Matrix]]:
    """Yield matrices that put a slice, a mean or a sum in the place of all slices."""
    size = array.size
    eye = np.eye(size).reshape(*array.shape, size)
    for axis in axes:
        if array.shape[axis] < 2:
            continue
        variants = {
            "its first slice": np.take(eye, [0], axis),
            "its last slice": np.take(eye, [-1], axis),
            "its mean": eye.mean(axis=axis, keepdims=True),
            "its sum": eye.sum(axis=axis, keepdims=True),
        }
        for name, B in variants.items():
            spread = np.broadcast_to(B, eye.shape).reshape(size, size)
            yield f"{name} along axis {axis}", spread


def _of_all(size: int) -> Iterator[tuple[str, Matrix]]:
    """Yield matrices that put one number in the place of all."""
    yield "its sum", np.ones((size, size))
    yield "its mean", np.full((size, size), 1 / size)
    yield "its first entry", np.broadcast_to(np.eye(size)[:1], (size, size))


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
    "cotangent", "A = Bᵀ·J, B a slice or a mean", "slices of A that differ", _in_part
)
OUTPUT_FORGOTTEN = Hypothesis(
    "cotangent", "A = J but 0 for an output", "an entry for that output", _output_forgotten
)
SLICE_FOR_ALL = Hypothesis(
    "subset", "A = J·Bᵀ, B a slice", "slices that differ", _slice_for_all, factor=False
)
MEAN_FOR_ALL = Hypothesis(
    "axis", "A = J·Bᵀ, B a mean or a sum", "slices that differ", _mean_for_all, factor=False
)
