"""PyTorch's own functions, as they come."""

from __future__ import annotations

from typing import Any

from torch.nn import functional as F

from softgrad.promises.adapters.adapter import Adapter

__all__ = ["ADAPTER"]


def _softmax(z: Any) -> Any:
    return F.softmax(z, dim=-1)


def _log_softmax(z: Any) -> Any:
    return F.log_softmax(z, dim=-1)


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
    return F.cross_entropy(
        F.linear(x, W, bias),
        targets,
        weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


ADAPTER = Adapter(
    "torch",
    "torch",
    {
        "softmax": _softmax,
        "log_softmax": _log_softmax,
        "cross_entropy": F.cross_entropy,
        "linear_cross_entropy": _linear_cross_entropy,
    },
)
