"""Mistakes beside the formula: shapes, dtypes, rounding, state, and what is overwritten."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.operators.operator import Operator, changed_answer, returned
from benchmarks.checker.subject import Array, Function, Pair, as_tuple, codes

__all__ = ["OPERATORS"]


def _wide(pair: Pair) -> bool:
    return pair.points[0].dtype == np.float64


def _float32_or_64(pair: Pair) -> bool:
    return pair.points[0].dtype.itemsize >= 4


def _rows(pair: Pair) -> bool:
    return pair.points[0].ndim > 1


def _oblong(pair: Pair) -> bool:
    return pair.points[0].ndim == 2 and pair.points[0].shape[0] != pair.points[0].shape[1]


def _writable(pair: Pair) -> bool:
    return all(np.ndim(y) for y in as_tuple(pair.forward(*pair.inputs)))


def _through(dtype: Any) -> Any:
    return lambda x: x.astype(dtype).astype(x.dtype)


def _overwrites_cotangent(pair: Pair) -> Function:
    def backward(*arguments: Any) -> Any:
        answers = pair.gradients(*arguments)
        for g in as_tuple(arguments[-1]):
            g *= 0.5
        return returned(answers)

    return backward


def _overwrites_input(pair: Pair) -> Function:
    def backward(*arguments: Any) -> Any:
        answers = pair.gradients(*arguments)
        arguments[pair.floating[0]][...] *= 0.5
        return returned(answers)

    return backward


def _accumulates(pair: Pair) -> Function:
    sums: dict[Any, Array] = {}

    def backward(*arguments: Any) -> Any:
        answers = pair.gradients(*arguments)
        for place, x in enumerate(answers):
            key = (place, x.shape, x.dtype)
            sums[key] = sums.get(key, 0) + x
        return returned(tuple(sums[i, x.shape, x.dtype].copy() for i, x in enumerate(answers)))

    return backward


def _keeps_first(pair: Pair) -> Function:
    """Cache the answer by shape."""
    kept: dict[Any, Any] = {}

    def backward(*arguments: Any) -> Any:
        key = tuple((np.shape(a), getattr(a, "dtype", None)) for a in as_tuple(arguments[-1]))
        key += tuple((np.shape(a), getattr(a, "dtype", None)) for a in arguments[:-1])
        if key not in kept:
            kept[key] = pair.backward(*arguments)
        return kept[key]

    return backward


def _jitters(pair: Pair) -> Function:
    rng = np.random.default_rng(0)

    def noisy(x: Array) -> Array:
        return (x * (1 + 0.05 * rng.normal(size=x.shape))).astype(x.dtype)

    return lambda *arguments: returned(tuple(map(noisy, pair.gradients(*arguments))))


def _reads_memory(pair: Pair) -> Function:
    """Take the cotangent's memory for C order, whatever its strides are."""

    def in_order(g: Array) -> Array:
        return g.ravel(order="K").reshape(g.shape)

    def backward(*arguments: Any) -> Any:
        *inputs, g = arguments
        g = tuple(map(in_order, g)) if isinstance(g, tuple) else in_order(np.asarray(g))
        return pair.backward(*inputs, g)

    return backward


def _matrix_like(pair: Pair) -> bool:
    outputs = [np.asarray(y) for y in as_tuple(pair.forward(*pair.inputs))]
    return all(y.ndim > 1 and min(y.shape) > 1 for y in outputs)


OPERATORS = [
    *changed_answer({
        "extra-axis": ("unreduced-broadcast axis", lambda x: x[None]),
    }),
    *changed_answer({
        "flattened": ("axis unreduced-broadcast", lambda x: x.ravel()),
        "rows-summed-away": ("unreduced-broadcast axis", lambda x: x.sum(axis=0)),
        "parts-not-summed": ("unreduced-broadcast", lambda x: np.stack([0.25 * x, 0.75 * x])),
    }, _rows),
    *changed_answer({"shape-transposed": ("axis", lambda x: x.T)}, _oblong),
    *changed_answer({
        "returned-in-float32": ("arithmetic", lambda x: x.astype(np.float32)),
        "rounded-to-float32": ("arithmetic", _through(np.float32)),
    }, _wide),
    *changed_answer({
        "rounded-to-float16": ("arithmetic", _through(np.float16)),
        "rounded-to-integers": ("arithmetic cotangent", np.round),
    }, _float32_or_64),
    Operator("overwrites-cotangent", codes("aliasing"), _overwrites_cotangent, _writable, True),
    Operator("overwrites-input", codes("aliasing"), _overwrites_input, breach=True),
    Operator("accumulates", codes("aliasing"), _accumulates),
    Operator("keeps-first-answer", codes("aliasing cotangent"), _keeps_first),
    Operator("jitters", codes("aliasing arithmetic"), _jitters),
    Operator("reads-memory", codes("axis cotangent aliasing"), _reads_memory, _matrix_like, True),
]  # fmt: skip
