"""Cross-entropy of labels: the gradient is made with the value, and kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from softgrad.arithmetic import total
from softgrad.arrays import Array
from softgrad.frameworks.torch.constants import Constants
from softgrad.frameworks.torch.direct.rows import are_floats, are_labels, are_many, wants_gradient
from softgrad.frameworks.torch.modes import can_look_at
from softgrad.frameworks.torch.node import Flags
from softgrad.frameworks.torch.operator import Arrays
from softgrad.frameworks.torch.rules import LossRule
from softgrad.frameworks.torch.shortcut import AbstractShortcut, take
from softgrad.kernels import kernels
from softgrad.losses import CrossEntropy
from softgrad.losses.cross_entropy_settings import AbstractCrossEntropySettings

__all__ = ["LossWay", "is_plain_loss", "label_losses", "loss_of_labels"]

_CONSTANTS = Constants(("targets",), {"axis": -1})


def loss_of_labels(way: LossWay, x: Any, labels: Any, ignore_index: Any) -> Array | None:
    """Return the loss of logits [..., K]; None where they are no ordinary rows, or the labels."""
    if not (are_floats(x) and are_many(x.numel())):
        return None
    if not are_labels(labels, x.shape[:-1], x.shape[-1], ignore_index):
        return None
    return take(way, x, labels) if wants_gradient(x) else way.value(x, labels)


def is_plain_loss(loss: AbstractCrossEntropySettings) -> bool:
    """Tell a sum, or a mean over all labels, that nothing is added to."""
    return (
        loss.reduction != "none"
        and isinstance(loss.normalizer, str)
        and loss.label_smoothing == loss.z_loss == 0
        and loss.temperature == 1
        and loss.soft_cap is None
    )


class LossWay(AbstractShortcut):
    """A plain loss."""

    def __init__(self, loss: CrossEntropy) -> None:
        self.loss, self.rule = loss, LossRule(loss, _CONSTANTS)

    def value(self, x: Array, labels: Array) -> Array:
        return label_losses(self.loss, x, labels)

    def forward(self, arrays: Arrays, wanted: Flags) -> tuple[Array, Sequence[Array]]:
        (x, labels), gradient = arrays, torch.empty_like(arrays[0])
        return label_losses(self.loss, x, labels, gradient), (gradient,)

    def backward(self, arrays: Arrays, kept: Arrays, y_bar: Array, wanted: Flags) -> Arrays:
        if not can_look_at(y_bar):
            return self.pullback(arrays, y_bar, wanted)
        bar = y_bar.item()
        if bar == 1:
            return kept
        if abs(bar) <= 1:
            return (kept[0] * y_bar,)
        # What was too small for a number may not be now.
        (x, labels), gradient = arrays, torch.empty_like(arrays[0])
        label_losses(self.loss, x, labels, gradient, bar)
        return (gradient,)


def label_losses(
    loss: AbstractCrossEntropySettings,
    x: Array,
    labels: Array,
    gradient: Array | None = None,
    bar: float = 1.0,
) -> Array:
    """Return bar times the loss of logits [..., K], and write its gradient if it is wanted."""
    number: Any = np.float32 if x.dtype == torch.float32 else np.float64
    share = number(1) / number(labels.numel()) if loss.reduction == "mean" else number(1)
    ids = labels.numpy().reshape(-1)
    factor = share * number(bar)
    losses = torch.from_numpy(kernels().cross_entropy_of_labels(x, ids, factor, gradient))
    if x.dtype == torch.float32:
        return losses.sum(dtype=torch.float64).to(torch.float32)
    return total(losses).clone()  # no view, of which FSDP would warn
