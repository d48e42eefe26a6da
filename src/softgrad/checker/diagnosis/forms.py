"""The form of a gradient: how many there are, None, shape and dtype."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np

from softgrad.checker.diagnosis.answers import wide
from softgrad.checker.diagnosis.locate import Locator
from softgrad.checker.diagnosis.metered import Metered
from softgrad.checker.report import Diagnosis, Formula
from softgrad.checker.subject import AnyArray, Vector, is_floating

__all__ = ["long_axes", "wrong_form"]


def wrong_form(subject: Metered, entries: list[Any], locator: Locator) -> Diagnosis | None:
    """Number, None, shape and dtype of the entries."""
    wanted = len(subject.floating)
    if len(entries) != wanted:
        evidence = (
            "one for each floating-point input is needed; labels and masks that are constants are "
            "given as integers or booleans, or bound: lambda z: forward(z, mask)"
        )
        if len(entries) > wanted:
            text = f"The backward returns {len(entries)} gradients, and {wanted} must be returned."
            return Diagnosis("unnamed", text, evidence=evidence)
        text = f"The backward returns {len(entries)} of {wanted} gradients."
        return Diagnosis("severed", text, evidence=evidence)
    for where, (name, entry) in enumerate(zip(subject.floating_names, entries, strict=True)):
        if entry is None:
            if locator.agrees(where) is False:
                text = f"The gradient of {name} is None, and the output depends on it."
                return Diagnosis(
                    "severed", text, evidence="the differences of the forward are not zero"
                )
            continue
        array, point = np.asarray(entry), subject.points[where]
        if array.shape != point.shape:
            return _shape(subject, where, array, locator)
        if array.dtype.kind in "iub":
            text = f"The gradient of {name} is returned as {array.dtype}: digits are cut off."
            return Diagnosis("arithmetic", text, evidence=f"the input is {point.dtype}")
        if not is_floating(array):
            text = f"The gradient of {name} is {array.dtype}, and must be {point.dtype}."
            return Diagnosis("unnamed", text, evidence="it must have its input's dtype")
        if array.dtype.itemsize < point.dtype.itemsize:
            text = f"The gradient of {name} is {array.dtype}, and the input is {point.dtype}."
            return Diagnosis("arithmetic", text, evidence="the rest of the digits is lost")
    return None


def _shape(subject: Metered, where: int, array: AnyArray, locator: Locator) -> Diagnosis:
    """A gradient of another shape: not summed, transposed, another input's, or laid flat."""
    names, shape = subject.floating_names, subject.points[where].shape
    name = names[where]
    evidence = f"the gradient has shape {array.shape}, the input {shape}"
    count = len(locator.cotangent)
    if subject.several_outputs and array.shape == (count, *shape):
        text = f"The incoming gradient is a tuple of {count}, one for each output, and is taken "
        more = "an output that is kept for the backward is left out by lambda z: forward(z)[0]"
        return Diagnosis("cotangent", f"{text}for one array.", evidence=f"{evidence}; {more}")
    number_like = array.dtype.kind in "fiu" or is_floating(array)
    sums = list(_sums(array, shape)) if number_like else []
    for summed in sums:
        if not locator.agrees(where, gradient=summed):
            continue
        text = (
            f"The gradient of {name} is not summed over the axes along which the input is "
            "broadcast."
        )
        if array.size == summed.size:
            text = f"The gradient of {name} keeps an axis that its input has not."
        formula = Formula("g", f"g summed to {shape}")
        return Diagnosis("unreduced-broadcast", text, formula, f"{evidence}; its sum is right")
    if number_like and array.T.shape == shape and locator.agrees(where, gradient=wide(array.T)):
        text = f"The gradient of {name} is transposed."
        return Diagnosis("axis", text, evidence=f"{evidence}; its transpose is right")
    same_size = number_like and array.size == int(np.prod(shape))
    if same_size and locator.agrees(where, gradient=wide(array.reshape(shape))):
        others = [point.shape for point in subject.points]  # it may be another one's gradient
        fewer = array.ndim < len(shape) and array.shape not in others
        if fewer and long_axes(array.shape) == long_axes(shape):
            text = f"The gradient of {name} lacks an axis of length 1 that its input has."
            return Diagnosis(
                "unreduced-broadcast", text, evidence=f"{evidence}; reshaped it is right"
            )
        text = f"The gradient of {name} has another shape than its input."
        return Diagnosis("axis", text, evidence=f"{evidence}; reshaped it is right")
    for other, point in enumerate(subject.points):
        alike = number_like and other != where and array.shape == point.shape
        if alike and locator.agrees(other, gradient=wide(array)):
            text = f"The gradients of {name} and {names[other]} are swapped."
            return Diagnosis("axis", text, evidence=f"{evidence}; it is right for the other input")
    if number_like and _broadcasts(array, shape):
        spread = np.array(np.broadcast_to(wide(array), shape))
        if locator.agrees(where, gradient=spread):
            text = f"The gradient of {name} is not broadcast to its input's shape."
            return Diagnosis(
                "unreduced-broadcast", text, evidence=f"{evidence}; broadcast it is right"
            )
    for axes in _summed_away(array, shape) if number_like else ():
        if locator.agrees_as_sum(where, axes, wide(array)):
            which = "all axes" if len(axes) == len(shape) else f"axis {axes[0]}"
            text = f"The gradient of {name} is summed over {which} of it: each entry has its own."
            formula = Formula("g.sum()", f"g summed to {shape}")
            return Diagnosis("axis", text, formula, f"{evidence}; it is the sum of the right one")
    for axis in range(len(shape)):
        if array.shape == shape[:axis] + shape[axis + 1 :]:
            text = f"The gradient of {name} lacks axis {axis} of its input: it was summed"
            return Diagnosis("axis", f"{text} over, or left out.", evidence=evidence)
    products = list(_products(array, shape, locator)) if number_like else []
    for product in products:
        if locator.agrees(where, gradient=product):
            text = f"The gradient of {name} is the Jacobian, and must be its product with g."
            formula = Formula("J", "g @ J")
            return Diagnosis("cotangent", text, formula, f"{evidence}; the product is right")
    if not products and any(summed.size < array.size for summed in sums):
        text = f"The gradient of {name} keeps axes along which its input is broadcast."
        return Diagnosis(
            "unreduced-broadcast", text, evidence=f"{evidence}; its sum is not shown to be right"
        )
    if number_like and locator.agrees_as_sum(where, tuple(range(len(shape))), wide(array).sum()):
        text = f"The gradient of {name} is summed over another axis than that along which the input"
        evidence = f"{evidence}; all its entries add up to what those of the right one do"
        return Diagnosis(
            "axis", f"{text} is broadcast.", Formula("g", f"g summed to {shape}"), evidence
        )
    return Diagnosis("unnamed", f"The gradient of {name} has the wrong shape.", evidence=evidence)


def long_axes(shape: tuple[int, ...]) -> list[int]:
    """Return the lengths of the axes that are longer than 1."""
    return [length for length in shape if length > 1]


def _broadcasts(array: AnyArray, shape: tuple[int, ...]) -> bool:
    pairs = zip(array.shape[::-1], shape[::-1], strict=False)
    return array.ndim <= len(shape) and all(n in (1, wanted) for n, wanted in pairs)


def _sums(array: AnyArray, shape: tuple[int, ...]) -> Iterator[Vector]:
    """Yield the sums of an array that have `shape`, as broadcasting has it first of all."""
    for axes in combinations(range(array.ndim), max(array.ndim - len(shape), 0)):
        summed = wide(array).sum(axis=axes)
        if summed.ndim != len(shape):
            return
        for axis, length in enumerate(shape):
            if length == 1 != summed.shape[axis]:
                summed = summed.sum(axis=axis, keepdims=True)
        if summed.shape == shape:
            yield np.asarray(summed)
    yield from _group_sums(array, shape)


def _summed_away(array: AnyArray, shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield the axes over which a gradient may have been summed besides: all of them, or one."""
    long = tuple(axis for axis, length in enumerate(shape) if length > 1)
    for axes in (tuple(range(len(shape))), *((axis,) for axis in long)):
        rest = [length for axis, length in enumerate(shape) if axis not in axes]
        if long and long_axes(array.shape) == long_axes(tuple(rest)):
            yield axes


def _group_sums(array: AnyArray, shape: tuple[int, ...]) -> Iterator[Vector]:
    """Yield the sums over entries that share one along an axis: neighbours, or a period apart."""
    for axis, length in enumerate(shape if array.ndim == len(shape) else ()):
        times, rest = divmod(array.shape[axis], length or 1)
        others = array.shape[:axis] + array.shape[axis + 1 :]
        if times < 2 or rest or others != shape[:axis] + shape[axis + 1 :]:
            continue
        for split, over in (((length, times), axis + 1), ((times, length), axis)):
            parts = wide(array).reshape(*shape[:axis], *split, *shape[axis + 1 :])
            yield np.asarray(parts.sum(axis=over))


def _products(array: AnyArray, shape: tuple[int, ...], locator: Locator) -> Iterator[Vector]:
    """Yield the products of the cotangent with an array that has the form of a Jacobian.

    Of all outputs and inputs, each laid flat or not, or of those of each row.
    """
    if len(locator.cotangent) != 1:
        return
    g, J = wide(locator.cotangent[0]), wide(array)
    if J.shape == g.shape + shape:
        yield np.asarray(np.tensordot(g, J, g.ndim))
    if J.shape == shape + g.shape:
        yield np.asarray(np.tensordot(J, g, g.ndim))
    if J.shape == (g.size, int(np.prod(shape))):
        yield np.asarray((g.ravel() @ J).reshape(shape))
    if not shape or g.shape[:-1] != shape[:-1] or not g.ndim > 1:
        return
    if J.shape == (*g.shape, shape[-1]):
        yield np.asarray((g[..., None, :] @ J)[..., 0, :])
    if J.shape == (*shape, g.shape[-1]):
        yield np.asarray((J @ g[..., None])[..., 0])
