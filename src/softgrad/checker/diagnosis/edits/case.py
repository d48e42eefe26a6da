"""The error that is to be explained at one point, and what an edit leaves of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from softgrad.checker.diagnosis.edits.base import Edit
from softgrad.checker.diagnosis.edits.guesses import form
from softgrad.checker.diagnosis.edits.parts import meets_its_sums
from softgrad.checker.diagnosis.edits.picks import is_pick
from softgrad.checker.diagnosis.edits.replays import Replay
from softgrad.checker.diagnosis.graph.graph import Change, Edge, Graph
from softgrad.checker.diagnosis.jacobians import Matrix, Spot
from softgrad.checker.richardson import rms
from softgrad.checker.subject import Vector

__all__ = ["Case"]

_SKETCHES = 3
_MANY = 8
_STEP = 2.0**-12
"""Of a difference that tells whether to look closer."""
_CHOICES = ("where", "clip")
_JOINS = ("stack", "concatenate", "hstack", "vstack", "column_stack", "_assigned")


class Case:
    """A graph at one point, and the error that is to be explained there."""

    def __init__(self, graph: Graph, spot: Spot, scope: Sequence[int]) -> None:
        """`scope` are the inputs whose error is to be explained."""
        self.graph = graph
        sizes = [point.size for point in spot.points]
        starts = np.cumsum([0, *sizes])
        columns = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in scope])
        self.rest = np.ones(starts[-1], dtype=bool)
        self.rest[columns] = False
        ends = np.cumsum([sizes[i] for i in scope])
        self.parts = [slice(end - sizes[i], end) for i, end in zip(scope, ends, strict=True)]
        ends = np.cumsum([graph.steps[place].value.size for place in graph.outputs])
        pairs = zip(graph.outputs, ends, strict=True)
        self.outputs = [slice(end - graph.steps[n].value.size, end) for n, end in pairs]
        self.seed = np.eye(starts[-1])[:, columns]
        self.A = np.concatenate([spot.analytic[i] for i in scope], axis=1)
        self.J = graph.whole[:, columns]
        self.R = self.A - self.J
        self.columns = columns
        rng = np.random.default_rng(0)
        u, w = (rng.standard_normal((size, _SKETCHES)) for size in self.A.shape)
        self.u, self.w = u, w[:, 0]
        self.moves, self.effects = graph.push(self.seed @ w), graph.pull(u)
        self._moved: dict[float, list[Vector]] = {}
        self.wanted = np.einsum("os,ot,ts->s", u, self.R, w)

    @cached_property
    def is_usable(self) -> bool:
        """Whether the error is more than what the steps' differences leave, and not all of J.

        That nothing at all comes back has many reasons.
        """
        return min(rms(self.R), rms(self.A)) > 1e-6 * rms(self.J)

    @cached_property
    def has_many(self) -> bool:
        """Whether the error is too many numbers to be explained by chance."""
        return int((np.abs(self.R) > 1e-6 * np.abs(self.R).max()).sum()) >= _MANY

    def may_be(self, edit: Edit, changes: Sequence[Change]) -> bool:
        """Whether a few numbers are those of the error."""
        if len(changes) > 1 and not edit.multiple:
            seen = np.einsum("os,os->s", self.u, self.graph.shift(self.moves, changes))
        else:
            seen = self.sketch(changes)
        if not seen.any():
            return False
        c = self.factor(changes) if edit.multiple else 1.0
        return bool(np.abs(self.wanted - c * seen).max() <= 1e-4 * np.abs(self.wanted).max())

    def may_be_of(self, replay: Replay) -> bool:
        """Whether the forward with other numbers moves along a direction as the error says."""
        try:
            with np.errstate(all="ignore"):
                ends = [self._replayed(replay, h) for h in (_STEP, -_STEP)]
        except Exception:  # the steps are the user's, and the numbers are not
            return False
        shift = (ends[0] - ends[1]) / (2 * _STEP) - self.J @ self.w
        gap = np.abs(self.u[:, 0] @ shift - self.wanted[0])
        return bool(gap <= 1e-3 * np.abs(self.wanted).max())

    def _replayed(self, replay: Replay, h: float) -> Vector:
        """Return the outputs a little along the first direction."""
        found = self._along(h)
        values = {}
        for place, value in replay.values(self.graph).items():
            passed = replay.passed
            from_ = place if passed is None else self.graph.steps[place].operands[passed]
            values[place] = value + replay.sign * (found[from_] - self.graph.steps[from_].value)
        found = self.graph.run(values, found)
        return np.concatenate([found[place].ravel() for place in self.graph.outputs])

    def _along(self, h: float) -> list[Vector]:
        """Return the values of all steps a little along the first direction."""
        if h not in self._moved:
            values = {
                place: step.value + h * move[:, 0].reshape(step.value.shape)
                for place, (step, move) in enumerate(zip(self.graph.steps, self.moves, strict=True))
                if place in self.graph.inputs and move is not None
            }
            self._moved[h] = self.graph.run(values)
        return self._moved[h]

    def factor(self, changes: Sequence[Change]) -> float:
        """Return the multiple of changes that comes nearest to the error."""
        seen = self.sketch(changes)
        return float(seen @ self.wanted / (seen @ seen)) if seen.any() else 0.0

    def left(self, edit: Edit, c: float) -> tuple[float, bool]:
        """Return what an edit leaves of the error, as a part of it, and whether it is clean.

        One that is clean leaves all other inputs alone.
        """
        changes = [replace(change, delta=c * change.delta) for change in edit.changes(self.graph)]
        if not changes:
            return np.inf, False
        shift = self._shift(changes)
        clean = rms(shift[:, self.rest]) <= 1e-6 * rms(self.graph.whole[:, self.rest])
        return rms(self.R - shift[:, self.columns]) / rms(self.R), clean

    def is_whole(self, edit: Edit) -> bool:
        """Whether a change is a multiple of an input's whole gradient, or of an output's part."""
        shift, whole = self._shift(edit.changes(self.graph)), self.graph.whole
        changed = shift[:, self.columns]
        if any(_is_multiple(changed[:, part], self.J[:, part]) for part in self.parts):
            return True
        for part in self.outputs if len(self.outputs) > 1 else ():
            rest = np.delete(shift, part, axis=0)
            if not rest.any() and _is_multiple(shift[part], whole[part]):
                return True
        return False

    def is_selected(self, edit: Edit) -> bool:
        """Whether a step counts at some entries alone, those that a `where` chooses."""
        error, own = (np.abs(M).max(axis=0) for M in (self.R, self.J))
        wrong = error > 1e-6 * error.max()
        live = (own > 1e-6 * own.max()) | wrong
        few = all(wrong[part].sum() < live[part].sum() for part in self.parts if wrong[part].any())
        return few and edit.place is not None and self.is_chosen(edit.place)

    def is_of_chain(self, edit: Edit) -> bool:
        """Whether a factor that a step does not take is made into it, or is all that it becomes."""
        place, factor = edit.place, edit.factor
        if place is None or factor is None or self.graph.is_made_of(place, factor):
            return True
        return (
            self.graph.after(place, without=factor).isdisjoint(self.graph.outputs)
            # What it is multiplied by on its way is a factor of the chain, and stands there twice.
            or self._is_multiplied(place, factor)
        )

    def _is_multiplied(self, place: int, factor: int) -> bool:
        """Whether what is made of a step is multiplied by another step that is not."""
        after = self.graph.after(place)
        return factor not in after and any(
            step.name == "multiply"
            and factor in step.operands
            and not after.isdisjoint(step.operands)
            for step in self.graph.steps
        )

    def is_picked(self, edit: Edit) -> bool:
        """Whether a step picks some entries of an array that has other uses."""
        place = edit.place
        if place is None or not is_pick(self.graph, place):
            return False
        of = self.graph.steps[place].operands[0]
        return sum(self.graph.before(edge) == of for edge in self.graph.locals) > 1

    def is_severed(self) -> bool:
        """Whether nothing at all comes back to one of several inputs."""
        parts = self.parts if len(self.parts) > 1 else []
        return any(rms(self.A[:, part]) <= 1e-9 * rms(self.J[:, part]) for part in parts)

    def is_of_output(self, edit: Edit) -> bool:
        """Whether some outputs alone are wrong, and what comes in for them is not used."""
        place = edit.place
        if place in self.graph.outputs and self.graph.steps[place].name in _JOINS:
            return True
        wrong = np.abs(self.R).max(axis=1) > 1e-6 * np.abs(self.R).max()
        others = np.delete(self.graph.whole, np.flatnonzero(self.seed.any(axis=1)), axis=1)
        return not (wrong.all() or self.A[wrong].any() or others[wrong].any())

    def is_cut(self, edit: Edit) -> bool:
        """Whether a part of an input is given no gradient at all."""
        if edit.place is None:
            return False
        step = self.graph.steps[edit.place]
        error = np.abs(self.R).max(axis=0)
        dead = not np.abs(self.A[:, error > 1e-6 * error.max()]).any()
        return step.name == "_item" and step.operands[0] in self.graph.inputs and dead

    def is_projection(self, edit: Edit) -> bool:
        """Whether a step counts through sums alone that meet what they are taken of again."""
        if edit.place is None or (changes := edit.changes(self.graph)) == []:
            return False
        return self.graph.comes_back(changes[0].before, edit.place)

    def is_of_softmax_sum(self, edit: Edit) -> bool:
        """Whether it is in the sum of a softmax that an edit is made, and there alone."""
        if edit.place is None or (changes := edit.changes(self.graph)) == []:
            return False
        ends = [edge for edge in self.graph.edges[edit.place] if _is_of(self.graph, edge, changes)]
        is_softmax = form(self.graph.steps[edit.place].value) is not None
        return is_softmax and any(meets_its_sums(self.graph, end) for end in ends)

    def _shift(self, changes: Sequence[Change]) -> Matrix:
        """Return what changes add to the outputs' Jacobian in all inputs."""
        return self.graph.shift(self.graph.moves, changes)

    def is_chosen(self, place: int, names: Sequence[str] = _CHOICES) -> bool:
        """Whether a step's value is taken at some entries alone."""
        if self.graph.steps[place].name in names:
            return True
        if place in self.graph.outputs:
            return False
        users = [edge[0] for edge in self.graph.locals if self.graph.before(edge) == place]
        return bool(users) and all(self.is_chosen(user, names) for user in users)

    def sketch(self, changes: Sequence[Change]) -> Vector:
        """Return three numbers of what changes add to the outputs, each change by itself."""
        total = np.zeros(_SKETCHES)
        for change in changes:
            effect, move = self.effects[change.after], self.moves[change.before]
            if effect is not None and move is not None:
                total += ((effect @ change.delta) * move.T).sum(axis=1)
        return total


def _is_of(graph: Graph, edge: Edge, changes: Sequence[Change]) -> bool:
    """Whether changes are those of one edge."""
    return all((change.after, change.before) == (edge[0], graph.before(edge)) for change in changes)


def _is_multiple(changed: Vector, J: Vector) -> bool:
    c = float(np.vdot(changed, J)) / float(np.vdot(J, J) or 1.0)
    return bool(changed.any()) and rms(changed - c * J) <= 1e-6 * rms(changed)
