"""Right numbers in the wrong order: transposed, reversed, exchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
from softgrad.checker.diagnosis.edits.replays import with_values
from softgrad.checker.diagnosis.graph.graph import Change, Edge, Graph
from softgrad.checker.diagnosis.graph.local import Matrix
from softgrad.checker.subject import Vector

__all__ = ["copied", "exchanged", "rearranged", "turned", "turns"]


_JOINS = ("concatenate", "stack", "hstack", "vstack")


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


def copied(graph: Graph, places: Places, k: int) -> Iterator[Edit]:
    """Copies of entries lie a period apart where they must be neighbours, or the reverse."""
    step, own = graph.steps[places[0]], graph.values(places[0])[k]
    laid = _copies(graph.locals[places[0], k], own.shape, step.value.shape)
    if laid is None:
        return
    axis, times, neighbours = laid
    n = own.shape[axis]
    j = np.arange(n * times)
    order = (j % n) * times + j // n if neighbours else j // times + n * (j % times)
    how = ("a period apart", "neighbours") if neighbours else ("neighbours", "a period apart")
    said = f"of {step.label} along axis {axis} are taken to be {how[0]}, and are {how[1]}"

    def rows(graph: Graph, place: int) -> Matrix:
        shape = graph.steps[place].value.shape
        moved = np.arange(int(np.prod(shape))).reshape(shape).take(order, axis)
        return np.asarray(graph.locals[place, k][moved.ravel()])

    def values(graph: Graph) -> list[Change]:
        return with_values(graph, {n: graph.steps[n].value.take(order, axis) for n in places})

    in_sum, whole = becomes(places, k, rows), f"The copies {said}"
    yield Edit("axis", f"{whole}, where their gradients are summed.", in_sum, place=places[0])
    yield Edit("axis", f"{whole}, where they are used.", values, place=places[0])

    def both(graph: Graph) -> list[Change]:
        return [*in_sum(graph), *values(graph)]

    yield Edit("axis", f"{whole}.", both, place=places[0])


def _copies(
    L: Matrix, shape: tuple[int, ...], out: tuple[int, ...]
) -> tuple[int, int, bool] | None:
    """Return the axis along which entries are copied, how often, and whether as neighbours."""
    longer = [axis for axis, (n, m) in enumerate(zip(shape, out, strict=False)) if n != m]
    if len(shape) != len(out) or len(longer) != 1 or out[longer[0]] % shape[longer[0]]:
        return None
    axis, times = longer[0], out[longer[0]] // shape[longer[0]]
    index = np.arange(int(np.prod(shape))).reshape(shape)
    for neighbours in (True, False):
        tiled = np.concatenate([index] * times, axis)
        source = np.repeat(index, times, axis) if neighbours else tiled
        if shape[axis] > 1 and np.array_equal(L, np.eye(index.size)[source.ravel()]):
            return axis, times, neighbours
    return None


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
    """Two parts of an array whose gradients are swapped, in one turn of a loop or in all."""
    parts: dict[int, list[int]] = {}
    for place, step in enumerate(graph.steps):
        # Of single numbers, as of the turns of a loop, two are alike by luck.
        if step.name == "_item" and graph.moving[place] and step.value.size > 1:
            parts.setdefault(step.operands[0], []).append(place)
    turns: dict[object, list[tuple[int, int]]] = {}
    for array, places in parts.items():
        for (i, one), (j, other) in combinations(enumerate(places), 2):
            if graph.steps[one].value.shape == graph.steps[other].value.shape:
                yield _swap(graph, [(one, other)])
                turns.setdefault((graph.steps[array].site, i, j), []).append((one, other))
    yield from (_swap(graph, pairs) for pairs in turns.values() if len(pairs) > 1)
    for place, step in enumerate(graph.steps):
        edges = graph.edges[place] if step.name in _JOINS else []
        for own, its in combinations(edges, 2):
            if graph.locals[own].shape == graph.locals[its].shape:
                yield _swap_joined(graph, own, its)


def _swap_joined(graph: Graph, one: Edge, other: Edge) -> Edit:
    def changes(graph: Graph) -> list[Change]:
        delta = graph.locals[other] - graph.locals[one]
        places = graph.before(one), graph.before(other)
        return [Change(one[0], places[0], delta), Change(one[0], places[1], -delta)]

    a, b = (graph.steps[graph.before(edge)].label for edge in (one, other))
    text = f"The parts of {graph.steps[one[0]].label} are exchanged"
    return Edit("axis", f"{text}: {a} has the gradient of {b}, and {b} that of {a}.", changes)


def _swap(graph: Graph, pairs: Sequence[tuple[int, int]]) -> Edit:
    def changes(graph: Graph) -> list[Change]:
        found = []
        for one, other in pairs:
            L, K = graph.locals[one, 0], graph.locals[other, 0]
            before = graph.before((one, 0))
            found += [Change(one, before, K - L), Change(other, before, L - K)]
        return found

    a, b = (graph.steps[place] for place in pairs[0])
    what = f"{a.label} and {b.label}" if a.label != b.label else f"two parts of {a.label}"
    return Edit("axis", f"The gradients of {what} are swapped.", changes)
