"""The steps of a forward as a graph: how the outputs depend on every step, and it on the inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from softgrad.checker.diagnosis.graph.local import Matrix, jacobian
from softgrad.checker.diagnosis.graph.steps import Step
from softgrad.checker.subject import Vector

__all__ = ["Change", "Edge", "Graph"]

Edge = tuple[int, int]
"""A step, and which of its operands."""


@dataclass(frozen=True)
class Change:
    """What is added to the Jacobian of a step in one that stands before it."""

    after: int
    before: int
    delta: Matrix


@dataclass(frozen=True)
class Graph:
    """A forward at one point; the inputs are the floating-point ones."""

    steps: list[Step]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    given: tuple[Any, ...] = ()
    """All arguments of the forward, as they were given."""
    still: frozenset[int] = frozenset()
    """Steps that are taken for constants."""

    @cached_property
    def moving(self) -> list[bool]:
        """Whether a step depends on an input."""
        seen = [False] * len(self.steps)
        for place, step in enumerate(self.steps):
            moves = place in self.inputs or any(seen[k] for k in step.operands)
            seen[place] = moves and place not in self.still
        return seen

    @cached_property
    def locals(self) -> dict[Edge, Matrix]:
        """The Jacobian of every step that moves in every operand that does."""
        return {
            (place, j): jacobian(step, self.values(place), j)
            for place, step in enumerate(self.steps)
            for j, k in enumerate(step.operands)
            if self.moving[k] and self.moving[place]
        }

    @cached_property
    def edges(self) -> list[list[Edge]]:
        """The edges that lead to every step."""
        return [
            [(place, j) for j in range(len(step.operands)) if (place, j) in self.locals]
            for place, step in enumerate(self.steps)
        ]

    @cached_property
    def kept(self) -> dict[Any, Any]:
        """What was found of this graph, and will be asked again."""
        return {}

    def without(self, still: frozenset[int]) -> Graph:
        """Return the graph with some steps taken for constants."""
        graph = replace(self, still=still)
        moving = graph.moving
        kept = [e for e in self.locals if moving[e[0]] and moving[self.before(e)]]
        graph.__dict__["locals"] = {edge: self.locals[edge] for edge in kept}
        return graph

    def values(self, place: int) -> list[Vector]:
        """Return the operands' values of a step."""
        return [self.steps[k].value for k in self.steps[place].operands]

    def before(self, edge: Edge) -> int:
        """Return the step that an edge comes from."""
        place, j = edge
        return self.steps[place].operands[j]

    def push(self, seed: Matrix, changes: Sequence[Change] = ()) -> list[Matrix | None]:
        """Return how every step moves along directions [inputs, S]; changes add to Jacobians."""
        found: list[Matrix | None] = [None] * len(self.steps)
        ends = np.cumsum([self.steps[place].value.size for place in self.inputs])
        for place, part in zip(self.inputs, np.split(seed, ends[:-1]), strict=True):
            found[place] = part
        for place in range(len(self.steps)):
            terms = [(self.before(edge), self.locals[edge]) for edge in self.edges[place]]
            terms += [(change.before, change.delta) for change in changes if change.after == place]
            for k, L in terms:
                found[place] = _sum(found[place], _product(L, found[k]))
        return found

    def pushed(self, seed: Matrix, changes: Sequence[Change] = ()) -> Matrix:
        """Return how the outputs move, laid end to end."""
        moves = self.push(seed, changes)
        parts = [(self.steps[place].value.size, moves[place]) for place in self.outputs]
        blank = seed.shape[1]
        return np.concatenate([np.zeros((n, blank)) if m is None else m for n, m in parts])

    def pull(self, seed: Matrix) -> list[Matrix | None]:
        """Return how directions [outputs, S] depend on every step, as [S, entries]."""
        found: list[Matrix | None] = [None] * len(self.steps)
        ends = np.cumsum([self.steps[place].value.size for place in self.outputs])
        for place, part in zip(self.outputs, np.split(seed, ends[:-1]), strict=True):
            found[place] = _sum(found[place], part.T)
        for place in reversed(range(len(self.steps))):
            effect = found[place]
            for edge in self.edges[place] if effect is not None else ():
                assert effect is not None
                k = self.before(edge)
                found[k] = _sum(found[k], effect @ self.locals[edge])
        return found

    def jacobian_of(self, where: int) -> Matrix:
        """Return the outputs' Jacobian in one input."""
        ends = np.cumsum([0, *(self.steps[place].value.size for place in self.inputs)])
        return self.whole[:, ends[where] : ends[where + 1]]

    @cached_property
    def whole(self) -> Matrix:
        """The outputs' Jacobian in all inputs, laid end to end."""
        return self.pushed(np.eye(sum(self.steps[place].value.size for place in self.inputs)))

    def stretch(self, before: int, after: int) -> Matrix:
        """Return the Jacobian of a step in one that stands before it."""
        key = "stretch", before, after
        if key not in self.kept:
            found: dict[int, Matrix] = {before: np.eye(self.steps[before].value.size)}
            for place in range(before + 1, after + 1):
                for edge in self.edges[place]:
                    if self.before(edge) in found:
                        part = self.locals[edge] @ found[self.before(edge)]
                        found[place] = found[place] + part if place in found else part
            size = self.steps[after].value.size, self.steps[before].value.size
            self.kept[key] = found.get(after, np.zeros(size))
        stretch: Matrix = self.kept[key]
        return stretch

    @cached_property
    def idle(self) -> frozenset[int]:
        """Steps that the outputs do not depend on, such as the maximum that softmax subtracts."""
        effects = self.pull(np.eye(sum(self.steps[place].value.size for place in self.outputs)))
        sizes = [1.0 if place in self.outputs else 0.0 for place in range(len(self.steps))]
        for place in reversed(range(len(self.steps))):
            for edge in self.edges[place]:
                L = np.abs(self.locals[edge]).max(initial=0)
                sizes[self.before(edge)] += sizes[place] * float(L)
        return frozenset(
            place
            for place, effect in enumerate(effects)
            # What it would be if nothing cancelled is the scale.
            if effect is not None and np.abs(effect).max(initial=0) <= 1e-7 * sizes[place]
        )

    @cached_property
    def gates(self) -> list[int]:
        """The steps through which all goes that comes from the inputs that they depend on."""
        moves = self.push(np.eye(self.whole.shape[1]))
        effects = self.pull(np.eye(len(self.whole)))
        found = []
        for place, (move, effect) in enumerate(zip(moves, effects, strict=True)):
            if move is not None and effect is not None:
                live = move.any(axis=0)
                gap = (effect @ move - self.whole)[:, live]
                if np.abs(gap).max(initial=0) <= 1e-7 * np.abs(self.whole).max(initial=0):
                    found.append(place)
        return found


def _product(L: Matrix, move: Matrix | None) -> Matrix | None:
    return None if move is None else np.asarray(L @ move)


def _sum(one: Matrix | None, other: Matrix | None) -> Matrix | None:
    if one is None or other is None:
        return other if one is None else one
    return np.asarray(one + other)
