"""Group testing on the inputs as given: which input, which slice, which named set of entries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softgrad.checker.calls import Ended
from softgrad.checker.diagnosis.answers import raw_answer
from softgrad.checker.formats import is_floating
from softgrad.checker.probes import coarsest_epsilon, cotangents, first_step
from softgrad.checker.report import Where
from softgrad.checker.richardson import norm
from softgrad.checker.subject import Arrays, Subject, Vector, flat

__all__ = ["Locator", "named_sets"]

Mask = NDArray[np.bool_]
_CALLS = 80
"""The most forward calls that are spent on finding the place."""


@dataclass
class Locator:
    """One cotangent's gradient, held against differences along parts of the inputs."""

    subject: Subject
    outputs: Arrays
    rng: np.random.Generator
    cotangent: Arrays = field(init=False)
    gradient: tuple[Vector, ...] = field(init=False)
    points: Arrays = field(init=False)
    epsilon: float = field(init=False)
    _start: int = 0

    def __post_init__(self) -> None:
        subject = self.subject
        self.cotangent = cotangents(self.rng, self.outputs, 1)[0]
        self.gradient = self.answer(subject.points, self.cotangent)
        wide = tuple(point.astype(np.float64) for point in subject.points)
        try:
            epsilon = coarsest_epsilon(subject.evaluate(wide))
            self.points = wide
        except Ended:
            self.points, epsilon = subject.points, 1.0
        if epsilon > 2.0**-52:
            self.points = subject.points
            epsilon = coarsest_epsilon(self.outputs)
        self.epsilon = epsilon

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
        return True if 8 * bar <= 0.02 * max(size, abs(slope)) or not error else None

    def is_near(self, where: int, part: float) -> bool:
        """Whether a gradient is wrong by no more than a part of its size."""
        seen = self._compared(where, None, None)
        return seen is not None and seen[0] <= 8 * seen[1] + part * seen[3]

    def _compared(
        self, where: int, mask: Mask | None, gradient: Vector | None
    ) -> tuple[float, float, float, float] | None:
        """Return error, its bar, slope and size along a direction; None where there is no slope."""
        point = self.points[where]
        G = self.gradient[where] if gradient is None else gradient
        signs = self.rng.choice([-1.0, 1.0], point.shape)
        direction = self.rng.uniform(0.5, 1.5, point.shape) * signs
        seen = self.subject.masks[where]
        for limit in (mask, seen):
            if limit is not None:
                direction = np.where(limit, direction, 0.0)
        size = float(np.abs(point[np.isfinite(point)]).max(initial=0.0))
        scale = 2.0 ** round(np.log2(min(max(size, 2.0**-13), 1.0)))
        step = first_step(self.epsilon) * scale / (2 if self.epsilon < 1e-10 else 1)
        slopes = [self._central(where, direction * h) / (2 * h) for h in (step, step / 4)]
        parts = np.where(direction != 0, G, 0.0) * direction
        if not np.isfinite(slopes).all():
            return None
        slope = slopes[1] + (slopes[1] - slopes[0]) / 15
        weights = flat(self.cotangent) * flat(self.outputs)
        bar = abs(slopes[1] - slopes[0]) / 64 + 8 * self.epsilon * norm(weights) / step
        epsilon = max(coarsest_epsilon(self.subject.points), 2.0**-52)
        if not np.isfinite(parts).all():
            return np.inf, bar, slope, np.inf
        size = norm(parts)
        return abs(float(parts.sum()) - slope), bar + 32 * epsilon * size, slope, size

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

    def factor(self, where: int) -> float | None:
        """Return what the gradient of one input is, as a multiple of the true one.

        None where it is none: along two directions there are different factors.
        """
        G, step = self.gradient[where], first_step(self.epsilon) / 8
        ratios = []
        for _ in range(2):
            direction = np.sign(G) * self.rng.uniform(0.5, 1.5, G.shape)
            slopes = [self._central(where, direction * h) / (2 * h) for h in (step, step / 4)]
            slope = slopes[1] + (slopes[1] - slopes[0]) / 15
            ratios.append(float((direction * G).sum()) / slope if slope else np.inf)
        same = abs(ratios[0] - ratios[1]) <= 1e-3 * abs(ratios[0])
        return ratios[0] if same and np.isfinite(ratios[0]) else None

    def place(self, where: int, sets: bool) -> Where:
        """Return the smallest slice, or named set if `sets`, that is wrong in this input."""
        self._start = self.subject.forward_calls
        place, point = self.subject.floating[where], self.points[where]
        its_name = self.subject.floating_names[where]
        inside = np.ones(point.shape, dtype=bool)
        found: list[tuple[int, int, int]] = []
        for axis, length in enumerate(point.shape):
            start, stop = self._slice(where, axis, inside)
            if stop - start < length:
                found.append((axis, start, stop))
                index = np.indices(point.shape)[axis]
                inside &= (start <= index) & (index < stop)
        if sets and 4 * inside.sum() > inside.size:  # not where a slice says it better
            for name, mask in named_sets(self.subject, where, point):
                hit = not self._spent and self.agrees(where, ~mask)
                if hit and self.agrees(where, mask) is False:
                    return Where(place, None, None, None, name, f"{its_name}, only at {name}")
        if not found:
            return Where(place, None, None, None, None, f"{its_name}, everywhere")
        text = ", ".join(map(_in_words, found))
        axis, start, stop = min(found, key=lambda part: part[2] - part[1])
        return Where(place, axis, start, stop, None, f"{its_name}, only at {text}")

    @property
    def _spent(self) -> bool:
        return self.subject.forward_calls - self._start > _CALLS

    def _slice(self, where: int, axis: int, inside: Mask) -> tuple[int, int]:
        """Return where the wrong part of an axis begins and ends; all of it if both ends are."""
        length = self.points[where].shape[axis]
        index = np.indices(self.points[where].shape)[axis]

        def right(low: int, high: int) -> bool:
            if self._spent:
                return False
            return bool(self.agrees(where, (low <= index) & (index < high) & inside))

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

    def _central(self, where: int, move: Vector) -> float:
        values = []
        for sign in (1.0, -1.0):
            moved = list(self.points)
            # −inf, where it is masked, stays what it is.
            shifted = moved[where] + np.where(move != 0, sign * move, 0.0)
            moved[where] = shifted.astype(self.points[where].dtype)
            try:
                outputs = flat(self.subject.evaluate(tuple(moved)))
            except Ended:
                return float("nan")
            if outputs.size != flat(self.cotangent).size:
                return float("nan")
            values.append(outputs)
        return float(flat(self.cotangent) @ (values[0] - values[1]))


def _in_words(part: tuple[int, int, int]) -> str:
    axis, start, stop = part
    which = f"index {start}" if stop == start + 1 else f"indices {start} to {stop - 1}"
    return f"{which} along axis {axis}"


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
