"""A linear layer and the cross-entropy of labels: its gradients are made with the value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from softgrad.arrays import Array
from softgrad.frameworks.torch.constants import Constants
from softgrad.frameworks.torch.direct.losses import label_losses
from softgrad.frameworks.torch.direct.rows import are_floats, are_labels, are_many, wants_gradient
from softgrad.frameworks.torch.head import HeadRule
from softgrad.frameworks.torch.node import Flags
from softgrad.frameworks.torch.operator import Arrays
from softgrad.frameworks.torch.shortcut import AbstractShortcut, scaled, take
from softgrad.heads import LinearCrossEntropy
from softgrad.heads.plan import Plan, Size
from softgrad.heads.products import TorchProducts

__all__ = ["HeadWay", "head_of_labels"]

_CONSTANTS = Constants(("targets",), {})
_PRODUCTS = TorchProducts()


def head_of_labels(
    way: HeadWay, x: Any, W: Any, labels: Any, bias: Any, ignore_index: Any
) -> Array | None:
    """Return the loss; None where the layer or the labels are not ordinary, or logits too many."""
    if not _is_layer(way.head, x, W, bias):
        return None
    if not are_labels(labels, x.shape[:-1], W.shape[0], ignore_index):
        return None
    if wants_gradient(x, W, bias):
        return take(way, x, W, bias, labels)
    return way.value(x, W, bias, labels)


def _is_layer(head: LinearCrossEntropy, x: Any, W: Any, bias: Any) -> bool:
    """Tell a layer of ordinary tensors whose logits fit into the head's memory, all at once."""
    if not (are_floats(x) and are_floats(W) and x.dtype == W.dtype and x.ndim == W.ndim == 2):
        return False
    (N, D), K = x.shape, W.shape[0]
    if W.shape[1] != D or not (bias is None or _is_bias(bias, K)) or not are_many(N * K):
        return False
    size = Size(N, D, K, x.itemsize, narrow=False, memory=head.budget(x))
    return Plan.of(size, buffers=1, light=True) == Plan(N, K)


def _is_bias(bias: Any, K: int) -> bool:
    """Tell one whose gradient is a sum in float64."""
    return are_floats(bias) and bias.dtype == torch.float32 and bias.shape == (K,)


class HeadWay(AbstractShortcut):
    """A head whose loss is plain."""

    def __init__(self, head: LinearCrossEntropy) -> None:
        self.head, self.rule = head, HeadRule(head, _CONSTANTS)

    def value(self, *arrays: Array) -> Array:
        return label_losses(self.head, _logits(*arrays[:3]), arrays[3])

    def forward(self, arrays: Arrays, wanted: Flags) -> tuple[Array, Sequence[Array]]:
        x, W, bias, labels = (a if a is None else a.detach() for a in arrays)
        g = _logits(x, W, bias)
        y = label_losses(self.head, g, labels, g)  # the gradient takes the logits' place
        bars = []
        if wanted[0]:
            bars.append(torch.empty_like(x).addmm_(g, W, beta=0))
        if wanted[1]:
            bars.append(torch.empty_like(W).addmm_(g.T, x, beta=0))
        if wanted[2]:
            bars.append(g.sum(0, dtype=torch.float64).to(g.dtype))
        return y, bars

    def backward(self, arrays: Arrays, kept: Arrays, y_bar: Array, wanted: Flags) -> Arrays:
        return scaled(kept, y_bar)


def _logits(x: Array, W: Array, bias: Array | None) -> Array:
    z = x.new_empty(x.shape[0], W.shape[0])  # [N, K]
    _PRODUCTS.write_affine(x.detach(), W.detach().T, bias, z)
    return z
