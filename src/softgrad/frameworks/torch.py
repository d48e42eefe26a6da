"""PyTorch's autograd, taught the derivatives of maps and losses.

Differentiating the arithmetic of a formula would lose what the formula keeps: the digits of a
saturated row, the limits at −inf. So autograd is handed J itself, and its derivative.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from softgrad.arrays import Array, as_integer
from softgrad.errors import mismatch
from softgrad.losses.base import AbstractLoss, Options
from softgrad.maps.base import AbstractMap

__all__ = ["is_recording", "loss_value", "map_value"]


def is_recording() -> bool:
    """Tell whether autograd records: False inside `torch.no_grad()`."""
    return bool(torch.is_grad_enabled())


def map_value(f: AbstractMap, x: Array, axis: int, where: Array | None) -> Array:
    """Return the value of a map, through which autograd reaches `x`."""
    return _Value.apply(x, _MapRule(f, axis, where))


def loss_value(loss: AbstractLoss, x: Array, targets: Array, options: Options) -> Array:
    """Return the value of a loss, through which autograd reaches `x`.

    Raises
    ------
    TypeError
        The targets, the weights or another option require a gradient, which there is none of.
    """
    for name, given in {"targets": targets, **options}.items():
        if getattr(given, "requires_grad", False):
            expected = "without requires_grad (detach it: losses are differentiated in x alone)"
            raise TypeError(mismatch(name, expected, "a tensor that requires a gradient"))
    return _Value.apply(x, _LossRule(loss, targets, options))


class _AbstractRule(ABC):
    """What autograd must know of y(x)."""

    @property
    @abstractmethod
    def constants(self) -> tuple[Any, ...]:
        """The arguments beside x."""

    @abstractmethod
    def value(self, x: Array) -> Array:
        """Return y."""

    @abstractmethod
    def jvp(self, x: Array, x_dot: Array) -> Array:
        """Return J·x_dot."""

    @abstractmethod
    def vjp(self, x: Array, y_bar: Array) -> Array:
        """Return Jᵀ·y_bar."""

    @abstractmethod
    def hvp(self, x: Array, y_bar: Array, x_dot: Array) -> Array:
        """Return the rate of change of Jᵀ·y_bar as x moves along x_dot."""


@dataclass(frozen=True)
class _MapRule(_AbstractRule):
    map: AbstractMap
    axis: int
    where: Array | None

    @property
    def constants(self) -> tuple[Any, ...]:
        return (self.where,)

    def value(self, x: Array) -> Array:
        return self.map(x, axis=self.axis, where=self.where)

    def jvp(self, x: Array, x_dot: Array) -> Array:
        return self.map.jvp(x, x_dot, axis=self.axis, where=self.where)

    def vjp(self, x: Array, y_bar: Array) -> Array:
        return self.map.vjp(x, y_bar, axis=self.axis, where=self.where)

    def hvp(self, x: Array, y_bar: Array, x_dot: Array) -> Array:
        return self.map.hvp(x, y_bar, x_dot, axis=self.axis, where=self.where)


@dataclass(frozen=True)
class _LossRule(_AbstractRule):
    """A loss is computed in the dtype of its value: half precision is rounded to at the end."""

    loss: AbstractLoss
    targets: Array
    options: Options

    @property
    def constants(self) -> tuple[Any, ...]:
        return (self.targets, *self.options.values())

    def value(self, x: Array) -> Array:
        return self.loss.value(x, self.targets, **self.options)

    def jvp(self, x: Array, x_dot: Array) -> Array:
        y = self.value(x)
        product = x_dot * self.loss.gradient(x.to(y.dtype), self.targets, **self.options)
        return product.sum_to_size(self._beside(x, y).shape).reshape(y.shape)

    def vjp(self, x: Array, y_bar: Array) -> Array:
        gradient = self.loss.gradient(x.to(y_bar.dtype), self.targets, **self.options)
        return (self._beside(x, y_bar) * gradient).to(x.dtype)

    def hvp(self, x: Array, y_bar: Array, x_dot: Array) -> Array:
        hessian = self.loss.hessian(x.to(y_bar.dtype), self.targets, **self.options)
        return (self._beside(x, y_bar) * hessian.mv(x_dot.to(y_bar.dtype))).to(x.dtype)

    def _beside(self, x: Array, y: Array) -> Array:
        """Return y, which is one number, one a row or one an element, such that it spreads."""
        if y.ndim in (0, x.ndim):
            return y
        return y.unsqueeze(as_integer("axis", self.options.get("axis", -1)))


class _Value(torch.autograd.Function):  # type: ignore[misc]
    """y(x); its backward is Jᵀ·y_bar."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Array, rule: _AbstractRule) -> Array:
        return rule.value(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Array, _AbstractRule], output: Array) -> None:
        x, ctx.rule = inputs
        ctx.save_for_backward(x, *_tensors(ctx.rule))
        ctx.save_for_forward(x)

    @staticmethod
    def backward(ctx: Any, y_bar: Array) -> tuple[Array, None]:
        return _Pullback.apply(ctx.saved_tensors[0], y_bar, ctx.rule), None

    @staticmethod
    def jvp(ctx: Any, x_dot: Array, _: None) -> Array:
        return ctx.rule.jvp(ctx.saved_tensors[0], x_dot)


class _Pullback(torch.autograd.Function):  # type: ignore[misc]
    """Jᵀ·y_bar as a function of x and y_bar; its backward has the second derivatives."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Array, y_bar: Array, rule: _AbstractRule) -> Array:
        return rule.vjp(x, y_bar)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Array, Array, _AbstractRule], output: Array) -> None:
        x, y_bar, ctx.rule = inputs
        ctx.save_for_backward(x, y_bar, *_tensors(ctx.rule))
        ctx.save_for_forward(x, y_bar)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, v: Array) -> tuple[Array, Array, None]:
        x, y_bar, *_ = ctx.saved_tensors
        return ctx.rule.hvp(x, y_bar, v), ctx.rule.jvp(x, v), None

    @staticmethod
    def jvp(ctx: Any, x_dot: Array, y_bar_dot: Array, _: None) -> Array:
        x, y_bar, *_ = ctx.saved_tensors
        return ctx.rule.hvp(x, y_bar, x_dot) + ctx.rule.vjp(x, y_bar_dot)


def _tensors(rule: _AbstractRule) -> list[Array]:
    """Return the constants that autograd watches, so that a change in place is an error."""
    return [c for c in rule.constants if isinstance(c, torch.Tensor)]
