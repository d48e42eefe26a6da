"""What comes back to a step, before it goes on: a slope too many, or a factor that is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

import numpy as np

from softgrad.checker.diagnosis.edits.base import Edit, operand
from softgrad.checker.diagnosis.edits.functions import functions
from softgrad.checker.diagnosis.graph.graph import Change, Graph
from softgrad.checker.subject import Vector

__all__ = ["divisors_missing", "factors_missing", "factors_too_many"]

_SLOPES: dict[str, Callable[[Vector], Vector]] = {
    "v·(1 − v)": lambda v: v * (1 - v),
    "1 − v": lambda v: 1 - v,
    "1 − v²": lambda v: 1 - v * v,
    "v": lambda v: v,
}


_AS_IT_IS: list[tuple[str, Callable[[Vector], Vector]]] = [("{}", lambda x: x)]


def factors_too_many(graph: Graph) -> Iterator[Edit]:
    """Yield slopes of activations by which all that comes back to a step is multiplied."""
    for place, step in enumerate(graph.steps):
        turns = sum(other.site == step.site and other.name == step.name for other in graph.steps)
        if not graph.moving[place] or step.value.size * turns < 2:
            continue
        for name, function in chain(_AS_IT_IS, functions(step.value)):
            twice = name != "{}" and _is_value_of(function, graph, place)
            for formula, slope in _SLOPES.items():

                def changes(
                    graph: Graph,
                    place: int = place,
                    function: Callable[[Vector], Vector] = function,
                    slope: Callable[[Vector], Vector] = slope,
                ) -> list[Change]:
                    with np.errstate(all="ignore"):
                        factor = slope(function(graph.steps[place].value)).ravel()
                    if not np.isfinite(factor).all():
                        return []
                    return [Change(place, place, np.diag(factor - 1))]

                text = f"What comes back to {step.label} is multiplied by {formula} besides"
                said = f"{text}, v being {name.format('it')}."
                yield Edit("wrong-variable" if twice else "chain-term", said, changes, place=place)


def factors_missing(graph: Graph) -> Iterator[Edit]:
    """Yield factors of a product or quotient, both of whose operands come from one array.

    They stand before all that comes back to that array, as 1/n does of x/n, n being the norm of x.
    """
    for place, step in enumerate(graph.steps):
        if step.name not in ("divide", "multiply") or len(graph.edges[place]) != 2:
            continue
        of, by = step.operands
        for before in range(of + 1):
            if graph.steps[before].value.shape != step.value.shape or not graph.moving[before]:
                continue
            if not (graph.stretch(before, of).any() and graph.stretch(before, by).any()):
                continue

            def changes(graph: Graph, place: int = place, before: int = before) -> list[Change]:
                step = graph.steps[place]
                factor = np.broadcast_to(graph.values(place)[1], step.value.shape).ravel()
                with np.errstate(all="ignore"):
                    more = factor if step.name == "divide" else 1 / factor
                if not np.isfinite(more).all():
                    return []
                return [Change(before, before, np.diag(more - 1))]

            name = operand(graph, place, 1) or graph.steps[by].label
            said = f"1/{name}" if step.name == "divide" else name
            text = f"What comes back to {graph.steps[before].label} lacks the factor {said}."
            yield Edit("chain-term", text, changes, place=before)


def divisors_missing(graph: Graph) -> Iterator[Edit]:
    """Yield a quotient rule without its divisor, or without the square of that: `/ b * b`."""
    for place, step in enumerate(graph.steps):
        if step.name != "divide" or len(graph.edges[place]) != 2:
            continue
        by = operand(graph, place, 1) or graph.steps[step.operands[1]].label
        for power, factor in ((1, f"1/{by}"), (2, f"1/{by}²")):

            def changes(graph: Graph, place: int = place, power: int = power) -> list[Change]:
                shape = graph.steps[place].value.shape
                more = np.broadcast_to(graph.values(place)[1], shape).ravel() ** power
                return [Change(place, place, np.diag(more - 1))]

            text = f"The derivative of {step.label}, in both operands, lacks the factor {factor}."
            yield Edit("chain-term", text, changes, place=place)


def _is_value_of(function: Callable[[Vector], Vector], graph: Graph, place: int) -> bool:
    """Whether a step's value is a function of an earlier one's, which is then applied twice."""
    value = graph.steps[place].value
    earlier = (seen.value for seen in graph.steps[:place] if seen.value.shape == value.shape)
    return any(np.allclose(function(x), value, rtol=1e-9, atol=0) for x in earlier)
