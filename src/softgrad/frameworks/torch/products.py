"""y(x) and its first and second products: a family of nodes that is closed under differentiation.

    Value        y(x)
    Pushforward  J·u                                     linear in u
    Pullback     Jᵀ·w                                    linear in w
    Slope        the change of Jᵀ·w as x moves along v   linear in w and v, symmetric in x and v
    Bend         the change of J·u as x moves along v    linear in u and v, symmetric in them

x may have several parts, as a layer has weights beside its input, and y several outputs; u and v
are then like x and w like y, and None stands for zero. Whoever takes a cotangent of x says which
parts of it are wanted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple

import torch

from softgrad.arrays import Array
from softgrad.frameworks.torch.node import AbstractNode, Dims, Flags, twice_only
from softgrad.frameworks.torch.operator import Arrays, Maybe, empty

__all__ = ["AbstractRule", "Pullback", "Value", "spread"]


class AbstractRule(ABC):
    """What PyTorch must know of y(x), at plain tensors; constants are the arrays beside x."""

    parts: ClassVar[int] = 1
    """How many tensors x is made of."""

    outputs: ClassVar[int] = 1
    """How many tensors y is made of."""

    @abstractmethod
    def value(self, x: Arrays, constants: Arrays) -> Arrays:
        """Return y."""

    @abstractmethod
    def like(self, x: Arrays, constants: Arrays) -> Arrays:
        """Return room for y."""

    @abstractmethod
    def jvp(self, x: Arrays, u: Arrays, constants: Arrays) -> Arrays:
        """Return J·u."""

    @abstractmethod
    def vjp(self, x: Arrays, w: Arrays, wanted: Flags, constants: Arrays) -> Arrays:
        """Return the parts of Jᵀ·w; what is not wanted may be None."""

    @abstractmethod
    def hvp(self, x: Arrays, w: Arrays, v: Arrays, wanted: Flags, constants: Arrays) -> Arrays:
        """Return the parts of the change of Jᵀ·w as x moves along v."""

    @abstractmethod
    def bend(self, x: Arrays, u: Arrays, v: Arrays, constants: Arrays) -> Arrays:
        """Return the change of J·u as x moves along v."""

    @abstractmethod
    def refuse_derivatives(self, wanted: Flags) -> None:
        """Raise TypeError where the derivative in a constant is wanted."""

    @abstractmethod
    def over_examples(self, node: AbstractNode, arrays: Arrays, dims: Dims, size: int) -> Arrays:
        """Return the values of a node of this rule at every example, stacked in front."""


class _Partial(NamedTuple):
    """The derivative in one argument and its transpose, of which some parts are wanted."""

    push: Callable[[Arrays], Arrays]
    pull: Callable[[Arrays, Flags], Arrays]


@dataclass(frozen=True, eq=False)
class _AbstractProduct(AbstractNode):
    """A function of x, of directions, and of constants, in which it has no derivative."""

    rule: AbstractRule
    wanted: Flags = ()
    """Which parts of a value that is like x are returned; empty for a value that is like y."""

    directions: ClassVar[Sequence[Literal["x", "y"]]]
    """What every direction is like."""

    @abstractmethod
    def partials(self, at: _Point, *directions: Arrays) -> Sequence[_Partial]:
        """Return the derivatives in x and in the directions."""

    def like(self, *arrays: Maybe) -> Arrays:
        (x, *_), constants = self._split(arrays)
        return tuple(map(empty, self._chosen(x))) if self.wanted else self.rule.like(x, constants)

    def pull(self, bars: Arrays, arrays: Arrays, needed: Flags) -> Arrays:
        bars = spread(self.wanted, bars) if self.wanted else bars
        pulled: list[Maybe] = []
        groups, rest = self._split(needed)
        for p, group in zip(self._partials(arrays, needed), groups, strict=True):
            pulled += p.pull(bars, group) if any(group) else [None] * len(group)
        return *pulled, *(None for _ in rest)

    def push(self, arrays: Arrays, dots: Arrays) -> Arrays:
        moving = tuple(dot is not None for dot in dots)
        groups, _ = self._split(dots)
        partials = zip(self._partials(arrays, moving), groups, strict=True)
        along = [p.push(v) for p, v in partials if any(part is not None for part in v)]
        return tuple(sum(terms[1:], terms[0]) for terms in zip(*along, strict=True))

    def over_examples(self, arrays: Arrays, dims: Dims, size: int) -> Arrays:
        return self.rule.over_examples(self, arrays, dims, size)

    def _partials(self, arrays: Arrays, differentiated: Flags) -> Sequence[_Partial]:
        self.rule.refuse_derivatives(self._split(differentiated)[1])
        (x, *directions), constants = self._split(arrays)
        return self.partials(_Point(self.rule, x, constants), *directions)

    def _split(self, flat: Sequence[Any]) -> tuple[list[Any], Any]:
        """Return what belongs to x and to each direction, and what belongs to the constants."""
        groups, end = [], 0
        for kind in ("x", *self.directions):
            start, end = end, end + (self.rule.parts if kind == "x" else self.rule.outputs)
            groups.append(tuple(flat[start:end]))
        return groups, tuple(flat[end:])

    def _chosen(self, parts: Arrays) -> Arrays:
        return tuple(part for part, wanted in zip(parts, self.wanted, strict=True) if wanted)


class Value(_AbstractProduct):
    """y(x)."""

    directions = ()

    def value(self, *arrays: Maybe) -> Arrays:
        (x,), constants = self._split(arrays)
        return self.rule.value(x, constants)

    def partials(self, at: _Point, *directions: Arrays) -> Sequence[_Partial]:
        return [_Partial(at.pushforward, at.pullback)]


class Pushforward(_AbstractProduct):
    """J·u."""

    directions = ("x",)

    def value(self, *arrays: Maybe) -> Arrays:
        (x, u), constants = self._split(arrays)
        return self.rule.jvp(x, u, constants)

    def partials(self, at: _Point, *directions: Arrays) -> Sequence[_Partial]:
        (u,) = directions
        in_x = _Partial(partial(at.bend, u), lambda w, wanted: at.slope(w, u, wanted))
        return [in_x, _Partial(at.pushforward, at.pullback)]


class Pullback(_AbstractProduct):
    """Jᵀ·w."""

    directions = ("y",)

    def value(self, *arrays: Maybe) -> Arrays:
        (x, w), constants = self._split(arrays)
        return self._chosen(self.rule.vjp(x, w, self.wanted, constants))

    def partials(self, at: _Point, *directions: Arrays) -> Sequence[_Partial]:
        (w,), mine = directions, self.wanted
        in_x = _Partial(
            lambda v: self._chosen(at.slope(w, v, mine)), lambda v, wanted: at.slope(w, v, wanted)
        )
        in_w = _Partial(
            lambda w_dot: self._chosen(at.pullback(w_dot, mine)), lambda v, _: at.pushforward(v)
        )
        return [in_x, in_w]


class Slope(_AbstractProduct):
    """The change of Jᵀ·w as x moves along v."""

    directions = ("y", "x")

    def value(self, *arrays: Maybe) -> Arrays:
        (x, w, v), constants = self._split(arrays)
        return self._chosen(self.rule.hvp(x, w, v, self.wanted, constants))

    def partials(self, at: _Point, *directions: Arrays) -> Sequence[_Partial]:
        (w, v), mine = directions, self.wanted
        in_w = _Partial(
            lambda w_dot: self._chosen(at.slope(w_dot, v, mine)), lambda s, _: at.bend(v, s)
        )
        in_v = _Partial(
            lambda v_dot: self._chosen(at.slope(w, v_dot, mine)),
            lambda s, wanted: at.slope(w, s, wanted),
        )
        return [at.third, in_w, in_v]


class Bend(_AbstractProduct):
    """The change of J·u as x moves along v."""

    directions = ("x", "x")

    def value(self, *arrays: Maybe) -> Arrays:
        (x, u, v), constants = self._split(arrays)
        return self.rule.bend(x, u, v, constants)

    def partials(self, at: _Point, *directions: Arrays) -> Sequence[_Partial]:
        u, v = directions
        in_u = _Partial(lambda u_dot: at.bend(u_dot, v), lambda w, wanted: at.slope(w, v, wanted))
        in_v = _Partial(partial(at.bend, u), lambda w, wanted: at.slope(w, u, wanted))
        return [at.third, in_u, in_v]


@dataclass(frozen=True, eq=False)
class _Point:
    """The products at x, each of them a node."""

    rule: AbstractRule
    x: Arrays
    constants: Arrays

    def pushforward(self, u: Arrays) -> Arrays:
        return Pushforward(self.rule)(*self.x, *u, *self.constants)

    def pullback(self, w: Arrays, wanted: Flags) -> Arrays:
        return spread(wanted, Pullback(self.rule, wanted)(*self.x, *w, *self.constants))

    def slope(self, w: Arrays, v: Arrays, wanted: Flags) -> Arrays:
        node = Slope(self.rule, wanted)
        return spread(wanted, node(*self._fixed, *w, *v, *self.constants))

    def bend(self, u: Arrays, v: Arrays) -> Arrays:
        return Bend(self.rule)(*self._fixed, *u, *v, *self.constants)

    @property
    def third(self) -> _Partial:
        """Zeros on their way to `twice_only`, which raises if anyone asks for them."""
        zeros = tuple(part if part is None else torch.zeros_like(part) for part in self.x)
        return _Partial(lambda v: zeros, lambda w, wanted: zeros)

    @property
    def _fixed(self) -> Arrays:
        return tuple(part if part is None else twice_only(part)[0] for part in self.x)


def spread(wanted: Flags, parts: Iterable[Array]) -> Arrays:
    """Put None where nothing is wanted."""
    given = iter(parts)
    return tuple(next(given) if is_wanted else None for is_wanted in wanted)
