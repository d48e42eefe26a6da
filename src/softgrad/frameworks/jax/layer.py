"""The linear layer z = x Wᵀ + b for JAX, some rows at a time: logits, tangents, cotangents.

The logits of a chunk live within one step of a scan: no array of N × K is made, or kept for later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax, tree

from softgrad.arithmetic import accurate_sum, two_sum
from softgrad.arrays import Array, compute_dtype
from softgrad.frameworks.jax.mesh import varying_as
from softgrad.frameworks.jax.products import Arrays
from softgrad.heads.plan import Plan, Size

__all__ = ["Chunk", "Layer"]

_BUFFERS = 4
"""Arrays as large as the logits of a chunk that XLA has at a time."""


class Chunk(NamedTuple):
    """Some rows; the last chunk is filled up with rows that do not count."""

    rows: Array  # positions among all rows: [n]
    counts: Array  # True for a row that is looked at: [n]
    x: Array  # [n, D], 0 where a row does not count


@dataclass(frozen=True, eq=False)
class Layer:
    """The layer at x [..., D], W [K, D] and bias [K] or None.

    Inside of `shard_map`, W and bias may be those of some classes, the others being with other
    devices along an axis of the mesh: the logits of a chunk are then brought together.
    """

    x: Array
    W: Array
    bias: Array | None
    memory: int
    axis: str | None = None
    """The axis of the mesh along which the classes are spread."""

    @property
    def batch(self) -> tuple[int, ...]:
        return tuple(self.x.shape[:-1])

    @property
    def classes(self) -> int:
        """K, those of other devices included."""
        own: int = self.W.shape[0]
        return own if self.axis is None else own * lax.axis_size(self.axis)

    @property
    def dtype(self) -> Any:
        """What is computed in."""
        return compute_dtype(self.x)

    def scan(
        self, used: Array, step: Callable[[Any, Chunk], tuple[Any, Any]], carry: Any = None
    ) -> tuple[Any, Any]:
        """Go through the rows; what the steps make of each row is returned with one batch axis.

        Rows that are not used [N] are not looked at, were they NaN.
        """
        N, rows = prod(self.batch), self._rows(self.x)
        n = self._chunk(N)
        positions = jnp.arange(-(-N // n) * n).reshape(-1, n)

        def body(carry: Any, position: Array) -> tuple[Any, Any]:
            at = jnp.minimum(position, N - 1)
            counts = (position < N) & used[at]
            x = jnp.where(counts[:, None], rows[at], 0)
            return step(carry, Chunk(at, counts, x))

        # Whoever differentiates a third time computes the logits once more.
        carry, made = lax.scan(jax.checkpoint(body), carry, positions)
        return carry, tree.map(lambda v: v.reshape(prod(v.shape[:2]), *v.shape[2:])[:N], made)

    def logits(self, chunk: Chunk) -> Array:
        """Return x Wᵀ + b."""  # [n, K]
        z = self._times(chunk.x, self.W.T)
        return self._whole(z if self.bias is None else z + self.bias.astype(z.dtype))

    def logits_dot(self, chunk: Chunk, dots: Arrays) -> Array:
        """Return x_dot Wᵀ + x W_dotᵀ + b_dot."""  # [n, K]
        x_dot, W_dot, bias_dot = dots
        z_dot = self._no_logits(chunk)
        if x_dot is not None:
            z_dot += self._times(self._of_chunk(x_dot, chunk), self.W.T)
        if W_dot is not None:
            z_dot += self._times(chunk.x, W_dot.T)
        return self._whole(z_dot if bias_dot is None else z_dot + bias_dot.astype(self.dtype))

    def logits_bent(self, chunk: Chunk, dots: Arrays, others: Arrays) -> Array:
        """Return how `logits_dot` changes as the layer moves along the others."""  # [n, K]
        bent = self._no_logits(chunk)
        for x_dot, W_dot in ((dots[0], others[1]), (others[0], dots[1])):
            if x_dot is not None and W_dot is not None:
                bent += self._times(self._of_chunk(x_dot, chunk), W_dot.T)
        return self._whole(bent)

    def no_bars(self) -> Arrays:
        """Return W_bar and the two parts of bias_bar before the first chunk."""
        zeros = self._spread(jnp.zeros(self.W.shape[0], self.dtype))
        return self._spread(jnp.zeros(self.W.shape, self.dtype)), zeros, zeros

    def add(
        self, bars: Arrays, chunk: Chunk, z_bar: Array, gradient: Array | None, dots: Arrays
    ) -> tuple[Arrays, Array]:
        """Add a chunk's z_barᵀ x and Σ z_bar; return them, and x_bar = z_bar W.

        For a gradient g in the logits, what changes as the layer moves: gᵀ x_dot and g W_dot.
        """
        (W_bar, high, low), z_bar = bars, self._own(z_bar)
        x_bar, W_bar = self._times(z_bar, self.W), W_bar + self._times(z_bar.T, chunk.x)
        if gradient is not None:
            (x_dot, W_dot, _), gradient = dots, self._own(gradient)
            if W_dot is not None:
                x_bar += self._times(gradient, W_dot)
            if x_dot is not None:
                W_bar += self._times(gradient.T, self._of_chunk(x_dot, chunk))
        high, error = two_sum(high, accurate_sum(z_bar.T))
        return (W_bar, high, low + error), self._summed(x_bar)

    def gradients(self, bars: Arrays, x_bar: Array) -> Arrays:
        """Return the sums in the dtypes and shapes of the arguments."""
        W_bar, high, low = bars
        bias_bar = None
        if self.bias is not None:
            total = jnp.where(jnp.isfinite(low), high + low, high)
            bias_bar = total.astype(self.bias.dtype)
        return (
            x_bar.astype(self.x.dtype).reshape(self.x.shape),
            W_bar.astype(self.W.dtype),
            bias_bar,
        )

    def _chunk(self, N: int) -> int:
        """Return the number of rows of a chunk."""
        K, D = self.classes, self.W.shape[1]
        size = Size(N, D, K, jnp.dtype(self.dtype).itemsize, False, self.memory)
        return Plan.of(size, buffers=_BUFFERS).chunk

    def _no_logits(self, chunk: Chunk) -> Array:
        return self._spread(jnp.zeros((chunk.x.shape[0], self.W.shape[0]), self.dtype))

    def _spread(self, v: Array) -> Array:
        """Return an array of which every device that has a W of its own has one as well."""
        return varying_as(v, self.W)

    def _whole(self, z: Array) -> Array:
        """Return the logits [n, K] of all devices, from the own ones [n, k]."""
        if self.axis is None:
            return z
        start = lax.axis_index(self.axis) * z.shape[1]
        zeros = self._spread(jnp.zeros((z.shape[0], self.classes), z.dtype))
        return lax.psum(lax.dynamic_update_slice_in_dim(zeros, z, start, axis=1), self.axis)

    def _summed(self, part: Array) -> Array:
        """Sum what the classes of every device give."""
        return part if self.axis is None else lax.psum(part, self.axis)

    def _own(self, z: Array) -> Array:
        """Return what belongs to the own classes [n, k], from [n, K]."""
        if self.axis is None:
            return z
        own = self.W.shape[0]
        return lax.dynamic_slice_in_dim(z, lax.axis_index(self.axis) * own, own, axis=1)

    def _rows(self, x: Array) -> Array:
        return x.reshape(prod(self.batch), x.shape[-1])  # [N, D]

    def _of_chunk(self, x_dot: Array, chunk: Chunk) -> Array:
        return jnp.where(chunk.counts[:, None], self._rows(x_dot)[chunk.rows], 0)  # [n, D]

    def _times(self, a: Array, b: Array) -> Array:
        """Multiply matrices of any precision, in the one that is computed in."""
        if b.dtype != a.dtype:  # z_bar is not rounded for weights of half precision
            a, b = a.astype(self.dtype), b.astype(self.dtype)
        return jnp.matmul(a, b, preferred_element_type=self.dtype)
