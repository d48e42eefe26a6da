"""Right numbers in the wrong order: transposed, reversed, exchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations, permutations

import numpy as np

from softgrad.checker.diagnosis.edits.base import (
    Edit,
    Places,
    becomes,
    capital,
    derivative,
    operand,
    with_operand,
)
from softgrad.checker.diagnosis.graph.graph import Change, Graph
from softgrad.checker.diagnosis.graph.local import Matrix
from softgrad.checker.subject import Vector

__all__ = ["exchanged", "rearranged", "turned", "turns"]


def turned(graph: Graph, places: Places, k: int) -> Iterator[Edit]:
    """The other factor, what comes in or what goes out is transposed or reversed."""
    step = graph.steps[places[0]]
    text = derivative(graph, places[0], k)
    for j, other in enumerate(step.operands):
        if j != k:
            what = operand(graph, places[0], j) or "the other operand"
            for how, turn in turns(graph.steps[other].value.shape):

                def part(
                    graph: Graph, place: int, j: int = j, turn: Callable[..., Vector] = turn
                ) -> Vector:
                    return turn(graph.values(place)[j])

                said = f"In {text} {what} {how}."
                yield Edit("axis", said, becomes(places, k, with_operand(k, j, part)))
            if len(places) > 1:
                yield Edit(
                    "axis", f"In {text} {what} is taken in reverse order.",
                    becomes(places, k, with_operand(k, j, _mirrored(places, j))),
                )  # fmt: skip
    own = graph.steps[step.operands[k]].value
    for how, turn in turns(step.value.shape):

        def rows(graph: Graph, place: int, turn: Callable[..., Vector] = turn) -> Matrix:
            L, shape = graph.locals[place, k], graph.steps[place].value.shape
            order = turn(np.arange(L.shape[0]).reshape(shape)).ravel()
            return np.asarray(L[order])

        said = f"In {text} the incoming gradient {how}."
        yield Edit("axis", said, becomes(places, k, rows))
    for how, turn in turns(own.shape):

        def columns(graph: Graph, place: int, turn: Callable[..., Vector] = turn) -> Matrix:
            L, shape = graph.locals[place, k], graph.values(place)[k].shape
            order = turn(np.arange(L.shape[1]).reshape(shape)).ravel()
            return np.asarray(L[:, order])

        said = f"In {text} what is passed on {how}."
        yield Edit("axis", said, becomes(places, k, columns))

    def transposed(graph: Graph, place: int) -> Matrix:
        return graph.locals[place, k].T

    said = f"{capital(text)} is applied where its transpose must be."
    yield Edit("axis", said, becomes(places, k, transposed))


def rearranged(graph: Graph, places: Places, k: int) -> Iterator[Edit]:
    """What moves entries alone moves them in another order."""
    own = graph.values(places[0])[k]
    L = graph.locals[places[0], k]
    if L.shape[0] != L.shape[1] or not np.array_equal(L @ L.T, np.eye(len(L))) or L.min() < 0:
        return
    text = f"In {derivative(graph, places[0], k)}"
    for axes in permutations(range(own.ndim)):

        def moved(graph: Graph, place: int, axes: tuple[int, ...] = axes) -> Matrix:
            value = graph.values(place)[k]
            order = np.arange(value.size).reshape(value.shape).transpose(axes).ravel()
            return np.eye(value.size)[order]

        how = "not at all" if axes == tuple(range(own.ndim)) else f"by the axes {axes}"
        said = f"{text} the entries are moved wrongly: {how}."
        if not np.array_equal(moved(graph, places[0]), L):
            yield Edit("axis", said, becomes(places, k, moved), place=places[0])


def turns(shape: tuple[int, ...]) -> Iterator[tuple[str, Callable[[Vector], Vector]]]:
    """Yield other orders of an array's entries that keep its shape."""
    for a, b in combinations(range(len(shape)), 2):
        if shape[a] == shape[b] > 1:
            yield "is transposed wrongly, or not at all", partial(np.swapaxes, axis1=a, axis2=b)
    for axis, length in enumerate(shape):
        if length > 1:
            yield f"stands in reverse order along axis {axis}", partial(np.flip, axis=axis)


def _mirrored(places: Places, j: int) -> Callable[[Graph, int], Vector]:
    def part(graph: Graph, place: int) -> Vector:
        return graph.values(places[-1 - list(places).index(place)])[j]

    return part


def exchanged(graph: Graph) -> Iterator[Edit]:
    """Two parts of an array whose gradients are swapped."""
    places = [
        place
        for place, step in enumerate(graph.steps)
        # Of single numbers, as of the turns of a loop, two are alike by luck.
        if step.name == "_item" and graph.moving[place] and step.value.size > 1
    ]
    for one, other in combinations(places, 2):
        a, b = graph.steps[one], graph.steps[other]
        if a.operands != b.operands or a.value.shape != b.value.shape:
            continue

        def changes(graph: Graph, one: int = one, other: int = other) -> list[Change]:
            L, K = graph.locals[one, 0], graph.locals[other, 0]
            before = graph.before((one, 0))
            return [Change(one, before, K - L), Change(other, before, L - K)]

        what = f"{a.label} and {b.label}" if a.label != b.label else f"two parts of {a.label}"
        yield Edit("axis", f"The gradients of {what} are swapped.", changes)
