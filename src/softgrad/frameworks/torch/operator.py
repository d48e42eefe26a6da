"""The one operator that a traced graph holds: it runs a computation, and has no inside.

While PyTorch traces a graph, tensors have shapes and no numbers: a formula has nothing to look at,
and a kernel nothing to read. So what is computed stands in the graph as ``softgrad::run``, with the
computation as a text; its derivatives are computations of their own, traced in turn.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, TypeAlias

import torch

from softgrad.arrays import Array
from softgrad.frameworks.torch.modes import is_autocast, is_recorded, is_shape_alone
from softgrad.frameworks.torch.texts import read, written

__all__ = ["AbstractComputation", "Arrays", "Maybe", "compute", "empty"]

Maybe: TypeAlias = Array | None
Arrays: TypeAlias = tuple[Any, ...]
"""Tensors, of which some may be None."""


class AbstractComputation(ABC):
    """A function of tensors, each of which may be None; its value is a tuple.

    It is a dataclass, whose fields say all about it.
    """

    @abstractmethod
    def value(self, *arrays: Maybe) -> Arrays:
        """Return the value at plain tensors."""

    @abstractmethod
    def like(self, *arrays: Maybe) -> Arrays:
        """Return tensors with the shapes, dtypes and devices of the value, whatever is in them."""


def empty(like: Array, shape: Sequence[int] | None = None, dtype: Any = None) -> Array:
    """Return room for an array in C order, in all that is not given like another."""
    return like.new_empty(like.shape if shape is None else shape, dtype=dtype)


def compute(computation: AbstractComputation, arrays: Arrays) -> Arrays:
    """Return the value at tensors; as an operator where they have no numbers, or are recorded."""
    if not (is_recorded() or any(map(is_shape_alone, arrays))):
        return _value(computation, arrays)
    text = written(computation)
    _COMPUTATIONS[text] = computation
    return tuple(_run(text, list(arrays)))


_COMPUTATIONS: dict[str, AbstractComputation] = {}
"""What stands in graphs, by the text that stands there; graphs of other processes come as texts."""


def _read(text: str) -> AbstractComputation:
    if text not in _COMPUTATIONS:
        _COMPUTATIONS[text] = read(text)
    return _COMPUTATIONS[text]


@torch.library.custom_op("softgrad::run", mutates_args=())  # type: ignore[untyped-decorator]
def _run(computation: str, arrays: Sequence[torch.Tensor | None]) -> list[torch.Tensor]:
    values = _value(_read(computation), tuple(arrays))
    # A graph relies on layouts, and on memory of its own.
    return [value.clone(memory_format=torch.contiguous_format) for value in values]


@_run.register_fake  # type: ignore[untyped-decorator]
def _(computation: str, arrays: Sequence[torch.Tensor | None]) -> list[torch.Tensor]:
    return list(_read(computation).like(*arrays))


def _value(computation: AbstractComputation, arrays: Arrays) -> Arrays:
    kind = next(a.device.type for a in arrays if a is not None)
    # A formula knows what it computes in.
    narrow = is_autocast(kind)
    with torch.autocast(kind, enabled=False) if narrow else nullcontext():
        values = computation.value(*arrays)
    # `data` is no view of what a formula has inside, of which forward mode would ask a tangent.
    return tuple(value.data for value in values)
