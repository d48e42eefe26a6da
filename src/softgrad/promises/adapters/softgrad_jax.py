"""softgrad on JAX's arrays; the derivatives are by JAX's transformations."""

from __future__ import annotations

from typing import Any

from softgrad.heads import LinearCrossEntropy
from softgrad.losses import CrossEntropy
from softgrad.maps import log_softmax, softmax
from softgrad.promises.adapters.adapter import Adapter

__all__ = ["ADAPTER"]


def _cross_entropy(
    logits: Any,
    targets: Any,
    *,
    weight: Any = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    reduction: Any = "mean",
) -> Any:
    loss = CrossEntropy(
        reduction=reduction, label_smoothing=label_smoothing, ignore_index=ignore_index
    )
    return loss(logits, targets, class_weights=weight)


def _linear_cross_entropy(
    x: Any,
    W: Any,
    targets: Any,
    bias: Any = None,
    *,
    weight: Any = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    reduction: Any = "mean",
) -> Any:
    head = LinearCrossEntropy(
        reduction=reduction, label_smoothing=label_smoothing, ignore_index=ignore_index
    )
    return head(x, W, targets, bias, class_weights=weight)


def _softmax(z: Any) -> Any:
    return softmax(z)


def _log_softmax(z: Any) -> Any:
    return log_softmax(z)


ADAPTER = Adapter(
    "jax",
    "softgrad",
    {
        "softmax": _softmax,
        "log_softmax": _log_softmax,
        "cross_entropy": _cross_entropy,
        "linear_cross_entropy": _linear_cross_entropy,
    },
)
