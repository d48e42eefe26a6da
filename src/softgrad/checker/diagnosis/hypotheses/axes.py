"""Entries in the wrong place: transposed, permuted, along another axis, or of another input."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

from softgrad.checker.diagnosis.hypotheses.base import Guess, Hypothesis
from softgrad.checker.diagnosis.jacobians import Unusable
from softgrad.checker.diagnosis.view import View
from softgrad.checker.report import Formula
from softgrad.checker.subject import AnyArray

__all__ = [
    "ARRANGED",
    "LAID_ELSEWHERE",
    "OTHER_AXIS",
    "OTHER_INPUT",
    "OUTPUTS_SWAPPED",
    "TRANSPOSED",
]


def _transposed(view: View) -> Iterator[Guess]:
    if view.elementwise:
        text = "The Jacobian is applied where its transpose must be: a JVP in place of the VJP."
        yield Guess("transposed", view.J.T, text, Formula("J @ g", "J.T @ g"))
    y, x = view.y, view.x
    if y is None or y.ndim != 2 or x.ndim != 2:
        return
    for axis in (0, 1):
        if y.shape[axis] == x.shape[axis] > 1:
            J = view.J.reshape(*y.shape, *x.shape)
            matrix = np.swapaxes(J, axis, axis + 2).reshape(view.J.shape)
            text = "A matrix is multiplied with where its transpose must be."
            yield Guess(f"transposed along {axis}", matrix, text, Formula("P @ g", "P.T @ g"))


def _arranged(view: View) -> Iterator[Guess]:
    """The gradient, or the cotangent, in another order along its axes."""
    for name, order in _orders(view.x):
        # The gradient's entry n is the one that belongs to order[n].
        yield Guess(f"gradient {name}", view.J[:, order], f"The gradient is {name}: {_PLACES}.")
    y = view.y
    if y is not None and y.size > 1:
        for name, order in _orders(y):
            text = f"The incoming gradient is {name} before it is used."
            yield Guess(f"cotangent {name}", view.J[order], text)


_PLACES = "its entries stand in other places than the input's"


def _orders(array: AnyArray) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """Yield permutations of an array's entries, flattened, in words."""
    index = np.arange(array.size).reshape(array.shape)
    for axis, length in enumerate(array.shape):
        if length > 1:
            yield f"reversed along axis {axis}", np.flip(index, axis).ravel()
        if length > 2:
            yield f"rolled by 1 along axis {axis}", np.roll(index, 1, axis).ravel()
            yield f"rolled by −1 along axis {axis}", np.roll(index, -1, axis).ravel()
    if array.ndim > 1:
        for axes in permutations(range(array.ndim)):
            if axes == tuple(range(array.ndim)):
                continue
            moved = index.transpose(axes)
            if moved.shape == index.shape:
                yield f"transposed {axes}", moved.ravel()
            else:
                name = f"reshaped where it must be transposed {axes}"
                yield name, moved.ravel()
                inverse = np.empty_like(index.ravel())
                inverse[moved.ravel()] = index.ravel()
                yield f"{name}, backwards", inverse


def _other_axis(view: View) -> Iterator[Guess]:
    """The derivative of the same map along another axis: at the input with two axes swapped."""
    x = view.x
    if not view.elementwise or not 2 <= x.ndim <= 3 or view.diagonal is None:
        return
    if not (view.pattern * ~view.diagonal).any():
        return  # elementwise: no axis to mistake
    for a, b in combinations(range(x.ndim), 2):
        if x.shape[a] == x.shape[b] == 1:
            continue
        swapped = np.swapaxes(x, a, b)
        try:
            J = view.spot.numeric(view.where, view.at(swapped))[0]
        except (Unusable, ValueError):
            continue
        if J.shape != view.J.shape:
            continue
        order = np.swapaxes(np.arange(x.size).reshape(swapped.shape), a, b).ravel()
        text = f"The derivative is taken along the wrong axis: axes {a} and {b} are confused."
        yield Guess(f"axes {a} and {b}", J[order][:, order], text)


def _other_input(view: View) -> Iterator[Guess]:
    """The gradient of another input of the same shape, or one with another input transposed."""
    names = view.spot.subject.floating_names
    for other, point in enumerate(view.spot.points):
        if other == view.where:
            continue
        if point.shape == view.x.shape and point.size > 1:
            try:
                J = view.jacobian_at(view.spot.points, other)
            except Unusable:
                continue
            text = (
                f"The gradients of {names[view.where]} and {names[other]} are swapped: "
                f"what is returned for {names[view.where]} is that of {names[other]}."
            )
            yield Guess(f"of {names[other]}", J, text)
    for other, point in enumerate(view.spot.points):
        if other != view.where and point.ndim == 2 and point.shape[0] == point.shape[1] > 1:
            points = list(view.spot.points)
            points[other] = np.ascontiguousarray(point.T)
            try:
                J = view.jacobian_at(tuple(points))
            except Unusable:
                continue
            text = (
                f"The transpose of {names[other]} is taken where it must not, or not where it must."
            )
            yield Guess(f"{names[other]} transposed", J, text)


def _laid_elsewhere(view: View) -> Iterator[Guess]:
    """Of a map that reduces axes: the cotangent is broadcast along another axis than its own."""
    y, x = view.y, view.x
    if y is None or not 0 < y.ndim < x.ndim or ((view.pattern != 0).sum(axis=0) != 1).any():
        return
    own, column = (view.pattern != 0).argmax(axis=0), np.arange(x.size)
    slopes = view.J[own, column]
    for axes in permutations(range(x.ndim), y.ndim):
        if tuple(x.shape[axis] for axis in axes) != y.shape:
            continue
        index = np.indices(x.shape).reshape(x.ndim, -1)[list(axes)]
        row = np.ravel_multi_index(tuple(index), y.shape)
        if (row != own).any():
            matrix = np.zeros_like(view.J)
            matrix[row, column] = slopes
            said = " and ".join(map(str, axes))
            text = f"The incoming gradient is laid along axis {said} of the input, which is not"
            line = Formula("g * dy/dx", "np.expand_dims(g, axis) * dy/dx")
            yield Guess(f"laid along {said}", matrix, f"{text} where its entries belong.", line)


def _outputs_swapped(view: View) -> Iterator[Guess]:
    outputs = view.spot.outputs
    starts = np.cumsum([0, *(output.size for output in outputs)])
    for a, b in combinations(range(len(outputs)), 2):
        if outputs[a].shape == outputs[b].shape:
            order = np.arange(view.J.shape[0])
            own, other = (np.arange(starts[i], starts[i + 1]) for i in (a, b))
            order[own], order[other] = other, own
            text = f"The incoming gradients of outputs {a} and {b} are swapped."
            yield Guess(f"outputs {a} and {b}", view.J[order], text)


TRANSPOSED = Hypothesis("axis", "A = Jᵀ", "A − Jᵀ beyond the error bar", _transposed)
ARRANGED = Hypothesis("axis", "A = P·J or J·P", "entries that J has nowhere", _arranged)
OUTPUTS_SWAPPED = Hypothesis(
    "axis", "A = J with two outputs swapped", "outputs that differ", _outputs_swapped
)
LAID_ELSEWHERE = Hypothesis(
    "axis", "A = J, g along another axis", "lengths that differ", _laid_elsewhere
)
OTHER_AXIS = Hypothesis(
    "axis", "A is J along another axis", "the support of A", _other_axis, costly=True
)
OTHER_INPUT = Hypothesis(
    "axis", "A is J for another input", "inputs that differ", _other_input, costly=True
)
