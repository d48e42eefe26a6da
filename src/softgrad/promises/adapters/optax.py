"""optax's cross-entropy, on JAX's arrays."""

from __future__ import annotations

from typing import Any

from softgrad.promises.adapters.adapter import Adapter

__all__ = ["ADAPTER"]


def _cross_entropy(logits: Any, targets: Any) -> Any:
    import optax  # here, since no extra of softgrad's brings it

    return optax.losses.softmax_cross_entropy_with_integer_labels(logits, targets)


ADAPTER = Adapter("jax", "optax", {"cross_entropy": _cross_entropy})
