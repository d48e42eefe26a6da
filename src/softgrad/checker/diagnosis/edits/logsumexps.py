"""Log-sum-exp within a forward, however it is written: its weights are a softmax."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, combinations

import numpy as np
from numpy.typing import NDArray

from softgrad.checker.diagnosis.edits.base import Edit
from softgrad.checker.diagnosis.edits.functions import softmax
from softgrad.checker.diagnosis.edits.parts import in_uses
from softgrad.checker.diagnosis.edits.picks import picked_of
from softgrad.checker.diagnosis.graph.graph import Change, Graph
from softgrad.checker.diagnosis.graph.local import Matrix
from softgrad.checker.subject import Vector

__all__ = ["log_sum_exps", "logsumexps", "missing"]


Axes = tuple[int, ...]
"""The axes that a log-sum-exp is taken over."""


@dataclass(frozen=True)
class _Rows:
    """The logits z of a log-sum-exp at one point, and which of them count."""

    z: Vector
    kept: NDArray[np.bool_]
    axis: Axes

    @property
    def p(self) -> Vector:
        """The right weights."""
        return self.softmax(self.z)

    @property
    def exp(self) -> Vector:
        """The exponentials of what counts."""
        return np.where(self.kept, np.exp(self.z), 0.0)

    def softmax(self, x: Vector, axis: Axes | None = None) -> Vector:
        """Return the softmax of what counts."""
        axis = self.axis if axis is None else axis
        return softmax(np.where(self.kept, x, -np.inf), axis)


_Weights = Callable[[_Rows], Vector]
_Part = Callable[[_Rows, NDArray[np.bool_]], Vector]


def logsumexps(graph: Graph) -> Iterator[Edit]:
    """Yield what the weights of every log-sum-exp may be taken for, in all its uses or in some."""
    for after, before, axis in log_sum_exps(graph):
        own = list(_of_own(graph, after, before, axis))
        yield from own
        yield from _of_others(graph, after, before, axis)
        yield from in_uses(graph, own, after)


def missing(graph: Graph) -> Iterator[Edit]:
    """Yield log-sum-exps that are taken for constants."""
    for after, before, _ in log_sum_exps(graph):

        def changes(graph: Graph, after: int = after, before: int = before) -> list[Change]:
            return [Change(after, before, -graph.stretch(before, after))]

        text = f"The derivative of {graph.steps[after].label}, a log-sum-exp, is missing."
        yield Edit("chain-term", text, changes, place=after)


def _of_own(graph: Graph, after: int, before: int, axis: Axes) -> Iterator[Edit]:
    """Yield wrong weights that are made of the logits."""
    said = f"In the derivative of {graph.steps[after].label}, a log-sum-exp,"
    for code, text, weights in _wrong(graph.steps[before].value.shape, axis):

        def alike(graph: Graph, rows: _Rows, weights: _Weights = weights) -> Vector:
            return weights(rows)

        yield Edit(code, f"{said} {text}.", _changes(after, before, axis, alike), place=after)
    for pick in picked_of(graph, before):
        for text, part in _at_picks(graph.steps[pick].label):

            def within(graph: Graph, rows: _Rows, pick: int = pick, part: _Part = part) -> Vector:
                picked = np.asarray(graph.locals[pick, 0].any(axis=0))
                return part(rows, picked.reshape(rows.z.shape))

            taken = _changes(after, before, axis, within)
            yield Edit("subset", f"{said} {text}.", taken, place=after)


def _at_picks(name: str) -> Iterator[tuple[str, _Part]]:
    """Yield weights that are given to entries that are picked, as those of the labels, or not."""
    text = f"the entries that {name} picks alone have a weight"
    yield text, lambda rows, picked: np.where(picked, rows.p, 0.0)
    text = f"the entries that {name} picks have no weight"
    yield text, lambda rows, picked: np.where(picked, 0.0, rows.p)
    text = f"the sum leaves out the entries that {name} picks"
    yield text, lambda rows, picked: rows.softmax(np.where(picked, -np.inf, rows.z))


def _of_others(graph: Graph, after: int, before: int, axis: Axes) -> Iterator[Edit]:
    """Yield the softmaxes of other arrays in place of the weights."""
    z = graph.steps[before]
    said = f"In the derivative of {graph.steps[after].label}, a log-sum-exp,"
    for other, seen in enumerate(graph.steps):
        if seen.value.shape != z.value.shape or other == before:
            continue
        if np.ptp(seen.value - z.value, axis=axis).max() < 1e-9:
            continue

        def elsewhere(graph: Graph, rows: _Rows, other: int = other) -> Vector:
            return rows.softmax(graph.steps[other].value)

        text = f"{said} the softmax is that of {seen.label} in place of {z.label}."
        taken = _changes(after, before, axis, elsewhere)
        yield Edit("wrong-variable", text, taken, place=after)


def _wrong(shape: tuple[int, ...], axis: Axes) -> Iterator[tuple[str, str, _Weights]]:
    text = "the weights are left out: the softmax is missing"
    yield "chain-term", text, lambda rows: np.ones(shape)
    yield "chain-term", text, lambda rows: rows.kept.astype(np.float64)
    text = "the weights are all alike"
    yield "chain-term", text, lambda rows: np.ones(shape) / np.prod([shape[n] for n in axis])
    yield "chain-term", text, lambda rows: rows.softmax(np.zeros(shape))
    text = "the exponentials are not divided by their sum"
    yield "chain-term", text, lambda rows: rows.exp
    yield "chain-term", text, lambda rows: rows.exp / rows.exp.max(axis=axis, keepdims=True)
    yield "chain-term", text, lambda rows: rows.exp / rows.exp.max()
    text = "what does not count has a weight too"
    yield "subset", text, lambda rows: _Rows(rows.z, np.ones(shape, bool), axis).p
    text = "the softmax is differentiated once more"
    yield "wrong-variable", text, lambda rows: rows.p * (1 - rows.p)
    text = "the softmax is taken twice"
    yield "wrong-variable", text, lambda rows: rows.softmax(rows.p)
    yield "wrong-variable", "log p stands where p must", lambda rows: np.log(rows.p)
    yield "chain-term", "p² stands where p must", lambda rows: rows.p**2
    yield "wrong-variable", "1 − p stands where p must", lambda rows: 1 - rows.p
    for other, length in enumerate(shape):
        if axis != (other,) and length > 1:
            said = " and ".join(map(str, axis))
            text = f"the softmax is taken along axis {other} and not {said}"
            yield "axis", text, partial(_along, (other,))
    if len(shape) > len(axis):
        text = "the softmax is taken over all axes at once"
        yield "axis", text, lambda rows: rows.exp / rows.exp.sum()


def _along(axis: Axes, rows: _Rows) -> Vector:
    return rows.softmax(rows.z, axis)


def _changes(
    after: int, before: int, axis: Axes, weights: Callable[[Graph, _Rows], Vector]
) -> Callable[[Graph], list[Change]]:
    def changes(graph: Graph) -> list[Change]:
        J, z = graph.stretch(before, after), graph.steps[before].value
        rows = _Rows(z, (J != 0).any(axis=0).reshape(z.shape), axis)
        with np.errstate(all="ignore"):
            w = weights(graph, rows)
        if not np.isfinite(w).all():
            return []
        return [Change(after, before, w.ravel() * _laid(z.shape, axis) - J)]

    return changes


def _laid(shape: tuple[int, ...], axis: Axes) -> Matrix:
    """Return 1 where an entry belongs to a row."""
    rest = tuple(length for n, length in enumerate(shape) if n not in axis)
    index = np.expand_dims(np.arange(int(np.prod(rest))).reshape(rest), axis)
    row = np.broadcast_to(index, shape).ravel()
    return np.asarray(np.arange(row.max() + 1)[:, None] == row, np.float64)


def log_sum_exps(graph: Graph) -> Iterator[tuple[int, int, Axes]]:
    """Yield the places of a log-sum-exp and of its logits, those before any shift, and the axes."""
    seen: set[int] = set()
    for before, first in enumerate(graph.steps):
        if not graph.moving[before] or first.value.size < 2:
            continue
        ones = np.ones((first.value.size, 1))
        for after, sums in enumerate(graph.moved({before: ones})):
            last = graph.steps[after]
            if after in seen or sums is None or not last.value.size < first.value.size:
                continue
            if np.abs(sums - 1).max() < 1e-7:  # the weights sum to 1
                axis = _axes(first.value, last.value.shape, graph.stretch(before, after))
                if axis is not None:
                    seen.add(after)
                    yield after, before, axis


def _axes(z: Vector, shape: tuple[int, ...], J: Matrix) -> Axes | None:
    """Return the axes whose softmax a Jacobian holds; None where it does not."""
    if J.min() < 0 or np.ptp(J[J > 0]) < 1e-6:
        return None
    counts = range(1, z.ndim + 1)
    for axes in chain.from_iterable(combinations(reversed(range(z.ndim)), n) for n in counts):
        kept = tuple(1 if n in axes else length for n, length in enumerate(z.shape))
        rest = tuple(length for n, length in enumerate(z.shape) if n not in axes)
        if np.prod([z.shape[n] for n in axes]) > 1 and shape in (kept, rest):
            rows = _Rows(z, (J != 0).any(axis=0).reshape(z.shape), axes)
            if len(axes) > 1 and not rows.kept.all():
                continue  # one row of several, which is a log-sum-exp of its own
            if np.allclose(J, rows.p.ravel() * _laid(z.shape, axes), rtol=0, atol=1e-7):
                return axes
    return None
