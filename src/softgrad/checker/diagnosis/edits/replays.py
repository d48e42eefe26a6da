"""The backward of the same steps at other numbers: from one step on, all is computed anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from softgrad.checker.diagnosis.edits.base import Edit, Places, operand
from softgrad.checker.diagnosis.edits.functions import functions
from softgrad.checker.diagnosis.graph.graph import Change, Edge, Graph
from softgrad.checker.diagnosis.graph.local import Matrix
from softgrad.checker.subject import Vector

__all__ = ["Replay", "replays", "with_values"]


@dataclass(frozen=True)
class Replay:
    """What stands for the values of some steps: others' values, or functions of their own."""

    code: str
    message: str
    places: Places
    value: Callable[[Graph, int], Vector]
    passed: int | None = None
    """The operand that is passed on as it is, if the steps are passed over altogether."""
    sign: float = 1.0
    """What the steps' own Jacobians are multiplied by."""

    def values(self, graph: Graph) -> dict[int, Vector]:
        """Return what stands for the values."""
        return {place: self.value(graph, place) for place in self.places}

    @property
    def edit(self) -> Edit:
        """The mistake."""
        return Edit(self.code, self.message, self.changes)

    def changes(self, graph: Graph) -> list[Change]:
        """Return what becomes of the Jacobians from there on; nothing where they have none."""
        passed = {}
        for edge in graph.locals if self.passed is not None else ():
            if edge[0] in self.places:
                size = graph.locals[edge].shape
                own = self.sign * np.eye(size[0])
                passed[edge] = own if edge[1] == self.passed else np.zeros(size)
        for edge in graph.locals if self.sign != 1 and self.passed is None else ():
            if edge[0] in self.places:
                passed[edge] = self.sign * graph.locals[edge]
        return with_values(graph, self.values(graph), passed)


def with_values(
    graph: Graph, values: dict[int, Vector], known: Mapping[Edge, Matrix] | None = None
) -> list[Change]:
    """Return the changes of all Jacobians that follow from other values, or none if one cannot.

    `known` are Jacobians that are given.
    """
    with np.errstate(all="ignore"):
        try:
            locals_ = {**graph.with_values(values).locals, **(known or {})}
        except Exception:  # the steps are the user's, and the numbers are not
            return []
    found = []
    for edge, L in graph.locals.items():
        new = locals_[edge]
        if new is not L:
            if new.shape != L.shape or not np.isfinite(new).all():
                return []
            found.append(Change(edge[0], graph.before(edge), new - L))
    return found


def replays(graph: Graph, places: Places) -> Iterator[Replay]:
    """Yield what may stand for a step: an operand, a function of it, another array."""
    step = graph.steps[places[0]]
    if step.value.size < 2 or not graph.moving[places[0]]:
        return
    for j, before in enumerate(step.operands):
        if graph.steps[before].value.shape != step.value.shape:
            continue
        if not graph.moving[before] and step.name == "multiply":
            text = f"The derivative is that without the factor that {step.label} has besides "
            known = operand(graph, places[0], j) or "a constant"
            yield Replay("chain-term", f"{text}{known}.", places, _operand(j), passed=j)
        elif graph.moving[before]:
            yield from _other_signs(graph, places, j)
            yield from _other_terms(graph, places, j)
            what = operand(graph, places[0], j) or graph.steps[before].label
            text = f"The derivative is that without {step.label}: {what} stands in its place."
            yield Replay("wrong-variable", text, places, _operand(j))
            code = "chain-term" if step.name in ("multiply", "divide") else "wrong-variable"
            yield Replay(code, text, places, _operand(j), passed=j)
    for name, function in functions(step.value):
        said = f"The derivative is taken at {name.format('it')} in place of {step.label}."
        yield Replay("wrong-variable", said, places, _of_own(function))
    for other, seen in enumerate(graph.steps if len(places) == 1 else ()):
        fits = other != places[0] and seen.value.shape == step.value.shape
        if fits and not np.array_equal(seen.value, step.value):
            said = f"The derivative is taken at {seen.label} in place of {step.label}."
            yield Replay("wrong-variable", said, places, _of_other(other))


def _other_signs(graph: Graph, places: Places, j: int) -> Iterator[Replay]:
    """Yield a constant that is added to operand j, or multiplies it, with the other sign."""
    step = graph.steps[places[0]]
    constants = [k for k, n in enumerate(step.operands) if k != j and not graph.moving[n]]
    if not constants or step.name not in ("add", "subtract", "multiply", "divide"):
        return
    (k,) = constants
    is_sum = step.name in ("add", "subtract")

    def other(graph: Graph, place: int) -> Vector:
        value = graph.steps[place].value
        sign = -1 if (step.name, j) == ("subtract", 1) else 1
        return 2 * sign * graph.values(place)[j] - value if is_sum else -value

    name = operand(graph, places[0], k) or "the constant"
    text = f"The derivative is taken where {name} has the other sign in {step.label}."
    yield Replay("wrong-variable", text, places, other, sign=1.0 if is_sum else -1.0)


def _other_terms(graph: Graph, places: Places, j: int) -> Iterator[Replay]:
    """Yield a sum without its other term, or with another sign, in what comes after it."""
    step = graph.steps[places[0]]
    alike = [graph.steps[n].value.shape == step.value.shape for n in step.operands]
    if step.name not in ("add", "subtract") or len(alike) < 2 or not all(alike):
        return
    own = operand(graph, places[0], j) or graph.steps[step.operands[j]].label
    sign = -1.0 if (graph.locals[places[0], j] < 0).any() else 1.0

    def alone(graph: Graph, place: int) -> Vector:
        return np.asarray(sign * graph.values(place)[j])

    def turned(graph: Graph, place: int) -> Vector:
        return np.asarray(graph.steps[place].value - 2 * alone(graph, place))

    text = f"The derivative is taken where {own} has the other sign in {step.label}."
    yield Replay("sign", text, places, turned)
    if sign < 0:
        other = operand(graph, places[0], 1 - j) or graph.steps[step.operands[1 - j]].label
        text = f"The derivative is that without the term {other} of {step.label}."
        yield Replay("chain-term", text, places, alone, passed=j, sign=sign)


def _operand(j: int) -> Callable[[Graph, int], Vector]:
    return lambda graph, place: graph.values(place)[j]


def _of_own(function: Callable[[Vector], Vector]) -> Callable[[Graph, int], Vector]:
    return lambda graph, place: function(graph.steps[place].value)


def _of_other(other: int) -> Callable[[Graph, int], Vector]:
    return lambda graph, place: graph.steps[other].value
