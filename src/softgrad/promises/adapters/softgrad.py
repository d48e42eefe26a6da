"""softgrad on NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from softgrad.heads import LinearCrossEntropy
from softgrad.kernels import get_num_threads, set_num_threads
from softgrad.losses import CrossEntropy
from softgrad.maps import log_softmax, softmax
from softgrad.promises.adapters.adapter import Adapter

__all__ = ["ADAPTER"]


class _CrossEntropy:
    """Cross-entropy with its derivatives, for cotangents and tangents."""

    def __call__(
        self,
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
        return loss.value(logits, targets, class_weights=weight)

    def vjp(
        self, logits: Any, targets: Any, loss_bar: Any, *, weight: Any = None, **settings: Any
    ) -> Any:
        return CrossEntropy(**settings).vjp(logits, targets, loss_bar, class_weights=weight)

    def jvp(self, logits: Any, targets: Any, logits_dot: Any, **settings: Any) -> Any:
        gradient = CrossEntropy(**settings).gradient(logits, targets)
        return (gradient * logits_dot).sum(axis=-1)

    def hvp(
        self, logits: Any, targets: Any, loss_bar: Any, logits_dot: Any, **settings: Any
    ) -> Any:
        hessian = CrossEntropy(**settings).hessian(logits, targets)
        return hessian.mv(logits_dot) * loss_bar[..., None]


class _LinearCrossEntropy:
    """The head with its derivatives, for cotangents and tangents."""

    def __call__(
        self,
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
        return head.value(x, W, targets, bias, class_weights=weight)

    def vjp(
        self, x: Any, W: Any, targets: Any, *rest: Any, weight: Any = None, **settings: Any
    ) -> Any:
        *bias, loss_bar = rest
        head = LinearCrossEntropy(**settings)
        _, bars = head.value_and_gradient(
            x, W, targets, *bias, class_weights=weight, loss_bar=loss_bar
        )
        return tuple(bar for bar in bars if bar is not None)

    def jvp(self, x: Any, W: Any, targets: Any, dots: Any, **settings: Any) -> Any:
        x_dot, W_dot = dots
        return LinearCrossEntropy(**settings).jvp(x, W, targets, x_dot=x_dot, W_dot=W_dot)

    def hvp(self, x: Any, W: Any, targets: Any, loss_bar: Any, dots: Any, **settings: Any) -> Any:
        x_dot, W_dot = dots
        bars = LinearCrossEntropy(**settings).hvp(
            x, W, targets, loss_bar=loss_bar, x_dot=x_dot, W_dot=W_dot
        )
        return bars.x, bars.W


@contextmanager
def _threads(n: int) -> Iterator[None]:
    before = get_num_threads()
    set_num_threads(n)
    try:
        yield
    finally:
        set_num_threads(before)


ADAPTER = Adapter(
    "numpy",
    "softgrad",
    {
        "softmax": softmax,
        "log_softmax": log_softmax,
        "cross_entropy": _CrossEntropy(),
        "linear_cross_entropy": _LinearCrossEntropy(),
    },
    _threads,
)
