"""Maps and losses as rules: their own derivatives, at plain tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, cast

import numpy as np

from softgrad.arrays import Array, Layout, boolean_mask, compute_dtype, computed, quiet, real_array
from softgrad.errors import mismatch
from softgrad.frameworks.torch.constants import Constants
from softgrad.frameworks.torch.modes import dtensors, is_spread
from softgrad.frameworks.torch.node import AbstractNode, Dims, Flags, one_by_one
from softgrad.frameworks.torch.operator import Arrays, empty
from softgrad.frameworks.torch.products import AbstractRule, Value
from softgrad.kernels import How, Impl
from softgrad.linear import OnAxis
from softgrad.losses.base import AbstractLoss, Options
from softgrad.losses.reduced import ReducedLoss
from softgrad.maps.base import AbstractMap

__all__ = ["loss_value", "map_value"]


def map_value(f: AbstractMap, x: Any, axis: int, where: Any, impl: Impl) -> Array:
    """Return the value of a map, through which PyTorch differentiates in `x`."""
    x = real_array("x", x)
    mask = None if where is None else boolean_mask("where", where, x)
    return Value(_MapRule(f, _from_the_end(f, x, axis), impl))(x, mask)[0]


def loss_value(loss: AbstractLoss, x: Any, targets: Any, options: Options) -> Array:
    """Return the value of a loss, through which PyTorch differentiates in `x`.

    Raises
    ------
    TypeError
        The targets or an option are differentiated: losses have no derivative in them.
    """
    if is_spread(x):
        return dtensors().loss_value(loss, x, targets, options)
    x = real_array("x", x)
    axis = _from_the_end(loss, x, options.get("axis", -1))
    constants, tensors = Constants.of(targets, {**options, "axis": axis}, x)
    return Value(_LossRule(loss, constants))(x, *tensors)[0]


def _from_the_end(f: AbstractMap | AbstractLoss, x: Array, axis: int) -> int:
    """Return the class axis as a negative number: more axes in front do not change it."""
    if x.ndim == 0 and not f.takes_numbers:
        raise ValueError(mismatch("x", "an array with a class axis", "a single number"))
    from_the_front = Layout.of(x, axis).axis
    return -1 if from_the_front is None else from_the_front - x.ndim


@dataclass(frozen=True, eq=False)
class _MapRule(AbstractRule):
    """A map; its constant is the mask."""

    map: AbstractMap
    axis: int
    impl: Impl

    def value(self, x: Arrays, constants: Arrays) -> Arrays:
        return (self.map(x[0], **self._options(constants)),)

    def like(self, x: Arrays, constants: Arrays) -> Arrays:
        shape = x[0].shape if _keeps_classes(self.map) else _without(x[0], self.axis)
        return (empty(x[0], shape),)

    def jvp(self, x: Arrays, u: Arrays, constants: Arrays) -> Arrays:
        return (self.map.jvp(x[0], u[0], **self._options(constants)),)

    def vjp(self, x: Arrays, w: Arrays, wanted: Flags, constants: Arrays) -> Arrays:
        return (self.map.vjp(x[0], w[0], **self._options(constants)),)

    def hvp(self, x: Arrays, w: Arrays, v: Arrays, wanted: Flags, constants: Arrays) -> Arrays:
        return (self.map.hvp(x[0], w[0], v[0], **self._options(constants)),)

    def bend(self, x: Arrays, u: Arrays, v: Arrays, constants: Arrays) -> Arrays:
        layout, (mask,) = Layout.of(x[0], self.axis), constants
        with quiet():
            rows = None if mask is None else layout.to_rows(mask)
            how = How(self.map.choice(x[0], axis=self.axis, impl=self.impl).impl)
            jacobian = self.map.linearize_rows(layout.to_rows(x[0]), rows, how)[1]
            return (OnAxis(jacobian.derivative(layout.to_rows(v[0])), layout).apply(u[0]),)

    def refuse_derivatives(self, wanted: Flags) -> None:
        """A mask is never differentiated."""

    def over_examples(self, node: AbstractNode, arrays: Arrays, dims: Dims, size: int) -> Arrays:
        # Every array has the batch of x; the class axis is counted from the end.
        in_front = (
            a if a is None else a.expand(size, *a.shape) if dim is None else a.movedim(dim, 0)
            for a, dim in zip(arrays, dims, strict=True)
        )
        return node(*in_front)

    def _options(self, constants: Arrays) -> dict[str, Any]:
        return {"axis": self.axis, "where": constants[0], "impl": self.impl}


@dataclass(frozen=True, eq=False)
class _LossRule(AbstractRule):
    """A loss; it is computed in the dtype of its value, and half precision is rounded to last."""

    loss: AbstractLoss
    constants: Constants

    def value(self, x: Arrays, constants: Arrays) -> Arrays:
        return (self.loss.value(x[0], **self.constants.arguments(constants)),)

    def like(self, x: Arrays, constants: Arrays) -> Arrays:
        shape: Sequence[int] = ()
        if self.loss.reduction == "none":
            shape = x[0].shape if _keeps_classes(self.loss) else _without(x[0], self._axis)
        return (empty(x[0], shape, compute_dtype(x[0])),)

    def jvp(self, x: Arrays, u: Arrays, constants: Arrays) -> Arrays:
        return (self._reduced(x, constants).jvp(computed(u[0])),)

    def vjp(self, x: Arrays, w: Arrays, wanted: Flags, constants: Arrays) -> Arrays:
        arguments = self.constants.arguments(constants)
        return (self.loss.vjp(x[0], value_bar=w[0], **arguments),)

    def hvp(self, x: Arrays, w: Arrays, v: Arrays, wanted: Flags, constants: Arrays) -> Arrays:
        hessian = self.loss.hessian(x[0].to(w[0].dtype), **self.constants.arguments(constants))
        return ((self._beside(x[0], w[0]) * hessian.mv(v[0].to(w[0].dtype))).to(x[0].dtype),)

    def bend(self, x: Arrays, u: Arrays, v: Arrays, constants: Arrays) -> Arrays:
        directions = computed(u[0]), computed(v[0])
        return (self._reduced(x, constants).second_derivative(*directions),)

    def refuse_derivatives(self, wanted: Flags) -> None:
        self.constants.refuse_derivatives(wanted)

    def over_examples(self, node: AbstractNode, arrays: Arrays, dims: Dims, size: int) -> Arrays:
        # Each example has a mean of its own.
        return one_by_one(node, arrays, dims, size)

    def _reduced(self, x: Arrays, constants: Arrays) -> ReducedLoss:
        """Return the loss at x in the dtype of its value."""
        arguments = self.constants.arguments(constants)
        targets = arguments.pop("targets")
        return self.loss.reduced(computed(x[0]), targets, cast(Options, arguments))

    @property
    def _axis(self) -> int:
        axis: int = self.constants.settings["axis"]
        return axis

    def _beside(self, x: Array, y: Array) -> Array:
        """Return y, which is one number, one a row or one an element, such that it spreads."""
        return y if y.ndim in (0, x.ndim) else y.unsqueeze(self._axis)


@cache
def _keeps_classes(f: AbstractMap | AbstractLoss) -> bool:
    """Tell whether there is one value a class: a row of one class says it."""
    row = np.ones((1, 1))
    y = f(row) if isinstance(f, AbstractMap) else replace(f, reduction="none")(row, row)
    return bool(y.ndim == row.ndim)


def _without(x: Array, axis: int) -> list[int]:
    """Return the shape without the class axis."""
    return [n for i, n in enumerate(x.shape) if i != x.ndim + axis]
