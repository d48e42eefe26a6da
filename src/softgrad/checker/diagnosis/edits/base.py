"""The form of an edit: what a mistake in one step's derivative adds to that step's Jacobian."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from softgrad.checker.diagnosis.graph.graph import Change, Graph
from softgrad.checker.diagnosis.graph.local import Matrix, jacobian
from softgrad.checker.subject import Vector

__all__ = [
    "Changes",
    "Edit",
    "Places",
    "becomes",
    "capital",
    "derivative",
    "operand",
    "with_operand",
]

Changes = Callable[[Graph], list[Change]]
Places = Sequence[int]
Part = Callable[[Graph, int], Vector | None]


@dataclass(frozen=True)
class Edit:
    """A mistake: its name, its sentence, and what it changes in the graph at any point."""

    code: str
    message: str
    changes: Changes
    multiple: bool = False
    """Whether any multiple of the changes will do; the sentence then says which it is."""
    place: int | None = None
    """The step that is concerned, if it is one."""
    factor: int | None = None
    """A step that the one concerned is multiplied by, and which it does not take."""
    times: float | None = None
    """The multiple of a derivative that is added in all turns of a loop, if it is such an edit."""
    is_likely: bool = False
    """Whether it is so common that it may well come together with a wrong constant."""


def becomes(places: Places, k: int, other: Callable[[Graph, int], Matrix | None]) -> Changes:
    """Return the changes by which the Jacobians of steps in operand k become others."""

    def changes(graph: Graph) -> list[Change]:
        found = []
        for place in places:
            own, new = graph.locals.get((place, k)), other(graph, place)
            if own is None or new is None or new.shape != own.shape:
                return []
            found.append(Change(place, graph.before((place, k)), new - own))
        return found

    return changes


def with_operand(k: int, j: int, other: Part) -> Callable[[Graph, int], Matrix | None]:
    """Return a step's Jacobian in operand k, taken at other numbers for operand j."""

    def elsewhere(graph: Graph, place: int) -> Matrix | None:
        values, new = graph.values(place), other(graph, place)
        if new is None or new.shape != values[j].shape:
            return None
        values[j] = new
        try:
            with np.errstate(all="ignore"):
                found = jacobian(graph.steps[place], values, k)
        except Exception:  # the step is the user's, and the numbers are not
            return None
        return found if np.isfinite(found).all() else None

    return elsewhere


def derivative(graph: Graph, place: int, k: int) -> str:
    """Say which derivative is meant."""
    step, in_ = graph.steps[place], operand(graph, place, k)
    text = f"`{step.text}`" if step.text else f"a step ({step.name})"
    return f"the derivative of {text}" + (f" with respect to {in_}" if in_ else "")


def operand(graph: Graph, place: int, k: int) -> str:
    """Return an operand's expression; empty where it cannot be told."""
    step = graph.steps[place]
    if step.site is None:
        return ""
    # An array that stands there twice is one operand; a choice is none.
    arrays = [text for text in dict.fromkeys(step.site.operands()) if not _is_number(text)]
    arrays = arrays[1:] if step.name == "where" and len(arrays) > len(step.operands) else arrays
    # Of further arguments of a call, such as an axis, the first is the array.
    known = len(arrays) == len(step.operands) or (len(step.operands) == 1 and step.site.is_call)
    return f"`{arrays[k]}`" if arrays and known else ""


def capital(text: str) -> str:
    """Return a sentence that begins with a capital."""
    return text[0].upper() + text[1:]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
