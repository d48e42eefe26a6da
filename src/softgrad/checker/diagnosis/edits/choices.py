"""Steps that choose, by a mask or a comparison: the choice is reversed, or laid another way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain

import numpy as np

from softgrad.checker.diagnosis.edits.arrangement import turns
from softgrad.checker.diagnosis.edits.base import Edit, Places
from softgrad.checker.diagnosis.edits.replays import with_values
from softgrad.checker.diagnosis.graph.graph import Change, Edge, Graph
from softgrad.checker.subject import Vector

__all__ = ["choices", "other_masks"]

_SHIFTS = 3
"""The entries by which a mask may be moved."""

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
    said = f"{text} is made by what comes in, where that is positive, and must be made as before."
    yield Edit("wrong-variable", said, _by_what_comes_in(places), place=places[0])
    for how, turn in turns(step.value.shape):
        said = f"{text} {how}."
        yield Edit("axis", said, _changes(places, turn), place=places[0])


def _by_what_comes_in(places: Places) -> Callable[[Graph], list[Change]]:
    """Return what changes where a gradient that is positive is let through, and no other."""

    def changes(graph: Graph) -> list[Change]:
        found = []
        for place in places if len(graph.whole) == 1 else ():
            comes = graph.stretch(place, graph.outputs[0])[0] > 0
            for edge in graph.edges[place]:
                chosen = _chosen(graph, edge)
                if chosen is None:
                    return []
                s, mask = chosen
                new = comes if edge == graph.edges[place][0] else ~comes
                delta = np.diag(s * (new - mask.ravel()))
                found.append(Change(place, graph.before(edge), delta))
        return found

    return changes


def other_masks(graph: Graph, places: Places, k: int) -> Iterator[Edit]:
    """Yield what a mask before a softmax may be taken for, there and in all that comes after."""
    step, edges = graph.steps[places[0]], graph.edges[places[0]]
    if step.name != "where" or len(edges) != 1 or _chosen(graph, edges[0]) is None:
        return
    said = f"In place of the mask of {step.label}"
    for again, but in ((True, ""), (False, ", and it is not applied to the answer")):
        text = f"{said} a product stands: what is left out counts as 0{but}."
        yield Edit("subset", text, _masked(places, lambda mask: mask, 0.0, again))
    length = step.value.shape[-1] if step.value.ndim else 0
    for by in chain(range(1, min(length, _SHIFTS + 1)), range(-1, -min(length, _SHIFTS + 1), -1)):
        text = f"{said} stands one that is moved by {by} along the last axis."
        for again in (True, False):
            moved = partial(_shifted, by=by)
            yield Edit("subset", text, _masked(places, moved, None, again))


def _shifted(mask: Vector, by: int) -> Vector:
    """Return a mask that begins so many entries later, or earlier, in every row."""
    length = mask.shape[-1]
    return mask[..., np.clip(np.arange(length) - by, 0, length - 1)]


def _masked(
    places: Places, of: _Chosen, fill: float | None, again: bool
) -> Callable[[Graph], list[Change]]:
    """Return what changes from a mask on where it is another one, or fills with other numbers.

    `again`: the answer is masked once more, as it must be; else as the numbers were.
    """

    def changes(graph: Graph) -> list[Change]:
        values, known = {}, {}
        for place in places:
            (edge,) = graph.edges[place]
            chosen, step = _chosen(graph, edge), graph.steps[place]
            if chosen is None:
                return []
            mask, own = of(chosen[1]), graph.values(place)[edge[1]]
            filled = step.value[chosen[1] == 0].min() if fill is None else fill
            values[place] = np.where(mask > 0, own, filled)
            if not again:
                known[edge] = np.diag(mask.ravel()) if fill is None else np.eye(mask.size)
        rest = with_values(graph, values, known)
        return rest if any(change.delta.any() for change in rest) else []

    return changes


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
