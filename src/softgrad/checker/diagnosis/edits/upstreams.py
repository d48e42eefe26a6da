"""What comes back to one step stands where what comes back to another must."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from softgrad.checker.diagnosis.edits.base import Edit, derivative
from softgrad.checker.diagnosis.graph.graph import Change, Edge, Graph

__all__ = ["other_upstreams"]


def other_upstreams(graph: Graph) -> Iterator[Edit]:
    """Yield the gradients of inputs that are made of what comes back to another step.

    As where a buffer, which what comes back to a norm's output is kept in, has been overwritten
    by what goes on to the norm's input, before the gain has its gradient.
    """
    effects = graph.pull(np.eye(len(graph.whole)))
    for edge in graph.locals:
        own, before = graph.steps[edge[0]], graph.before(edge)
        if before not in graph.inputs or own.value.ndim == 0:
            continue
        for other, step in enumerate(graph.steps):
            alike = other != edge[0] and step.value.shape == own.value.shape
            if not alike or not graph.moving[other] or effects[other] is None:
                continue

            def changes(graph: Graph, edge: Edge = edge, other: int = other) -> list[Change]:
                L, before = graph.locals[edge], graph.before(edge)
                return [Change(edge[0], before, -L), Change(other, before, L)]

            text = f"In {derivative(graph, *edge)} what comes back to {step.label} stands where"
            yield Edit("wrong-variable", f"{text} what comes back to {own.label} must.", changes)
