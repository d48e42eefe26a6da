"""The head as a rule: x, W and bias are differentiated, in one pass over the logits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch

from softgrad.arrays import Array, compute_dtype, is_spread, real_array, same_kind
from softgrad.frameworks.torch.constants import Constants
from softgrad.frameworks.torch.modes import has_derivative, is_plain
from softgrad.frameworks.torch.node import AbstractNode, Dims, Flags, one_by_one
from softgrad.frameworks.torch.operator import Arrays, empty
from softgrad.frameworks.torch.products import Value
from softgrad.frameworks.torch.shortcut import AbstractKeepingRule, KeptGradients, take
from softgrad.heads import LinearCrossEntropy
from softgrad.heads.options import LossOptions
from softgrad.losses.spread.shards import told
from softgrad.losses.targets import arrays_of

__all__ = ["HeadRule", "directions", "head_value", "unwanted"]

_PARTS = ("x", "W", "bias")


def head_value(
    head: LinearCrossEntropy,
    x: Any,
    W: Any,
    targets: Any,
    bias: Any,
    options: Mapping[str, Any],
) -> Array:
    """Return the value of a head, through which PyTorch differentiates in x, W and bias.

    Raises
    ------
    TypeError
        The targets or an option are differentiated: a head has no derivative in them.
    """
    if any(map(is_spread, (x, W, bias, *arrays_of(targets)))):  # inside a compiled call
        return head.value(x, W, targets, bias, **cast(LossOptions, options))
    with told(options.get("group")):
        x, named = real_array("x", x), (("W", W), ("bias", bias))
        others = [v if v is None else same_kind(name, v, x) for name, v in named]
        constants, tensors = Constants.of(targets, options, x)
    rule, arrays = HeadRule(head, constants), (x, *others, *tensors)
    if rule.keeps_gradients(arrays):
        return take(KeptGradients(rule), *arrays)
    return Value(rule)(*arrays)[0]


@dataclass(frozen=True, eq=False)
class HeadRule(AbstractKeepingRule):
    head: LinearCrossEntropy
    constants: Constants

    parts: ClassVar[int] = 3

    def value(self, x: Arrays, constants: Arrays) -> Arrays:
        return (self.head.value(**self._arguments(x, constants)),)

    def like(self, x: Arrays, constants: Arrays) -> Arrays:
        shape = x[0].shape[:-1] if self.head.reduction == "none" else ()
        return (empty(x[0], shape, compute_dtype(x[0])),)

    def value_and_gradient(
        self, x: Arrays, wanted: Flags, constants: Arrays
    ) -> tuple[Array, Arrays]:
        arguments = self._arguments(x, constants)
        return self.head.value_and_gradient(**arguments, frozen=unwanted(wanted))

    def jvp(self, x: Arrays, u: Arrays, constants: Arrays) -> Arrays:
        return (self.head.jvp(**self._arguments(x, constants), **directions(u)),)

    def vjp(self, x: Arrays, w: Arrays, wanted: Flags, constants: Arrays) -> Arrays:
        arguments = self._arguments(x, constants)
        return self.head.value_and_gradient(**arguments, loss_bar=w[0], frozen=unwanted(wanted))[1]

    def hvp(self, x: Arrays, w: Arrays, v: Arrays, wanted: Flags, constants: Arrays) -> Arrays:
        arguments = self._arguments(x, constants) | directions(v)
        return self.head.hvp(**arguments, loss_bar=w[0], frozen=unwanted(wanted))

    def bend(self, x: Arrays, u: Arrays, v: Arrays, constants: Arrays) -> Arrays:
        arguments = self._arguments(x, constants) | directions(u)
        return (self.head.second_derivative(**arguments, other=directions(v)),)

    def refuse_derivatives(self, wanted: Flags) -> None:
        self.constants.refuse_derivatives(wanted)

    def over_examples(self, node: AbstractNode, arrays: Arrays, dims: Dims, size: int) -> Arrays:
        return one_by_one(node, arrays, dims, size)

    def keeps_gradients(self, arrays: Arrays) -> bool:
        """Tell whether the forward pass may compute what the backward pass will ask for.

        Not for losses of their own, whose gradients come in with different factors, nor in float16,
        where a loss that was scaled up has gradients that are not there without the factor.
        """
        if self.head.reduction == "none" or arrays[0].dtype == torch.float16:
            return False
        tensors = [a for a in arrays if a is not None]
        return all(map(is_plain, tensors)) and any(map(has_derivative, arrays[: self.parts]))

    def may_scale(self, y_bar: Array) -> bool:
        """A pass costs three matrix products; what underflows in one of them is lost in the sum."""
        return True

    def _arguments(self, x: Arrays, constants: Arrays) -> dict[str, Any]:
        return dict(zip(_PARTS, x, strict=True)) | self.constants.arguments(constants)


def directions(v: Arrays) -> dict[str, Any]:
    """Return the directions by the names that the verbs of heads have for them."""
    return {f"{name}_dot": part for name, part in zip(_PARTS, v, strict=True)}


def unwanted(wanted: Flags) -> tuple[str, ...]:
    """Return the names of what is frozen."""
    return tuple(name for name, is_wanted in zip(_PARTS, wanted, strict=True) if not is_wanted)
