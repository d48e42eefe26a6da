"""Steps that choose, by a mask or a comparison: the choice is reversed, or laid another way."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from softgrad.checker.diagnosis.edits.arrangement import turns
from softgrad.checker.diagnosis.edits.base import Edit, Places
from softgrad.checker.diagnosis.graph.graph import Change, Edge, Graph
from softgrad.checker.subject import Vector

__all__ = ["choices"]

_Chosen = Callable[[Vector], Vector]
"""What becomes of an array of 0 and 1."""


def choices(graph: Graph, places: Places, k: int) -> Iterator[Edit]:
    """Yield the mistakes of a step that lets some entries through, and others not."""
    step = graph.steps[places[0]]
    edges = graph.edges[places[0]]
    if edges[0][1] != k or any(_chosen(graph, edge) is None for edge in edges):
        return
    text = f"In the derivative of {step.label} the choice"
    said = f"{text} is reversed: it lets through what it must stop."
    yield Edit("subset", said, _changes(places, lambda mask: 1 - mask), place=places[0])
    for how, turn in turns(step.value.shape):
        said = f"{text} {how}."
        yield Edit("axis", said, _changes(places, turn), place=places[0])


def _chosen(graph: Graph, edge: Edge) -> tuple[float, Vector] | None:
    """Return the one number but 0 that a diagonal holds, and where; None where it is no such."""
    L, shape = graph.locals[edge], graph.steps[edge[0]].value.shape
    if L.shape[0] != L.shape[1]:
        return None
    d = np.diag(L)
    s = float(d[np.abs(d).argmax()])
    if (np.diag(d) != L).any() or not np.isin(d, (0.0, s)).all() or d.all():
        return None
    return s, (d != 0).astype(np.float64).reshape(shape)


def _changes(places: Places, of: _Chosen) -> Callable[[Graph], list[Change]]:
    def changes(graph: Graph) -> list[Change]:
        found = []
        for place in places:
            for edge in graph.edges[place]:
                chosen = _chosen(graph, edge)
                if chosen is None:
                    return []
                s, mask = chosen
                delta = np.diag(s * (of(mask) - mask).ravel())
                found.append(Change(place, graph.before(edge), delta))
        return found

    return changes
