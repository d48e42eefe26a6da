"""PyTorch's arguments of a cross-entropy in softgrad's words."""

from __future__ import annotations

from typing import Any

import torch

from softgrad.arrays import is_at_hand
from softgrad.errors import mismatch
from softgrad.frameworks.torch import has_numbers, is_autocast, may_vary

__all__ = [
    "REDUCED",
    "as_linear",
    "as_loss",
    "has_other_variables",
    "is_plain",
    "refuse_deprecated",
    "refuse_others",
    "settings",
]


REDUCED = ["mean", "sum"]
"""The reductions to one number."""


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


def is_plain(weight: torch.Tensor | None, reduction: Any, label_smoothing: Any) -> bool:
    """Tell the mean or the sum of losses that nothing weighs or smooths, outside of a compiler."""
    if torch.compiler.is_dynamo_compiling() or weight is not None:
        return False
    return type(label_smoothing) is float and label_smoothing == 0 and reduction in REDUCED


def as_linear(*tensors: torch.Tensor | None) -> list[Any]:
    """Return the tensors of a linear layer in the dtype that autocast, where it is on, gives it."""
    kind = next(t.device.type for t in tensors if t is not None)
    if not is_autocast(kind):
        return list(tensors)
    dtype = torch.get_autocast_dtype(kind)
    return [t if t is None or t.dtype == torch.float64 else t.to(dtype) for t in tensors]


def as_loss(loss: torch.Tensor, input: torch.Tensor) -> torch.Tensor:  # noqa: A002
    """Return a loss in the dtype of the input, or float32 where autocast makes losses of it."""
    if is_autocast(input.device.type):
        return loss.to(torch.promote_types(loss.dtype, torch.float32))
    return loss.to(input.dtype)


def refuse_deprecated(**given: Any) -> None:
    """Raise for an argument that PyTorch has replaced."""
    for name, value in given.items():
        if value is not None:
            raise TypeError(mismatch(name, "None (PyTorch has replaced it by `reduction`)", value))


def refuse_others(**given: Any) -> None:
    """Raise TypeError for what is neither a tensor nor None."""
    for name, value in given.items():
        if not (value is None or isinstance(value, torch.Tensor)):
            raise TypeError(mismatch(name, "a tensor", type(value).__name__))


def has_other_variables(target: torch.Tensor, weight: torch.Tensor | None) -> bool:
    """Tell whether PyTorch would differentiate in targets or weights, or a weight is negative.

    Weights that a compiler has no numbers of, or a GPU has them, are taken for positive ones.
    """
    if target.is_floating_point() and may_vary(target):
        return True
    if weight is None:
        return False
    is_looked_at = has_numbers(weight) and is_at_hand(weight)
    return may_vary(weight) or (is_looked_at and bool((weight < 0).any()))
