"""PyTorch's own functions, as they come."""

from __future__ import annotations

from typing import Any

from torch.nn import functional as F

from softgrad.promises.adapters.adapter import Adapter, linear_head

__all__ = ["ADAPTER"]


def _softmax(z: Any) -> Any:
    return F.softmax(z, dim=-1)


def _log_softmax(z: Any) -> Any:
    return F.log_softmax(z, dim=-1)


def _linear_cross_entropy(x: Any, W: Any, targets: Any, linear_bias: Any, **options: Any) -> Any:
    return F.cross_entropy(F.linear(x, W, linear_bias), targets, **options)


ADAPTER = Adapter(
    "torch",
    "torch",
    {
        "softmax": _softmax,
        "log_softmax": _log_softmax,
        "cross_entropy": F.cross_entropy,
        "linear_cross_entropy": linear_head(_linear_cross_entropy),
    },
)
