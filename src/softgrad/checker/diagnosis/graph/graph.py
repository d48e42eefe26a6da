"""The steps of a forward as a graph: how the outputs depend on every step, and it on the inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


_LINEAR = (
    "add", "subtract", "negative", "positive", "sum", "mean", "cumsum", "trace", "diagonal", "copy",
    "reshape", "ravel", "flatten", "transpose", "swapaxes", "squeeze", "expand_dims", "repeat",
    "_item", "_assigned", "concatenate", "stack", "broadcast_to", "astype", "flip",
)  # fmt: skip
"""Operations whose derivative is the same everywhere."""


@dataclass(frozen=True)
class Change:
    """What is added to the Jacobian of a step in one that stands before it, or in itself."""

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

    @property
    def form(self) -> Any:
        """What is the same where the forward takes the same steps."""
        steps = [(s.name, s.operands, s.site, s.value.shape) for s in self.steps]
        return steps, self.outputs

    @cached_property
    def moving(self) -> list[bool]:
        """Whether a step depends on an input, and has entries that do."""
        seen = [False] * len(self.steps)
        for place, step in enumerate(self.steps):
            moves = place in self.inputs or any(seen[k] for k in step.operands)
            seen[place] = moves and place not in self.still and step.value.size > 0
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

    @cached_property
    def without_shifts(self) -> Graph | None:
        """The graph with zeros in place of what is taken for constants to no effect.

        None where the outputs do not stay as they are, or nothing else changes.
        """
        shifts = {place: np.zeros_like(self.steps[place].value) for place in self.still}
        with np.errstate(all="ignore"):
            graph = self.with_values(shifts)
        new = [step.value for step in graph.steps]
        same = all(
            np.allclose(new[place], self.steps[place].value, rtol=1e-9) for place in self.outputs
        )
        finite = all(np.isfinite(value).all() for value in new)
        return graph if same and finite else None

    def with_values(self, values: dict[int, Vector]) -> Graph:
        """Return the graph where some steps have other values, and all that follow from them."""
        found = self.run(values)
        new = {n for n, step in enumerate(self.steps) if found[n] is not step.value}
        pairs = zip(self.steps, found, strict=True)
        steps = [replace(step, value=value) for step, value in pairs]
        graph = replace(self, steps=steps)
        graph.__dict__["moving"] = self.moving
        graph.__dict__["locals"] = {
            (place, j): jacobian(steps[place], graph.values(place), j)
            if new & set(steps[place].operands) and steps[place].name not in _LINEAR
            else L
            for (place, j), L in self.locals.items()
        }
        return graph

    def run(self, values: dict[int, Vector], known: Sequence[Vector] | None = None) -> list[Vector]:
        """Return the values of all steps where some have others than their own, or the known."""
        found = [step.value for step in self.steps] if known is None else list(known)
        new = set(values)
        for place, step in enumerate(self.steps):
            if place in values:
                found[place] = values[place]
            elif step.function is not None and not new.isdisjoint(step.operands):
                found[place] = np.asarray(step.function([found[k] for k in step.operands]))
                new.add(place)
        return found

    def values(self, place: int) -> list[Vector]:
        """Return the operands' values of a step."""
        return [self.steps[k].value for k in self.steps[place].operands]

    def before(self, edge: Edge) -> int:
        """Return the step that an edge comes from."""
        place, j = edge
        return self.steps[place].operands[j]

    def push(self, seed: Matrix) -> list[Matrix | None]:
        """Return how every step moves along directions [inputs, S]."""
        ends = np.cumsum([self.steps[place].value.size for place in self.inputs])
        return self.moved(dict(zip(self.inputs, np.split(seed, ends[:-1]), strict=True)))

    def moved(self, starts: Mapping[int, Matrix], until: int | None = None) -> list[Matrix | None]:
        """Return how all steps, until one, move where some move so."""
        found: list[Matrix | None] = [starts.get(place) for place in range(len(self.steps))]
        for place in range(min(starts), len(self.steps) if until is None else until + 1):
            for edge in self.edges[place]:
                part = _product(self.locals[edge], found[self.before(edge)])
                found[place] = _sum(found[place], part)
        return found

    def shift(self, moves: Sequence[Matrix | None], changes: Sequence[Change]) -> Matrix:
        """Return what changes add to the outputs' moves, the steps' own being known."""
        found: list[Matrix | None] = [None] * len(self.steps)
        for place in range(min(change.after for change in changes), len(self.steps)):
            for edge in self.edges[place]:
                part = _product(self.locals[edge], found[self.before(edge)])
                found[place] = _sum(found[place], part)
            for change in changes:
                if change.after == place:
                    whole = _sum(moves[change.before], found[change.before])
                    found[place] = _sum(found[place], _product(change.delta, whole))
        return self._of_outputs(found)

    def _of_outputs(self, moves: Sequence[Matrix | None]) -> Matrix:
        """Lay the outputs' moves end to end."""
        count = next((move.shape[1] for move in moves if move is not None), 0)
        blanks = (np.zeros((self.steps[place].value.size, count)) for place in self.outputs)
        pairs = zip(self.outputs, blanks, strict=True)
        return np.concatenate([blank if (m := moves[n]) is None else m for n, blank in pairs])

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
        return self._of_outputs(self.moves)

    @cached_property
    def moves(self) -> list[Matrix | None]:
        """How every step moves with every entry of the inputs, laid end to end."""
        return self.push(np.eye(sum(self.steps[place].value.size for place in self.inputs)))

    def stretch(self, before: int, after: int) -> Matrix:
        """Return the Jacobian of a step in one that stands before it."""
        key = "stretch", before, after
        if key not in self.kept:
            size = self.steps[after].value.size, self.steps[before].value.size
            found = self.moved({before: np.eye(size[1])}, until=after)[after]
            self.kept[key] = np.zeros(size) if found is None else found
        stretch: Matrix = self.kept[key]
        return stretch

    def comes_back(self, before: int, place: int) -> bool:
        """Whether a step made of another counts only by sums of it, which meet it again.

        That is the term with an inner product, as of x/‖x‖ with respect to x in the norm alone.
        """
        shape, size = self.steps[before].value.shape, self.steps[before].value.size
        necks = (n for n in sorted(self.after(place)) if self.steps[n].value.size < size)
        for neck in necks:
            if self.after(place, without=neck).isdisjoint(self.outputs):
                direct = self.after(before, without=neck)
                step = self.steps[neck]
                # What is weighed by another array, as by a matrix, is no sum of the step alone,
                # and an entry that is picked is none at all.
                if step.name in ("mean", "var", "std", "_item") or len(self.edges[neck]) > 1:
                    return False
                return any(
                    self.steps[after].value.shape == shape
                    and not direct.isdisjoint(self.steps[after].operands)
                    and self._is_laid(neck, after)
                    for after in self.after(neck)
                )
        return False

    def _is_laid(self, neck: int, after: int) -> bool:
        """Whether an operand of a step has in every entry what is made of one sum alone.

        What goes through another sum, as a vector through its length, is a map of its own.
        """
        stretches = (self.stretch(neck, self.before(edge)) for edge in self.edges[after])
        return any(S.any() and ((S != 0).sum(axis=1) <= 1).all() for S in stretches)

    def after(self, place: int, without: int | None = None) -> set[int]:
        """Return a step and all that are made of it; `without` another."""
        found = {place} - {without}
        for after in range(place + 1, len(self.steps)):
            if after != without and any(self.before(edge) in found for edge in self.edges[after]):
                found.add(after)
        return found

    def is_made_of(self, place: int, other: int) -> bool:
        """Whether a step takes another one, in so many steps; constants are steps as well."""
        made = {other}
        for n in range(other + 1, place + 1):
            if not made.isdisjoint(self.steps[n].operands):
                made.add(n)
        return place in made

    @cached_property
    def idle(self) -> frozenset[int]:
        """Steps that the outputs do not depend on, such as the maximum that softmax subtracts.

        One turn of a loop is none by itself: of a softmax over one class nothing depends either.
        """
        effects = self.pull(np.eye(sum(self.steps[place].value.size for place in self.outputs)))
        sizes = [1.0 if place in self.outputs else 0.0 for place in range(len(self.steps))]
        for place in reversed(range(len(self.steps))):
            for edge in self.edges[place]:
                L = np.abs(self.locals[edge]).max(initial=0)
                sizes[self.before(edge)] += sizes[place] * float(L)
        sites = [
            place if step.function is None else (step.name, step.site)
            for place, step in enumerate(self.steps)
        ]
        live = {
            site
            for site, effect, size in zip(sites, effects, sizes, strict=True)
            # What it would be if nothing cancelled is the scale.
            if effect is not None and np.abs(effect).max(initial=0) > 1e-7 * size
        }
        return frozenset(
            place
            for place, (site, effect) in enumerate(zip(sites, effects, strict=True))
            if effect is not None and site not in live
        )

    @cached_property
    def gates(self) -> list[int]:
        """The steps through which all goes that comes from the inputs that they depend on."""
        effects = self.pull(np.eye(len(self.whole)))
        found = []
        for place, (move, effect) in enumerate(zip(self.moves, effects, strict=True)):
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
