"""A mistake that is made in a part: in some of a step's uses, or for one operand alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np

from softgrad.checker.diagnosis.edits.base import Edit, operand
from softgrad.checker.diagnosis.graph.graph import Change, Edge, Graph

__all__ = ["for_operands", "in_uses", "passed_over"]

_MOST_USES = 4
"""Of more uses than these each is tried alone."""
_DEPTH = 4
"""Steps between a mistake and the operand that it is made for."""

Path = tuple[int, ...]
"""Which operand, from step to step."""


def in_uses(graph: Graph, edits: Iterable[Edit], after: int) -> Iterator[Edit]:
    """Yield edits of a step as they are where some of its uses alone are derived so."""
    uses = [edge for edge in graph.locals if graph.before(edge) == after]
    counts = range(1, len(uses) if len(uses) <= _MOST_USES else 2)
    some = [group for count in counts for group in combinations(uses, count)]
    for edit in edits if len(uses) > 1 else ():
        for group in some:

            def changes(
                graph: Graph, edit: Edit = edit, group: tuple[Edge, ...] = group
            ) -> list[Change]:
                return [
                    Change(use[0], change.before, graph.locals[use] @ change.delta)
                    for use in group
                    for change in edit.changes(graph)
                ]

            where = " and ".join(dict.fromkeys(graph.steps[use[0]].label for use in group))
            code = "chain-term" if edit.code == "identity" else edit.code
            said = f"As far as it comes from {where}: {edit.message}"
            yield Edit(code, said, changes, place=group[0][0])


def for_operands(graph: Graph, edits: Iterable[Edit]) -> Iterator[Edit]:
    """Yield edits as they are where one array alone, of those a step is made of, meets them."""
    for edit in edits:
        of = [change.before for change in edit.changes(graph)]
        for path, place in _paths_of(graph, of).items() if not edit.multiple else ():

            def changes(graph: Graph, edit: Edit = edit, path: Path = path) -> list[Change]:
                found = [_followed(graph, change, path) for change in edit.changes(graph)]
                return [change for change in found if change is not None]

            end = _end(graph, place, path)
            name = operand(graph, *end) or graph.steps[graph.before(end)].label
            code = "projection-term" if _comes_back(graph, end) else edit.code
            said = f"For {name} alone: {edit.message}"
            yield replace(edit, code=code, message=said, changes=changes)


def passed_over(graph: Graph) -> Iterator[Edit]:
    """Yield all that comes after a sum, as if it were not there."""
    for before, step in enumerate(graph.steps):
        if step.name not in ("add", "subtract") or len(graph.edges[before]) < 2:
            continue
        shape = step.value.shape
        for after in sorted(graph.after(before) - {before}) if shape else ():
            if graph.steps[after].value.shape == shape:

                def changes(graph: Graph, after: int = after, before: int = before) -> list[Change]:
                    J = graph.stretch(before, after)
                    # What comes through nowhere is nothing that could be passed over.
                    return [Change(after, before, np.eye(len(J)) - J)] if np.diag(J).all() else []

                text = f"What comes back to {graph.steps[after].label} is passed on to {step.label}"
                yield Edit("chain-term", f"{text} as it is.", changes, place=after)


def _paths_of(graph: Graph, places: Iterable[int]) -> dict[Path, int]:
    """Return the ways back from steps, as of all turns of a loop, and a step that has each."""
    return {path: place for place in places for path in _paths(graph, place)}


def _paths(graph: Graph, place: int, path: Path = ()) -> Iterator[Path]:
    """Yield the ways back from a step to one of several operands."""
    edges = graph.edges[place]
    for edge in edges if len(path) < _DEPTH else ():
        longer = (*path, edge[1])
        if len(edges) > 1:
            yield longer
        yield from _paths(graph, graph.before(edge), longer)


def _end(graph: Graph, place: int, path: Path) -> Edge:
    """Return the step that takes the array at the end of a path, and as which operand."""
    *way, last = path
    for k in way:
        place = graph.steps[place].operands[k]
    return place, last


def _comes_back(graph: Graph, end: Edge) -> bool:
    """Whether an operand is made of sums of another one, which it meets, as in log_softmax."""
    place, k = end
    sums, shape = graph.steps[place].operands[k], graph.steps[place].value.shape
    others = [graph.before(edge) for edge in graph.edges[place] if edge[1] != k]
    same = [other for other in others if graph.steps[other].value.shape == shape]
    fewer = graph.steps[sums].value.size < graph.steps[place].value.size
    return fewer and any(_share(graph, one, sums) for one in same)


def _share(graph: Graph, one: int, other: int) -> bool:
    """Whether two steps are made of one."""
    return any({one, other} <= graph.after(n) for n in range(min(one, other) + 1))


def _followed(graph: Graph, change: Change, path: Path) -> Change | None:
    """Return a change as one in the array at the end of a path; None where that is a constant."""
    delta, before = change.delta, change.before
    for k in path:
        if (before, k) not in graph.locals:
            return None
        delta, before = delta @ graph.locals[before, k], graph.steps[before].operands[k]
    return Change(change.after, before, delta)
