"""Group testing on the inputs as given: which input, which slice, which named set of entries."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softgrad.checker.calls import Ended
from softgrad.checker.diagnosis.answers import raw_answer
from softgrad.checker.diagnosis.metered import Metered
from softgrad.checker.diagnosis.slopes import Slopes, Unusable
from softgrad.checker.formats import is_floating
from softgrad.checker.oracle import choose_oracle
from softgrad.checker.probes import coarsest_epsilon, cotangents
from softgrad.checker.report import Where
from softgrad.checker.richardson import norm
from softgrad.checker.subject import Arrays, Subject, Vector, flat

__all__ = ["Locator", "named_sets"]

Mask = NDArray[np.bool_]
_PARTS = 6
"""The parts of a named set, of one or two entries, that must be wrong each by itself."""
_DOUBLE = 2.0**-48
"""The rounding of a sum in double precision, next to the slope along some direction."""
Part = tuple[int, int, int]
"""Axis, start and stop of a slice."""


@dataclass
class Locator:
    """One cotangent's gradient, held against the forward's slopes along parts of the inputs."""

    subject: Metered
    outputs: Arrays
    rng: np.random.Generator
    cotangent: Arrays = field(init=False)
    gradient: tuple[Vector, ...] = field(init=False)
    slopes: Slopes = field(init=False)
    right_elsewhere: bool = False
    """Whether the backward was right on a twin."""

    def __post_init__(self) -> None:
        subject = self.subject
        self.cotangent = cotangents(self.rng, self.outputs, 1)[0]
        self.gradient = self.answer(subject.points, self.cotangent)
        oracle, _ = choose_oracle(subject, self.outputs)
        self.slopes = Slopes(
            subject, oracle.points, oracle.outputs, oracle.epsilon, oracle.function
        )

    @property
    def points(self) -> Arrays:
        """The floating-point inputs, in float64 where the forward can be run there."""
        return self.slopes.points

    def answer(self, points: Arrays, cotangent: Arrays) -> tuple[Vector, ...]:
        """Return the backward's gradient for every input, zeros where it has no such shape."""
        entries: list[Any] = []
        with suppress(Ended):
            entries = raw_answer(self.subject, points, cotangent)
        entries += [None] * len(points)
        found = []
        for entry, point in zip(entries, points, strict=False):
            array = np.zeros(point.shape) if entry is None else np.asarray(entry)
            fits = array.shape == point.shape and (array.dtype.kind in "fiu" or is_floating(array))
            found.append(np.asarray(array if fits else np.zeros(point.shape), np.float64))
        return tuple(found)

    def agrees(
        self, where: int, mask: Mask | None = None, gradient: Vector | None = None
    ) -> bool | None:
        """Whether a gradient is right along a random direction within `mask`; None: not to say."""
        seen = self._compared(where, mask, gradient)
        if seen is None:
            return None
        error, bar, slope, size = seen
        if not np.isfinite(error):
            return False
        if error > 8 * bar + 1e-9 * abs(slope):
            return False
        # A part where there is nearly nothing is judged by the size of the whole.
        largest = size if mask is None else norm(np.nan_to_num(self.gradient[where]))
        return True if 8 * bar <= 0.02 * max(largest, abs(slope)) or not error else None

    def agrees_as_sum(self, where: int, axes: tuple[int, ...], sums: Vector) -> bool:
        """Whether numbers are the right gradient summed over some axes of the input."""
        shape = self.points[where].shape
        kept = tuple(1 if axis in axes else n for axis, n in enumerate(shape))
        weights = self._direction(kept)
        seen = self._slope(where, np.array(np.broadcast_to(weights, shape)))
        if seen is None:
            return False
        found = float((sums.reshape(kept) * weights).sum())
        part = 32 * coarsest_epsilon(self.subject.points) + 1e-9
        return abs(found - seen[0]) <= min(8 * seen[1] + part * abs(found), 0.01 * abs(found))

    def cancels(self, where: int) -> bool:
        """Whether the right gradient of an input is something, and its sum is nothing."""
        shape = self.points[where].shape
        one, every = self._slope(where, self._direction(shape)), self._slope(where, np.ones(shape))
        return (
            one is not None
            and every is not None
            and max(abs(every[0]), 8 * every[1]) <= 1e-6 * abs(one[0])
        )

    def is_near(self, where: int, part: float, gradient: Vector | None = None) -> bool:
        """Whether a gradient is wrong by no more than a part of its size."""
        seen = self._compared(where, None, gradient)
        return seen is not None and seen[0] <= 8 * seen[1] + part * seen[3]

    def _compared(
        self, where: int, mask: Mask | None, gradient: Vector | None
    ) -> tuple[float, float, float, float] | None:
        """Return error, its bar, slope and size along a direction; None where there is no slope."""
        G = self.gradient[where] if gradient is None else gradient
        direction = self._direction(G.shape)
        for limit in (mask, self.subject.masks[where]):
            if limit is not None:
                direction = np.where(limit, direction, 0.0)
        parts = np.where(direction != 0, G, 0.0) * direction
        if not np.isfinite(parts).all():
            return np.inf, 0.0, 0.0, np.inf
        seen = self._slope(where, direction)
        if seen is None:
            return None
        (slope, bar), size = seen, norm(parts)
        epsilon = max(coarsest_epsilon(self.subject.points), 2.0**-52)
        return abs(float(parts.sum()) - slope), bar + 32 * epsilon * size, slope, size

    def _direction(self, shape: tuple[int, ...]) -> Vector:
        """Return numbers that are not near 0, of both signs."""
        signs = self.rng.choice([-1.0, 1.0], shape)
        return np.asarray(self.rng.uniform(0.5, 1.5, shape) * signs)

    def _slope(self, where: int, direction: Vector) -> tuple[float, float] | None:
        """Return the slope of ⟨cotangent, output⟩ and its bar; None where it cannot be had."""
        weights = flat(self.cotangent)
        try:
            slopes, bar = self.slopes.along(where, direction)
        except Unusable:
            return None
        return float(weights @ slopes), norm(weights) * bar

    def wrong_inputs(self, or_open: bool = False) -> list[int]:
        """Return the inputs (counted among the floating-point ones) whose gradient is wrong."""
        if len(self.points) == 1:
            return [0]
        wrong = (False, None) if or_open else (False,)
        return [where for where, right in enumerate(self.right) if right in wrong]

    @cached_property
    def right(self) -> list[bool | None]:
        """Whether the gradient of each input is right; None where that cannot be told."""
        return [self.agrees(where) for where in range(len(self.points))]

    def factor(self, where: int, accuracy: float = 1e-8, directions: int = 2) -> float | None:
        """Return what the gradient of one input is, as a multiple of the true one.

        NaN where it is none: along some directions there are different factors. None where the
        slopes are not known well enough.
        """
        G, ratios, open_yet = self.gradient[where], [], 0.0
        mask, epsilon = self.subject.masks[where], coarsest_epsilon(self.subject.points)
        for _ in range(directions):
            signs = np.where(G, np.sign(G), self.rng.choice([-1.0, 1.0], G.shape))
            direction = signs * self.rng.uniform(0.5, 1.5, G.shape)
            direction = direction if mask is None else np.where(mask, direction, 0.0)
            seen = self._slope(where, direction) if np.isfinite(G).all() else None
            if seen is None or abs(seen[0]) <= 1e3 * seen[1]:
                return None
            parts = direction * G
            ratios.append(float(parts.sum()) / seen[0])
            bar = seen[1] + 32 * epsilon * norm(parts)
            open_yet = max(open_yet, bar / abs(seen[0]))
        size = max(map(abs, ratios))
        if np.ptp(ratios) > min(max(4 * open_yet, accuracy), 1e-3) * size:
            # Rounding is no multiple, and it may be all that there is.
            return 0.0 if size <= 64 * max(epsilon, _DOUBLE) else math.nan
        return sum(ratios) / len(ratios)

    def place(self, where: int, sets: bool) -> Where:
        """Return the smallest slice, or named set if `sets`, that is wrong in this input.

        All else must be seen to be right, or nothing is said of the place.
        """
        place, point = self.subject.floating[where], self.points[where]
        its_name = self.subject.floating_names[where]
        nowhere = Where(place, None, None, None, None, its_name)
        broken = ~np.isfinite(self.gradient[where])
        if broken.any():
            found = list(_box(broken))
            text = f"{its_name}, at {_in_words(found)}" if found else its_name
            return _slice_of(place, found, text)
        if self.agrees(where) is not False:
            return nowhere
        found, inside = self._slices(where)
        if sets and 4 * inside.sum() > inside.size:  # not where a slice says it better
            for name, mask in named_sets(self.subject, where, point):
                if self._is_all(where, mask) and self._is_wrong_throughout(where, mask):
                    return Where(place, None, None, None, name, f"{its_name}, only at {name}")
        if not found:
            return replace(nowhere, text=f"{its_name}, everywhere")
        if not self._is_all(where, inside):
            return nowhere
        return _slice_of(place, found, f"{its_name}, only at {_in_words(found)}")

    def _is_all(self, where: int, mask: Mask) -> bool:
        """Whether a set is wrong and the rest is right."""
        return bool(self.agrees(where, ~mask)) and self.agrees(where, mask) is False

    def _is_wrong_throughout(self, where: int, mask: Mask) -> bool:
        """Whether any few entries of a set are wrong, and not some that happen to be in it."""
        places = self.rng.permutation(np.flatnonzero(mask))[: 2 * _PARTS]
        for part in np.array_split(places, min(_PARTS, places.size)):
            one = np.zeros(mask.size, dtype=bool)
            one[part] = True
            if self.agrees(where, one.reshape(mask.shape)) is not False:
                return False
        return True

    def _slices(self, where: int) -> tuple[list[Part], Mask]:
        """Return axis, start and stop of the slices that seem to hold what is wrong."""
        shape = self.points[where].shape
        inside = np.ones(shape, dtype=bool)
        found: list[Part] = []
        for axis, length in enumerate(shape):
            start, stop = self._slice(where, axis, inside)
            if stop - start < length:
                found.append((axis, start, stop))
                index = np.indices(shape)[axis]
                inside &= (start <= index) & (index < stop)
        return found, inside

    def _slice(self, where: int, axis: int, inside: Mask) -> tuple[int, int]:
        """Return where the wrong part of an axis begins and ends; all of it if both ends are."""
        length = self.points[where].shape[axis]
        index = np.indices(self.points[where].shape)[axis]

        def right(low: int, high: int) -> bool:
            mask = (low <= index) & (index < high) & inside
            return self.agrees(where, mask) is not False

        start, stop = 0, length
        if length > 1 and right(0, 1):
            low, high = 1, length  # the entries before `low` are right, those before `high` not
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if right(0, middle) else (low, middle)
            start = low
        if length > 1 and right(length - 1, length):
            low, high = start, length - 1
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if right(middle, length) else (middle, high)
            stop = high
        return (start, stop) if start < stop else (0, length)


def _in_words(parts: list[Part]) -> str:
    words = []
    for axis, start, stop in parts:
        which = f"index {start}" if stop == start + 1 else f"indices {start} to {stop - 1}"
        words.append(f"{which} along axis {axis}")
    return ", ".join(words)


def _slice_of(place: int, parts: list[Part], text: str) -> Where:
    """Return the narrowest of some slices as the place."""
    if not parts:
        return Where(place, None, None, None, None, text)
    axis, start, stop = min(parts, key=lambda part: part[2] - part[1])
    return Where(place, axis, start, stop, None, text)


def _box(mask: Mask) -> Iterator[Part]:
    """Yield the slices of the smallest box around a set that are not all of their axis."""
    for axis, index in enumerate(np.nonzero(mask)):
        start, stop = int(index.min()), int(index.max()) + 1
        if stop - start < mask.shape[axis]:
            yield axis, start, stop


def named_sets(subject: Subject, where: int, x: Vector) -> Iterator[tuple[str, Mask]]:
    """Yield sets of entries that code treats apart, in words; none is empty or everything."""
    for name, mask in _sets(subject, where, x):
        if mask.shape == x.shape and mask.any() and not mask.all():
            yield name, mask


def _sets(subject: Subject, where: int, x: Vector) -> Iterator[tuple[str, Mask]]:
    for place, value in enumerate(subject.values):
        if place == subject.floating[where] or not isinstance(value, (np.ndarray, list)):
            continue
        array, its_name = np.asarray(value), subject.names[place]
        if array.dtype.kind in "iu" and x.ndim and array.shape == x.shape[:-1]:
            hit = array[..., None] == np.arange(x.shape[-1])
            yield f"the entries at the labels, {its_name}", hit
            outside = (array < 0) | (array >= x.shape[-1])
            yield f"the rows whose label is out of range, {its_name}", _rows(outside, x)
        if array.shape == x.shape and len(np.unique(array)) <= 3:
            yield f"the entries where {its_name} is 0", array == 0
            yield f"the entries where {its_name} is not 0", array != 0
        elif array.shape == x.shape[:-1] and array.ndim and array.dtype.kind == "b":
            yield f"the rows where {its_name} is true", _rows(array, x)
            yield f"the rows where {its_name} is false", _rows(~array, x)
    if x.ndim:
        high = x == x.max(axis=-1, keepdims=True)
        ties = high & (high.sum(axis=-1, keepdims=True) > 1)
        yield "the ties for the largest entry of a row", ties
        yield "the largest entry of each row", high
        yield "the smallest entry of each row", x == x.min(axis=-1, keepdims=True)
    yield "the entries that are negative", x < 0
    yield "the entries that are positive", x > 0


def _rows(mask: Mask, x: Vector) -> Mask:
    return np.asarray(np.broadcast_to(mask[..., None], x.shape))
