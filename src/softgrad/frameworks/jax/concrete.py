"""What can only be seen in numbers, looked at before anything is compiled: bad labels, bad weights.

A compiled function has no numbers to look at, and cannot raise for them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jax import tree

from softgrad.arrays import Array, is_concrete
from softgrad.frameworks.jax.products import Tree
from softgrad.losses.base import AbstractLoss
from softgrad.maps.base import AbstractMap

__all__ = ["has_numbers", "look_at_loss", "look_at_map", "on_host"]


def has_numbers(arrays: Tree) -> bool:
    """Tell whether all arrays have numbers, and this process has them."""
    return all(is_concrete(a) and a.is_fully_addressable for a in tree.leaves(arrays))


def on_host(arrays: Tree) -> Tree:
    """Return arrays as NumPy's, which share memory where JAX computes on the processor."""
    return tree.map(np.asarray, arrays)


def look_at_loss(loss: AbstractLoss, x: Array, constants: dict[str, Any], axis: Any) -> None:
    """Raise what a loss raises for its targets and weights, whatever its predictions are."""
    if not has_numbers(constants):
        return
    options: Any = {**on_host(constants), "axis": axis, "impl": "reference"}
    loss.reduced(np.zeros(x.shape, x.dtype), options.pop("targets"), options)


def look_at_map(f: AbstractMap, x: Array, mask: Array | None, axis: int) -> None:
    """Raise what a map raises for its input."""
    if getattr(f, "empty_row", None) == "raise" and has_numbers((x, mask)):
        f.linearize(np.asarray(x), axis=axis, where=on_host(mask))
