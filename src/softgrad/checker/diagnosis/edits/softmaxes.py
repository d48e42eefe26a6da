"""Softmax and log_softmax within a forward, however they are written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from softgrad.checker.diagnosis.edits.base import Changes, Edit
from softgrad.checker.diagnosis.edits.functions import Function, functions, softmax
from softgrad.checker.diagnosis.edits.guesses import form, guessed, has_one_class
from softgrad.checker.diagnosis.edits.parts import in_uses
from softgrad.checker.diagnosis.edits.replays import with_values
from softgrad.checker.diagnosis.graph.graph import Change, Graph
from softgrad.checker.diagnosis.graph.local import Matrix
from softgrad.checker.diagnosis.hypotheses.diagonal import DIAGONAL_ONLY
from softgrad.checker.diagnosis.hypotheses.projection import (
    OTHER_MAP,
    OUTER_FACTOR,
    PROJECTION,
    SIGN_OFF,
    WRONG_AXIS,
)
from softgrad.checker.diagnosis.hypotheses.simple import IDENTITY
from softgrad.checker.diagnosis.hypotheses.stand_ins import DIAGONAL_ELSEWHERE, SLICE_FOR_S
from softgrad.checker.diagnosis.hypotheses.variables import FORMULA_OF_INPUT
from softgrad.checker.diagnosis.view import differ_along
from softgrad.checker.subject import Vector

__all__ = ["found", "softmaxes"]

_OF_SOFTMAX = (
    DIAGONAL_ONLY, OTHER_MAP, SIGN_OFF, OUTER_FACTOR, PROJECTION, WRONG_AXIS, IDENTITY,
    DIAGONAL_ELSEWHERE, SLICE_FOR_S, FORMULA_OF_INPUT,
)  # fmt: skip


def softmaxes(graph: Graph) -> Iterator[Edit]:
    """Yield the mistakes of every softmax and log_softmax that the forward holds."""
    for after, before in found(graph):
        text = f"In the softmax {graph.steps[after].label}:"
        yield from guessed(graph, after, before, _OF_SOFTMAX, text)
        yield from _decayed(graph, after, before)
        yield from in_uses(graph, guessed(graph, after, before, _OF_SOFTMAX, text), after)
        yield from _elsewhere(graph, after, before)
        yield from _other_values(graph, after, before)
        yield from _of_what_is_used(graph, after, before)


def _decayed(graph: Graph, after: int, before: int) -> Iterator[Edit]:
    def changes(graph: Graph) -> list[Change]:
        log, axis = form(graph.steps[after].value) or (False, 0)
        J = _jacobian(log, axis, graph.steps[after].value)
        own = np.exp(graph.steps[after].value) if log else graph.steps[after].value
        diagonal = np.eye(own.size) if log else np.diag(own.ravel())
        return [Change(after, before, J - diagonal)]

    text = f"In the softmax {graph.steps[after].label} the term with the inner product"
    yield Edit("projection-term", f"{text} {{}}.", changes, multiple=True, place=after)


def _elsewhere(graph: Graph, after: int, before: int) -> Iterator[Edit]:
    """The derivative of softmax at other logits."""
    log, axis = form(graph.steps[after].value) or (False, 0)
    z = graph.steps[before].value
    for other, seen in enumerate(graph.steps):
        if other == before or seen.value.shape != z.shape:
            continue
        if np.ptp(seen.value - z, axis=axis).max() < 1e-9:
            continue

        def changes(graph: Graph, other: int = other) -> list[Change]:
            p = softmax(graph.steps[other].value, axis)
            J = _jacobian(log, axis, graph.steps[after].value)
            return [Change(after, before, _jacobian(log, axis, np.log(p) if log else p) - J)]

        text = f"The derivative of the softmax {graph.steps[after].label} is right, and taken at"
        said = f"{text} {seen.label} in place of its logits."
        yield Edit("wrong-variable", said, changes, place=after)


def _other_values(graph: Graph, after: int, before: int) -> Iterator[Edit]:
    """Other numbers in place of probabilities, in the softmax's derivative and in all after it."""
    _, axis = form(graph.steps[after].value) or (False, 0)
    text = f"In place of the softmax {graph.steps[after].label} stands"
    if not _is_shift_of(graph, after, before):

        def unmasked(graph: Graph) -> Vector:
            return softmax(graph.steps[before].value, axis)

        mask = next(edge[0] for edge in graph.locals if graph.before(edge) == before)
        said = f"{text} that of {graph.steps[before].label}, and must be that of"
        said += f" {graph.steps[mask].label}, which leaves entries out."
        yield Edit("wrong-variable", said, _with_values(after, before, unmasked), place=after)
    for name, function in functions(graph.steps[before].value):
        if not name.endswith(f"axis {axis}"):
            code = "axis" if "axis" in name else "wrong-variable"
            said = f"{text} {name.format('the same logits')}."

            def of_logits(graph: Graph, function: Function = function) -> Vector:
                return function(graph.steps[before].value)

            yield Edit(code, said, _with_values(after, before, of_logits), place=after)
    for other, seen in enumerate(graph.steps):
        if other != after and seen.value.shape == graph.steps[after].value.shape:

            def of_other(graph: Graph, other: int = other) -> Vector:
                return graph.steps[other].value

            said = f"{text} {seen.label}."
            yield Edit("wrong-variable", said, _with_values(after, before, of_other), place=after)


def _with_values(after: int, before: int, value: Callable[[Graph], Vector]) -> Changes:
    """Return what changes from a softmax on where its probabilities are others."""

    def changes(graph: Graph) -> list[Change]:
        log, axis = form(graph.steps[after].value) or (False, 0)
        with np.errstate(all="ignore"):
            p = value(graph)
            y = np.log(p) if log else p
        if not np.isfinite(y).all():
            return []
        J = _jacobian(log, axis, graph.steps[after].value)
        own = Change(after, before, _jacobian(log, axis, y) - J)
        return [own, *with_values(graph, {after: y})]

    return changes


def _of_what_is_used(graph: Graph, after: int, before: int) -> Iterator[Edit]:
    """Where some probabilities go nowhere, as of experts that are not chosen, or of a sink.

    The others are taken for a softmax by themselves, or they alone give their logits a gradient.
    """
    log, axis = form(graph.steps[after].value) or (False, 0)
    used = _used(graph, after)
    # One that is picked in a row is the label's, in a loss.
    if log or used.all() or (used.sum(axis=axis) < 2).any():
        return
    text = f"Of the softmax {graph.steps[after].label} some entries go nowhere: the derivative is"
    said = f"{text} that of a softmax of the others by themselves."

    def cut(graph: Graph) -> list[Change]:
        J, used = _jacobian(False, axis, graph.steps[after].value), _used(graph, after)
        return [Change(after, before, J * used.ravel() - J)]

    for rest in (0.0, 1.0):

        def among(graph: Graph, rest: float = rest) -> Vector:
            p, used = graph.steps[after].value, _used(graph, after)
            share = np.where(used, p, 0.0).sum(axis=axis, keepdims=True)
            return np.where(used, p / share, rest * p)

        def alone(graph: Graph, among: Callable[[Graph], Vector] = among) -> list[Change]:
            J = _jacobian(False, axis, graph.steps[after].value)
            return [Change(after, before, _jacobian(False, axis, among(graph)) - J)]

        yield Edit("wrong-variable", said, alone, place=after)
        yield Edit("wrong-variable", said, _with_values(after, before, among), place=after)
    said = f"{text} not given to their logits, on which the sum depends too."
    yield Edit("subset", said, cut, place=after)


def _used(graph: Graph, place: int) -> NDArray[np.bool_]:
    """Return which entries of a step any other takes."""
    taken = np.zeros(graph.steps[place].value.size, dtype=bool)
    if place in graph.outputs:
        taken[:] = True
    for edge, L in graph.locals.items():
        if graph.before(edge) == place:
            taken |= L.any(axis=0)
    return taken.reshape(graph.steps[place].value.shape)


def found(graph: Graph) -> Iterator[tuple[int, int]]:
    """Yield the places of p, or log p, and of its logits, those before any shift."""
    seen = list(_seen(graph))
    yield from seen
    yield from _of_one_class(graph, seen)


def _of_one_class(graph: Graph, seen: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the turns of a loop whose softmax has one class, as of the first token of many."""
    sites = {
        (graph.steps[after].site, graph.steps[before].site, after - before)
        for after, before in seen
    }
    for after, step in enumerate(graph.steps):
        if step.function is None or not graph.moving[after] or not has_one_class(step.value):
            continue
        for own, of, apart in sites:
            before = after - apart
            if own == step.site and before >= 0 and graph.steps[before].site == of:
                yield after, before


def _seen(graph: Graph) -> Iterator[tuple[int, int]]:
    for after, step in enumerate(graph.steps):
        y = step.value
        known = form(y) if graph.moving[after] and step.function is not None else None
        if known is None or has_one_class(y):
            continue
        log, axis = known
        with np.errstate(all="ignore"):
            logs = y if log else np.log(y)
        for before in range(after):
            z = graph.steps[before].value
            if graph.moving[before] and z.shape == y.shape and _is_shift(z, logs, axis):
                if not (log and graph.steps[before].name == "log"):
                    yield after, before
                    yield from ((after, unmasked) for unmasked in _before_masks(graph, before))
                break


def _before_masks(graph: Graph, place: int) -> Iterator[int]:
    """Yield what the logits were before a mask was laid over them."""
    while graph.steps[place].name in ("where", "add", "astype", "multiply"):
        edges = graph.edges[place]
        if len(edges) != 1:
            return
        (place,) = (graph.before(edge) for edge in edges)
        if graph.steps[place].value.shape == graph.steps[edges[0][0]].value.shape:
            yield place


def _is_shift_of(graph: Graph, after: int, before: int) -> bool:
    """Whether a softmax is that of an array as it is, and not of one with a mask laid over it."""
    y = graph.steps[after].value
    log, axis = form(y) or (False, 0)
    with np.errstate(all="ignore"):
        return _is_shift(graph.steps[before].value, y if log else np.log(y), axis)


def _is_shift(z: Vector, logs: Vector, axis: int) -> bool:
    """Whether two arrays differ by a number in each row; excluded entries aside."""
    gone = np.isneginf(logs) & (z < z.max(axis=axis, keepdims=True) - 700)
    with np.errstate(invalid="ignore"):
        shift = np.where(gone, np.nan, logs - z)
    spread = np.nanmax(shift, axis=axis) - np.nanmin(shift, axis=axis)
    size = np.abs(z[~gone]).max(initial=0)
    return bool((spread <= 1e-9 * (1 + size)).all())


def _jacobian(log: bool, axis: int, y: Vector) -> Matrix:
    p = np.exp(y) if log else y
    own = np.ones_like(p) if log else p
    return np.asarray(np.diag(own.ravel()) - np.outer(own, p) * differ_along(y.shape, (axis,)))
