"""What happened along a gradient: every sentence is decided by the numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from softgrad.explain.arguments import Vector
from softgrad.explain.objectives import Objective
from softgrad.explain.tables import as_row, listed
from softgrad.maps import AbstractMap, AbstractSimplexMap, Sigmoid, Softmax
from softgrad.results import number

if TYPE_CHECKING:
    from softgrad.explain.follow import Trajectory

__all__ = ["outcome", "words_for"]

_ROUNDING = 1e-13
_FADED = 0.01


def words_for(f: AbstractMap, goal: Objective, seen: Trajectory, ascend: bool) -> list[str]:
    """Return what became of the objective, of the gradient and of the pre-activations, and why."""
    words = [outcome(goal, seen)]
    if seen.gradient_size.any():
        words += [_fading(seen), _journey(seen)]
    words += _why(f, goal, seen)
    words.append(_shift(f, seen))
    return words


def outcome(goal: Objective, seen: Trajectory) -> str:
    """Say what became of the objective and of the outputs."""
    steps = len(seen.objective) - 1
    first, last = float(seen.objective[0]), float(seen.objective[-1])
    if not seen.gradient_size.any():
        at = "the step" if steps == 1 else f"each of the {steps} steps"
        return (
            f"The gradient of {goal.formula} is exactly zero at {at}, so nothing moves: "
            f"it stays {number(first)}."
        )
    if number(first) == number(last):
        return f"{goal.formula} stays {number(first)} to four figures.{_outputs(seen)}"
    verb = "rises" if last > first else "falls"
    return f"{goal.formula} {verb} from {number(first)} to {number(last)}.{_outputs(seen)}"


def _outputs(seen: Trajectory) -> str:
    """Say where the outputs went together, or which of them stayed."""
    before, after = seen.outputs[0], seen.outputs[-1]
    low, high = number(after.min()), number(after.max())
    if before.size > 1 and (after > before).all():
        return f" Every output rises; at the end they lie between {low} and {high}."
    if before.size > 1 and (after < before).all():
        return f" Every output falls; at the end they lie between {low} and {high}."
    still = np.flatnonzero((seen.outputs == before).all(axis=0))
    if still.size and still.size < before.size:
        return f" {listed('output', still).capitalize()} did not move at all."
    return ""


def _fading(seen: Trajectory) -> str:
    """Say how the size of the gradient changed."""
    sizes = seen.gradient_size
    peak = int(sizes.argmax())
    if peak == len(sizes) - 1:
        return f"The gradient is largest at the end ({number(sizes[peak])})."
    text = f"The gradient is largest at step {peak} ({number(sizes[peak])})"
    below = np.flatnonzero(sizes[peak:] < _FADED * sizes[peak])
    if below.size:
        return f"{text}; at step {peak + int(below[0])} it falls below a hundredth of that."
    return f"{text}; at the end it is {number(sizes[-1])}."


def _journey(seen: Trajectory) -> str:
    """Say where the pre-activations went, and whether their mean stayed."""
    z = seen.pre_activations
    text = "The pre-activations moved"
    if z.shape[1] <= 6:
        text = f"The pre-activations went from ({as_row(z[0])}) to ({as_row(z[-1])})"
    means = z.mean(axis=1)
    steady = np.abs(means - means[0]).max() <= _ROUNDING * len(z) * max(1.0, np.abs(z).max())
    if z.shape[1] > 1 and steady:
        return f"{text}; their mean stayed at {number(_clean(means[0], z))}."
    return f"{text}; their mean went from {number(means[0])} to {number(means[-1])}."


def _clean(mean: float, z: Vector) -> float:
    """Return a mean that is nothing but rounding as 0."""
    return 0.0 if abs(mean) <= _ROUNDING * np.abs(z).max() else float(mean)


def _why(f: AbstractMap, goal: Objective, seen: Trajectory) -> Iterator[str]:
    """Give the reason, where the numbers show what it explains."""
    equal = (goal.c == goal.c[0]).all() and goal.kind not in ("log", "entropy")
    if isinstance(f, AbstractSimplexMap) and equal:
        yield (
            f"The outputs of {seen.outputs_map} sum to 1 for every z, so equal weights on them "
            "give a constant: Jᵀ(1, …, 1) = 0."
        )
    if goal.index is not None and isinstance(f, (Softmax, Sigmoid)):
        yield from _why_one_output(f, goal, seen.outputs[:, goal.index])
    if goal.kind == "entropy":
        spread = seen.outputs.max(axis=1) - seen.outputs.min(axis=1)
        yield (
            "The largest and the smallest output are "
            f"{number(spread[0])} apart at first and {number(spread[-1])} at the end."
        )


def _why_one_output(f: Softmax | Sigmoid, goal: Objective, p: Vector) -> Iterator[str]:
    """Say what the output's own slope does as the output nears its end."""
    i = goal.index
    by_temperature = ""
    if isinstance(f, Softmax) and f.temperature != 1.0:
        by_temperature = f"/{f.temperature:g}"
    if goal.kind == "log":
        if p[0] > 0.1:
            return
        yield (
            f"The slope of log p[{i}] in z[{i}] is (1 − p[{i}]){by_temperature}, that of p[{i}] "
            f"itself p[{i}](1 − p[{i}]){by_temperature}: the logarithm takes out the factor "
            f"p[{i}], {number(p[0])} at the start, so a small output is not stuck."
        )
        return
    end = 1 if p[-1] > 0.5 else 0
    slopes = p * (1 - p)
    if abs(end - p[-1]) < min(0.1, abs(end - p[0])) and slopes[-1] < slopes.max() / 2:
        yield (
            f"p[{i}] goes to {end}, and its gradient dies as it does: its slope in z[{i}] is "
            f"p[{i}](1 − p[{i}]){by_temperature}."
        )


def _shift(f: AbstractMap, seen: Trajectory) -> str:
    """Say what adding the same to every pre-activation does to the outputs."""
    z, p = seen.pre_activations[-1], seen.outputs[-1]
    change = float(np.abs(f(z + 1.0) - p).max())
    text = "Adding 1 to every pre-activation changes"
    if isinstance(f, AbstractSimplexMap) and change <= 1e-12 * max(1.0, float(np.abs(z).max())):
        rounding = f" (by {change:.1g}, which is rounding)" if change else ""
        return f"{text} no output{rounding}: only their differences count."
    return f"{text} the outputs by up to {number(change)}."
