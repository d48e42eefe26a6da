"""What comes after a step of the forward, as if the step were the input: a loss, a norm, all."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from softgrad.checker.diagnosis.edits.base import Edit
from softgrad.checker.diagnosis.edits.guesses import form, guessed
from softgrad.checker.diagnosis.edits.softmaxes import found
from softgrad.checker.diagnosis.graph.graph import Graph
from softgrad.checker.diagnosis.hypotheses import TABLE
from softgrad.checker.diagnosis.hypotheses.simple import IDENTITY, SCALE, SIGN, SPREAD, ZERO

__all__ = ["tails"]

_OF_TAILS = [
    hypothesis
    for hypothesis in TABLE
    if not hypothesis.costly
    and hypothesis.code != "cotangent"  # what comes in is that of the whole
    and hypothesis not in (ZERO, SIGN, SCALE, IDENTITY, SPREAD)
]

_NORMS = ("layer_norm", "rms_norm", "group_norm", "batch_norm", "standardize")


def tails(graph: Graph) -> Iterator[Edit]:
    """Yield what all that comes after a step may be taken for, as if the step were the input.

    What comes after ends at the output, at the loss that logits alone go into, or with a step that
    is a norm by itself.
    """
    norms = _norms(graph)
    axes = {
        before: (form(graph.steps[after].value) or (False, -1))[1] for after, before in found(graph)
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
            yield from guessed(graph, after, before, _OF_TAILS, f"In {what}:")
            if axis not in (-1, step.value.ndim - 1):
                yield from guessed(graph, after, before, _OF_TAILS, f"In {what}:", axis)


def _norms(graph: Graph) -> list[tuple[int, int]]:
    """Return what goes into the steps that are norms, and the steps: by name, or by numbers."""
    found = [place for place, step in enumerate(graph.steps) if step.name in _NORMS]
    pairs = [(graph.steps[place].operands[0], place) for place in found if graph.edges[place]]
    for after, step in enumerate(graph.steps):
        y = step.value
        if step.elementwise and graph.moving[after] and y.ndim and graph.edges[after]:
            pairs += [(before, after) for before in range(after) if _is_norm(graph, before, after)]
    return pairs + [(before, gained) for before, after in pairs for gained in _gained(graph, after)]


def _gained(graph: Graph, after: int) -> Iterator[int]:
    """Yield the products of a norm with its gain."""
    for place, step in enumerate(graph.steps):
        alike = step.name == "multiply" and step.value.shape == graph.steps[after].value.shape
        if alike and after in step.operands:
            yield place


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
