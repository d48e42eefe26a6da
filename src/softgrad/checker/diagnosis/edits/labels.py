"""A softmax of which one entry in every row is used, the label's: the row of the Jacobian there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from softgrad.checker.diagnosis.edits.base import Edit
from softgrad.checker.diagnosis.edits.guesses import form
from softgrad.checker.diagnosis.edits.parts import in_uses
from softgrad.checker.diagnosis.edits.softmaxes import found
from softgrad.checker.diagnosis.graph.graph import Change, Graph
from softgrad.checker.diagnosis.graph.local import Matrix
from softgrad.checker.diagnosis.view import differ_along
from softgrad.checker.subject import Vector

__all__ = [
    "labelled_rows",
    "not_subtracted",
    "one_class",
    "other_labels",
    "picks_of",
    "two_classes",
]

_Pick = tuple[int, int, int]
"""A softmax, its logits, and the step that is one entry of each of its rows."""
_Row = Callable[[Vector, Vector, Vector], Vector]
"""The derivative of the label's p, from p, the label's own, and 1 at the label and 0 elsewhere."""

_ROWS: tuple[tuple[str, str, _Row], ...] = (
    (
        "diagonal-only",
        "the diagonal p·(1 − p) of the Jacobian stands where its row at the label must",
        lambda p, own, t: p * (1 - p),
    ),
    (
        "diagonal-only",
        "only the label's own p·(1 − p) is there: the cross derivatives are missing",
        lambda p, own, t: t * p * (1 - p),
    ),
    (
        "wrong-variable",
        "1 − p at the label stands in every entry: at the others it must be −p, and theirs",
        lambda p, own, t: p * (1 - own),
    ),
    (
        "wrong-variable",
        "every entry is multiplied by its own p, and must be by that at the label",
        lambda p, own, t: p * (t - p),
    ),
    (
        "wrong-variable",
        "every entry is divided by its own p, and must be by that at the label",
        lambda p, own, t: own * own * (t - p) / p,
    ),
)
"""Rows that stand for own·(t − p)."""


def labelled_rows(graph: Graph) -> Iterator[Edit]:
    """Yield what the derivative of the labels' probabilities is taken for, in all uses or some."""
    for after, before in found(graph):
        for pick in picks_of(graph, after, before):
            edits = [
                Edit(code, _said(graph, pick, text), _changes(after, before, pick, row), place=pick)
                for code, text, row in _ROWS
            ]
            yield from edits
            yield from in_uses(graph, edits, pick)


def not_subtracted(graph: Graph) -> Iterator[Edit]:
    """Yield p in place of p − t."""
    for after, before in found(graph):
        for pick in picks_of(graph, after, before):
            text = "1 is not subtracted at the label: all entries of p go back as they are"
            changes = _changes(after, before, pick, lambda p, own, t: -own * p)
            yield Edit("subset", _said(graph, pick, text), changes, place=pick)


def other_labels(graph: Graph) -> Iterator[Edit]:
    """Yield other labels than those whose entries are used: an argument's, or all in every row."""
    groups: dict[object, list[_Pick]] = {}
    for after, before in found(graph):
        for pick in picks_of(graph, after, before):
            group = groups.setdefault((graph.steps[pick].site, graph.steps[after].value.ndim), [])
            if all(pick != other for *_, other in group):
                group.append((after, before, pick))
    for picks in groups.values():
        text = f"In the derivative of {graph.steps[picks[0][-1]].label}, p at the label, 1 is"
        for given in range(len(graph.given)):
            if _named(graph, picks, given) is not None:

                def changes(
                    graph: Graph, picks: Sequence[_Pick] = picks, given: int = given
                ) -> list[Change]:
                    return _relabelled(graph, picks, _named(graph, picks, given))

                said = f"{text} subtracted where input {given} says, which is not the label."
                yield Edit("wrong-variable", said, changes)

        def every(graph: Graph, picks: Sequence[_Pick] = picks) -> list[Change]:
            return _relabelled(graph, picks, _of_all_rows(graph, picks))

        said = f"{text} subtracted in every row at the labels of all rows: `p[:, y] -= 1`, and must"
        yield Edit("subset", f"{said} be at its own: `p[np.arange(len(y)), y] -= 1`.", every)


def _named(graph: Graph, picks: Sequence[_Pick], given: int) -> list[Matrix] | None:
    """Return 1 where an argument's labels are and 0 elsewhere; None where it is no labels."""
    labels = graph.given[given]
    rows = [graph.stretch(after, pick) for after, _, pick in picks]
    if not (isinstance(labels, np.ndarray) and labels.dtype.kind in "iu" and labels.ndim == 1):
        return None
    if labels.size != sum(map(len, rows)):
        return None
    ends = np.cumsum([len(P) for P in rows])
    found = []
    for (after, _, _), P, own in zip(picks, rows, np.split(labels, ends[:-1]), strict=True):
        shape, axis = graph.steps[after].value.shape, _axis(graph, after)
        classes = np.indices(shape)[axis].ravel()
        found.append((classes == own[:, None]) * (P @ differ_along(shape, (axis,))))
    return found


def _of_all_rows(graph: Graph, picks: Sequence[_Pick]) -> list[Matrix]:
    found = []
    for after, _, pick in picks:
        P, shape = graph.stretch(after, pick), graph.steps[after].value.shape
        axis = _axis(graph, after)
        classes = np.indices(shape)[axis].ravel()
        labels = classes[P.any(axis=0)]
        found.append(np.isin(classes, labels) * (P @ differ_along(shape, (axis,))))
    return found


def _relabelled(
    graph: Graph, picks: Sequence[_Pick], labels: Sequence[Matrix] | None
) -> list[Change]:
    """Return the changes by which 1 is subtracted elsewhere; none where it is at the labels."""
    found = []
    for (after, before, pick), t in zip(picks, labels or (), strict=labels is not None):
        P = graph.stretch(after, pick)
        new = _laid(graph, after, P, lambda p, own, _, t=t: own * (t - p))  # type: ignore[misc]
        found.append(Change(pick, before, new - graph.stretch(before, pick)))
    return found if any(change.delta.any() for change in found) else []


def _axis(graph: Graph, after: int) -> int:
    return (form(graph.steps[after].value) or (False, 0))[1]


def two_classes(graph: Graph) -> Iterator[Edit]:
    """Yield the gradient of a binary cross-entropy, where the labels' classes alone have a loss."""
    for after, _ in found(graph) if len(graph.outputs) == 1 else ():
        if (form(graph.steps[after].value) or (True, 0))[0]:
            continue

        def changes(graph: Graph, after: int = after) -> list[Change]:
            p, axis = graph.steps[after].value, _axis(graph, after)
            effect = graph.stretch(after, graph.outputs[0])
            rows = differ_along(p.shape, (axis,)).astype(float)
            if ((effect != 0) @ rows > 1).any():
                return []  # more than one class has a loss
            with np.errstate(all="ignore"):
                others = (effect * p.ravel()) @ rows / (p.ravel() - 1) * (effect == 0)
            return [Change(graph.outputs[0], after, others)] if np.isfinite(others).all() else []

        text = f"What comes back to {graph.steps[after].label} is the gradient of a binary cross-"
        text += "entropy, and the loss is that of several classes: −t/p stands alone, and those "
        text += "that are not the label's have no term (1 − t)/(1 − p)."
        yield Edit("wrong-variable", text, changes, place=after)


def one_class(graph: Graph) -> Iterator[Edit]:
    """Yield p − t, where every class has a loss of its own: −t·log p − (1 − t)·log(1 − p).

    That is what the diagonal of the softmax's Jacobian makes of such a loss, too; but who writes
    p − t has the gradient of a cross-entropy in mind.
    """
    for after, before in found(graph) if len(graph.outputs) == 1 else ():
        if (form(graph.steps[after].value) or (True, 0))[0]:
            continue

        def changes(graph: Graph, after: int = after, before: int = before) -> list[Change]:
            p = graph.steps[after].value.ravel()
            own = graph.stretch(after, graph.outputs[0]) * p * (1 - p)
            if not all(row.all() and _is_p_less_t(p, row) for row in own):
                return []
            return [Change(after, before, np.diag(p * (1 - p)) - graph.stretch(before, after))]

        text = f"What comes back to the logits of {graph.steps[after].label} is p − t, as that of a"
        text += " cross-entropy −Σ t·log p. This loss has a term −(1 − t)·log(1 − p) in every class"
        text += " besides, and its gradient is another. (p − t is also what is left of that where"
        text += " only the diagonal of the softmax's Jacobian is used.)"
        yield Edit("wrong-variable", text, changes, place=after)


def _is_p_less_t(p: Vector, row: Vector) -> bool:
    """Whether a row is a multiple of p − t, of labels t that are 0 or 1."""
    for sign in (1.0, -1.0):
        ratio = row / (p - (sign * row < 0))
        if np.ptp(ratio) <= 1e-9 * np.abs(ratio).max():
            return True
    return False


def picks_of(graph: Graph, after: int, before: int) -> Iterator[int]:
    """Yield the steps that are one entry of every row of a softmax, or of some rows."""
    for pick in sorted(graph.after(after) - {after}):
        P = graph.stretch(after, pick)
        if P.shape[0] < P.shape[1] and (P != 0).any() and _is_one_of_each(P):
            rows = differ_along(graph.steps[after].value.shape, (_axis(graph, after),))
            right = np.abs(_true(graph, after, P) - graph.stretch(before, pick)).max()
            if (P @ rows).max() == 1 and right < 1e-9:
                yield pick
                return


def _is_one_of_each(P: Matrix) -> bool:
    return bool(((P != 0).sum(axis=1) == 1).all() and (P[P != 0] == 1).all())


def _true(graph: Graph, after: int, P: Matrix) -> Matrix:
    return _laid(graph, after, P, lambda p, own, t: own * (t - p))


def _laid(graph: Graph, after: int, P: Matrix, row: _Row) -> Matrix:
    """Return rows of the labels' derivatives in the logits, of p or of its logarithm."""
    y = graph.steps[after].value
    log, axis = form(y) or (False, 0)
    p = np.broadcast_to((np.exp(y) if log else y).ravel(), P.shape)
    own = (P * p).sum(axis=1, keepdims=True)
    new = row(p, own, P) * (P @ differ_along(y.shape, (axis,)))
    return np.asarray(new / own if log else new)


def _changes(after: int, before: int, pick: int, row: _Row) -> Callable[[Graph], list[Change]]:
    def changes(graph: Graph) -> list[Change]:
        with np.errstate(all="ignore"):
            new = _laid(graph, after, graph.stretch(after, pick), row)
        delta = new - graph.stretch(before, pick)
        return [Change(pick, before, delta)] if np.isfinite(delta).all() else []

    return changes


def _said(graph: Graph, pick: int, text: str) -> str:
    return f"In the derivative of {graph.steps[pick].label}, p at the label, {text}."
