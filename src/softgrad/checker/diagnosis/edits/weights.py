"""The numbers by which the labels' log-probabilities are weighted: others stand, or one for all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from softgrad.checker.diagnosis.edits.base import Edit
from softgrad.checker.diagnosis.edits.case import Case
from softgrad.checker.diagnosis.edits.guesses import form
from softgrad.checker.diagnosis.edits.labels import picks_of
from softgrad.checker.diagnosis.edits.softmaxes import found
from softgrad.checker.diagnosis.graph.graph import Change, Graph
from softgrad.checker.richardson import rms
from softgrad.checker.subject import Vector

__all__ = ["other_weights"]

_EQUATIONS = 2
"""Entries of the gradient for each weight that is found from them, at least."""
_ALIKE = 1e-6
_LINEAR = ("add", "subtract", "negative", "sum", "mean", "reshape", "stack", "reduce", "ravel")
_PRODUCTS = ("multiply", "divide")

Picks = Sequence[tuple[int, int]]
"""The steps that are the labels' entries, and the softmaxes that they are taken of."""


def other_weights(cases: Sequence[Case]) -> Iterator[Edit]:
    """Yield the weights that explain an error, where labels' log-probabilities have others.

    Each is found from many entries of the error at each point, and all must fit. Where they are
    one number for all rows, the weights are left out; else they are those of an array that is
    there, or stand for constants.
    """
    case, graph = cases[0], cases[0].graph
    groups: dict[object, list[tuple[int, int]]] = {}
    for after, before in found(graph) if len(graph.whole) == 1 else ():
        for pick in picks_of(graph, after, before):
            group = groups.setdefault(graph.steps[pick].site, [])
            if (pick, after) not in group:
                group.append((pick, after))
    for picks in groups.values():
        more = _more(case, picks)
        own = np.concatenate([_effect(graph, *pick) for pick in picks])
        if more is None or _are_multiples(own, more):
            continue  # one number before all of them is a mistake of another name

        def changes(graph: Graph, picks: Picks = picks) -> list[Change]:
            more = _more(next(case for case in cases if case.graph is graph), picks)
            return [] if more is None else _changes(graph, picks, more)

        text = f"The weights of {graph.steps[picks[0][0]].label}, the labels' entries of a softmax,"
        if _are_multiples(np.ones_like(own), own + more):
            yield Edit("chain-term", f"{text} are left out: one number stands for all.", changes)
        elif (name := _name(graph, own + more)) is not None:
            yield Edit("wrong-variable", f"{text} are {name}, and must be others.", changes)
        elif all(_is_weighted(graph, pick) for pick, _ in picks):
            yield Edit("wrong-variable", f"{text} are other numbers than the forward's.", changes)


def _more(case: Case, picks: Picks) -> Vector | None:
    """Return what is to be added to the weights that the gradient be what it is, if that can be."""
    rows = []
    for pick, after in picks:
        move = case.graph.moves[pick]
        if move is None:
            return None
        rows.append(move[:, case.columns] / _scale(case.graph, pick, after)[:, None])
    M, error = np.concatenate(rows), case.R[0]
    if np.count_nonzero(M.any(axis=0)) < _EQUATIONS * len(M):
        return None
    more, _, rank, _ = np.linalg.lstsq(M.T, error)
    fits = rank == len(M) and rms(more @ M - error) <= _ALIKE * rms(error)
    # Where most rows are right, it is the others' place that is to be told.
    many = 2 * np.count_nonzero(np.abs(more) > _ALIKE * np.abs(more).max()) > len(more)
    return np.asarray(more) if fits and many else None


def _changes(graph: Graph, picks: Picks, more: Vector) -> list[Change]:
    ends = np.cumsum([graph.steps[pick].value.size for pick, _ in picks])
    parts = zip(picks, np.split(more, ends[:-1]), strict=True)
    output = graph.outputs[0]
    return [Change(output, p, (part / _scale(graph, p, of))[None]) for (p, of), part in parts]


def _effect(graph: Graph, pick: int, after: int) -> Vector:
    """Return the weights of the labels' log-probabilities, row by row."""
    effect: Vector = graph.stretch(pick, graph.outputs[0])[0]
    return effect * _scale(graph, pick, after)


def _scale(graph: Graph, pick: int, after: int) -> Vector:
    """Return how a step moves with the logarithm of the labels' probabilities."""
    value = graph.steps[pick].value.ravel()
    log, _ = form(graph.steps[after].value) or (False, 0)
    return np.ones_like(value) if log else value


def _are_multiples(one: Vector, other: Vector) -> bool:
    c = float(one @ other) / float(one @ one)
    return rms(other - c * one) <= _ALIKE * rms(other)


def _name(graph: Graph, weights: Vector) -> str | None:
    """Return what the array is called whose entries the weights are, up to one number."""
    for place, step in enumerate(graph.steps):
        value = step.value.ravel()
        alike = value.size == weights.size and value.any() and graph.moving[place]
        if alike and _are_multiples(value, weights):
            return f"those of {step.label}"
    return None


def _is_weighted(graph: Graph, place: int) -> bool:
    """Whether all that is made of a step, or of its logarithm, is weighted sums of it."""

    def is_weighted(n: int) -> bool:
        name = graph.steps[n].name
        alone = name in _PRODUCTS and len(graph.edges[n]) == 1
        return name in _LINEAR or alone or (name == "log" and graph.steps[n].operands == (place,))

    return all(map(is_weighted, graph.after(place) - {place}))
