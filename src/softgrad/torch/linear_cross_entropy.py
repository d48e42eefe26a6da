"""linear_cross_entropy with PyTorch's arguments: a linear layer and its loss in one."""

# ruff: noqa: A002  `input` is PyTorch's name for it
from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional as F

from softgrad.frameworks.torch.direct import HeadWay, head_of_labels
from softgrad.heads import LinearCrossEntropy
from softgrad.losses.reduced import Reduction
from softgrad.torch.arguments import (
    REDUCED,
    as_linear,
    as_loss,
    has_other_variables,
    is_plain,
    refuse_others,
    settings,
)
from softgrad.torch.cross_entropy import cross_entropy

__all__ = ["LinearCrossEntropyLoss", "linear_cross_entropy"]


def linear_cross_entropy(
    input: torch.Tensor,
    linear_weight: torch.Tensor,
    target: torch.Tensor,
    *,
    linear_bias: torch.Tensor | None = None,
    weight: torch.Tensor | None = None,
    reduction: Reduction = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> torch.Tensor:
    """Return what `torch.nn.functional.linear_cross_entropy` does, by softgrad's head.

    Parameters
    ----------
    input : Tensor [..., D]
        Features.
    linear_weight : Tensor [C, D], or [C, d1, ..., D] for features [N, D]
        Weights of the linear layer.
    target : Tensor
        Class indices [...], or [N, d1, ...]; or probabilities [..., C], or [N, C, d1, ...].
    linear_bias : Tensor [C], or [C, d1, ...], optional
    weight, reduction, label_smoothing
        As in `cross_entropy` here.
    ignore_index : int, optional
        −100 unless it is given.
    options
        Has no effect: it says how PyTorch cuts its work, and softgrad cuts its own.

    Returns
    -------
    Tensor
        One number, or one a row for the reduction "none", in the dtype of `input`. Autocast gives
        the linear layer its own dtype, and the loss is float32.

    Raises
    ------
    TypeError, ValueError, IndexError
        As in `softgrad.heads.linear_cross_entropy`.

    Derivative
    ----------
    In `input`, `linear_weight` and `linear_bias`, to second order and in every mode of PyTorch.

    Numerics
    --------
    As in `softgrad.heads.linear_cross_entropy`. The logits are stored only where the linear weight
    has further axes, a class weight is negative, or `target` or `weight` is differentiated.

    Examples
    --------
    >>> x, W = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> linear_cross_entropy(x, W, torch.tensor([2]))
    tensor(0.4076)
    """
    refuse_others(input=input, linear_weight=linear_weight, linear_bias=linear_bias)
    refuse_others(target=target, weight=weight)
    x, W, b = as_linear(input, linear_weight, linear_bias)
    classes, *more_axes, _ = W.shape
    index = -100 if ignore_index is None else ignore_index
    if not more_axes and is_plain(weight, reduction, label_smoothing):
        of_labels = head_of_labels(_PLAIN[reduction], x, W, target, b, index)
        if of_labels is not None:
            return of_labels
    if more_axes or has_other_variables(target, weight):
        bias = None if b is None else b.flatten()
        logits = F.linear(x, W.flatten(end_dim=-2), bias).unflatten(-1, (classes, *more_axes))
        return cross_entropy(
            logits,
            target,
            weight,
            ignore_index=index,
            reduction=reduction,
            label_smoothing=label_smoothing,
        )
    probabilities = target.shape == (*x.shape[:-1], classes)
    head = LinearCrossEntropy(**settings(probabilities, index, reduction, label_smoothing))
    return as_loss(head.value(x, W, target, b, class_weights=weight), input)


_PLAIN = {name: HeadWay(LinearCrossEntropy(**settings(False, -100, name, 0.0))) for name in REDUCED}


class LinearCrossEntropyLoss(torch.nn.Module):  # type: ignore[misc]
    """A linear layer and the cross-entropy of its logits, which are never stored.

    It stands in the place of `torch.nn.LinearCrossEntropyLoss`: the same arguments, parameters and
    state. They are explained at `linear_cross_entropy`.

    Examples
    --------
    >>> loss = LinearCrossEntropyLoss(in_features=8, num_classes=100, bias=True)
    >>> sorted(loss.state_dict())
    ['linear.bias', 'linear.weight']
    >>> loss(torch.zeros(2, 8), torch.tensor([3, 7])).backward()
    >>> loss.linear.weight.grad.shape
    torch.Size([100, 8])
    """

    weight: torch.Tensor | None

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: Any = None,
        dtype: torch.dtype | None = None,
        reduction: Reduction = "mean",
        weight: torch.Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: Any = None,
    ) -> None:
        super().__init__()
        LinearCrossEntropy(reduction=reduction, label_smoothing=label_smoothing)  # checks them
        rows = math.prod(out_features, start=num_classes)
        self.linear = torch.nn.Linear(in_features, rows, bias=bias, device=device, dtype=dtype)
        self.register_buffer("weight", weight)
        self.num_classes = num_classes
        self.out_features = out_features
        self.reduction = reduction
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.options = options

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the loss of features and targets."""
        shape, bias = (self.num_classes, *self.out_features), self.linear.bias
        return linear_cross_entropy(
            input,
            self.linear.weight.unflatten(0, shape),
            target,
            linear_bias=None if bias is None else bias.unflatten(0, shape),
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            options=self.options,
        )
