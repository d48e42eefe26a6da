"""One run of a forward, followed step by step."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from softgrad.checker.diagnosis.graph.constructors import constructors_write
from softgrad.checker.diagnosis.graph.graph import Graph
from softgrad.checker.diagnosis.graph.steps import Step
from softgrad.checker.diagnosis.graph.traced import Tape

__all__ = ["traced"]

_LARGEST = 700
"""The most entries that one step may have: Jacobians are whole."""


def traced(
    function: Callable[..., Any], arguments: Sequence[Any], floating: Sequence[int]
) -> Graph | None:
    """Run a forward in float64 and return its graph; None where it cannot be followed."""
    tape, handed, places = Tape(), list(arguments), []
    for place in floating:
        value = np.asarray(arguments[place], np.float64)
        places.append(tape.put(Step("input", None, (), value, None)))
        handed[place] = tape.array(value, places[-1])
    try:
        with warnings.catch_warnings(), constructors_write(tape):
            warnings.simplefilter("ignore")
            result = function(*handed)
    except Exception:  # whatever a function does with what is not quite an array
        return None
    parts = result if isinstance(result, tuple) else (result,)
    outputs = [_output(part, tape) for part in parts]
    known = tuple(place for place in outputs if place is not None)
    if len(known) < len(outputs) or any(step.value.size > _LARGEST for step in tape.steps):
        return None
    return Graph(tape.steps, tuple(places), known, tuple(arguments))


def _output(part: Any, tape: Tape) -> int | None:
    """Return the step that an output is; by its value where it is no array of ours any more."""
    place = tape.place_of(part)
    value = np.asarray(part)
    for other in reversed(range(len(tape.steps) if place is None else 0)):
        own = tape.steps[other].value
        if own.size == value.size and np.array_equal(own.reshape(-1), value.reshape(-1)):
            return other
    return place
