"""softmax and its logarithm."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch

from softgrad.arrays import Array
from softgrad.frameworks.torch.direct.rows import are_floats, are_many, wants_gradient
from softgrad.frameworks.torch.modes import is_ordinary
from softgrad.frameworks.torch.node import Flags
from softgrad.frameworks.torch.operator import Arrays
from softgrad.frameworks.torch.rules import MapRule
from softgrad.frameworks.torch.shortcut import AbstractShortcut, take
from softgrad.kernels import kernels
from softgrad.maps import AbstractMap, log_softmax, softmax

__all__ = ["map_of_rows"]


def map_of_rows(f: AbstractMap, x: Any, axis: int) -> Array | None:
    """Return the value of a map; None where it is another map, or x is not rows."""
    if not are_floats(x) or type(axis) is not int or axis not in (-1, x.ndim - 1):
        return None
    way = _WAYS.get(f)
    if way is None or not are_many(x.numel()):
        return None
    return take(way, x, None) if wants_gradient(x) else way.value(x)  # None is the mask


class _AbstractWay(AbstractShortcut):
    """A map and its product."""

    def __init__(self, f: AbstractMap) -> None:
        self.rule = MapRule(f, -1, "auto")

    @abstractmethod
    def value(self, x: Array) -> Array:
        """Return y."""

    @abstractmethod
    def product(self, x: Array, y_bar: Array) -> Array | None:
        """Return Jᵀ·y_bar; None where the kernels do not say all."""

    def forward(self, arrays: Arrays, wanted: Flags) -> tuple[Array, Sequence[Array]]:
        return self.value(arrays[0]), ()

    def backward(self, arrays: Arrays, kept: Arrays, y_bar: Array, wanted: Flags) -> Arrays:
        y_bar = y_bar.contiguous()
        x_bar = self.product(arrays[0], y_bar) if is_ordinary(y_bar) else None
        return self.pullback(arrays, y_bar, wanted) if x_bar is None else (x_bar,)


class _Softmax(_AbstractWay):
    def value(self, x: Array) -> Array:
        return kernels().softmax(x)

    def product(self, x: Array, y_bar: Array) -> Array:
        return kernels().softmax_product(x, y_bar)


class _LogSoftmax(_AbstractWay):
    def value(self, x: Array) -> Array:
        return kernels().log_softmax(x)

    def product(self, x: Array, y_bar: Array) -> Array | None:
        if not x.min().item() > -torch.inf:  # where the logarithm is constant, if no number is NaN
            return None
        return kernels().identity_minus_outer_transpose(kernels().softmax(x), y_bar)


_WAYS = {softmax: _Softmax(softmax), log_softmax: _LogSoftmax(log_softmax)}
