"""Maps and losses as rules: their own derivatives, at plain tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch

from softgrad.arrays import (
    Array,
    boolean_mask,
    compute_dtype,
    computed,
    is_on_gpu,
    is_spread,
    quiet,
    real_array,
)
from softgrad.errors import mismatch
from softgrad.frameworks.torch.constants import Constants
from softgrad.frameworks.torch.modes import can_look_at, dtensors, has_derivative
from softgrad.frameworks.torch.node import AbstractNode, Dims, Flags, one_by_one
from softgrad.frameworks.torch.operator import Arrays, Maybe, empty
from softgrad.frameworks.torch.products import AbstractRule, Value
from softgrad.frameworks.torch.shortcut import AbstractKeepingRule, KeptGradients, take
from softgrad.kernels import How, Impl
from softgrad.layout import Layout
from softgrad.linear import OnAxis
from softgrad.losses.base import AbstractLoss, Options
from softgrad.losses.reduced import ReducedLoss
from softgrad.losses.spread.shards import told
from softgrad.maps.base import AbstractMap

__all__ = ["LossRule", "MapRule", "loss_value", "map_value"]


def map_value(f: AbstractMap, x: Any, axis: int, where: Any, impl: Impl) -> Array:
    """Return the value of a map, through which PyTorch differentiates in `x`."""
    x = real_array("x", x)
    mask = None if where is None else boolean_mask("where", where, x)
    return Value(MapRule(f, _from_the_end(f, x, axis), impl))(x, mask)[0]


def loss_value(loss: AbstractLoss, x: Any, targets: Any, options: Options) -> Array:
    """Return the value of a loss, through which PyTorch differentiates in `x`.

    Raises
    ------
    TypeError
        The targets or an option are differentiated: losses have no derivative in them.
    """
    if is_spread(x):
        return dtensors().loss_value(loss, x, targets, options)
    with told(options.get("group")):
        x = real_array("x", x)
        axis = _from_the_end(loss, x, options.get("axis", -1))
        constants, tensors = Constants.of(targets, {**options, "axis": axis}, x)
    rule, arrays = LossRule(loss, constants), (x, *tensors)
    if rule.keeps_gradients(arrays):
        return take(KeptGradients(rule), *arrays)
    return Value(rule)(*arrays)[0]


def _from_the_end(f: AbstractMap | AbstractLoss, x: Array, axis: int) -> int:
    """Return the class axis as a negative number: more axes in front do not change it."""
    if x.ndim == 0 and not f.takes_numbers:
        raise ValueError(mismatch("x", "an array with a class axis", "a single number"))
    from_the_front = Layout.of(x, axis).axis
    return -1 if from_the_front is None else from_the_front - x.ndim


@dataclass(frozen=True, eq=False)
class MapRule(AbstractRule):
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
        return node(*(_in_front(a, dim, size) for a, dim in zip(arrays, dims, strict=True)))

    def _options(self, constants: Arrays) -> dict[str, Any]:
        return {"axis": self.axis, "where": constants[0], "impl": self.impl}


@dataclass(frozen=True, eq=False)
class LossRule(AbstractKeepingRule):
    """A loss; it is computed in the dtype of its value, and half precision is rounded to last."""

    loss: AbstractLoss
    constants: Constants
    examples: int = 0
    """How many axes in front count the examples of `vmap`, each of which has its own mean."""

    def value(self, x: Arrays, constants: Arrays) -> Arrays:
        return (self._at(x[0], constants, "value").value(),)

    def like(self, x: Arrays, constants: Arrays) -> Arrays:
        shape: Sequence[int] = x[0].shape[: self.examples]
        if self.loss.reduction == "none":
            shape = x[0].shape if _keeps_classes(self.loss) else _without(x[0], self._axis)
        return (empty(x[0], shape, compute_dtype(x[0])),)

    def value_and_gradient(
        self, x: Arrays, wanted: Flags, constants: Arrays
    ) -> tuple[Array, Arrays]:
        y, gradient = self._at(x[0], constants, "value_and_gradient").value_and_gradient()
        return y, (gradient,)

    def jvp(self, x: Arrays, u: Arrays, constants: Arrays) -> Arrays:
        return (self._at(computed(x[0]), constants, "jvp").jvp(computed(u[0])),)

    def vjp(self, x: Arrays, w: Arrays, wanted: Flags, constants: Arrays) -> Arrays:
        return (self._at(x[0], constants, "vjp").vjp(w[0]),)

    def hvp(self, x: Arrays, w: Arrays, v: Arrays, wanted: Flags, constants: Arrays) -> Arrays:
        hessian = self._at(computed(x[0]), constants, "hessian").hessian()
        return ((self._beside(x[0], w[0]) * hessian.mv(computed(v[0]))).to(x[0].dtype),)

    def bend(self, x: Arrays, u: Arrays, v: Arrays, constants: Arrays) -> Arrays:
        directions = computed(u[0]), computed(v[0])
        at = self._at(computed(x[0]), constants, "second_derivative")
        return (at.second_derivative(*directions),)

    def refuse_derivatives(self, wanted: Flags) -> None:
        self.constants.refuse_derivatives(wanted)

    def keeps_gradients(self, arrays: Arrays) -> bool:
        """Tell whether the forward pass may compute what the backward pass will ask for.

        A loss of its own for every row has gradients that come in with different factors.
        """
        x, plain = arrays[0], all(a is None or can_look_at(a) for a in arrays)
        if is_on_gpu(x):  # the backward pass scales them unseen: small float16 numbers are lost
            fits = x.dtype != torch.float16
        else:
            fits = x.is_cpu and x.dtype == compute_dtype(x)
        return plain and fits and has_derivative(x) and self.loss.reduction != "none"

    def may_scale(self, y_bar: Array) -> bool:
        """What is too small for a gradient may not be too small for one that was scaled up."""
        return can_look_at(y_bar) and abs(y_bar.item()) <= 1

    def over_examples(self, node: AbstractNode, arrays: Arrays, dims: Dims, size: int) -> Arrays:
        directions = len(arrays) - 1 - len(self.constants.names)
        names = ("x", *("",) * directions, *self.constants.names)
        if not self._are_rows(dict(zip(names, zip(arrays, dims, strict=True), strict=True))):
            return one_by_one(node, arrays, dims, size)
        # More examples are more rows, each with the factor that its own mean gives it.
        in_front: list[Any] = [
            a if name == "class_weights" and _is_shared(a, dim) else _in_front(a, dim, size)
            for name, a, dim in zip(names, arrays, dims, strict=True)
        ]
        if "class_weights" in names:
            at = names.index("class_weights")
            in_front[at] = _beside_examples(in_front[at], in_front[0].shape[: self.examples + 1])
        product: Any = node  # one of this rule's
        values: Arrays = replace(product, rule=replace(self, examples=self.examples + 1))(*in_front)
        return values

    def _are_rows(self, given: Mapping[str, tuple[Maybe, int | None]]) -> bool:
        """Tell whether examples can stand below each other: all rows have the same classes."""
        axes = {name: _axes(*one) for name, one in given.items()}
        return axes["x"] > 0 and axes.get("where", 0) in (0, axes["x"])

    def _at(self, x: Array, constants: Arrays, verb: str) -> ReducedLoss:
        arguments: Any = self.constants.arguments(constants)
        targets = arguments.pop("targets")
        return self.loss.reduced(x, targets, arguments, self.examples, verb=verb)

    def _beside(self, x: Array, y: Array) -> Array:
        """Return y, one number for an example, a row or an element, such that it spreads over x."""
        if self.loss.reduction == "none":
            return y if y.ndim == x.ndim else y.unsqueeze(self._axis)
        return y.reshape((*y.shape, *(1,) * (x.ndim - y.ndim)))

    @property
    def _axis(self) -> int:
        axis: int = self.constants.settings["axis"]
        return axis


def _in_front(a: Maybe, dim: int | None, size: int) -> Maybe:
    """Return an array with the examples' axis first."""
    if a is None:
        return None
    return a.expand(size, *a.shape) if dim is None else a.movedim(dim, 0)


def _is_shared(c: Maybe, dim: int | None) -> bool:
    """Tell class weights that no example has of its own."""
    return c is None or (dim is None and c.ndim == 1)


def _beside_examples(c: Maybe, sizes: Sequence[int]) -> Maybe:
    """Return class weights with an axis for each of those that count examples: [*sizes, K]."""
    if c is None or c.ndim == 1:
        return c
    missing = len(sizes) + 1 - c.ndim  # of a transform inside, in which all examples share them
    return c.reshape(c.shape[0], *(1,) * missing, *c.shape[1:]).expand(*sizes, c.shape[-1])


def _axes(a: Maybe, dim: int | None) -> int:
    """Return how many axes an array has at one example."""
    return 0 if a is None else a.ndim - (dim is not None)


@cache
def _keeps_classes(f: AbstractMap | AbstractLoss) -> bool:
    """Tell whether there is one value a class: a row of one class says it."""
    row = np.ones((1, 1))
    y = f(row) if isinstance(f, AbstractMap) else replace(f, reduction="none")(row, row)
    return bool(y.ndim == row.ndim)


def _without(x: Array, axis: int) -> list[int]:
    """Return the shape without the class axis."""
    return [n for i, n in enumerate(x.shape) if i != x.ndim + axis]
