"""What comes back to a step is wrong by one factor in a set of entries, and by another outside."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from softgrad.checker.diagnosis.edits.base import (
    Changes,
    Edit,
    becomes,
    derivative,
    operand,
)
from softgrad.checker.diagnosis.edits.case import Case
from softgrad.checker.diagnosis.graph.graph import Change, Graph
from softgrad.checker.diagnosis.graph.local import Matrix
from softgrad.checker.subject import Vector

__all__ = ["in_sets", "one_number"]

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
            # Of a sum over classes the label's term alone is there: the others' are missing.
            alone = _is_label(graph, given, step.value.shape) and np.allclose(factors, (1, 0))
            yield Edit("chain-term" if alone else "subset", f"{text}.", changes, place=place)


def one_number(case: Case) -> Iterator[Edit]:
    """Yield the number that stands where a product's or quotient's constant differs by entries."""
    graph = case.graph
    for (place, k), L in graph.locals.items() if case.has_many else ():
        step, differs = graph.steps[place], len(np.unique(L[L != 0])) > 1
        others = [n for j, n in enumerate(step.operands) if j != k]
        known = step.name in ("multiply", "divide") and not any(graph.moving[n] for n in others)
        number = _number(case, place, k) if known and differs else None
        if number is None:
            continue

        def same(graph: Graph, place: int, k: int = k, number: float = number) -> Matrix:
            return np.where(graph.locals[place, k] != 0, number, 0.0)

        what = (operand(graph, place, 1 - k) if others else "") or "the other factor"
        text = f"In {derivative(graph, place, k)} {number:.6g} times what comes in is passed on,"
        said = f"{text} and {what} is not the same everywhere."
        yield Edit("scale", said, becomes([place], k, same), place=place)


def _number(case: Case, place: int, k: int) -> float | None:
    """Return the number that comes nearest to an error in place of a constant."""
    of, L = case.graph.before((place, k)), case.graph.locals[place, k]
    unit = (L != 0).astype(np.float64)
    own, more = (case.sketch([Change(place, of, M)]) for M in (L, unit))
    if not more.any():
        return None
    c = float(more @ (case.wanted + own) / (more @ more))
    left = np.abs(case.wanted + own - c * more).max()
    return c if abs(c) > 1e-6 and left <= 1e-4 * np.abs(case.wanted).max() else None


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


def _is_label(graph: Graph, given: int, shape: tuple[int, ...]) -> bool:
    """Whether an argument names one class in every row."""
    chosen = _set(graph, given, shape)
    return chosen is not None and bool((chosen.sum(axis=-1) == 1).all())


def _is_binary(value: Vector) -> bool:
    return bool(np.isin(value, (0, 1)).all())
