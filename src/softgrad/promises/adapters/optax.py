"""optax's cross-entropy, on JAX's arrays."""

from __future__ import annotations

import optax

from softgrad.promises.adapters.adapter import Adapter

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    "optax",
    "jax",
    "optax",
    {"cross_entropy": optax.losses.softmax_cross_entropy_with_integer_labels},
)
