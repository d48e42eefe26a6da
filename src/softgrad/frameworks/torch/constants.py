"""The arguments of losses and heads that have no derivative: targets, weights, masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from softgrad.arrays import Array, same_kind
from softgrad.errors import mismatch
from softgrad.frameworks.torch.modes import has_derivative
from softgrad.frameworks.torch.node import Flags
from softgrad.frameworks.torch.operator import Arrays
from softgrad.losses import TopK

__all__ = ["Constants"]

_OPTIONS = ("where", "class_weights", "row_weights")
_TOP_K = ("targets.ids", "targets.probabilities")


@dataclass(frozen=True)
class Constants:
    """How a flat list of tensors becomes the keyword arguments of a loss again."""

    names: tuple[str, ...]
    settings: dict[str, Any]
    """The options that are no arrays."""

    @classmethod
    def of(cls, targets: Any, options: Mapping[str, Any], x: Array) -> tuple[Constants, Arrays]:
        """Return this, and the tensors.

        Raises
        ------
        TypeError
            One of them is from another library than x, or is differentiated.
        """
        if isinstance(targets, TopK):
            given = dict(zip(_TOP_K, targets, strict=True))
        else:
            given = {"targets": targets}
        given |= {name: value for name, value in options.items() if name in _OPTIONS}
        settings = {name: value for name, value in options.items() if name not in _OPTIONS}
        constants = cls(tuple(given), settings)
        constants.refuse_derivatives(tuple(has_derivative(value) for value in given.values()))
        tensors = (v if v is None else same_kind(name, v, x) for name, v in given.items())
        return constants, tuple(tensors)

    def arguments(self, tensors: Arrays) -> dict[str, Any]:
        """Return targets and options by name."""
        given = dict(zip(self.names, tensors, strict=True))
        if "targets" not in given:
            given["targets"] = TopK(*(given.pop(name) for name in _TOP_K))
        return self.settings | given

    def refuse_derivatives(self, wanted: Flags) -> None:
        """Raise TypeError where the derivative in one of them is wanted."""
        for name, is_wanted in zip(self.names, wanted, strict=True):
            if is_wanted:
                expected = "without requires_grad (detach it: it is not differentiated in)"
                raise TypeError(mismatch(name, expected, "a tensor that requires a gradient"))
