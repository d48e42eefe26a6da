"""Right numbers in the wrong order: transposed, reversed, exchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations

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

__all__ = ["exchanged", "turned"]


def turned(graph: Graph, places: Places, k: int) -> Iterator[Edit]:
    """The other factor, what comes in or what goes out is transposed or reversed."""
    step = graph.steps[places[0]]
    text = derivative(graph, places[0], k)
    for j, other in enumerate(step.operands):
        if j != k:
            what = operand(graph, places[0], j) or "the other operand"
            for how, turn in _turns(graph.steps[other].value.shape):

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
    for how, turn in _turns(step.value.shape):

        def rows(graph: Graph, place: int, turn: Callable[..., Vector] = turn) -> Matrix:
            L, shape = graph.locals[place, k], graph.steps[place].value.shape
            order = turn(np.arange(L.shape[0]).reshape(shape)).ravel()
            return np.asarray(L[order])

        said = f"In {text} the incoming gradient {how}."
        yield Edit("axis", said, becomes(places, k, rows))
    for how, turn in _turns(own.shape):

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


def _turns(shape: tuple[int, ...]) -> Iterator[tuple[str, Callable[[Vector], Vector]]]:
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
        if step.name == "_item" and graph.moving[place]
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
