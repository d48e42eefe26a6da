"""What a shipped implementation says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from softgrad.promises.implementations.base import Threads

__all__ = ["Adapter", "linear_head"]


@dataclass(frozen=True)
class Adapter:
    """The functions of one library, by the suites that they are for."""

    framework: str
    distribution: str
    """What its version is asked of."""
    functions: Mapping[str, Any]
    threads: Threads | None = None


def linear_head(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a head that takes PyTorch's names under those that the battery knows."""

    def linear_cross_entropy(
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
        return function(
            x,
            W,
            targets,
            linear_bias=bias,
            weight=weight,
            label_smoothing=label_smoothing,
            ignore_index=ignore_index,
            reduction=reduction,
        )

    return linear_cross_entropy
