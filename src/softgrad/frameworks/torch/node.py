"""A function of tensors that knows its own derivatives: PyTorch is told once, for all its modes.

No node ever computes on a wrapped tensor. Where transforms are nested, PyTorch takes them off one
by one and asks the node at each of them; `value` sees plain tensors in the end.
"""

from __future__ import annotations

import inspect
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from softgrad.errors import mismatch
from softgrad.frameworks.torch.modes import is_batched_gradient
from softgrad.frameworks.torch.operator import (
    AbstractComputation,
    Arrays,
    Maybe,
    compute,
    empty,
)

__all__ = ["AbstractNode", "Dims", "Flags", "one_by_one", "twice_only"]

Flags: TypeAlias = tuple[bool, ...]
Dims: TypeAlias = tuple[int | None, ...]
"""Which axis of each array counts the examples of `vmap`; None for one that all of them share."""


class AbstractNode(AbstractComputation):
    """A computation that is differentiable: ``node(*arrays)``.

    Derivatives are made by calling nodes: they are differentiable in turn.
    """

    def __call__(self, *arrays: Maybe) -> Arrays:
        if any(a is not None and is_batched_gradient(a) for a in arrays):
            return _over_batched_gradients(self, arrays)
        values: Arrays = _Function.apply(self, *arrays)
        return values

    @abstractmethod
    def pull(self, bars: Arrays, arrays: Arrays, needed: Flags) -> Arrays:
        """Return the cotangent of every array that needs one, for those of the value."""

    @abstractmethod
    def push(self, arrays: Arrays, dots: Arrays) -> Arrays:
        """Return the tangent of the value; None is a tangent of zero, and not all are None."""

    @abstractmethod
    def over_examples(self, arrays: Arrays, dims: Dims, size: int) -> Arrays:
        """Return the values at every example, stacked in front."""


class _Function(torch.autograd.Function):  # type: ignore[misc]
    """The one function that PyTorch sees."""

    @staticmethod
    def forward(node: AbstractNode, *arrays: Maybe) -> Arrays:
        return compute(node, arrays)

    @staticmethod
    def setup_context(ctx: Any, inputs: Arrays, output: Arrays) -> None:
        ctx.node, *arrays = inputs
        ctx.set_materialize_grads(False)  # zeros that nobody has asked for stay None
        ctx.save_for_backward(*arrays)
        ctx.save_for_forward(*arrays)

    @staticmethod
    def backward(ctx: Any, *bars: Maybe) -> Arrays:
        arrays, needed = ctx.saved_tensors, tuple(ctx.needs_input_grad[1:])
        if all(bar is None for bar in bars):
            return None, *(None for _ in arrays)
        return None, *ctx.node.pull(bars, arrays, needed)

    @staticmethod
    def jvp(ctx: Any, _: None, *dots: Maybe) -> Arrays:
        tangents: Arrays = ctx.node.push(ctx.saved_tensors, dots)
        return tangents

    @staticmethod
    def vmap(info: Any, in_dims: Dims, node: AbstractNode, *arrays: Maybe) -> tuple[Arrays, Dims]:
        values = node.over_examples(arrays, in_dims[1:], info.batch_size)
        return values, (0,) * len(values)


# PyTorch binds arguments to it at each call, and would take it apart each time.
_Function.forward.__signature__ = inspect.signature(_Function.forward)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class _TwiceOnly(AbstractNode):
    """x itself, where a derivative in it would be a third one."""

    def value(self, *arrays: Maybe) -> Arrays:
        return arrays

    def like(self, *arrays: Maybe) -> Arrays:
        return tuple(map(empty, arrays))

    def pull(self, bars: Arrays, arrays: Arrays, needed: Flags) -> Arrays:
        raise NotImplementedError(_NO_THIRD)

    def push(self, arrays: Arrays, dots: Arrays) -> Arrays:
        raise NotImplementedError(_NO_THIRD)

    def over_examples(self, arrays: Arrays, dims: Dims, size: int) -> Arrays:
        return self(arrays[0].movedim(dims[0], 0))


_NO_THIRD = "softgrad has first and second derivatives, and a third one is asked for"

twice_only = _TwiceOnly()


def one_by_one(node: AbstractNode, arrays: Arrays, dims: Dims, size: int) -> Arrays:
    """Return the values of a node at every example, one after the other."""
    if size == 0:
        raise ValueError(mismatch("in_dims", "over at least one example", 0))
    per_example = [
        [a] * size if dim is None else a.unbind(dim) for a, dim in zip(arrays, dims, strict=True)
    ]
    values = [node(*example) for example in zip(*per_example, strict=True)]
    return tuple(torch.stack(each) for each in zip(*values, strict=True))


def _over_batched_gradients(node: AbstractNode, arrays: Arrays) -> Arrays:
    """Return a node at the gradients of `is_grads_batched=True`, as one batch of examples."""
    level = torch._C._vmapmode_increment_nesting() - 1
    torch._C._vmapmode_decrement_nesting()
    is_batched = [a is not None and is_batched_gradient(a) for a in arrays]
    plain = tuple(
        torch._remove_batch_dim(a, level, 0, 0) if batched else a
        for a, batched in zip(arrays, is_batched, strict=True)
    )
    dims = tuple(0 if batched else None for batched in is_batched)
    size = plain[is_batched.index(True)].shape[0]
    values = node.over_examples(plain, dims, size)
    return tuple(torch._add_batch_dim(value, 0, level) for value in values)
