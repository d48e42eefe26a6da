"""A rule at plain tensors, where nothing is expected but one backward: a single node of the graph.

What the forward pass has at hand is kept for the backward pass. Whoever asks for more, such as a
derivative of the gradient, goes by the nodes of `products` after all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

import torch

from softgrad.arrays import Array, is_on_gpu
from softgrad.frameworks.torch.modes import can_look_at, is_plain, is_shape_alone
from softgrad.frameworks.torch.node import Flags
from softgrad.frameworks.torch.operator import AbstractComputation, Arrays, Maybe, compute, empty
from softgrad.frameworks.torch.products import AbstractRule, Pullback, spread

__all__ = ["AbstractKeepingRule", "AbstractShortcut", "KeptGradients", "scaled", "take"]


class AbstractShortcut(ABC):
    """How a rule is computed in one pass forward and one backward."""

    rule: AbstractRule

    @abstractmethod
    def forward(self, arrays: Arrays, wanted: Flags) -> tuple[Array, Sequence[Array]]:
        """Return y, and what the backward pass shall find."""

    @abstractmethod
    def backward(self, arrays: Arrays, kept: Arrays, y_bar: Array, wanted: Flags) -> Arrays:
        """Return those cotangents of x that are wanted."""

    def pullback(self, arrays: Arrays, y_bar: Array, wanted: Flags) -> Arrays:
        """Return the same by a node, which PyTorch can differentiate and batch."""
        x, constants = arrays[: self.rule.parts], arrays[self.rule.parts :]
        return Pullback(self.rule, wanted)(*x, y_bar, *constants)


def take(shortcut: AbstractShortcut, *arrays: Maybe) -> Array:
    """Return y, with the shortcut as its node in the graph."""
    y: Array = _Function.apply(shortcut, *arrays)
    return y


class _Function(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, shortcut: AbstractShortcut, *arrays: Maybe) -> Array:
        parts = shortcut.rule.parts
        ctx.shortcut, ctx.count = shortcut, len(arrays)
        ctx.wanted = ctx.needs_input_grad[1 : 1 + parts]
        y, kept = shortcut.forward(arrays, ctx.wanted)
        # On a GPU gradients are the largest arrays of all, and y_bar is not looked at: the backward
        # pass scales these themselves, once.
        ctx.is_own = is_on_gpu(y) and not is_shape_alone(y)
        ctx.own = kept if ctx.is_own else ()
        ctx.save_for_backward(*arrays, *(() if ctx.is_own else kept))
        return y

    @staticmethod
    def backward(ctx: Any, y_bar: Array) -> Arrays:
        shortcut, saved, wanted = ctx.shortcut, ctx.saved_tensors, ctx.wanted
        arrays, kept = saved[: ctx.count], saved[ctx.count :]
        own, ctx.own = ctx.own, ()
        # create_graph: the gradient is to be differentiated; or the pass is the second one.
        if torch.is_grad_enabled() or (ctx.is_own and not own):
            bars = shortcut.pullback(arrays, y_bar, wanted)
        elif own:
            scale = torch.Tensor.mul_ if is_plain(y_bar) else torch.mul
            bars = [scale(gradient, y_bar) for gradient in own]
        else:
            bars = shortcut.backward(arrays, kept, y_bar, wanted)
        constants = ctx.count - len(wanted)
        return None, *spread(wanted, bars), *(None,) * constants


class AbstractKeepingRule(AbstractRule):
    """A rule whose y is one number, and whose gradients come in the same pass."""

    @abstractmethod
    def value_and_gradient(
        self, x: Arrays, wanted: Flags, constants: Arrays
    ) -> tuple[Array, Arrays]:
        """Return y, and the gradients in the parts of x; what is not wanted may be None."""

    @abstractmethod
    def may_scale(self, y_bar: Array) -> bool:
        """Tell whether gradients times y_bar are as good as those of y·y_bar."""


@dataclass(frozen=True, eq=False)
class KeptGradients(AbstractShortcut):
    """The gradients themselves are kept."""

    rule: AbstractKeepingRule

    def forward(self, arrays: Arrays, wanted: Flags) -> tuple[Array, Sequence[Array]]:
        y, *gradients = compute(_OnePass(self.rule, wanted), arrays)
        return y, gradients

    def backward(self, arrays: Arrays, kept: Arrays, y_bar: Array, wanted: Flags) -> Arrays:
        if self.rule.may_scale(y_bar):
            return scaled(kept, y_bar)
        return self.pullback(arrays, y_bar, wanted)


@dataclass(frozen=True, eq=False)
class _OnePass(AbstractComputation):
    """The value and those gradients that are wanted."""

    rule: AbstractKeepingRule
    wanted: Flags

    def value(self, *arrays: Maybe) -> Arrays:
        x, constants = arrays[: self.rule.parts], arrays[self.rule.parts :]
        y, gradients = self.rule.value_and_gradient(x, self.wanted, constants)
        return y, *(gradient for gradient in gradients if gradient is not None)

    def like(self, *arrays: Maybe) -> Arrays:
        x, constants = arrays[: self.rule.parts], arrays[self.rule.parts :]
        return *self.rule.like(x, constants), *map(empty, compress(x, self.wanted))


def scaled(gradients: Arrays, y_bar: Array) -> Arrays:
    """Return gradients times a number; themselves where that is seen to be one."""
    if can_look_at(y_bar) and y_bar.item() == 1:
        return gradients
    return tuple(gradient * y_bar for gradient in gradients)
