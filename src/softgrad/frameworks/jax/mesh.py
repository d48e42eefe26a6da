"""Axes of a mesh along which arrays vary, inside of `jax.shard_map`; outside there are none.

JAX counts them as part of an array's type. A rule that is told of a replicated W beside rows that
are spread would return a W_bar that varies, and has to sum it; with an operand that varies as well,
JAX does so.
"""

from __future__ import annotations

from typing import Any

import jax
from jax import lax, tree

from softgrad.arrays import Array
from softgrad.frameworks.jax.products import Tree

__all__ = ["varying_alike", "varying_as"]


def varying_alike(arrays: Tree, but: str | None = None) -> Tree:
    """Return arrays that all vary along every axis that one of them does, but along one axis."""
    axes = frozenset[Any]().union(*map(_axes, tree.leaves(arrays))) - {but}
    return tree.map(lambda a: _varying(a, axes), arrays)


def varying_as(v: Array, like: Array) -> Array:
    """Return an array that varies along the axes that another does."""
    return _varying(v, _axes(like))


def _varying(v: Array, axes: frozenset[Any]) -> Array:
    more = axes - _axes(v)
    return lax.pcast(v, tuple(more), to="varying") if more else v


def _axes(v: Array) -> frozenset[Any]:
    return frozenset(jax.typeof(v).mat.varying)
