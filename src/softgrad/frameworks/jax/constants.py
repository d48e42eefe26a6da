"""The arguments of losses and heads that have no derivative: targets, weights, masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from jax import tree

from softgrad.arrays import Array, as_integer, same_kind
from softgrad.errors import mismatch
from softgrad.frameworks.jax.products import Tree
from softgrad.losses import TopK

__all__ = ["Constants", "refuse_derivatives", "refuse_group"]

_ARRAYS = ("where", "class_weights", "row_weights")


class Constants(NamedTuple):
    """Targets and options, apart by what is compiled and what is not."""

    arrays: dict[str, Any]
    settings: tuple[tuple[str, Any], ...]
    """The options that are no arrays; they can be hashed."""

    @classmethod
    def of(cls, targets: Any, options: Mapping[str, Any], x: Array) -> Constants:
        """Sort the arguments.

        Raises
        ------
        TypeError
            One of them is from another library than x.
        """
        settings = {name: value for name, value in options.items() if name not in _ARRAYS}
        if "axis" in settings:
            settings["axis"] = as_integer("axis", settings["axis"])
        given = {name: options[name] for name in _ARRAYS if options.get(name) is not None}
        arrays = {name: same_kind(name, value, x) for name, value in given.items()}
        if isinstance(targets, TopK):
            parts = zip(TopK._fields, targets, strict=True)
            arrays["targets"] = TopK(*(same_kind(f"targets.{n}", v, x) for n, v in parts))
        else:
            arrays["targets"] = same_kind("targets", targets, x)
        return cls(arrays, tuple(settings.items()))


def refuse_derivatives(constants_dot: Tree) -> None:
    """Raise TypeError for the first of the constants that moves."""
    for name, dot in constants_dot.items():
        if tree.leaves(dot):
            expected = "without derivative (jax.lax.stop_gradient: it is not differentiated in)"
            raise TypeError(mismatch(name, expected, "an array that JAX differentiates in"))


def refuse_group(options: Mapping[str, Any]) -> None:
    """Raise TypeError for a process group, which is PyTorch's."""
    if options.get("group") is not None:
        expected = "None (softgrad.jax.sharded_linear_cross_entropy is for JAX's devices)"
        raise TypeError(mismatch("group", expected, type(options["group"]).__name__))
