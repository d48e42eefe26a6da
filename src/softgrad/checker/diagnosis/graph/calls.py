"""The arrays among the arguments of a call, and the call with others in their place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from softgrad.checker.subject import AnyArray

__all__ = ["filled", "outlined"]


class _Leaf(int):
    """The place of an array among those of a call."""


def outlined(tree: Any, leaves: list[AnyArray]) -> Any:
    """Return arguments with their arrays of floats taken out, which are added to `leaves`."""
    if isinstance(tree, np.ndarray) and tree.dtype.kind == "f":
        leaves.append(tree)
        return _Leaf(len(leaves) - 1)
    if type(tree) in (tuple, list):
        return type(tree)(outlined(entry, leaves) for entry in tree)
    if type(tree) is dict:
        return {key: outlined(entry, leaves) for key, entry in tree.items()}
    return tree


def filled(outline: Any, values: Sequence[AnyArray]) -> Any:
    """Put arrays where others were taken out."""
    if isinstance(outline, _Leaf):
        return values[outline]
    if type(outline) in (tuple, list):
        return type(outline)(filled(entry, values) for entry in outline)
    if type(outline) is dict:
        return {key: filled(entry, values) for key, entry in outline.items()}
    return outline
