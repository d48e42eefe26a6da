"""Whole Jacobians on a twin: from the backward, row by row; from differences, column by column."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from softgrad.checker.calls import Ended
from softgrad.checker.diagnosis.graph.graph import Graph
from softgrad.checker.diagnosis.graph.local import Matrix
from softgrad.checker.diagnosis.graph.trace import traced
from softgrad.checker.diagnosis.metered import Metered
from softgrad.checker.diagnosis.slopes import Slopes, Unusable
from softgrad.checker.probes import coarsest_epsilon
from softgrad.checker.richardson import rms
from softgrad.checker.subject import Arrays, Vector, flat, is_floating, shaped

__all__ = ["Matrix", "Spot", "Unusable"]

_OF_STEPS = 1e-9
"""The accuracy of a Jacobian that is put together from its steps'."""


@dataclass(frozen=True)
class Spot:
    """One point of a twin. `where` counts floating-point inputs, from 0."""

    subject: Metered
    most: int = 75
    """The most calls of the forward that one Jacobian may take."""

    @property
    def points(self) -> Arrays:
        """The floating-point inputs."""
        return self.subject.points

    @cached_property
    def outputs(self) -> Arrays:
        """The forward's value here."""
        try:
            outputs = self.subject.first_outputs()
        except (Ended, TypeError) as error:
            raise Unusable from error
        if not np.isfinite(flat(outputs)).all():
            raise Unusable
        return outputs

    @cached_property
    def epsilon(self) -> float:
        """The spacing at 1 of the outputs."""
        return coarsest_epsilon(self.outputs)

    @cached_property
    def analytic(self) -> tuple[Matrix, ...]:
        """The backward's Jacobian for every input: row m is its answer to the m-th unit vector.

        Raises
        ------
        Unusable
            An answer is not finite.
        Ended
            The backward raised, or the number, shape or dtype of its entries is wrong.
        """
        rows: list[list[Vector]] = []
        size = flat(self.outputs).size
        for m in range(size):
            entries = self.subject.pull_back(self.points, self._unit(m, size))
            rows.append(
                [
                    np.zeros(point.size) if entry is None else flat([entry])
                    for entry, point in zip(entries, self.points, strict=True)
                ]
            )
            if not all(np.isfinite(row).all() for row in rows[-1]):
                raise Unusable
        return tuple(np.stack(column) for column in zip(*rows, strict=True))  # [M, n] each

    def numeric(
        self,
        where: int,
        points: Arrays | None = None,
        pattern: Matrix | None = None,
        whole: bool = False,
    ) -> tuple[Matrix, float]:
        """Return the true Jacobian and its error bar, an RMS.

        Columns that share no row of `pattern` share calls; one more direction tells whether J has
        that pattern. Where none is given, a map of the rows of a matrix is tried.

        Raises
        ------
        Unusable
        """
        traced = self._by_steps(where, points)
        if traced is not None:
            return traced
        points = self.points if points is None else points
        size, shape = points[where].size, points[where].shape
        if pattern is None and not whole and len(shape) > 1 and self._same_shape(shape):
            K = shape[-1]
            pattern = np.asarray(np.kron(np.eye(size // K), np.ones((K, K))), np.float64)
        groups = [[j] for j in range(size)] if pattern is None else _groups(pattern != 0)
        self._demand(len(groups))
        J = np.zeros((flat(self.outputs).size, size))
        open_yet = [0.0]
        for group in groups:
            direction = np.zeros(size)
            direction[group] = 1
            slope, bar = self.slope(where, points, direction)
            open_yet.append(bar)
            for j in group:
                seen = slice(None) if pattern is None else pattern[:, j] != 0
                J[seen, j] = slope[seen]
        if pattern is not None:
            probe = np.random.default_rng(0).uniform(0.5, 1.5, size)
            slope, bar = self.slope(where, points, probe)
            if rms(J @ probe - slope) > 1e3 * bar + 1e-6 * rms(slope):
                return self.numeric(where, points, whole=True)
        return J, max(open_yet)

    @cached_property
    def graph(self) -> Graph | None:
        """The steps of the forward; None where they cannot be followed, or are not all of it."""
        graph, own = self._followed, flat(self.outputs)
        if graph is None:
            return None
        again = flat([graph.steps[place].value for place in graph.outputs])
        # One that is noisy has no derivative that its steps could tell.
        if again.shape != own.shape or rms(again - own) > 1e-13 * rms(own):
            return None
        for where, point in enumerate(self.points):
            direction = np.random.default_rng(1).uniform(0.5, 1.5, point.size)
            slope, bar = self.slope(where, self.points, direction)
            gap = rms(graph.jacobian_of(where) @ direction - slope)
            if gap > min(1e3 * bar, 1e-3 * rms(slope)) + 1e-6 * rms(slope):
                return None
        return graph

    def takes_other_steps(self, other: Spot) -> bool:
        """Whether the forward can be followed at both spots, and takes other steps at each."""
        one, two = self._followed, other._followed
        return one is not None and two is not None and one.form != two.form

    @cached_property
    def _followed(self) -> Graph | None:
        return self._traced(self.points)

    def _by_steps(self, where: int, points: Arrays | None) -> tuple[Matrix, float] | None:
        graph = self.graph if points is None or self.graph is None else self._traced(points)
        if graph is None:
            return None
        J = graph.jacobian_of(where)
        return J, _OF_STEPS * rms(J)

    def _traced(self, points: Arrays) -> Graph | None:
        self.subject.meter.take(1)
        arguments = self.subject.arguments(points)
        return traced(self.subject.forward, arguments, self.subject.floating)

    def wrong(self, rng: np.random.Generator) -> list[int]:
        """Return the inputs whose gradient is wrong, by one random direction in each."""
        found = []
        for where, point in enumerate(self.points):
            direction = rng.uniform(0.5, 1.5, point.size) * rng.choice([-1.0, 1.0], point.size)
            slope, bar = self.slope(where, self.points, direction)
            error = rms(self.analytic[where] @ direction - slope)
            if error > 32 * bar + 1e-9 * rms(slope):
                found.append(where)
        return found

    def _demand(self, directions: int) -> None:
        """Refuse to spend more on a Jacobian than a name is worth."""
        each = 1 if self._slopes.is_analytic else 2
        if each * directions > min(self.most, self.subject.meter.left):
            raise Unusable

    def _same_shape(self, shape: tuple[int, ...]) -> bool:
        return len(self.outputs) == 1 and flat(self.outputs).size == int(np.prod(shape))

    def _unit(self, m: int, size: int) -> Arrays:
        units = np.zeros(size)
        units[m] = 1
        return tuple(
            part.astype(output.dtype) if is_floating(output) else 0 * output
            for part, output in zip(shaped(units, self.outputs), self.outputs, strict=True)
        )

    def slope(self, where: int, points: Arrays, direction: Vector) -> tuple[Vector, float]:
        """Return the derivative of every output along a direction, and its error bar."""
        return self._slopes.along(where, direction, points)

    @cached_property
    def _slopes(self) -> Slopes:
        return Slopes(self.subject, self.points, flat(self.outputs), self.epsilon)


def _groups(pattern: NDArray[np.bool_]) -> list[list[int]]:
    """Put columns that share no row into one group, greedily."""
    groups: list[list[int]] = []
    taken: list[NDArray[np.bool_]] = []
    for j, column in enumerate(pattern.T):
        for group, rows in zip(groups, taken, strict=True):
            if not (rows & column).any():
                group.append(j)
                rows |= column
                break
        else:
            groups.append([j])
            taken.append(column.copy())
    return groups
