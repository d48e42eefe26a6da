"""Where tensors come in: the short way if they are ordinary, else the one that all can go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from softgrad.arrays import Array
from softgrad.frameworks.torch import head as heads
from softgrad.frameworks.torch import rules
from softgrad.frameworks.torch.direct import (
    HeadWay,
    LossWay,
    head_of_labels,
    is_plain_loss,
    loss_of_labels,
    map_of_rows,
)
from softgrad.heads import LinearCrossEntropy
from softgrad.kernels import Impl
from softgrad.losses import CrossEntropy
from softgrad.losses.base import AbstractLoss, Options
from softgrad.maps import AbstractMap

__all__ = ["head_value", "loss_value", "map_value"]


def map_value(f: AbstractMap, x: Any, axis: int, where: Any, impl: Impl) -> Array:
    """Return the value of a map, through which PyTorch differentiates in `x`."""
    y = map_of_rows(f, x, axis) if where is None and impl == "auto" else None
    return rules.map_value(f, x, axis, where, impl) if y is None else y


def loss_value(loss: AbstractLoss, x: Any, targets: Any, options: Options) -> Array:
    """Return the value of a loss, through which PyTorch differentiates in `x`."""
    y = None
    if isinstance(loss, CrossEntropy) and is_plain_loss(loss) and not options:
        y = loss_of_labels(LossWay(loss), x, targets, loss.ignore_index)
    return rules.loss_value(loss, x, targets, options) if y is None else y


def head_value(
    head: LinearCrossEntropy,
    x: Any,
    W: Any,
    targets: Any,
    bias: Any,
    options: Mapping[str, Any],
) -> Array:
    """Return the value of a head, through which PyTorch differentiates in x, W and bias."""
    y = None
    if is_plain_loss(head) and not options:
        y = head_of_labels(HeadWay(head), x, W, targets, bias, head.ignore_index)
    return heads.head_value(head, x, W, targets, bias, options) if y is None else y
