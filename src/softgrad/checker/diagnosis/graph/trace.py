"""One run of a forward, followed step by step."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from softgrad.checker.diagnosis.graph.bound import rebound
from softgrad.checker.diagnosis.graph.constructors import constructors_write
from softgrad.checker.diagnosis.graph.graph import Graph
from softgrad.checker.diagnosis.graph.steps import Step
from softgrad.checker.diagnosis.graph.traced import Tape
from softgrad.checker.subjects.library import Lifted

__all__ = ["traced"]

_LARGEST = 700
"""The most entries that one step may have: Jacobians are whole."""


def traced(
    function: Callable[..., Any], arguments: Sequence[Any], floating: Sequence[int]
) -> Graph | None:
    """Run a forward in float64 and return its graph; None where it cannot be followed."""
    tape = Tape()
    inputs = tuple(
        tape.put(Step("input", None, (), value, None, title=f"input {place}"))
        for place in floating
        for value in [np.array(arguments[place], np.float64)]
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if isinstance(function, Lifted):
                own = [np.array(v) if isinstance(v, np.ndarray) else v for v in arguments]
                outputs: Sequence[int | None] = function.follow(own, tape, inputs)
            else:
                outputs = _followed(
                    function, arguments, dict(zip(floating, inputs, strict=True)), tape
                )
        known = tuple(place for place in outputs if place is not None)
        if len(known) < len(outputs) or any(step.value.size > _LARGEST for step in tape.steps):
            return None
        graph = Graph(tape.steps, inputs, known, tuple(arguments))
        _ = graph.locals  # a step may not run by itself
    except Exception:  # whatever a function does with what is not quite an array
        return None
    return graph


def _followed(
    function: Callable[..., Any], arguments: Sequence[Any], inputs: dict[int, int], tape: Tape
) -> list[int | None]:
    """Run a function of NumPy's arrays; return the steps that its outputs are."""
    handed = list(arguments)
    for place, step in inputs.items():
        handed[place] = tape.array(tape.steps[step].value, step)
    for place, value in enumerate(handed):  # constants answer for products as well
        if type(value) is np.ndarray and value.dtype == np.float64:
            handed[place] = tape.array(value, None)
    function = rebound(function, tape)
    with constructors_write(tape):
        result = function(*handed)
    return [_output(part, tape) for part in (result if isinstance(result, tuple) else (result,))]


def _output(part: Any, tape: Tape) -> int | None:
    """Return the step that an output is; by its value where it is no array of ours any more."""
    place = tape.place_of(part)
    value = np.asarray(part)
    for other in reversed(range(len(tape.steps) if place is None else 0)):
        own = tape.steps[other].value
        if own.size == value.size and np.array_equal(own.reshape(-1), value.reshape(-1)):
            return other
    return place
