"""Sums over the uses of an array: one use alone is counted, or some are cut off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from softgrad.checker.diagnosis.edits.base import Edit, becomes, derivative
from softgrad.checker.diagnosis.graph.graph import Change, Edge, Graph
from softgrad.checker.diagnosis.graph.local import Matrix

__all__ = ["detached", "one_use", "reductions", "unsummed"]


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


def _alone(graph: Graph, before: int, edges: Sequence[Edge], same: bool) -> Iterator[Edit]:
    name = graph.steps[before].label
    counts = np.sum([np.abs(graph.locals[edge]).max(axis=0) > 0 for edge in edges], axis=0)
    are_parts = counts.max(initial=0) <= 1
    text = f"Of the uses of {name} one alone is counted, and all must be summed."
    if are_parts:
        text = f"Of the parts of {name} one alone has a gradient."
    code = "unreduced-broadcast" if same and not are_parts else "chain-term"
    for kept in edges if len(edges) <= 8 else (edges[0], edges[-1]):
        rest = [edge for edge in edges if edge != kept]

        def changes(graph: Graph, rest: Sequence[Edge] = rest) -> list[Change]:
            return [Change(place, before, -graph.locals[place, k]) for place, k in rest]

        yield Edit(code, text, changes)


def unsummed(graph: Graph, places: Sequence[int], k: int) -> Iterator[Edit]:
    """Of the entries that are made of one entry, as by broadcasting, the last alone is counted."""
    own = graph.locals[places[0], k]
    if not ((own != 0).sum(axis=0) > 1).any() or not ((own != 0).sum(axis=1) <= 1).all():
        return
    for which in ("first", "last"):

        def alone(graph: Graph, place: int, which: str = which) -> Matrix:
            L = graph.locals[place, k]
            seen = L != 0
            order = seen.argmax(axis=0) if which == "first" else len(L) - 1 - seen[::-1].argmax(0)
            keep = np.zeros_like(seen)
            keep[order, np.arange(L.shape[1])] = True
            return np.where(keep, L, 0.0)

        text = f"In {derivative(graph, places[0], k)} uses of one entry are not summed: the {which}"
        yield Edit("unreduced-broadcast", f"{text} alone counts.", becomes(places, k, alone))


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
