"""Mistakes of where and how often: another point, once too often, not at all, the wrong matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.operators.operator import Operator, returned
from benchmarks.checker.subject import Array, Function, Pair, as_tuple, codes

__all__ = ["OPERATORS"]

LARGEST = 160
"""The Jacobian is built up to this many numbers."""


def _is_endomap(pair: Pair) -> bool:
    """Return whether one array goes in, and one of the same shape comes out."""
    outputs = as_tuple(pair.forward(*pair.inputs))
    return (
        len(outputs) == len(pair.points) == 1
        and np.shape(outputs[0]) == pair.points[0].shape
        and bool(np.isfinite(pair.points[0]).all())
    )


def _is_small(pair: Pair) -> bool:
    return _is_endomap(pair) and 1 < pair.points[0].size <= LARGEST


def _finite(pair: Pair) -> bool:
    return all(bool(np.isfinite(x).all()) for x in pair.points)


def _moved(move: Any) -> Any:
    """Return a mutation that runs the right backward at another point."""

    def mutate(pair: Pair) -> Function:
        def backward(*arguments: Any) -> Any:
            inputs = list(arguments)
            for place in pair.floating:
                inputs[place] = move(inputs[place])
            return pair.backward(*inputs)

        return backward

    return mutate


def _at_output(pair: Pair) -> Function:
    return lambda x, *rest: pair.backward(pair.forward(x, *rest[:-1]), *rest)


def _twice(pair: Pair) -> Function:
    return lambda x, *rest: pair.backward(x, *rest[:-1], pair.backward(x, *rest))


def _through_output(pair: Pair) -> Function:
    at_output = _at_output(pair)
    return lambda x, *rest: pair.backward(x, *rest[:-1], at_output(x, *rest))


def _identity(pair: Pair) -> Function:
    return lambda *arguments: 1 * arguments[-1]


def _plus(factor: float) -> Any:
    return lambda pair: lambda *a: pair.backward(*a) + factor * a[-1]


def _matrix(pair: Pair, arguments: tuple[Any, ...]) -> Array:
    """Return J, [outputs, inputs]: a row for each unit cotangent."""
    *inputs, g = arguments
    units = np.eye(g.size, dtype=g.dtype).reshape(g.size, *g.shape)
    return np.stack([pair.backward(*inputs, unit).ravel() for unit in units])


def _by_matrix(rule: Any) -> Any:
    """Return a mutation that does something else with the Jacobian."""

    def mutate(pair: Pair) -> Function:
        def backward(*arguments: Any) -> Array:
            g = arguments[-1]
            return np.asarray(rule(_matrix(pair, arguments), g.ravel())).reshape(g.shape)

        return backward

    return mutate


def _first_detached(pair: Pair) -> Function:
    """Return the gradient without what goes through the first input's largest entries."""

    def backward(*arguments: Any) -> Any:
        first, *rest = pair.gradients(*arguments)
        x = arguments[pair.floating[0]]
        return returned((np.where(np.abs(x) > 2 * np.abs(x).mean(), 0, first), *rest))

    return backward


OPERATORS = [
    Operator("at-output", codes("wrong-variable"), _at_output, _is_endomap),
    Operator("through-output", codes("wrong-variable"), _through_output, _is_endomap),
    Operator("pulled-back-twice", codes("wrong-variable chain-term"), _twice, _is_endomap),
    Operator("identity", codes("identity"), _identity, _is_endomap),
    Operator("plus-g", codes("identity chain-term cotangent"), _plus(1), _is_endomap),
    Operator("minus-g", codes("identity chain-term cotangent"), _plus(-1), _is_endomap),
    Operator("diagonal-of-matrix", codes("diagonal-only"), _by_matrix(
        lambda J, g: np.diagonal(J) * g), _is_small),
    Operator("off-diagonal-of-matrix", codes("chain-term subset projection-term"), _by_matrix(
        lambda J, g: g @ J - np.diagonal(J) * g), _is_small),
    Operator("matrix-transposed", codes("axis"), _by_matrix(lambda J, g: J @ g), _is_small),
    Operator("matrix-row-summed", codes("projection-term cotangent zero axis"), _by_matrix(
        lambda J, g: J.sum(axis=0) * g), _is_small),
    Operator("matrix-absolute", codes("sign projection-term"), _by_matrix(
        lambda J, g: g @ np.abs(J)), _is_small),
    Operator("matrix-upper-triangle", codes("subset axis"), _by_matrix(
        lambda J, g: g @ np.triu(J)), _is_small),
    Operator("at-negated", codes("wrong-variable"), _moved(lambda x: -x), _finite),
    Operator("at-double", codes("wrong-variable scale"), _moved(lambda x: 2 * x), _finite),
    Operator("at-ones", codes("wrong-variable"), _moved(np.ones_like), _finite),
    Operator("at-rolled-rows", codes("wrong-variable axis"), _moved(
        lambda x: np.roll(x, 1, 0)), _finite),
    Operator("at-rounded", codes("wrong-variable arithmetic"), _moved(np.round), _finite),
    Operator("large-inputs-detached", codes("subset severed"), _first_detached),
]  # fmt: skip
