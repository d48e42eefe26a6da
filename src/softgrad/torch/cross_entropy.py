"""cross_entropy with PyTorch's arguments: the class axis is 1, and nothing to average is NaN."""

# ruff: noqa: A002  `input` is PyTorch's name for it
from __future__ import annotations

import torch
from torch.nn import functional as F

from softgrad.arrays import describe
from softgrad.errors import mismatch
from softgrad.frameworks.torch.direct import LossWay, loss_of_labels
from softgrad.losses import CrossEntropy
from softgrad.losses.reduced import Reduction
from softgrad.maps import log_softmax
from softgrad.torch.arguments import (
    REDUCED,
    as_loss,
    has_other_variables,
    is_plain,
    refuse_deprecated,
    refuse_others,
    settings,
)

__all__ = ["CrossEntropyLoss", "cross_entropy"]


def cross_entropy(
    input: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor | None = None,
    size_average: None = None,
    ignore_index: int = -100,
    reduce: None = None,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """Return the cross-entropy of logits, as `torch.nn.functional.cross_entropy` does.

    Parameters
    ----------
    input : Tensor [C], [N, C] or [N, C, d1, ...]
        Logits.
    target : Tensor
        Class indices, shaped like `input` without its class axis, or probabilities like `input`.
    weight : Tensor [C], optional
        One factor a class. The mean over class indices is divided by the weights of the labels,
        that over probabilities by the number of rows.
    size_average, reduce
        Only None: PyTorch has replaced them by `reduction`.
    ignore_index : int
        Rows with this label count nothing; not for probabilities.
    reduction : {"mean", "sum", "none"}
        The mean over nothing is NaN.
    label_smoothing : float
        From 0 to 1.

    Returns
    -------
    Tensor
        One number, or one a row for the reduction "none", in the dtype of `input`; under autocast
        float32 for half precision.

    Raises
    ------
    TypeError, ValueError, IndexError
        As in `softgrad.cross_entropy`; a label out of range is named with its position,
        and on a GPU makes its row NaN instead.

    Derivative
    ----------
    In `input` to second order and in every mode of PyTorch; in probabilities and weights too.

    Numerics
    --------
    As in `softgrad.cross_entropy`: the gradient keeps the digits of a confident row.

    Examples
    --------
    >>> logits = torch.tensor([[2.0, 1.0, 0.0]])
    >>> cross_entropy(logits, torch.tensor([0]))
    tensor(0.4076)
    """
    refuse_deprecated(size_average=size_average, reduce=reduce)
    refuse_others(input=input, target=target, weight=weight)
    if input.ndim <= 2 and is_plain(weight, reduction, label_smoothing):
        of_labels = loss_of_labels(_PLAIN[reduction], input, target, ignore_index)
        if of_labels is not None:
            return of_labels
    if not input.is_floating_point():
        raise TypeError(mismatch("input", "floating-point", describe(input)))
    probabilities = target.shape == input.shape
    loss = CrossEntropy(**settings(probabilities, ignore_index, reduction, label_smoothing))
    axis = 1 if input.ndim > 1 else 0
    if has_other_variables(target, weight):
        return as_loss(_composed(loss, input, target, weight, axis), input)
    return as_loss(loss.value(input, target, class_weights=weight, axis=axis), input)


_PLAIN = {name: LossWay(CrossEntropy(**settings(False, -100, name, 0.0))) for name in REDUCED}


def _composed(
    loss: CrossEntropy,
    input: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor | None,
    axis: int,
) -> torch.Tensor:
    """Return −Σ_j c_j t_j log p_j from its parts, which has derivatives in c and t as well."""
    wide = input.to(torch.promote_types(input.dtype, torch.float32))
    log_p = log_softmax(wide, axis=axis).movedim(axis, -1)  # [..., C]
    classes = log_p.shape[-1]
    if loss.ignore_index is None:
        t, counts = target.movedim(axis, -1), torch.ones_like(log_p[..., 0])
    else:
        is_ignored = target == loss.ignore_index
        counts = (~is_ignored).to(log_p.dtype)  # [...]
        t = F.one_hot(target.masked_fill(is_ignored, 0), classes) * counts[..., None]
    c = log_p.new_ones(classes) if weight is None else weight
    masses = counts if loss.normalizer == "count" else (c * t).sum(-1)
    spread = loss.label_smoothing / classes * counts[..., None]
    t = (1 - loss.label_smoothing) * t + spread
    log_p = log_p.masked_fill(log_p.isneginf() & (t == 0), 0.0)
    losses = -(c * t * log_p).sum(-1)
    if loss.reduction == "none":
        return losses
    return losses.sum() / masses.sum() if loss.reduction == "mean" else losses.sum()


class CrossEntropyLoss(torch.nn.Module):  # type: ignore[misc]
    """The cross-entropy of logits, in the place of `torch.nn.CrossEntropyLoss`.

    Its arguments, its class axis (1) and its state are PyTorch's; they are explained at
    `cross_entropy`.

    Examples
    --------
    >>> loss = CrossEntropyLoss(label_smoothing=0.1)
    >>> logits = torch.zeros(2, 3, requires_grad=True)
    >>> loss(logits, torch.tensor([0, 2])).backward()
    >>> logits.grad
    tensor([[-0.3000,  0.1500,  0.1500],
            [ 0.1500,  0.1500, -0.3000]])
    """

    weight: torch.Tensor | None

    def __init__(
        self,
        weight: torch.Tensor | None = None,
        size_average: None = None,
        ignore_index: int = -100,
        reduce: None = None,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        refuse_deprecated(size_average=size_average, reduce=reduce)
        CrossEntropy(reduction=reduction, label_smoothing=label_smoothing)  # checks them
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.label_smoothing = label_smoothing

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the loss of logits and targets."""
        return cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )
