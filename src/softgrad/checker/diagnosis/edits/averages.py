"""Sums and means that come back to what they were taken of: taken over other axes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, product

import numpy as np

from softgrad.checker.diagnosis.edits.base import Edit
from softgrad.checker.diagnosis.graph.graph import Change, Graph
from softgrad.checker.diagnosis.graph.local import Matrix
from softgrad.checker.diagnosis.view import differ_along

__all__ = ["other_axes"]


@dataclass(frozen=True)
class _Average:
    """Entries that are summed along axes, and where every sum meets the entries again."""

    place: int
    before: int
    axes: tuple[int, ...]
    meets: tuple[tuple[int, int], ...]
    """The steps of the array's own shape that take it, and the step of the sums' size before."""


def other_axes(graph: Graph) -> Iterator[Edit]:
    """Yield averages over other axes, one alone and all that are over the same ones."""
    found = list(_found(graph))
    groups: list[list[_Average]] = [[one] for one in found]
    by_axes: dict[tuple[tuple[int, ...], int], list[_Average]] = {}
    for one in found:
        by_axes.setdefault((one.axes, graph.steps[one.before].value.ndim), []).append(one)
    groups += [group for group in by_axes.values() if len(group) > 1]
    for group in groups:
        shape = graph.steps[group[0].before].value.shape
        for axes in _subsets(len(shape)):
            if axes == group[0].axes:
                continue
            for is_mean, how in product((True, False), range(3)):

                def changes(
                    graph: Graph,
                    group: Sequence[_Average] = group,
                    axes: tuple[int, ...] = axes,
                    is_mean: bool = is_mean,
                    how: int = how,
                ) -> list[Change]:
                    parts = [_changes(graph, one, axes, is_mean, how) for one in group]
                    return list(chain.from_iterable(parts)) if all(parts) else []

                what = " and ".join(dict.fromkeys(graph.steps[one.place].label for one in group))
                text = f"In the derivative of {what} the sum is taken over axis {_said(axes)}"
                yield Edit("axis", f"{text}, not over {_said(group[0].axes)}.", changes)


def _said(axes: tuple[int, ...]) -> str:
    return " and ".join(map(str, axes))


def _subsets(n: int) -> Iterator[tuple[int, ...]]:
    for count in range(1, n + 1):
        yield from combinations(range(n), count)


def _changes(
    graph: Graph, one: _Average, axes: tuple[int, ...], is_mean: bool, how: int
) -> list[Change]:
    shape = graph.steps[one.before].value.shape
    own, other = (differ_along(shape, each) for each in (one.axes, axes))
    M = graph.locals[one.place, 0]
    weight = float(M.max()) * (own[0].sum() / other[0].sum() if is_mean else 1.0)
    found = []
    for after, last in one.meets:
        edge = after, graph.steps[after].operands.index(last)
        at = graph.locals[edge].sum(axis=1)
        whole = at * (np.diag(graph.stretch(one.place, last)) @ (M != 0))
        # In the backward a part is multiplied before the sum; the rest, one number a sum, after it.
        inside = (at, whole, graph.steps[after].value.ravel())[how]
        with np.errstate(all="ignore"):
            outside = whole / inside
        if not np.allclose(own @ outside, own.sum(axis=1) * outside, rtol=1e-6, atol=0):
            return []
        right = M.max() * whole[:, None] * own
        found.append(Change(after, one.before, weight * inside[:, None] * other * outside - right))
    return found


def _found(graph: Graph) -> Iterator[_Average]:
    for place, step in enumerate(graph.steps):
        if (place, 0) not in graph.locals or len(step.operands) != 1:
            continue
        before = step.operands[0]
        shape = graph.steps[before].value.shape
        axes = _axes(graph.locals[place, 0], shape)
        meets = tuple(_meets(graph, place, before)) if axes else ()
        if meets:
            yield _Average(place, before, axes, meets)


def _axes(M: Matrix, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the axes that a Jacobian of equal numbers sums over; none if it is no such."""
    if not len(M) < M.shape[1] or np.ptp(M[M != 0]) > 1e-9 * np.abs(M).max(initial=0):
        return ()
    pattern = (M != 0).astype(np.float64)
    for axes in _subsets(len(shape)):
        if np.array_equal(pattern.T @ pattern, differ_along(shape, axes)):
            return tuple(axis for axis in axes if shape[axis] > 1)
    return ()


def _meets(graph: Graph, place: int, before: int) -> Iterator[tuple[int, int]]:
    """Yield the steps at which what is made of the sums alone, one by one, is laid on an array."""
    shape = graph.steps[before].value.shape
    laid = np.argmax(graph.locals[place, 0] != 0, axis=0)  # every entry's sum
    made, count = {place}, graph.steps[place].value.size
    for after in range(place + 1, len(graph.steps)):
        step = graph.steps[after]
        for j, last in enumerate(step.operands):
            if last not in made or (after, j) not in graph.locals:
                continue
            L = graph.locals[after, j]
            rest = np.ones_like(L, dtype=bool)
            if step.value.shape == shape and L.shape == (laid.size, count):
                rest[np.arange(laid.size), laid] = False
                if not L[rest].any():
                    yield after, last
            elif L.shape == (count, count) and not (L - np.diag(np.diag(L))).any():
                made.add(after)
