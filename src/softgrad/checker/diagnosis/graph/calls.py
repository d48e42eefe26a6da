"""The arrays among the arguments of a call, and the call with others in their place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = ["filled", "outlined"]


class _Leaf(int):
    """The place of an array among those of a call."""


def _is_real(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def outlined(tree: Any, leaves: list[Any], is_leaf: Callable[[Any], bool] = _is_real) -> Any:
    """Return arguments with their arrays of floats taken out, which are added to `leaves`."""
    if is_leaf(tree):
        leaves.append(tree)
        return _Leaf(len(leaves) - 1)
    if type(tree) in (tuple, list):
        return type(tree)(outlined(entry, leaves, is_leaf) for entry in tree)
    if type(tree) is dict:
        return {key: outlined(entry, leaves, is_leaf) for key, entry in tree.items()}
    return tree


def filled(outline: Any, values: Sequence[Any]) -> Any:
    """Put arrays where others were taken out."""
    if isinstance(outline, _Leaf):
        return values[outline]
    if type(outline) in (tuple, list):
        return type(outline)(filled(entry, values) for entry in outline)
    if type(outline) is dict:
        return {key: filled(entry, values) for key, entry in outline.items()}
    return outline
