"""Turns of a loop that take what belongs to another turn: its label, its mask, its weight."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from softgrad.checker.diagnosis.edits.base import Edit, Places, derivative
from softgrad.checker.diagnosis.edits.picks import is_pick
from softgrad.checker.diagnosis.graph.graph import Change, Graph

__all__ = ["not_carried", "of_other_turns"]

_OTHERS: dict[str, Callable[[int, int], int]] = {
    "first": lambda turn, count: 0,
    "last": lambda turn, count: count - 1,
    "previous": lambda turn, count: max(turn - 1, 0),
    "next": lambda turn, count: min(turn + 1, count - 1),
}
"""Of which turn something is taken, by a turn and how many there are."""
_FEW = 3
"""Of two entries all that is not the right one is the other, whatever mistake it was."""


def of_other_turns(graph: Graph, places: Places, k: int) -> Iterator[Edit]:
    """Yield what a turn takes of another one: the entries that are picked, or a constant."""
    step, of_step = graph.steps[places[0]], graph.before((places[0], k))
    picks = all(is_pick(graph, place) for place in places)
    by_constant = step.name == "multiply" and not _is_square(graph, places[0], k)
    by_constant = by_constant and not any(graph.moving[n] for n in step.operands if n != of_step)
    if len(places) < 2 or not (picks or by_constant):
        return
    if picks and graph.steps[of_step].value.size < _FEW:
        return
    code = "wrong-variable"
    if not picks and all(_is_mask(graph, place, k) for place in places):
        code = "subset"
    what = "the entries that are picked are" if picks else "the constant is"
    for which, of in _OTHERS.items():

        def changes(graph: Graph, of: Callable[[int, int], int] = of) -> list[Change]:
            own = [graph.locals[place, k] for place in places]
            new = [own[of(turn, len(own))] for turn in range(len(own))]
            if any(L.shape != own[0].shape for L in own):
                return []
            triples = zip(places, own, new, strict=True)
            return [Change(place, graph.before((place, k)), M - L) for place, L, M in triples]

        text = f"In {derivative(graph, places[0], k)} {what} that of the {which} turn of the loop"
        if picks:
            text = text.replace("are that of", "are those of")
        yield Edit(code, f"{text}, and must be its own.", changes, place=places[0])


def not_carried(graph: Graph, places: Places, k: int) -> Iterator[Edit]:
    """Yield a loop whose turns get nothing of what the next one makes of their result."""
    before = [graph.before((place, k)) for place in places]
    carried = [place for place, of in zip(places, before, strict=True) if _is_of_turn(graph, of)]
    if 0 < len(carried) < len(places):
        what = graph.steps[graph.before((carried[0], k))].label

        def changes(graph: Graph) -> list[Change]:
            edges = [(place, k) for place in carried]
            return [Change(e[0], graph.before(e), -graph.locals[e]) for e in edges]

        text = f"What the next turn of the loop gives back to {what} is not added to what it has"
        said = f"{text} of its own turn: {derivative(graph, places[0], k)} is missing."
        yield Edit("chain-term", said, changes, place=carried[0])


def _is_of_turn(graph: Graph, place: int) -> bool:
    """Whether a step is written in a loop, as what is given before the first turn is not."""
    own = graph.steps[place]
    sites = [step.site for step in graph.steps if step.function is not None]
    return own.function is not None and sites.count(own.site) > 1


def _is_square(graph: Graph, place: int, k: int) -> bool:
    """Whether an array is multiplied by itself, which no constant does."""
    step = graph.steps[place]
    return len(step.operands) == 1 and np.array_equal(step.value, graph.values(place)[k] ** 2)


def _is_mask(graph: Graph, place: int, k: int) -> bool:
    return bool(np.isin(graph.locals[place, k], (0.0, 1.0)).all())
