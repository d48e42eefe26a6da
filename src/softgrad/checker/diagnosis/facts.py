"""Mistakes that show without a Jacobian: None, shapes, state, and what is not linear in g."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np

from softgrad.checker.calls import Ended, guarded
from softgrad.checker.diagnosis.answers import raw_answer
from softgrad.checker.diagnosis.locate import Locator
from softgrad.checker.diagnosis.metered import Metered
from softgrad.checker.exact import new_draws
from softgrad.checker.formats import limits, narrowest
from softgrad.checker.probes import cotangents
from softgrad.checker.report import Diagnosis, Formula
from softgrad.checker.subject import AnyArray, Arrays, Vector, is_floating, strided
from softgrad.results import number

__all__ = ["fact"]

_MANY = 16.0
_LARGE = 2.0**20
_LINEAR = 1e-3
"""What is less than linear by this part is left to the Jacobians: it may be rounding."""


def fact(subject: Metered, outputs: Arrays, locator: Locator) -> Diagnosis | None:
    """Return the mistake that exact tests show, None where they show none."""
    cotangent = locator.cotangent
    try:
        first = raw_answer(subject, subject.points, cotangent)
    except Ended as end:
        return _said("unnamed", "The backward raises an exception.", end.finding.message)
    # A layer's own backward, run again on what its forward has kept.
    again = subject.pull_back_again(cotangent)
    found = _form(subject, first, locator) or _state(subject, first, again, cotangent)
    usable = found is None and all(
        _usable(entry, p) for entry, p in zip(first, subject.points, strict=True)
    )
    if not usable:
        return found
    return (
        _whole_numbers(subject, first, locator)
        or _exchanged(subject, locator, _linearity(subject, first, locator))
        or _coarse(first, locator)
    )


def _said(code: str, message: str, evidence: str, formula: Formula | None = None) -> Diagnosis:
    return Diagnosis(code, message, formula, evidence, None)


def _usable(entry: Any, point: AnyArray) -> bool:
    array = np.asarray(entry) if entry is not None else None
    return entry is None or bool(array is not None and np.isfinite(array).all())


def _form(subject: Metered, entries: list[Any], locator: Locator) -> Diagnosis | None:
    """Number, None, shape and dtype of the entries."""
    wanted = len(subject.floating)
    if len(entries) != wanted:
        evidence = (
            "one for each floating-point input is needed; labels and masks that are constants are "
            "given as integers or booleans, or bound: lambda z: forward(z, mask)"
        )
        if len(entries) > wanted:
            text = f"The backward returns {len(entries)} gradients, and {wanted} must be returned."
            return _said("unnamed", text, evidence)
        text = f"The backward returns {len(entries)} of {wanted} gradients."
        return _said("severed", text, evidence)
    for where, (name, entry) in enumerate(zip(subject.floating_names, entries, strict=True)):
        if entry is None:
            if locator.agrees(where) is False:
                text = f"The gradient of {name} is None, and the output depends on it."
                return _said("severed", text, "the differences of the forward are not zero")
            continue
        array, point = np.asarray(entry), subject.points[where]
        if array.shape != point.shape:
            return _shape(subject, where, array, locator)
        if array.dtype.kind in "iub":
            text = f"The gradient of {name} is returned as {array.dtype}: digits are cut off."
            return _said("arithmetic", text, f"the input is {point.dtype}")
        if not is_floating(array):
            text = f"The gradient of {name} is {array.dtype}, and must be {point.dtype}."
            return _said("unnamed", text, "it must have its input's dtype")
        if array.dtype.itemsize < point.dtype.itemsize:
            text = f"The gradient of {name} is {array.dtype}, and the input is {point.dtype}."
            return _said("arithmetic", text, "the rest of the digits is lost")
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
        return _said("cotangent", f"{text}for one array.", f"{evidence}; {more}")
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
        return _said("unreduced-broadcast", text, f"{evidence}; its sum is right", formula)
    if number_like and array.T.shape == shape and locator.agrees(where, gradient=_wide(array.T)):
        text = f"The gradient of {name} is transposed."
        return _said("axis", text, f"{evidence}; its transpose is right")
    same_size = number_like and array.size == int(np.prod(shape))
    if same_size and locator.agrees(where, gradient=_wide(array.reshape(shape))):
        others = [point.shape for point in subject.points]  # it may be another one's gradient
        fewer = array.ndim < len(shape) and array.shape not in others
        if fewer and _long(array.shape) == _long(shape):
            text = f"The gradient of {name} lacks an axis of length 1 that its input has."
            return _said("unreduced-broadcast", text, f"{evidence}; reshaped it is right")
        text = f"The gradient of {name} has another shape than its input."
        return _said("axis", text, f"{evidence}; reshaped it is right")
    for other, point in enumerate(subject.points):
        alike = number_like and other != where and array.shape == point.shape
        if alike and locator.agrees(other, gradient=_wide(array)):
            text = f"The gradients of {name} and {names[other]} are swapped."
            return _said("axis", text, f"{evidence}; it is right for the other input")
    if number_like and _broadcasts(array, shape):
        spread = np.array(np.broadcast_to(_wide(array), shape))
        if locator.agrees(where, gradient=spread):
            text = f"The gradient of {name} is not broadcast to its input's shape."
            return _said("unreduced-broadcast", text, f"{evidence}; broadcast it is right")
    for axes in _summed_away(array, shape) if number_like else ():
        if locator.agrees_as_sum(where, axes, _wide(array)):
            which = "all axes" if len(axes) == len(shape) else f"axis {axes[0]}"
            text = f"The gradient of {name} is summed over {which} of it: each entry has its own."
            formula = Formula("g.sum()", f"g summed to {shape}")
            return _said("axis", text, f"{evidence}; it is the sum of the right one", formula)
    for axis in range(len(shape)):
        if array.shape == shape[:axis] + shape[axis + 1 :]:
            text = f"The gradient of {name} lacks axis {axis} of its input: it was summed"
            return _said("axis", f"{text} over, or left out.", evidence)
    products = list(_products(array, shape, locator)) if number_like else []
    for product in products:
        if locator.agrees(where, gradient=product):
            text = f"The gradient of {name} is the Jacobian, and must be its product with g."
            formula = Formula("J", "g @ J")
            return _said("cotangent", text, f"{evidence}; the product is right", formula)
    if not products and any(summed.size < array.size for summed in sums):
        text = f"The gradient of {name} keeps axes along which its input is broadcast."
        return _said("unreduced-broadcast", text, f"{evidence}; its sum is not shown to be right")
    return _said("unnamed", f"The gradient of {name} has the wrong shape.", evidence)


def _long(shape: tuple[int, ...]) -> list[int]:
    return [length for length in shape if length > 1]


def _broadcasts(array: AnyArray, shape: tuple[int, ...]) -> bool:
    pairs = zip(array.shape[::-1], shape[::-1], strict=False)
    return array.ndim <= len(shape) and all(n in (1, wanted) for n, wanted in pairs)


def _wide(array: AnyArray) -> Vector:
    return np.asarray(array, np.float64)


def _sums(array: AnyArray, shape: tuple[int, ...]) -> Iterator[Vector]:
    """Yield the sums of an array that have `shape`, as broadcasting has it first of all."""
    for axes in combinations(range(array.ndim), max(array.ndim - len(shape), 0)):
        summed = _wide(array).sum(axis=axes)
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
        if long and _long(array.shape) == _long(tuple(rest)):
            yield axes


def _group_sums(array: AnyArray, shape: tuple[int, ...]) -> Iterator[Vector]:
    """Yield the sums over entries that share one along an axis: neighbours, or a period apart."""
    for axis, length in enumerate(shape if array.ndim == len(shape) else ()):
        times, rest = divmod(array.shape[axis], length or 1)
        others = array.shape[:axis] + array.shape[axis + 1 :]
        if times < 2 or rest or others != shape[:axis] + shape[axis + 1 :]:
            continue
        for split, over in (((length, times), axis + 1), ((times, length), axis)):
            parts = _wide(array).reshape(*shape[:axis], *split, *shape[axis + 1 :])
            yield np.asarray(parts.sum(axis=over))


def _products(array: AnyArray, shape: tuple[int, ...], locator: Locator) -> Iterator[Vector]:
    """Yield the products of the cotangent with an array that has the form of a Jacobian.

    Of all outputs and inputs, each laid flat or not, or of those of each row.
    """
    if len(locator.cotangent) != 1:
        return
    g, J = _wide(locator.cotangent[0]), _wide(array)
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


def _state(subject: Metered, first: list[Any], kept: Any, cotangent: Arrays) -> Diagnosis | None:
    """Inputs, cotangents or saved values overwritten; answers that depend on earlier calls."""
    if subject.damage:
        text = sorted(subject.damage)[0]
        return _said("aliasing", text, "the array differs after the call")
    points = subject.points
    others = new_draws(subject)
    if others is not None:
        with others:
            gap = _gap(raw_answer(subject, points, cotangent), first, points)
        if gap > _slack(points, first):
            text = "The backward draws random numbers of its own, and not those of the forward."
            return _said("aliasing", text, f"relative difference {number(gap)} with other ones")
    if kept is not None and _gap(list(kept), first, points) > _slack(points, first):
        text = "A second backward after one forward gives another gradient: what was saved changes."
        return _said(
            "aliasing", text, f"relative difference {number(_gap(list(kept), first, points))}"
        )
    second = raw_answer(subject, points, cotangent)
    gap = _gap(second, first, points)
    if gap > _slack(points, first):
        text = "The same call gives another gradient the second time: state is kept between calls, "
        text += "or random numbers are drawn."
        return _said("aliasing", text, f"relative difference {number(gap)}")
    return None


def _whole_numbers(subject: Metered, first: list[Any], locator: Locator) -> Diagnosis | None:
    """Digits cut off in an integer array: what is lost is nothing of a very large gradient."""
    if not all(e is None or (_wide(e) == np.round(_wide(e))).all() for e in first):
        return None
    large = tuple((c * _LARGE).astype(c.dtype) for c in locator.cotangent)
    answer = raw_answer(subject, subject.points, large)
    if not all(_usable(entry, p) for entry, p in zip(answer, subject.points, strict=True)):
        return None
    whole = [e is None or (_wide(e) == np.round(_wide(e))).all() for e in answer]
    parts = [None if e is None else _wide(e) / _LARGE for e in answer]
    lost = _gap(first, parts, subject.points) > _LINEAR
    near = all(locator.is_near(k, 1e-3, g) for k, g in enumerate(parts) if g is not None)
    if not (lost and near and all(whole)):
        return None
    text = "The gradient is rounded to whole numbers, as in an array of integers."
    evidence = f"it is right where what comes in is {_LARGE:g} times larger"
    return _said("arithmetic", text, evidence)


def _linearity(subject: Metered, first: list[Any], locator: Locator) -> Diagnosis | None:
    points, cotangent = subject.points, locator.cotangent

    def at(factor: float) -> list[Any]:
        return raw_answer(subject, points, tuple((c * factor).astype(c.dtype) for c in cotangent))

    zero = at(0.0)
    rest = max((float(np.abs(_wide(e)).max(initial=0)) for e in zero if e is not None), default=0.0)
    if _gap(zero, first, points) == 0 and rest:
        text = "The incoming gradient is ignored: the answer is the same whatever comes in."
        formula = Formula("dloss/dx", "g * dloss/dx")
        return _said("cotangent", text, f"a zero gradient in gives {number(rest)} out", formula)
    if rest or not np.isfinite(rest):
        text = "Something is added that the incoming gradient does not multiply."
        return _said("cotangent", text, f"a zero gradient in gives entries up to {number(rest)}")
    for factor in () if _in_half_precision(first, points) else (_MANY, -1.0):
        answer = at(factor)
        wanted = [None if e is None else factor * _wide(e) for e in first]
        if any(e is not None and not np.isfinite(_wide(e)).all() for e in answer):
            continue
        gap = _gap(answer, wanted, points)
        if gap > _LINEAR:
            if factor < 0:
                same = _gap(answer, first, points) <= _slack(points, first)
                text = "The backward does not follow the sign of the incoming gradient."
                if same:
                    text = "The incoming gradient's sign is lost: its size or its square is used."
            else:
                text = f"The answer does not grow {factor:g}-fold with the incoming gradient."
            more = " It must be linear in it."
            return _said("cotangent", text + more, f"relative difference {number(gap)}")
    for one, other in _summands(locator):
        both = tuple((c + d).astype(c.dtype) for c, d in zip(one, other, strict=True))
        parts = zip(*(raw_answer(subject, points, c) for c in (one, other)), strict=True)
        wanted = [None if a is None or b is None else _wide(a) + _wide(b) for a, b in parts]
        gap = _gap(raw_answer(subject, points, both), wanted, points)
        if gap > max(_LINEAR, _slack(points, first), _cancelled(first, locator)):
            text = "The answer to a sum of incoming gradients is not the sum of the answers."
            more = " It must be linear in them."
            return _said("cotangent", text + more, f"relative difference {number(gap)}")
    result = _gap(_scattered(subject, cotangent), first, points)
    if result > _slack(points, first):
        text = "The incoming gradient is read by its place in memory, and not by its indices."
        return _said("cotangent", text, f"relative difference {number(result)}, not contiguous")
    return None


def _exchanged(subject: Metered, locator: Locator, found: Diagnosis | None) -> Diagnosis | None:
    """Say of what is not linear in the cotangent that it takes it as its first argument."""
    if found is None or subject.kept_vjp is not None or subject.several_outputs:
        return found
    subject.meter.take(subject.forwards_per_vjp, 1)
    arguments = [np.array(locator.cotangent[0]), *subject.arguments(subject.points)]
    try:
        entries = subject.listed(guarded("it", "doubt", subject.vjp, arguments))
    except Ended:
        return found
    pairs = list(zip(entries, subject.points, strict=False))
    if len(pairs) < len(subject.points) or not all(
        entry is not None and np.shape(entry) == point.shape for entry, point in pairs
    ):
        return found
    if not all(locator.agrees(k, gradient=_wide(entry)) for k, (entry, _) in enumerate(pairs)):
        return found
    text = "The backward takes the incoming gradient as its first argument, and gets it as its last"
    formula = Formula("backward(g, x)", "backward(x, g)")
    return _said("cotangent", f"{text} one.", "called so it is right", formula)


def _summands(locator: Locator) -> Iterator[tuple[Arrays, Arrays]]:
    """Yield pairs of cotangents: full ones that do not cancel, and two halves of one."""
    cotangent = locator.cotangent
    other = cotangents(locator.rng, locator.outputs, 1)[0]
    yield cotangent, tuple((c / 2).astype(c.dtype) for c in other)
    # Who stops at the first entry that is not 0 is linear in that one.
    first = [np.arange(c.size).reshape(c.shape) < (c.size + 1) // 2 for c in cotangent]
    if any(c.size > 1 for c in cotangent):
        pairs = list(zip(cotangent, first, strict=True))
        yield tuple(c * f for c, f in pairs), tuple(c * ~f for c, f in pairs)


def _cancelled(entries: list[Any], locator: Locator) -> float:
    """Return what is left of terms that cancel, as in saturated rows, relative to the answer."""
    largest = max(float(np.abs(_wide(e)).max(initial=0)) for e in entries if e is not None)
    g, y = (
        max(float(np.abs(_wide(a)).max(initial=0)) for a in arrays)
        for arrays in (locator.cotangent, locator.outputs)
    )
    epsilon = max(limits(point.dtype).epsilon for point in locator.subject.points)
    return 64 * epsilon * g * max(y, 1.0) / largest if largest else np.inf


def _coarse(entries: list[Any], locator: Locator) -> Diagnosis | None:
    """Numbers of a narrower dtype than the inputs', near to what they should be."""
    points = locator.subject.points
    for dtype in (np.float16, np.float32):
        epsilon = float(np.finfo(dtype).eps)
        rounded = [
            entry is not None
            and limits(point.dtype).epsilon < epsilon
            and _is_rounded(_wide(entry), dtype)
            for entry, point in zip(entries, points, strict=True)
        ]
        if any(rounded) and all(
            locator.is_near(where, 4 * epsilon) if is_rounded else locator.right[where] is not False
            for where, is_rounded in enumerate(rounded)
        ):
            text = f"The formula is right, and its numbers are rounded to {np.dtype(dtype).name}."
            pairs = zip(locator.subject.floating_names, rounded, strict=True)
            names = ", ".join(name for name, is_rounded in pairs if is_rounded)
            evidence = f"every entry of the gradient of {names} is a number of that dtype"
            return _said("arithmetic", text, evidence)
    return None


def _is_rounded(array: Vector, dtype: Any) -> bool:
    plain = np.isin(array, (-1.0, 0.0, 0.5, 1.0)).all()  # exact in every dtype
    return bool((array.astype(dtype) == array).all() and not plain)


def _in_half_precision(entries: list[Any], points: Arrays) -> bool:
    """Whether the numbers are float16's where the inputs are wider: small ones are not linear."""
    wide = all(point.dtype.itemsize > 2 for point in points)
    arrays = [np.asarray(entry) for entry in entries if entry is not None]
    small = max((float(np.abs(a).max(initial=0)) for a in arrays), default=0.0) < 2.0**-8
    return wide and small and all((a.astype(np.float16) == a).all() for a in arrays)


def _scattered(subject: Metered, cotangent: Arrays) -> list[Any]:
    """Return the answer to a cotangent that is not contiguous."""
    try:
        return list(subject.pull_back(subject.points, cotangent, strided))
    except Ended:
        return []


def _slack(points: Arrays, entries: list[Any]) -> float:
    """Return the relative difference that threads and layouts may make."""
    # Some are rounded to a narrower dtype on their way.
    rounded = [narrowest(_wide(entry)) for entry in entries if entry is not None]
    epsilon = max(*(limits(point.dtype).epsilon for point in points), *rounded)
    return 256 * epsilon if epsilon <= 2.0**-23 else 16 * epsilon


def _gap(got: list[Any], wanted: list[Any], points: Arrays) -> float:
    """Return the largest difference relative to the largest entry; infinite for other shapes."""
    if len(got) != len(wanted):
        return np.inf
    gap = size = 0.0
    for one, other in zip(got, wanted, strict=True):
        if (one is None) != (other is None) or np.shape(one) != np.shape(other):
            return np.inf
        if one is not None:
            a, b = np.nan_to_num(_wide(one)), np.nan_to_num(_wide(other))
            gap = max(gap, float(np.abs(a - b).max(initial=0.0)))
            size = max(size, float(np.abs(b).max(initial=0.0)))
    return gap / size if size else float(gap > 0)
