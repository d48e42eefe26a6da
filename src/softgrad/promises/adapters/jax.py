"""JAX's own functions; it has no cross-entropy, and this is the usual one."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from softgrad.promises.adapters.adapter import Adapter

__all__ = ["ADAPTER"]


def _cross_entropy(logits: Any, targets: Any) -> Any:
    log_p = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(log_p, targets[:, None], axis=-1)[:, 0]


def _linear_cross_entropy(x: Any, W: Any, targets: Any, bias: Any = 0) -> Any:
    return _cross_entropy(x @ W.T + bias, targets)


ADAPTER = Adapter(
    "jax",
    "jax",
    {
        "softmax": jax.nn.softmax,
        "log_softmax": jax.nn.log_softmax,
        "cross_entropy": _cross_entropy,
        "linear_cross_entropy": _linear_cross_entropy,
    },
)
