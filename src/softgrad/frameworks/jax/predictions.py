"""The best classes of rows on JAX's arrays, compiled, some rows of logits at a time."""

from __future__ import annotations

from functools import partial
from math import prod

import jax
import jax.numpy as jnp
from jax import lax

from softgrad.arrays import Array, indices
from softgrad.frameworks.jax.layer import Chunk, Layer
from softgrad.frameworks.jax.products import Arrays

__all__ = ["first_largest"]


@partial(jax.jit, static_argnums=(0, 1))
def first_largest(memory: int, k: int, parts: Arrays) -> Array:
    """Return the classes of the k largest logits, falling; of equals the first: [..., k]."""
    x, W, bias = map(lax.stop_gradient, parts)
    layer = Layer(x, W, bias, memory)
    if 0 in layer.batch:
        return jnp.zeros((*layer.batch, k), indices(W).dtype)

    def step(_: None, chunk: Chunk) -> tuple[None, Array]:
        return None, lax.top_k(layer.logits(chunk), k)[1]

    ids: Array = layer.scan(jnp.ones(prod(layer.batch), bool), step)[1]  # [N, k]
    return ids.reshape(*layer.batch, k)
