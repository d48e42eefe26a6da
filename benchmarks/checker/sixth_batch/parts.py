"""What the sixth batch is written with, besides the fifth's parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.checker.fifth_batch.parts import (
    drawn,
    edited,
    einsum,
    ids,
    labelled,
    matrix,
    one,
    sigmoid,
    softmax_back,
    swapped,
)
from benchmarks.checker.numerics import total
from benchmarks.checker.subject import Array, Edit, Function, edit

__all__ = [
    "drawn",
    "edited",
    "einsum",
    "ids",
    "labelled",
    "like_sigmoid",
    "matrix",
    "one",
    "overridden",
    "sigmoid",
    "softmax_back",
    "swapped",
    "through",
    "unit",
    "unit_back",
]


def through(layer: type) -> Function:
    """Return the backward of a class of layers: a fresh one runs forward, then backward."""

    def backward(*arguments: Any) -> Any:
        *inputs, g = arguments
        fresh = layer()
        fresh.forward(*inputs)
        return fresh.backward(g)

    return backward


def overridden(
    layer: type, mistakes: Mapping[str, tuple[str, Mapping[str, Function]]]
) -> tuple[Edit, ...]:
    """Return an edit for every mistake: its names, and the methods that it replaces."""
    return tuple(
        edit(name, accepted, through(type(layer.__name__, (layer,), dict(methods))))
        for name, (accepted, methods) in mistakes.items()
    )


def like_sigmoid(p: Array, d: Array) -> Any:
    """Pull back through softmax as if every output had an input of its own."""
    return d * p * (1 - p)


def unit(x: Array) -> Any:
    """Return rows of length 1."""
    return x / np.sqrt(total(x * x) + 1e-6)


def unit_back(d: Array, x: Array) -> Any:
    """Pull a cotangent back through the division by the length."""
    length = np.sqrt(total(x * x) + 1e-6)
    u = x / length
    return (d - u * total(d * u)) / length
