"""Sums over the uses of an array: one use alone is counted, or some are cut off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from softgrad.checker.diagnosis.edits.base import Edit, becomes, derivative
from softgrad.checker.diagnosis.graph.graph import Change, Edge, Graph
from softgrad.checker.diagnosis.graph.local import Matrix

__all__ = ["detached", "one_slice", "one_use", "reductions", "uncancelled", "unsummed"]

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh")


def one_use(graph: Graph, in_loops: bool) -> Iterator[Edit]:
    """Of several steps that take an array one alone is counted."""
    uses: dict[int, list[Edge]] = {}
    for edge in graph.locals:
        uses.setdefault(graph.before(edge), []).append(edge)
    for before, edges in uses.items():
        by_site: dict[object, list[Edge]] = {}
        for edge in edges:
            by_site.setdefault(graph.steps[edge[0]].site, []).append(edge)
        repeated = [turns for turns in by_site.values() if len(turns) > 1]
        groups = [edges] if bool(repeated) == in_loops and len(edges) > 1 + (not repeated) else []
        if in_loops and len(by_site) > 1:
            groups += repeated
        for group in groups:
            yield from _alone(graph, before, group, bool(repeated))
        for turns in repeated if in_loops else ():
            yield from _written_over(graph, before, turns)


def _written_over(graph: Graph, before: int, turns: Sequence[Edge]) -> Iterator[Edit]:
    """Of the turns that use an entry, such as a row of an embedding, one alone is counted."""
    touched = [np.abs(graph.locals[edge]).max(axis=0) > 0 for edge in turns]
    if np.sum(touched, axis=0).max(initial=0) <= 1:
        return
    for (which, order), within in product((("last", -1), ("first", 1)), (False, True)):

        def changes(graph: Graph, order: int = order, within: bool = within) -> list[Change]:
            taken, found = np.zeros(graph.steps[before].value.size, bool), []
            for place, k in turns[::order]:
                L = graph.locals[place, k]
                own = _last(L) if within and ((L != 0).sum(axis=1) <= 1).all() else L
                found.append(Change(place, before, own * ~taken - L))
                taken = taken | (np.abs(L).max(axis=0) > 0)
            return found

        name = graph.steps[before].label
        text = f"Entries of {name} that several turns use must get the sum over all of them, and "
        yield Edit("unreduced-broadcast", f"{text}they get the {which} one's alone.", changes)


def _alone(graph: Graph, before: int, edges: Sequence[Edge], same: bool) -> Iterator[Edit]:
    name = graph.steps[before].label
    counts = np.sum([np.abs(graph.locals[edge]).max(axis=0) > 0 for edge in edges], axis=0)
    are_parts = counts.max(initial=0) <= 1
    of, so = f"Of the uses of {name} the", "is counted, and all must be summed"
    if are_parts:
        of, so = f"Of the parts of {name} the", "has a gradient"
    # Of parts that the turns of a loop take, such as heads, others than one are left out.
    code = ("subset" if are_parts else "unreduced-broadcast") if same else "chain-term"
    for kept in edges if len(edges) <= 8 else (edges[0], edges[-1]):
        which = "last" if kept == edges[-1] else _ORDINALS[edges.index(kept)]
        rest = [edge for edge in edges if edge != kept]

        def changes(graph: Graph, rest: Sequence[Edge] = rest) -> list[Change]:
            return [Change(place, before, -graph.locals[place, k]) for place, k in rest]

        yield Edit(code, f"{of} {which} one alone {so}.", changes, place=before)


def unsummed(graph: Graph, places: Sequence[int], k: int) -> Iterator[Edit]:
    """Of the entries that are made of one entry, as by broadcasting, the last alone is counted."""
    own = graph.locals[places[0], k]
    if not ((own != 0).sum(axis=0) > 1).any() or not ((own != 0).sum(axis=1) <= 1).all():
        return
    for which in ("first", "last"):

        def alone(graph: Graph, place: int, which: str = which) -> Matrix:
            L = graph.locals[place, k]
            return _last(L) if which == "last" else _last(L[::-1])[::-1]

        text = f"In {derivative(graph, places[0], k)} uses of one entry are not summed: the {which}"
        yield Edit("unreduced-broadcast", f"{text} alone counts.", becomes(places, k, alone))
    for axis in range(graph.steps[places[0]].value.ndim - 1):

        def within(graph: Graph, place: int, axis: int = axis) -> Matrix:
            L, shape = graph.locals[place, k], graph.steps[place].value.shape
            slices = np.indices(shape)[axis].ravel()
            parts = (np.where((slices == i)[:, None], L, 0.0) for i in range(shape[axis]))
            return np.asarray(sum(map(_last, parts)))

        text = f"In {derivative(graph, places[0], k)} an entry that is used more than once at one"
        text += f" index of axis {axis} counts once there, as with index assignment."
        yield Edit("unreduced-broadcast", text, becomes(places, k, within))


def _last(L: Matrix) -> Matrix:
    """Return the last of the entries of every column that are not zero."""
    keep = np.zeros(L.shape, dtype=bool)
    keep[len(L) - 1 - (L != 0)[::-1].argmax(axis=0), np.arange(L.shape[1])] = True
    return np.asarray(np.where(keep, L, 0.0))


def one_slice(graph: Graph, places: Sequence[int], k: int) -> Iterator[Edit]:
    """Of the sum over an axis of what comes in, as over the rows of x W, one slice is counted."""
    own, shape = graph.locals[places[0], k], graph.steps[places[0]].value.shape
    for axis, length in enumerate(shape):
        reached = (
            np.abs(own.reshape(*shape, -1)).swapaxes(0, axis).reshape(length, -1, own.shape[1])
        )
        if ((reached.max(axis=1, initial=0) > 0).sum(axis=0) <= 1).all():
            continue
        for which, kept in (("last", -1), ("first", 0)):

            def alone(graph: Graph, place: int, axis: int = axis, kept: int = kept) -> Matrix:
                L, shape = graph.locals[place, k], graph.steps[place].value.shape
                index = np.indices(shape)[axis].ravel()
                return np.where((index == range(shape[axis])[kept])[:, None], L, 0.0)

            text = f"In {derivative(graph, places[0], k)} the sum over axis {axis} is not taken:"
            text += f" the {which} slice alone counts."
            yield Edit("unreduced-broadcast", text, becomes(places, k, alone))


def reductions(graph: Graph) -> Iterator[Edit]:
    """All sums and means of the forward at once: taken for constants, or times a number."""
    edges = [
        edge
        for edge in graph.locals
        if graph.steps[edge[0]].name in _REDUCE
        and graph.steps[edge[0]].value.size < graph.steps[graph.before(edge)].value.size
    ]
    for names in (("mean",), ("sum", "reduce"), _REDUCE):
        some = [edge for edge in edges if graph.steps[edge[0]].name in names]
        if len(some) < 2 or (names == _REDUCE and _of_one_kind(graph, some)):
            continue

        def changes(graph: Graph, edges: Sequence[Edge] = some) -> list[Change]:
            return [Change(edge[0], graph.before(edge), graph.locals[edge]) for edge in edges]

        what = " and ".join(dict.fromkeys(graph.steps[place].label for place, _ in some))
        yield Edit("chain-term", f"The derivative of {what} {{}}.", changes, multiple=True)


def uncancelled(graph: Graph) -> Iterator[Edit]:
    """Of a step that cancels, such as a maximum that is subtracted, some uses are counted."""
    for before in sorted(graph.idle):
        edges = [edge for edge in graph.locals if graph.before(edge) == before]
        for kept in edges if len(edges) > 1 and any(graph.edges[before]) else ():
            rest = [edge for edge in edges if edge != kept]

            def changes(graph: Graph, rest: Sequence[Edge] = rest) -> list[Change]:
                return [Change(edge[0], graph.before(edge), -graph.locals[edge]) for edge in rest]

            text = f"{graph.steps[before].label} cancels, and its derivative must not be counted:"
            said = f"{text} that of {graph.steps[kept[0]].label} with respect to it is."
            yield Edit("chain-term", said, changes)


def detached(graph: Graph) -> Iterator[Edit]:
    """What a library was told to take for a constant."""
    edges = [edge for edge in graph.locals if graph.steps[edge[0]].name == "detach"]
    if edges:

        def changes(graph: Graph) -> list[Change]:
            return [Change(edge[0], graph.before(edge), -graph.locals[edge]) for edge in edges]

        what = " and ".join(dict.fromkeys(graph.steps[place].label for place, _ in edges))
        text = f"The derivative of {what} is missing: it is taken for a constant."
        yield Edit("chain-term", text, changes)


def _of_one_kind(graph: Graph, edges: Sequence[Edge]) -> bool:
    return len({graph.steps[place].name for place, _ in edges}) == 1


_REDUCE = ("mean", "sum", "reduce", "var", "std", "norm")
