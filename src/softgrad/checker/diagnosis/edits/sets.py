"""What comes back to a step is wrong by one factor in a set of entries, and by another outside."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from softgrad.checker.diagnosis.edits.base import Changes, Edit
from softgrad.checker.diagnosis.edits.case import Case
from softgrad.checker.diagnosis.graph.graph import Change, Graph
from softgrad.checker.subject import Vector

__all__ = ["in_sets"]

_WORDS = ((0.0, "is missing"), (1.0, "is right"), (2.0, "is doubled"), (-1.0, "has the wrong sign"))


def in_sets(case: Case) -> Iterator[Edit]:
    """Yield the two factors that explain an error, for every step and every set that fits it."""
    graph = case.graph
    for place, step in enumerate(graph.steps if case.has_many else ()):
        if not graph.moving[place] or step.value.ndim == 0:
            continue
        for given, name in _sets(graph, step.value.shape):
            factors = _factors(case, place, given)
            if factors is None:
                continue
            inside, outside = map(_said, factors)
            text = f"What comes back to {step.label} {inside} where {name}, and {outside} elsewhere"
            changes = _scaled(place, given, *factors)
            yield Edit("subset", f"{text}.", changes, place=place)


def _said(factor: float) -> str:
    near = [word for value, word in _WORDS if abs(factor - value) < 1e-5]
    return near[0] if near else f"is {factor:.6g} times what it must be"


def _scaled(place: int, given: int, inside: float, outside: float) -> Changes:
    def changes(graph: Graph) -> list[Change]:
        chosen = _set(graph, given, graph.steps[place].value.shape)
        if chosen is None:
            return []
        factor = np.where(chosen, inside, outside).ravel()
        return [Change(place, place, np.diag(factor - 1))]

    return changes


def _factors(case: Case, place: int, given: int) -> tuple[float, float] | None:
    """Return the factors in a set and outside that come nearest to an error, if they differ."""
    parts = np.stack(
        [case.sketch(_scaled(place, given, *pair)(case.graph)) for pair in ((2.0, 1.0), (1.0, 2.0))]
    )
    if not parts.any(axis=1).all():
        return None
    more, *_ = np.linalg.lstsq(parts.T, case.wanted)
    left = np.abs(parts.T @ more - case.wanted).max()
    if left > 1e-4 * np.abs(case.wanted).max() or np.isclose(more[0], more[1], rtol=1e-5):
        return None
    return float(1 + more[0]), float(1 + more[1])


def _sets(graph: Graph, shape: tuple[int, ...]) -> Iterator[tuple[int, str]]:
    """Yield the arguments that choose some entries of arrays of a shape, and in which words."""
    for place, value in enumerate(graph.given):
        chosen = _set(graph, place, shape)
        if chosen is not None and chosen.any() and not chosen.all():
            labels = np.shape(value) != shape and not _is_binary(value)
            yield place, f"input {place} {'is the label' if labels else 'is not 0'}"


def _set(graph: Graph, place: int, shape: tuple[int, ...]) -> Vector | None:
    """Return where an argument is not 0, or the class that it names; None where it is no such."""
    value = graph.given[place]
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biu" or value.ndim == 0:
        return None
    if value.shape == shape and _is_binary(value):
        return np.asarray(value != 0)
    if value.shape != shape[:-1]:
        return None
    if _is_binary(value) and shape[-1] > 2:
        return np.broadcast_to((value != 0)[..., None], shape)
    return np.asarray(value[..., None] == np.arange(shape[-1]))


def _is_binary(value: Vector) -> bool:
    return bool(np.isin(value, (0, 1)).all())
