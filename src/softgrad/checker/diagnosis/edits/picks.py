"""Steps that pick entries of an array, such as the scores of the labels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from softgrad.checker.diagnosis.edits.base import Edit, Places, becomes, derivative
from softgrad.checker.diagnosis.graph.graph import Change, Graph
from softgrad.checker.diagnosis.graph.local import Matrix
from softgrad.checker.subject import Vector

__all__ = ["counted_once", "is_pick", "last_of_row", "next_to", "picked_of"]


def is_pick(graph: Graph, place: int) -> bool:
    """Whether a step takes some entries of an array out of their rows, and no slice of it."""
    L = graph.locals.get((place, 0))
    if L is None or graph.steps[place].name not in ("_item", "diagonal", "take_along_axis"):
        return False
    if not ((L != 0).sum(axis=1) == 1).all() or len(L) >= L.shape[1]:
        return False
    shape = graph.values(place)[0].shape
    taken = np.unravel_index(np.flatnonzero(L.any(axis=0)), shape)
    box = np.prod([np.unique(index).size for index in taken])
    return bool(box > taken[0].size) or graph.steps[place].value.size == 1


def picked_of(graph: Graph, place: int) -> Iterator[int]:
    """Yield the picks of an array, or of one that is made of it.

    Both have one shape: as logits and their log_softmax.
    """
    shape = graph.steps[place].value.shape
    for pick, step in enumerate(graph.steps):
        if not is_pick(graph, pick):
            continue
        of = step.operands[0]
        if graph.steps[of].value.shape == shape and (
            of in graph.after(place) or place in graph.after(of)
        ):
            yield pick


def next_to(graph: Graph, places: Places, k: int) -> Iterator[Edit]:
    """The entry before or after the one that is picked: labels that count from 1."""
    if not all(is_pick(graph, place) for place in places):
        return
    text = f"In {derivative(graph, places[0], k)} the entry"
    for axis, length in enumerate(graph.values(places[0])[0].shape):
        for which, by in (("before", -1), ("after", 1)) if length > 2 else ():

            def moved(graph: Graph, place: int, axis: int = axis, by: int = by) -> Matrix:
                shape = graph.values(place)[0].shape
                order = np.roll(np.arange(int(np.prod(shape))).reshape(shape), -by, axis).ravel()
                return graph.locals[place, 0][:, np.argsort(order)]

            said = f"{text} {which} the one that is picked gets it, along axis {axis}."
            yield Edit("subset", said, becomes(places, k, moved), place=places[0])


def last_of_row(graph: Graph, places: Places, k: int) -> Iterator[Edit]:
    """Of several entries that are picked in a row, as of the words around one, one alone counts."""
    shape = graph.steps[places[0]].value.shape
    if len(shape) < 2 or not all(is_pick(graph, place) for place in places):
        return
    text = f"In {derivative(graph, places[0], k)} the sum over axis {len(shape) - 1} is not taken:"
    for which, kept in (("last", -1), ("first", 0)):

        def alone(graph: Graph, place: int, kept: int = kept) -> Matrix:
            L, shape = graph.locals[place, k], graph.steps[place].value.shape
            index = np.indices(shape)[-1].ravel()
            return np.where((index == range(shape[-1])[kept])[:, None], L, 0.0)

        said = f"{text} the {which} entry that is picked in a row alone counts."
        yield Edit("unreduced-broadcast", said, becomes(places, k, alone), place=places[0])


def counted_once(graph: Graph) -> Iterator[Edit]:
    """Of the uses of an entry all count alike or not at all, and they are taken for one.

    As of the score of the label in a loss of margins: −1 stands where −Σ 1[margin > 0] must.
    """
    if len(graph.whole) != 1:
        return
    for after, k in graph.locals:
        L = graph.locals[after, k]
        if ((L != 0).sum(axis=0) > 1).all() and _size_of_uses(graph, after, L) is not None:

            def changes(graph: Graph, after: int = after, k: int = k) -> list[Change]:
                L, output = graph.locals[after, k], graph.outputs[0]
                size = _size_of_uses(graph, after, L)
                if size is None:
                    return []
                before = graph.before((after, k))
                alone = np.full((1, L.shape[1]), size)
                return [Change(output, before, alone - _effect(graph, after) @ L)]

            text = f"In {derivative(graph, after, k)} the uses of one entry are not summed: they"
            code = "subset" if _is_of_pick(graph, after, k) else "unreduced-broadcast"
            yield Edit(code, f"{text} are counted as one.", changes, place=after)


def _effect(graph: Graph, place: int) -> Matrix:
    return graph.stretch(place, graph.outputs[0])


def _size_of_uses(graph: Graph, after: int, L: Matrix) -> float | None:
    """Return what one use of an entry counts, where all that count do so alike."""
    uses: Vector = _effect(graph, after).T * L
    counting = uses[uses != 0]
    alike = counting.size > 1 and np.ptp(counting) <= 1e-9 * np.abs(counting).max()
    # Where all uses count, as in a mean, one alone is another mistake.
    some = bool(((uses == 0) & (L != 0)).any())
    return float(counting[0]) if alike and some else None


def _is_of_pick(graph: Graph, after: int, k: int) -> bool:
    place = graph.before((after, k))
    while not is_pick(graph, place):
        if graph.steps[place].name not in ("_item", "reshape", "expand_dims"):
            return False
        place = graph.steps[place].operands[0]
    return True
