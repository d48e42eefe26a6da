"""PyTorch's arguments of a cross-entropy in softgrad's words."""

from __future__ import annotations

from typing import Any

import torch

from softgrad.errors import mismatch
from softgrad.frameworks.torch import wants_derivatives

__all__ = ["has_other_variables", "refuse_deprecated", "settings"]


def settings(
    probabilities: bool, ignore_index: int, reduction: Any, label_smoothing: float
) -> dict[str, Any]:
    """Return the fields of `softgrad.CrossEntropy`, or of the head, that do what PyTorch does.

    The mean over class indices is divided by the weights of the labels, that over probabilities by
    the number of rows; the mean over nothing is NaN.

    Raises
    ------
    ValueError
        Probabilities are given, and a label to ignore.
    """
    if probabilities and ignore_index >= 0:
        expected = "negative where targets are probabilities, in which it has no say"
        raise ValueError(mismatch("ignore_index", expected, ignore_index))
    return {
        "reduction": reduction,
        "normalizer": "count" if probabilities else "weight",
        "on_empty": "nan",
        "ignore_index": None if probabilities else ignore_index,
        "label_smoothing": label_smoothing,
    }


def refuse_deprecated(**given: Any) -> None:
    """Raise for an argument that PyTorch has replaced."""
    for name, value in given.items():
        if value is not None:
            raise TypeError(mismatch(name, "None (PyTorch has replaced it by `reduction`)", value))


def has_other_variables(target: torch.Tensor, weight: torch.Tensor | None) -> bool:
    """Tell whether PyTorch would differentiate in targets or weights, or a weight is negative."""
    if target.is_floating_point() and wants_derivatives(target):
        return True
    return weight is not None and (wants_derivatives(weight) or bool((weight < 0).any()))
