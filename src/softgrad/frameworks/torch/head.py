"""The head as a rule: x, W and bias are differentiated, in one pass over the logits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import compress
from typing import Any, ClassVar

import torch

from softgrad.arrays import Array, compute_dtype, is_on_gpu, real_array, same_kind
from softgrad.frameworks.torch.constants import Constants
from softgrad.frameworks.torch.modes import dtensors, is_plain, is_shape_alone, is_spread
from softgrad.frameworks.torch.node import AbstractNode, Dims, Flags, one_by_one
from softgrad.frameworks.torch.operator import AbstractComputation, Arrays, Maybe, compute, empty
from softgrad.frameworks.torch.products import AbstractRule, Pullback, Value, spread
from softgrad.heads import LinearCrossEntropy
from softgrad.losses.targets import arrays_of

__all__ = ["directions", "head_value", "unwanted"]

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
    if any(map(is_spread, (x, W, bias, *arrays_of(targets)))):
        return dtensors().head_value(head, x, W, targets, bias, options)
    x = real_array("x", x)
    others = (v if v is None else same_kind(name, v, x) for name, v in (("W", W), ("bias", bias)))
    constants, tensors = Constants.of(targets, options, x)
    rule, arrays = _HeadRule(head, constants), (x, *others, *tensors)
    if rule.keeps_gradients(arrays):
        return _Kept.apply(rule, *arrays)
    return Value(rule)(*arrays)[0]


@dataclass(frozen=True, eq=False)
class _HeadRule(AbstractRule):
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
        """Return both from one pass."""
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
        return all(map(is_plain, tensors)) and any(a.requires_grad for a in tensors[: self.parts])

    def _arguments(self, x: Arrays, constants: Arrays) -> dict[str, Any]:
        return dict(zip(_PARTS, x, strict=True)) | self.constants.arguments(constants)


def directions(v: Arrays) -> dict[str, Any]:
    """Return the directions by the names that the verbs of heads have for them."""
    return {f"{name}_dot": part for name, part in zip(_PARTS, v, strict=True)}


def unwanted(wanted: Flags) -> tuple[str, ...]:
    """Return the names of what is frozen."""
    return tuple(name for name, is_wanted in zip(_PARTS, wanted, strict=True) if not is_wanted)


@dataclass(frozen=True, eq=False)
class _OnePass(AbstractComputation):
    """The loss and those gradients that are wanted."""

    rule: _HeadRule
    wanted: Flags

    def value(self, *arrays: Maybe) -> Arrays:
        x, constants = arrays[: self.rule.parts], arrays[self.rule.parts :]
        y, gradients = self.rule.value_and_gradient(x, self.wanted, constants)
        return y, *(gradient for gradient in gradients if gradient is not None)

    def like(self, *arrays: Maybe) -> Arrays:
        x, constants = arrays[: self.rule.parts], arrays[self.rule.parts :]
        return *self.rule.like(x, constants), *map(empty, compress(x, self.wanted))


class _Kept(torch.autograd.Function):  # type: ignore[misc]
    """The head with the gradients that its one pass has made; whoever wants more goes by nodes."""

    @staticmethod
    def forward(ctx: Any, rule: _HeadRule, *arrays: Any) -> Array:
        ctx.rule, ctx.count = rule, len(arrays)
        ctx.wanted = tuple(ctx.needs_input_grad[1 : 1 + rule.parts])
        y, *gradients = compute(_OnePass(rule, ctx.wanted), arrays)
        # On a GPU they are the largest arrays of all, and y_bar is not looked at: the backward pass
        # scales these themselves, once.
        ctx.own = gradients if is_on_gpu(y) and not is_shape_alone(y) else None
        ctx.save_for_backward(*arrays, *(gradients if ctx.own is None else ()))
        return y

    @staticmethod
    def backward(ctx: Any, y_bar: Array) -> Arrays:
        rule, saved = ctx.rule, ctx.saved_tensors
        x, constants = saved[: rule.parts], saved[rule.parts : ctx.count]
        gradients, own, ctx.own = saved[ctx.count :], ctx.own, None
        # create_graph: the gradient is to be differentiated; or the pass is the second one.
        if torch.is_grad_enabled() or not (gradients or own):
            gradients = Pullback(rule, ctx.wanted)(*x, y_bar, *constants)
        elif own:
            scaled = torch.Tensor.mul_ if is_plain(y_bar) else torch.mul
            gradients = [scaled(gradient, y_bar) for gradient in own]
        elif not _is_one(y_bar):
            gradients = [gradient * y_bar for gradient in gradients]
        return None, *spread(ctx.wanted, gradients), *(None for _ in constants)


def _is_one(y_bar: Array) -> bool:
    return is_plain(y_bar) and not is_shape_alone(y_bar) and bool(y_bar == 1)
