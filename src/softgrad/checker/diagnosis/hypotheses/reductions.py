"""Sums over a broadcast axis or over uses of one entry: not taken, not in full, or one too many."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from softgrad.checker.diagnosis.hypotheses.base import Guess, Hypothesis
from softgrad.checker.diagnosis.view import View, differ_along
from softgrad.checker.report import Formula
from softgrad.checker.subject import AnyArray

__all__ = ["KEPT", "LAST_USE", "ONE_NUMBER"]


def _kept(view: View) -> Iterator[Guess]:
    """Of the sum over an axis of the output, one slice alone: what was written last, or first."""
    y, seen = view.y, view.pattern != 0
    if y is None or view.elementwise:
        return
    for axis, length in enumerate(y.shape):
        index = np.indices(y.shape)[axis].ravel()[:, None]
        last = np.where(seen, index, -1).max(axis=0)
        first = np.where(seen, index, length).min(axis=0)
        reached = np.array([(seen & (index == i)).any(axis=0) for i in range(length)]).sum(axis=0)
        # A sum over the axis takes all of it, and a gather is of one entry each. Where others reach
        # but some of it, as one half of two that stand side by side, those are other terms.
        is_sum = 2 * (reached == length).sum() >= (reached > 0).sum()
        if not (last > first).any() or not (is_sum or seen.sum(axis=1).max() <= 1):
            continue
        for name, at in (("first", first), ("last", last)):
            text = (
                f"Of the outputs along axis {axis} that an entry reaches, the {name} one alone is "
                "counted, and all must be summed."
            )
            formula = None
            if view.x.shape == y.shape[:axis] + y.shape[axis + 1 :]:
                text = (
                    f"The gradient must be summed over axis {axis} of the output, and only the "
                    f"{name} slice of it is kept."
                )
                index = ":, " * axis + ("0" if name == "first" else "-1")
                formula = Formula(f"g[{index}]", f"g.sum(axis={axis})")
            yield Guess(f"{name} of axis {axis}", view.J * (index == at), text, formula)


def _last_use(view: View) -> Iterator[Guess]:
    """An entry that is used at several places, such as a row of an embedding, written over."""
    y = view.y
    if y is None or view.elementwise:
        return
    for place, index in view.others.items():
        if index.dtype.kind not in "iu" or index.ndim == 0:
            continue
        if y.shape[: index.ndim] != index.shape:
            continue
        flat = index.ravel()
        per = y.size // index.size
        for name, chosen in (("last", _last(flat)), ("first", _last(flat[::-1])[::-1])):
            matrix = view.J * np.repeat(chosen, per)[:, None]
            text = (
                f"Entries that {view.name(place)} uses more than once must get the sum over all "
                f"uses, and they get the {name} one alone."
            )
            formula = Formula("W_bar[index] = g", "np.add.at(W_bar, index, g)")
            yield Guess(f"{name} use", matrix, text, formula)


def _one_number(view: View) -> Iterator[Guess]:
    """The gradient of a vector, such as a bias, that is summed over the vector's axis as well."""
    x, y = view.x, view.y
    if y is None or view.elementwise:
        return
    if x.ndim > 1 and y.shape[-x.ndim :] == x.shape:
        yield from _one_axis_more(view, y)
    if x.ndim != 1 or x.size < 2:
        return
    right = _sum_over_the_rest(y) if y.shape[-1:] == x.shape else "g"
    for what, wrong, factor in (
        ("the sum of all of them", "g.sum()", 1.0),
        ("the mean of all of them", f"{right}.mean()", 1 / x.size),
        ("the mean over all outputs", "g.mean()", 1 / y.size),
    ):
        matrix = factor * view.J @ np.ones((x.size, x.size))
        if view.is_multiple(matrix):  # what is wrong would be the factor
            continue
        text = f"All entries get one number, {what}: each has a sum of its own."
        yield Guess(what, matrix, text, Formula(wrong, right))


def _one_axis_more(view: View, y: AnyArray) -> Iterator[Guess]:
    """The gradient of an array that is broadcast, summed over an axis of its own as well."""
    x, right = view.x, f"{_sum_over_the_rest(y, view.x.ndim)}"
    for axis, length in enumerate(x.shape):
        if length < 2:
            continue
        matrix = view.J @ differ_along(x.shape, (axis,))
        if not view.is_multiple(matrix):
            text = (
                f"The gradient is summed over axis {axis} of the input, too: along it every entry"
            )
            formula = Formula(f"{right}.sum(axis={axis}, keepdims=True)", right)
            yield Guess(f"over axis {axis}", matrix, f"{text} has a sum of its own.", formula)


def _sum_over_the_rest(y: AnyArray, kept: int = 1) -> str:
    """Write the sum over all axes of g but the last ones."""
    axes = list(range(y.ndim - kept))
    return "g" if not axes else f"g.sum(axis={axes[0] if len(axes) == 1 else tuple(axes)})"


def _last(labels: np.ndarray) -> np.ndarray:
    """Return True at the last occurrence of every label."""
    found = np.zeros(labels.size, dtype=bool)
    seen: set[int] = set()
    for i in range(labels.size - 1, -1, -1):
        if int(labels[i]) not in seen:
            seen.add(int(labels[i]))
            found[i] = True
    return found


KEPT = Hypothesis(
    "unreduced-broadcast", "A = J on one slice, else 0", "two slices that count", _kept
)
LAST_USE = Hypothesis(
    "unreduced-broadcast", "A = J at one use of an entry, else 0", "two uses that count", _last_use
)
ONE_NUMBER = Hypothesis("axis", "A = J·1", "two entries that differ", _one_number)
