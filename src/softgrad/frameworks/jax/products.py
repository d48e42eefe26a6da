"""Products with the derivatives of y(x), as one primitive that is closed under differentiation.

    push    J·u                                     linear in u
    pull    Jᵀ·w                                    linear in w
    slope   the change of Jᵀ·w as x moves along v   linear in w and v, symmetric in x and v
    bend    the change of J·u as x moves along v    linear in u and v, symmetric in them

Left alone, JAX would transpose the arithmetic of a product, and lose the digits that the formula of
the transpose keeps. So it is told that the transpose of one product is another, and that the
derivatives of push and pull are bend and slope. Third derivatives are left to JAX.

x and y are tuples of arrays, in which None is what is not there; u and v are like x, w is like y,
and there None is a zero.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
from jax import tree
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

__all__ = ["AbstractRule", "Arrays", "Tree", "moving", "product"]

Arrays: TypeAlias = tuple[Any, ...]
"""Arrays, of which some may be None."""

Leaves: TypeAlias = Sequence[Any]
"""The arrays of all arguments, one after the other; None for a zero or an unknown."""

Tree: TypeAlias = Any
"""Arrays, or tuples and dicts of them."""

Kind = Literal["push", "pull", "slope", "bend"]


class AbstractRule(ABC):
    """What JAX must know of y(x); constants are the arrays beside x.

    A rule is a static argument of compiled functions: it is hashed, and holds no arrays.
    """

    @abstractmethod
    def value(self, x: Arrays, constants: Tree) -> Arrays:
        """Return y."""

    @abstractmethod
    def push(self, x: Arrays, constants: Tree, u: Arrays) -> Arrays:
        """Return J·u."""

    @abstractmethod
    def pull(self, x: Arrays, constants: Tree, w: Arrays) -> Arrays:
        """Return Jᵀ·w."""

    @abstractmethod
    def slope(self, x: Arrays, constants: Tree, w: Arrays, v: Arrays) -> Arrays:
        """Return the change of Jᵀ·w as x moves along v."""

    @abstractmethod
    def bend(self, x: Arrays, constants: Tree, u: Arrays, v: Arrays) -> Arrays:
        """Return the change of J·u as x moves along v."""

    @abstractmethod
    def refuse_derivatives(self, constants_dot: Tree) -> None:
        """Raise TypeError if a constant moves: if there is anything in the tree."""


def product(rule: AbstractRule, kind: Kind, x: Arrays, constants: Tree, *vectors: Arrays) -> Arrays:
    """Return a product, which JAX differentiates, transposes, batches and compiles."""
    groups = (x, constants, *vectors)
    call = _Call(rule, kind, tuple(map(tree.structure, groups)))
    return call.shaped(_product.bind(*tree.leaves(groups), call=call))


def moving(tangents: Tree, is_zero: Any) -> Tree:
    """Return tangents with None for zeros, and for what is counted and cannot move."""

    def part(dot: Any) -> Any:
        return None if is_zero(dot) or dot.dtype == jax.dtypes.float0 else dot

    return tree.map(part, tangents, is_leaf=is_zero)


class _AbstractCall(ABC):
    """A call of the primitive, with flat arguments."""

    @property
    @abstractmethod
    def fixed(self) -> int:
        """The number of arrays that are no part of vectors; they come first."""

    @abstractmethod
    def value(self, leaves: Leaves) -> list[Any]:
        """Return the product."""

    @abstractmethod
    def tangent(self, leaves: Leaves, dots: Leaves) -> list[Any]:
        """Return how it changes as the arguments move; made of differentiable calls."""

    @abstractmethod
    def transposed(self, leaves: Leaves, bars: Leaves) -> list[Any]:
        """Return the cotangents of the leaves that are None, for those of the product."""


@dataclass(frozen=True)
class _Call(_AbstractCall):
    """One product."""

    rule: AbstractRule
    kind: Kind
    groups: tuple[Any, ...]
    """The structures of x, the constants, and each vector."""

    @property
    def fixed(self) -> int:
        return sum(group.num_leaves for group in self.groups[:2])

    def value(self, leaves: Leaves) -> list[Any]:
        parts: list[Any] = tree.leaves(getattr(self.rule, self.kind)(*self._split(leaves)))
        return parts

    def tangent(self, leaves: Leaves, dots: Leaves) -> list[Any]:
        (x, constants, *vectors), (x_dot, constants_dot, *vector_dots) = map(
            self._split, (leaves, dots)
        )
        self.rule.refuse_derivatives(constants_dot)
        terms = []
        if tree.leaves(x_dot):
            terms.append(self._along(x_dot, x, constants, *vectors))
        for i, dot in enumerate(vector_dots):
            if tree.leaves(dot):
                moved = (*vectors[:i], dot, *vectors[i + 1 :])
                terms.append(product(self.rule, self.kind, x, constants, *moved))
        return [sum(parts[1:], parts[0]) for parts in zip(*map(tree.leaves, terms), strict=True)]

    def _along(self, x_dot: Arrays, x: Arrays, constants: Tree, *vectors: Arrays) -> Arrays:
        """Return the rate of change as x alone moves."""
        if self.kind == "push":
            return product(self.rule, "bend", x, constants, *vectors, x_dot)
        if self.kind == "pull":
            return product(self.rule, "slope", x, constants, *vectors, x_dot)

        def at(x: Arrays) -> Arrays:
            third: Arrays = getattr(self.rule, self.kind)(x, constants, *vectors)
            return third

        still = tuple(
            part if part is None else jnp.zeros_like(part) if dot is None else dot
            for part, dot in zip(x, x_dot, strict=True)
        )
        along: Arrays = jax.jvp(at, (x,), (still,))[1]
        return along

    def transposed(self, leaves: Leaves, bars: Leaves) -> list[Any]:
        x, constants, *vectors = self._split(leaves)
        flags = self._split([leaf is None for leaf in leaves])[2:]
        unknown = next(i for i, flag in enumerate(flags) if any(tree.leaves(flag)))
        s = self.shaped(bars)
        # With u or w in the first place and v in the second; push and pull have the first alone.
        transposes: dict[tuple[Kind, int], tuple[Kind, Arrays]] = {
            ("push", 0): ("pull", (s,)),
            ("pull", 0): ("push", (s,)),
            ("slope", 0): ("bend", (vectors[-1], s)),
            ("slope", 1): ("slope", (vectors[0], s)),
            ("bend", 0): ("slope", (s, vectors[-1])),
            ("bend", 1): ("slope", (s, vectors[0])),
        }
        kind, arguments = transposes[self.kind, unknown]
        made = product(self.rule, kind, x, constants, *arguments)
        return [part for part, wanted in zip(made, flags[unknown], strict=True) if wanted]

    def shaped(self, parts: Leaves) -> Arrays:
        """Return the flat result as a tuple: like y, or like x."""
        like_y = self.kind in ("push", "bend")
        return tuple(parts) if like_y else tree.unflatten(self.groups[0], parts)

    def _split(self, leaves: Leaves) -> list[Any]:
        groups, end = [], 0
        for group in self.groups:
            start, end = end, end + group.num_leaves
            groups.append(tree.unflatten(group, leaves[start:end]))
        return groups


@dataclass(frozen=True)
class _BatchOf(_AbstractCall):
    """A call for many examples: whatever is asked of it, it asks of each."""

    inner: _AbstractCall
    axes: tuple[int | None, ...]
    """0 for an array with an axis of examples in front; all vectors have one."""

    @property
    def fixed(self) -> int:
        return self.inner.fixed

    def value(self, leaves: Leaves) -> list[Any]:
        return self._each(self.inner.value, (self.axes,), leaves)

    def tangent(self, leaves: Leaves, dots: Leaves) -> list[Any]:
        return self._each(self.inner.tangent, (self.axes, self.axes), leaves, dots)

    def transposed(self, leaves: Leaves, bars: Leaves) -> list[Any]:
        return self._each(self.inner.transposed, (self.axes, 0), leaves, bars)

    def _each(self, f: Any, axes: tuple[Any, ...], *lists: Leaves) -> list[Any]:
        in_axes = tuple(list(a) if isinstance(a, tuple) else a for a in axes)
        parts: list[Any] = jax.vmap(f, in_axes=in_axes)(*map(list, lists))
        return parts


_product = Primitive("softgrad")
_product.multiple_results = True


def _value(*leaves: Any, call: _AbstractCall) -> list[Any]:
    return call.value(list(leaves))


def _shapes(*avals: Any, call: _AbstractCall) -> list[Any]:
    made: list[Any] = jax.make_jaxpr(_compiled, static_argnums=0)(call, *avals).out_avals
    return made


def _tangent(leaves: Leaves, dots: Leaves, *, call: _AbstractCall) -> tuple[list[Any], list[Any]]:
    dots = moving(list(dots), lambda dot: isinstance(dot, ad.Zero))
    return _product.bind(*leaves, call=call), call.tangent(list(leaves), dots)


def _transposed(bars: Leaves, *leaves: Any, call: _AbstractCall) -> list[Any]:
    known = [None if ad.is_undefined_primal(leaf) else leaf for leaf in leaves]
    bars = moving(list(bars), lambda bar: isinstance(bar, ad.Zero))
    made = iter(call.transposed(known, bars))
    return [next(made) if leaf is None else None for leaf in known]


def _batched(leaves: Leaves, axes: Leaves, *, call: _AbstractCall) -> tuple[list[Any], list[int]]:
    pairs = list(zip(leaves, axes, strict=True))
    size = next(leaf.shape[axis] for leaf, axis in pairs if axis is not None)
    shared = tuple(axis is None and i < call.fixed for i, axis in enumerate(axes))
    in_front = [
        leaf
        if is_shared
        else jnp.broadcast_to(leaf, (size, *leaf.shape))
        if axis is None
        else jnp.moveaxis(leaf, axis, 0)
        for (leaf, axis), is_shared in zip(pairs, shared, strict=True)
    ]
    of_each = _BatchOf(call, tuple(None if is_shared else 0 for is_shared in shared))
    made = _product.bind(*in_front, call=of_each)
    return made, [0] * len(made)


def _of_call(call: _AbstractCall, *leaves: Any) -> list[Any]:
    return call.value(list(leaves))


_compiled = jax.jit(_of_call, static_argnums=0)

_product.def_impl(lambda *leaves, call: _compiled(call, *leaves))
_product.def_abstract_eval(_shapes)
ad.primitive_jvps[_product] = _tangent
ad.primitive_transposes[_product] = _transposed
batching.primitive_batchers[_product] = _batched
mlir.register_lowering(_product, mlir.lower_fun(_value, multiple_results=True))
