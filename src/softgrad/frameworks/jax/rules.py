"""Maps and losses as rules: their own derivatives, compiled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from softgrad.arrays import Array, as_integer, real_array, same_kind
from softgrad.frameworks.jax.concrete import look_at_loss, look_at_map
from softgrad.frameworks.jax.constants import Constants, refuse_derivatives, refuse_group
from softgrad.frameworks.jax.products import AbstractRule, Arrays, Tree
from softgrad.frameworks.jax.value import value
from softgrad.kernels import Impl
from softgrad.losses.base import AbstractLoss, Options
from softgrad.losses.reduced import ReducedLoss
from softgrad.maps.base import AbstractMap

__all__ = ["loss_value", "map_value"]


def map_value(f: AbstractMap, x: Any, axis: int, where: Any, impl: Impl) -> Array:
    """Return the value of a map, with its derivatives in `x`."""
    x = real_array("x", x)
    mask = None if where is None else same_kind("where", where, x)
    axis = as_integer("axis", axis)
    look_at_map(f, x, mask, axis)
    return value(_MapRule(f, axis, impl), (x,), {"where": mask})[0]


@dataclass(frozen=True)
class _MapRule(AbstractRule):
    """A map; its constant is the mask."""

    map: AbstractMap
    axis: int
    impl: Impl

    def value(self, x: Arrays, constants: Tree) -> Arrays:
        return (self.map.linearize(*x, **self._options(constants))[0],)

    def push(self, x: Arrays, constants: Tree, u: Arrays) -> Arrays:
        return (self.map.jvp(*x, *u, **self._options(constants)),)

    def pull(self, x: Arrays, constants: Tree, w: Arrays) -> Arrays:
        return (self.map.vjp(*x, *w, **self._options(constants)),)

    def slope(self, x: Arrays, constants: Tree, w: Arrays, v: Arrays) -> Arrays:
        return (self.map.hvp(*x, *w, *v, **self._options(constants)),)

    def bend(self, x: Arrays, constants: Tree, u: Arrays, v: Arrays) -> Arrays:
        return (self.map.second_derivative(*x, *u, *v, **self._options(constants)),)

    def refuse_derivatives(self, constants_dot: Tree) -> None:
        """A mask is never differentiated."""

    def _options(self, constants: Tree) -> dict[str, Any]:
        return {"axis": self.axis, "impl": self.impl, **constants}


def loss_value(loss: AbstractLoss, x: Any, targets: Any, options: Options) -> Array:
    """Return the value of a loss, with its derivatives in `x`.

    Raises
    ------
    TypeError
        The targets or an option are differentiated: losses have no derivative in them.
    """
    x = real_array("x", x)
    refuse_group(options)
    constants = Constants.of(targets, options, x)
    look_at_loss(loss, x, constants.arrays, options.get("axis", -1))
    return value(_LossRule(loss, constants.settings), (x,), constants.arrays)[0]


@dataclass(frozen=True)
class _LossRule(AbstractRule):
    """A loss; its constants are its targets and weights, by name."""

    loss: AbstractLoss
    settings: tuple[tuple[str, Any], ...]

    def value(self, x: Arrays, constants: Tree) -> Arrays:
        return (self._at(x, constants).value(),)

    def push(self, x: Arrays, constants: Tree, u: Arrays) -> Arrays:
        return (self._at(x, constants).jvp(*u),)

    def pull(self, x: Arrays, constants: Tree, w: Arrays) -> Arrays:
        return (self._at(x, constants).vjp(*w),)

    def slope(self, x: Arrays, constants: Tree, w: Arrays, v: Arrays) -> Arrays:
        return (self._at(x, constants).hvp(*w, *v),)

    def bend(self, x: Arrays, constants: Tree, u: Arrays, v: Arrays) -> Arrays:
        return (self._at(x, constants).second_derivative(*u, *v),)

    def refuse_derivatives(self, constants_dot: Tree) -> None:
        refuse_derivatives(constants_dot)

    def _at(self, x: Arrays, constants: Tree) -> ReducedLoss:
        options: Any = dict(constants) | dict(self.settings)
        return self.loss.reduced(x[0], options.pop("targets"), options)
