"""softgrad on PyTorch's tensors, under PyTorch's names."""

from __future__ import annotations

from typing import Any

import softgrad.torch as st
from softgrad.promises.adapters.adapter import Adapter

__all__ = ["ADAPTER"]


def _softmax(z: Any) -> Any:
    return st.softmax(z, dim=-1)


def _log_softmax(z: Any) -> Any:
    return st.log_softmax(z, dim=-1)


def _linear_cross_entropy(
    x: Any,
    W: Any,
    targets: Any,
    bias: Any = None,
    *,
    weight: Any = None,
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
    reduction: Any = "mean",
) -> Any:
    return st.linear_cross_entropy(
        x,
        W,
        targets,
        linear_bias=bias,
        weight=weight,
        reduction=reduction,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
    )


ADAPTER = Adapter(
    "torch",
    "softgrad",
    {
        "softmax": _softmax,
        "log_softmax": _log_softmax,
        "cross_entropy": st.cross_entropy,
        "linear_cross_entropy": _linear_cross_entropy,
    },
)
