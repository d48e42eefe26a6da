"""Softmax and log_softmax within a forward, however they are written, and what comes after."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softgrad.checker.diagnosis.edits.base import Changes, Edit
from softgrad.checker.diagnosis.edits.functions import Function, functions, softmax
from softgrad.checker.diagnosis.edits.parts import in_uses
from softgrad.checker.diagnosis.edits.replays import with_values
from softgrad.checker.diagnosis.graph.graph import Change, Graph
from softgrad.checker.diagnosis.graph.local import Matrix
from softgrad.checker.diagnosis.hypotheses import TABLE, Guess, Hypothesis
from softgrad.checker.diagnosis.hypotheses.diagonal import DIAGONAL_ONLY
from softgrad.checker.diagnosis.hypotheses.projection import (
    OTHER_MAP,
    OUTER_FACTOR,
    PROJECTION,
    SIGN_OFF,
    WRONG_AXIS,
)
from softgrad.checker.diagnosis.hypotheses.simple import IDENTITY, SCALE, SIGN, SPREAD, ZERO
from softgrad.checker.diagnosis.hypotheses.stand_ins import DIAGONAL_ELSEWHERE, SLICE_FOR_S
from softgrad.checker.diagnosis.hypotheses.variables import FORMULA_OF_INPUT
from softgrad.checker.diagnosis.view import Rows, View, differ_along
from softgrad.checker.richardson import rms
from softgrad.checker.subject import Vector

__all__ = ["softmaxes", "tails"]

_OF_SOFTMAX = (
    DIAGONAL_ONLY, OTHER_MAP, SIGN_OFF, OUTER_FACTOR, PROJECTION, WRONG_AXIS, IDENTITY,
    DIAGONAL_ELSEWHERE, SLICE_FOR_S, FORMULA_OF_INPUT,
)  # fmt: skip
_OF_TAILS = [
    hypothesis
    for hypothesis in TABLE
    if not hypothesis.costly
    and hypothesis.code != "cotangent"  # what comes in is that of the whole
    and hypothesis not in (ZERO, SIGN, SCALE, IDENTITY, SPREAD)
]

_NORMS = ("layer_norm", "rms_norm", "group_norm", "batch_norm", "standardize")


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


def softmaxes(graph: Graph) -> Iterator[Edit]:
    """Yield the mistakes of every softmax and log_softmax that the forward holds."""
    for after, before in _found(graph):
        text = f"In the softmax {graph.steps[after].label}:"
        yield from _guessed(graph, after, before, _OF_SOFTMAX, text)
        yield from _decayed(graph, after, before)
        yield from in_uses(graph, _guessed(graph, after, before, _OF_SOFTMAX, text), after)
        yield from _elsewhere(graph, after, before)
        yield from _other_values(graph, after, before)


def _decayed(graph: Graph, after: int, before: int) -> Iterator[Edit]:
    def changes(graph: Graph) -> list[Change]:
        log, axis = _form(graph.steps[after].value) or (False, 0)
        J = _jacobian(log, axis, graph.steps[after].value)
        own = np.exp(graph.steps[after].value) if log else graph.steps[after].value
        diagonal = np.eye(own.size) if log else np.diag(own.ravel())
        return [Change(after, before, J - diagonal)]

    text = f"In the softmax {graph.steps[after].label} the term with the inner product"
    yield Edit("projection-term", f"{text} {{}}.", changes, multiple=True, place=after)


def tails(graph: Graph) -> Iterator[Edit]:
    """Yield what all that comes after a step may be taken for, as if the step were the input.

    What comes after ends at the output, at the loss that logits alone go into, or with a step that
    is a norm by itself.
    """
    norms = _norms(graph)
    axes = {
        before: (_form(graph.steps[after].value) or (False, -1))[1]
        for after, before in _found(graph)
    }
    pairs = norms + [(logits, place) for logits in axes for place in _loss_of(graph, logits)]
    if len(graph.outputs) == 1:
        pairs += [(before, graph.outputs[0]) for before in graph.gates]
    for before, after in dict.fromkeys(pairs):
        step, axis = graph.steps[before], axes.get(before, -1)
        whole = before in graph.inputs and after in graph.outputs
        if before != after and step.value.ndim and not whole:
            within = (before, after) in norms
            what = graph.steps[after].label if within else f"what comes after {step.label}"
            yield from _guessed(graph, after, before, _OF_TAILS, f"In {what}:")
            if axis not in (-1, step.value.ndim - 1):
                yield from _guessed(graph, after, before, _OF_TAILS, f"In {what}:", axis)


def _norms(graph: Graph) -> list[tuple[int, int]]:
    """Return what goes into the steps that are norms, and the steps: by name, or by numbers."""
    found = [place for place, step in enumerate(graph.steps) if step.name in _NORMS]
    pairs = [(graph.steps[place].operands[0], place) for place in found if graph.edges[place]]
    for after, step in enumerate(graph.steps):
        y = step.value
        if step.elementwise and graph.moving[after] and y.ndim and graph.edges[after]:
            pairs += [(before, after) for before in range(after) if _is_norm(graph, before, after)]
    return pairs


def _is_norm(graph: Graph, before: int, after: int) -> bool:
    """Whether an array is another one, centred along an axis or not, over its deviation there."""
    x, y = graph.steps[before].value, graph.steps[after].value
    if x.shape != y.shape or not graph.moving[before]:
        return False
    for axis, length in enumerate(y.shape):
        if length < 3:  # of two, centred, everything is a multiple
            continue
        for base in (x - x.mean(axis=axis, keepdims=True), x):
            along = (base * y).sum(axis=axis, keepdims=True) / (y * y).sum(axis=axis, keepdims=True)
            if np.abs(base - along * y).max() <= 1e-9 * np.abs(base).max():
                J = graph.stretch(before, after)
                return bool((J - np.diag(np.diag(J))).any())
    return False


def _loss_of(graph: Graph, logits: int) -> list[int]:
    """Return the first number through which all goes that comes from logits."""
    effects = graph.pull(np.eye(len(graph.whole)))
    own = effects[logits]
    for place in range(logits + 1, len(graph.steps)):
        effect = effects[place]
        if graph.steps[place].value.ndim == 0 and effect is not None and own is not None:
            gap = effect @ graph.stretch(logits, place) - own
            if np.abs(gap).max() <= 1e-7 * np.abs(own).max():
                return [place]
    return []


def _guessed(
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


def _elsewhere(graph: Graph, after: int, before: int) -> Iterator[Edit]:
    """The derivative of softmax at other logits."""
    log, axis = _form(graph.steps[after].value) or (False, 0)
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
    _, axis = _form(graph.steps[after].value) or (False, 0)
    text = f"In place of the softmax {graph.steps[after].label} stands"
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
        log, axis = _form(graph.steps[after].value) or (False, 0)
        with np.errstate(all="ignore"):
            p = value(graph)
            y = np.log(p) if log else p
        if not np.isfinite(y).all():
            return []
        J = _jacobian(log, axis, graph.steps[after].value)
        own = Change(after, before, _jacobian(log, axis, y) - J)
        return [own, *with_values(graph, {after: y})]

    return changes


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


def _found(graph: Graph) -> Iterator[tuple[int, int]]:
    """Yield the places of p, or log p, and of its logits, those before any shift."""
    found = list(_seen(graph))
    yield from found
    yield from _of_one_class(graph, found)


def _of_one_class(graph: Graph, found: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the turns of a loop whose softmax has one class, as of the first token of many."""
    sites = {
        (graph.steps[after].site, graph.steps[before].site, after - before)
        for after, before in found
    }
    for after, step in enumerate(graph.steps):
        if step.function is None or not graph.moving[after] or not _has_one_class(step.value):
            continue
        for own, of, apart in sites:
            before = after - apart
            if own == step.site and before >= 0 and graph.steps[before].site == of:
                yield after, before


def _has_one_class(y: Vector) -> bool:
    """Whether an array may be the softmax, or the log_softmax, of one class on its last axis."""
    return y.ndim > 0 and y.shape[-1] == 1 and bool((y == 1).all() or (y == 0).all())


def _seen(graph: Graph) -> Iterator[tuple[int, int]]:
    for after, step in enumerate(graph.steps):
        y = step.value
        form = _form(y) if graph.moving[after] and step.function is not None else None
        if form is None or _has_one_class(y):
            continue
        log, axis = form
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


def _is_shift(z: Vector, logs: Vector, axis: int) -> bool:
    """Whether two arrays differ by a number in each row; excluded entries aside."""
    gone = np.isneginf(logs) & (z < z.max(axis=axis, keepdims=True) - 700)
    with np.errstate(invalid="ignore"):
        shift = np.where(gone, np.nan, logs - z)
    spread = np.nanmax(shift, axis=axis) - np.nanmin(shift, axis=axis)
    size = np.abs(z[~gone]).max(initial=0)
    return bool((spread <= 1e-9 * (1 + size)).all())


def _form(y: Vector) -> tuple[bool, int] | None:
    """Return whether y is log_softmax, and its axis; None where it is neither."""
    if _has_one_class(y):
        return bool((y == 0).all()), y.ndim - 1
    for log in (False, True):
        p = np.exp(np.minimum(y, 1.0)) if log else y
        if y.size < 2 or p.min() < 0 or p.max() > 1 or not ((p > 0) & (p < 1)).any():
            continue
        for axis in reversed(range(y.ndim)):
            if y.shape[axis] > 1 and np.allclose(p.sum(axis=axis), 1, atol=1e-9):
                return log, axis
    return None


def _jacobian(log: bool, axis: int, y: Vector) -> Matrix:
    p = np.exp(y) if log else y
    own = np.ones_like(p) if log else p
    return np.asarray(np.diag(own.ravel()) - np.outer(own, p) * differ_along(y.shape, (axis,)))


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
    if _has_one_class(y):  # there is nothing in J to see it by
        log, last = _form(y) or (False, 0)
        view.__dict__.update(rows=Rows(log, last, np.ones_like(y)), _scales={log: 1.0})
    graph.kept[key] = view
    return view
