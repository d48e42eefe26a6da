"""PyTorch's own head, which works through the rows in chunks; it is there from 2.13 on."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from softgrad.errors import UsageError
from softgrad.promises.adapters.adapter import Adapter

__all__ = ["ADAPTER"]

if not hasattr(F, "linear_cross_entropy"):
    raise UsageError(f"PyTorch 2.13 is needed for 'torch-fused', got {torch.__version__}")


def _linear_cross_entropy(
    x: Any,
    W: Any,
    targets: Any,
    bias: Any = None,
    *,
    weight: Any = None,
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Any:
    return F.linear_cross_entropy(
        x,
        W,
        targets,
        linear_bias=bias,
        weight=weight,
        reduction=reduction,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        options=torch.nn.LinearCrossEntropyOptions(),
    )


ADAPTER = Adapter("torch", "torch", {"linear_cross_entropy": _linear_cross_entropy})
