"""What comes back to a step, before it goes on: a slope too many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

import numpy as np

from softgrad.checker.diagnosis.edits.base import Edit
from softgrad.checker.diagnosis.edits.functions import functions
from softgrad.checker.diagnosis.graph.graph import Change, Graph
from softgrad.checker.subject import Vector

__all__ = ["factors_too_many"]

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
        if not graph.moving[place] or step.value.size < 2:
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


def _is_value_of(function: Callable[[Vector], Vector], graph: Graph, place: int) -> bool:
    """Whether a step's value is a function of an earlier one's, which is then applied twice."""
    value = graph.steps[place].value
    earlier = (seen.value for seen in graph.steps[:place] if seen.value.shape == value.shape)
    return any(np.allclose(function(x), value, rtol=1e-9, atol=0) for x in earlier)
