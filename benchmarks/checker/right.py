"""Right forms of any backward: other orders of its sums, other widths, other layouts in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.checker.operators.operator import returned
from benchmarks.checker.subject import Array, Function, Pair, as_tuple, is_floating

__all__ = ["FORMS"]


def _as_it_is(pair: Pair) -> Function:
    return pair.backward


def _in_two_halves(pair: Pair) -> Function:
    """Pull back every other number of the cotangent, then the rest: the sums round otherwise."""

    def backward(*arguments: Any) -> Any:
        *inputs, g = arguments
        even = tuple(np.where(_every_other(v), v, 0).astype(v.dtype) for v in as_tuple(g))
        odd = tuple((v - e).astype(v.dtype) for v, e in zip(as_tuple(g), even, strict=True))
        halves = [part if isinstance(g, tuple) else part[0] for part in (even, odd)]
        first, second = (pair.gradients(*inputs, half) for half in halves)
        return returned(tuple(a + b for a, b in zip(first, second, strict=True)))

    return backward


def _every_other(v: Array) -> Array:
    return np.asarray((np.arange(v.size) % 2 == 0).reshape(v.shape))


def _in_float64(pair: Pair) -> Function:
    """Compute in float64, and round the answers."""

    def backward(*arguments: Any) -> Any:
        *inputs, g = arguments
        wide = tuple(v.astype(np.float64) for v in as_tuple(g))
        points = [v.astype(np.float64) if is_floating(v) else v for v in inputs]
        answers = pair.gradients(*points, wide if isinstance(g, tuple) else wide[0])
        own = [v.dtype for v in inputs if is_floating(v)]
        return returned(tuple(np.asarray(a).astype(t) for a, t in zip(answers, own, strict=True)))

    return backward


def _in_reverse_memory(pair: Pair) -> Function:
    """Return answers whose memory runs the other way, and None for inputs without a gradient."""

    def backward(*arguments: Any) -> Any:
        answers = iter(pair.gradients(*arguments))
        entries = (next(answers) if is_floating(v) else None for v in arguments[:-1])
        return returned(tuple(e if e is None else np.asfortranarray(e) for e in entries))

    return backward


FORMS: dict[str, Callable[[Pair], Function]] = {
    "right": _as_it_is,
    "right-in-two-halves": _in_two_halves,
    "right-in-float64": _in_float64,
    "right-in-reverse-memory": _in_reverse_memory,
}
