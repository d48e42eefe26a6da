"""A mistake that is made in a part: in some of a step's uses, or for one operand alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np

from softgrad.checker.diagnosis.edits.base import Edit, operand
from softgrad.checker.diagnosis.graph.graph import Change, Edge, Graph

__all__ = ["calls_passed_over", "for_operands", "in_uses", "meets_its_sums", "passed_over"]

_MOST_USES = 4
"""Of more uses than these each is tried alone."""
_DEPTH = 4
"""Steps between a mistake and the operand that it is made for."""
_FAR = 12
"""The same where each of them has one operand."""

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
            code = "projection-term" if meets_its_sums(graph, end) else edit.code
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


def calls_passed_over(graph: Graph) -> Iterator[Edit]:
    """Yield calls of the user's functions, each and all of one function, as if they were not there.

    Such a function takes one array and returns one of its shape.
    """
    by_function: dict[object, list[tuple[int, int]]] = {}
    for function, steps in _calls(graph):
        inside, after = set(steps), steps[-1]
        given = {graph.before(edge) for place in steps for edge in graph.edges[place]} - inside
        shapes = {graph.steps[place].value.shape for place in (*given, after)}
        if len(given) == len(shapes) == 1 and graph.moving[after] and len(steps) > 1:
            by_function.setdefault(function, []).append((*given, after))  # type: ignore[arg-type]
    for calls in by_function.values():
        for group in [[one] for one in calls] + ([calls] if len(calls) > 1 else []):

            def changes(graph: Graph, group: list[tuple[int, int]] = group) -> list[Change]:
                pairs = [(after, before, graph.stretch(before, after)) for before, after in group]
                return [Change(after, before, np.eye(len(J)) - J) for after, before, J in pairs]

            what = " and ".join(dict.fromkeys(graph.steps[after].label for _, after in group))
            text = f"What comes back to {what} is passed on as it is: the function that returns it"
            yield Edit("chain-term", f"{text} is not differentiated.", changes, place=group[0][1])


def _calls(graph: Graph) -> Iterator[tuple[object, list[int]]]:
    """Yield every call of a user's function within the forward, and the steps that it takes."""
    calls: dict[tuple[object, object], list[int]] = {}
    for place, step in enumerate(graph.steps):
        frames = step.site.calls if step.site is not None and step.function is not None else ()
        for depth in range(1, len(frames)):
            calls.setdefault((frames[depth - 1][0], frames[depth:]), []).append(place)
    for (function, _), steps in calls.items():
        if steps == list(range(steps[0], steps[-1] + 1)):
            yield function, steps


def _paths_of(graph: Graph, places: Iterable[int]) -> dict[Path, int]:
    """Return the ways back from steps, as of all turns of a loop, and a step that has each."""
    return {path: place for place in places for path in _paths(graph, place)}


def _paths(graph: Graph, place: int, path: Path = (), forks: int = 0) -> Iterator[Path]:
    """Yield the ways back from a step to one of several operands."""
    edges = graph.edges[place]
    near = len(path) < _DEPTH or (len(path) < _FAR and not forks)
    for edge in edges if near else ():
        longer = (*path, edge[1])
        if len(edges) > 1:
            yield longer
        yield from _paths(graph, graph.before(edge), longer, forks + (len(edges) > 1))


def _end(graph: Graph, place: int, path: Path) -> Edge:
    """Return the step that takes the array at the end of a path, and as which operand."""
    *way, last = path
    for k in way:
        place = graph.steps[place].operands[k]
    return place, last


def meets_its_sums(graph: Graph, end: Edge) -> bool:
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
