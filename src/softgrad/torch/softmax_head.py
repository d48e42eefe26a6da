"""The output layer of a classifier or a language model: a linear layer that knows its loss."""

# ruff: noqa: A002  `input` is PyTorch's name for it
from __future__ import annotations

from typing import Any

import torch

from softgrad.heads import TopClasses
from softgrad.heads import linear_cross_entropy as head
from softgrad.losses.reduced import Reduction
from softgrad.torch.arguments import as_linear
from softgrad.torch.linear_cross_entropy import linear_cross_entropy

__all__ = ["SoftmaxHead"]


class SoftmaxHead(torch.nn.Module):  # type: ignore[misc]
    """A linear layer with softmax behind it: the loss with targets, the likeliest classes without.

    Its parameters and its state are those of `torch.nn.Linear`, so that either loads the other's.
    The logits of all rows are never stored.

    Parameters
    ----------
    in_features, num_classes : int
    bias : bool
    reduction : {"mean", "sum", "none"}
    ignore_index : int
    label_smoothing : float
        As in `cross_entropy` here.
    device, dtype
        Of the parameters.

    Examples
    --------
    >>> output = SoftmaxHead(8, 100)
    >>> sorted(output.state_dict())
    ['bias', 'weight']
    >>> x = torch.zeros(2, 8)
    >>> output(x, torch.tensor([3, 7])).backward()
    >>> output(x, k=5).ids.shape
    torch.Size([2, 5])
    """

    bias: torch.nn.Parameter | None

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        bias: bool = True,
        *,
        reduction: Reduction = "mean",
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        linear = torch.nn.Linear(in_features, num_classes, bias, device=device, dtype=dtype)
        self.weight = linear.weight  # [K, D]
        self.register_parameter("bias", linear.bias)  # [K]
        self.reduction = reduction
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(
        self, input: torch.Tensor, target: torch.Tensor | None = None, *, k: int = 1
    ) -> torch.Tensor | TopClasses:
        """Return the loss of features [..., D], or without targets the k likeliest classes.

        These have ``ids`` and ``log_probs``, both [..., k], and are not differentiated.
        """
        if target is None:
            x, W, b = as_linear(input, self.weight, self.bias)
            return head.top_k(x, W, k, b)
        return linear_cross_entropy(
            input,
            self.weight,
            target,
            linear_bias=self.bias,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
        )

    def extra_repr(self) -> str:
        """Return the sizes."""
        K, D = self.weight.shape
        return f"in_features={D}, num_classes={K}, bias={self.bias is not None}"
