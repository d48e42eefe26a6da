"""Hypotheses about whole maps, held against a stretch of the forward."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softgrad.checker.diagnosis.edits.base import Edit
from softgrad.checker.diagnosis.graph.graph import Change, Graph
from softgrad.checker.diagnosis.hypotheses import Guess, Hypothesis
from softgrad.checker.diagnosis.hypotheses.simple import IDENTITY
from softgrad.checker.diagnosis.view import Rows, View
from softgrad.checker.richardson import rms
from softgrad.checker.subject import Vector

__all__ = ["form", "guessed", "has_one_class"]


@dataclass(frozen=True)
class _Subject:
    """What a view asks of a subject, for a map of one array."""

    values: tuple[Any, ...]
    names: tuple[str, ...]
    floating: tuple[int, ...] = (0,)
    cotangents: int = 0


@dataclass(frozen=True)
class _Spot:
    points: tuple[Vector, ...]
    outputs: tuple[Vector, ...]
    subject: _Subject
    graph: None = None
    """A stretch is followed as a part of the whole forward, and not by itself."""


def guessed(
    graph: Graph, after: int, before: int, table: Sequence[Hypothesis], said: str, axis: int = -1
) -> Iterator[Edit]:
    """Yield what hypotheses say of a stretch; they are shown its array with an axis as the last."""
    for hypothesis in table:
        for guess in _by_name(graph, after, before, hypothesis, axis).values():
            if "{}" in guess.message:
                continue

            def changes(
                graph: Graph, hypothesis: Hypothesis = hypothesis, name: str = guess.name
            ) -> list[Change]:
                guess = _by_name(graph, after, before, hypothesis, axis).get(name)
                if guess is None:
                    return []
                own = np.argsort(_order(graph.steps[before].value.shape, axis))
                J = graph.stretch(before, after)
                return [Change(after, before, guess.matrix[:, own] - J)]

            code = hypothesis.code
            if hypothesis is IDENTITY and after not in graph.outputs:
                code = "chain-term"  # of a chain that goes on, one derivative is left out
            yield Edit(code, f"{said} {guess.message}", changes, place=after)


def _by_name(
    graph: Graph, after: int, before: int, hypothesis: Hypothesis, axis: int
) -> dict[str, Guess]:
    key = after, before, hypothesis, axis
    if key not in graph.kept:
        with np.errstate(all="ignore"):
            guesses = list(hypothesis.guesses(_view(graph, after, before, axis)))
        sound = [guess for guess in guesses if np.isfinite(guess.matrix).all()]
        graph.kept[key] = {guess.name: guess for guess in sound}
    found: dict[str, Guess] = graph.kept[key]
    return found


def form(y: Vector) -> tuple[bool, int] | None:
    """Return whether y is log_softmax, and its axis; None where it is neither."""
    if has_one_class(y):
        return bool((y == 0).all()), y.ndim - 1
    for log in (False, True):
        p = np.exp(np.minimum(y, 1.0)) if log else y
        if y.size < 2 or p.min() < 0 or p.max() > 1 or not ((p > 0) & (p < 1)).any():
            continue
        for axis in reversed(range(y.ndim)):
            if y.shape[axis] > 1 and np.allclose(p.sum(axis=axis), 1, atol=1e-9):
                return log, axis
    return None


def has_one_class(y: Vector) -> bool:
    """Whether an array may be the softmax, or the log_softmax, of one class on its last axis."""
    return y.ndim > 0 and y.shape[-1] == 1 and bool((y == 1).all() or (y == 0).all())


def _order(shape: tuple[int, ...], axis: int) -> NDArray[np.intp]:
    """Return the entries of an array in the order that they have with an axis as the last."""
    return np.moveaxis(np.arange(int(np.prod(shape))).reshape(shape), axis, -1).ravel()


def _view(graph: Graph, after: int, before: int, axis: int) -> View:
    key = after, before, axis
    if key in graph.kept:
        known: View = graph.kept[key]
        return known
    own, y = graph.steps[before].value, graph.steps[after].value
    J = graph.stretch(before, after)[:, _order(own.shape, axis)]
    z = np.moveaxis(own, axis, -1)
    given = (
        np.moveaxis(value, axis, -1) if np.shape(value) == own.shape else value
        for value in graph.given
    )
    names = (f"input {place}" for place in range(len(graph.given)))
    subject = _Subject((z, *given), ("the array", *names))
    view = View(_Spot((z,), (y,), subject), 0, J, J, 1e-9 * rms(J))  # type: ignore[arg-type]
    if has_one_class(y):  # there is nothing in J to see it by
        log, last = form(y) or (False, 0)
        view.__dict__.update(rows=Rows(log, last, np.ones_like(y)), _scales={log: 1.0})
    graph.kept[key] = view
    return view
