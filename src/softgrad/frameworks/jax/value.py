"""y(x) for JAX, with the rule's own derivatives in every mode."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from softgrad.arrays import Array
from softgrad.frameworks.jax.mesh import varying_alike
from softgrad.frameworks.jax.products import AbstractRule, Arrays, Tree, moving, product

__all__ = ["AbstractScalarRule", "value"]


class AbstractScalarRule(AbstractRule):
    """A y that may be one number, whose gradient costs little more than its value."""

    @property
    @abstractmethod
    def in_one_pass(self) -> bool:
        """Whether y is one number, so that there is a gradient to compute beside it."""

    @abstractmethod
    def value_and_gradient(self, x: Arrays, constants: Tree) -> tuple[Array, Arrays]:
        """Return both."""

    @abstractmethod
    def summed(self, terms: Arrays) -> Array:
        """Return the sum of what the parts of x give to a tangent; None is nothing."""


@partial(jax.jit, static_argnums=(0, 3))
def value(rule: AbstractRule, x: Arrays, constants: Tree, axis: str | None = None) -> Arrays:
    """Return y, compiled.

    `axis` is the axis of a mesh along which the rule itself has parts of x.
    """
    x, constants = varying_alike((x, constants), but=axis)
    y: Arrays = _value(rule, x, constants)
    return y


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _value(rule: AbstractRule, x: Arrays, constants: Tree) -> Arrays:
    return rule.value(x, constants)


@partial(_value.defjvp, symbolic_zeros=True)
def _value_dot(rule: AbstractRule, primals: Any, tangents: Any) -> tuple[Arrays, Arrays]:
    (x, constants), x_dot = primals, _x_dot(rule, tangents)
    if isinstance(rule, AbstractScalarRule) and rule.in_one_pass:
        y, gradient = _value_and_gradient(rule, x, constants)
        return (y,), (_inner(rule, gradient, x_dot, y),)
    return _value(rule, x, constants), product(rule, "push", x, constants, x_dot)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _value_and_gradient(
    rule: AbstractScalarRule, x: Arrays, constants: Tree
) -> tuple[Array, Arrays]:
    return rule.value_and_gradient(x, constants)


@partial(_value_and_gradient.defjvp, symbolic_zeros=True)
def _value_and_gradient_dot(rule: AbstractScalarRule, primals: Any, tangents: Any) -> Any:
    (x, constants), x_dot = primals, _x_dot(rule, tangents)
    y, gradient = _value_and_gradient(rule, x, constants)
    gradient_dot = product(rule, "slope", x, constants, (jnp.ones_like(y),), x_dot)
    return (y, gradient), (_inner(rule, gradient, x_dot, y), gradient_dot)


def _x_dot(rule: AbstractRule, tangents: Any) -> Arrays:
    """Return how x moves; raise if a constant does."""
    x_dot, constants_dot = moving(tangents, lambda dot: isinstance(dot, SymbolicZero))
    rule.refuse_derivatives(constants_dot)
    dots: Arrays = x_dot
    return dots


def _inner(rule: AbstractScalarRule, gradient: Arrays, x_dot: Arrays, y: Array) -> Array:
    """Return ⟨gradient, x_dot⟩ in the dtype of y."""
    pairs = zip(gradient, x_dot, strict=True)
    return rule.summed(
        tuple(
            None if v is None else jnp.sum(g.astype(y.dtype) * v.astype(y.dtype)) for g, v in pairs
        )
    )
