"""What the seventh batch is written with, besides the sixth's parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.checker.numerics import one_hot, softmax
from benchmarks.checker.sixth_batch.parts import (
    drawn,
    edited,
    einsum,
    ids,
    like_sigmoid,
    matrix,
    one,
    overridden,
    sigmoid,
    softmax_back,
    swapped,
    through,
)
from benchmarks.checker.subject import Array, Edit, Function, edit

__all__ = [
    "Context",
    "applied",
    "drawn",
    "edited",
    "einsum",
    "ids",
    "like_sigmoid",
    "matrix",
    "one",
    "one_hot_columns",
    "overridden",
    "redefined",
    "relu",
    "sigmoid",
    "softmax_back",
    "softmax_columns",
    "swapped",
    "through",
]


class Context:
    """What a function with a backward of its own keeps between the two."""

    saved: tuple[Any, ...] = ()

    def save_for_backward(self, *values: Any) -> None:
        self.saved = values


def applied(function: type[Any]) -> Function:
    """Return the backward of a class with static methods forward(ctx, …) and backward(ctx, g)."""

    def backward(*arguments: Any) -> Any:
        *inputs, g = arguments
        ctx = Context()
        function.forward(ctx, *inputs)
        return function.backward(ctx, g)

    return backward


def redefined(
    function: type[Any], mistakes: Mapping[str, tuple[str, Mapping[str, Function]]]
) -> tuple[Edit, ...]:
    """Return an edit for every mistake: its names, and the static methods that it replaces."""
    return tuple(
        edit(name, accepted, applied(type(function.__name__, (function,), _static(methods))))
        for name, (accepted, methods) in mistakes.items()
    )


def _static(methods: Mapping[str, Function]) -> dict[str, Any]:
    return {name: staticmethod(method) for name, method in methods.items()}


def relu(x: Array) -> Any:
    """Return x where it is positive, and 0 elsewhere."""
    return np.maximum(x, 0 * x)


def softmax_columns(z: Array) -> Any:
    """Return softmax of every column."""
    return softmax(z, 0)


def one_hot_columns(labels: Array, like: Array) -> Any:
    """Return a one in every column, at its label."""
    return one_hot(labels, like.T).T
