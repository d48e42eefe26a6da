"""The linear layer z = x Wᵀ + b, some rows at a time: its logits and their tangents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from softgrad.arrays import Array, namespace
from softgrad.heads.plan import Plan, TiledPlan, cuts
from softgrad.heads.products import AbstractProducts

__all__ = ["Chunk", "Gradients", "LinearLayer", "Tangents"]


class Gradients(NamedTuple):
    """What belongs to x [..., D], W [K, D] and bias [K]; None for what is absent or frozen."""

    x: Any
    W: Any
    bias: Any


class Tangents(NamedTuple):
    """Directions in x [N, D], W [K, D] and bias [K]; None does not move."""

    x: Array | None
    W: Array | None
    bias: Array | None


class Chunk(NamedTuple):
    """Some rows, in the dtype that is computed in."""

    rows: Any  # a slice or positions among all rows
    x: Array  # [n, D]


@dataclass(frozen=True, eq=False)
class LinearLayer:
    """The layer at its arguments, which were checked; `dtype` is computed in."""

    x: Array  # [N, D]
    W: Array  # [K, D]
    bias: Array | None  # [K]
    batch: tuple[int, ...]
    dtype: Any
    products: AbstractProducts

    @property
    def like(self) -> Array:
        """An empty array of the dtype that is computed in, on the device of x."""
        return self.empty((0,))

    @property
    def itemsize(self) -> int:
        """Bytes of a number that is computed with."""
        return 8 if self.dtype == namespace(self.x).float64 else 4

    def plan(self, memory: int, rows: int, buffers: int) -> Plan:
        """Cut the work on some of the rows such that so many buffers of logits fit."""
        D, K = self.x.shape[1], self.W.shape[0]
        narrow = self.W.dtype != self.dtype
        return Plan.of(
            rows, D, K, itemsize=self.itemsize, narrow=narrow, buffers=buffers, memory=memory
        )

    def tiled_plan(self, memory: int, rows: int) -> TiledPlan | None:
        """Cut the classes as well, where there are so many that this is faster."""
        D, K = self.x.shape[1], self.W.shape[0]
        narrow = self.W.dtype != self.dtype
        return TiledPlan.of(rows, D, K, itemsize=self.itemsize, narrow=narrow, memory=memory)

    def empty(self, shape: tuple[int, ...]) -> Array:
        return self.products.empty(shape, self.dtype, self.x)

    def zeros(self, shape: tuple[int, ...]) -> Array:
        return self.products.zeros(shape, self.dtype, self.x)

    def cast(self, v: Array) -> Array:
        """Return an array in the dtype that is computed in."""
        return namespace(v).astype(v, self.dtype, copy=False)

    def chunks(self, plan: Plan | TiledPlan, used: Array | None) -> Iterator[Chunk]:
        """Go through the rows, or through those alone that are used."""
        count = self.x.shape[0] if used is None else used.shape[0]
        for cut in cuts(count, plan.chunk):
            rows = cut if used is None else used[cut]
            yield Chunk(rows, self.cast(self.x[rows]))

    def logits(self, chunk: Chunk, plan: Plan, out: Array) -> Array:
        """Write x Wᵀ + b to the first rows of a buffer, and return them."""  # [n, K]
        z = out[: chunk.x.shape[0]]
        for tile in cuts(self.W.shape[0], plan.tile):
            self.products.write(chunk.x, self.cast(self.W[tile]).T, z[:, tile])
        if self.bias is not None:
            z += self.cast(self.bias)
        return z

    def tile_of_logits(self, chunk: Chunk, tile: slice, buffer: Array) -> Array:
        """Write the logits of some classes to the front of a flat buffer, in C order."""  # [n, k]
        n, k = chunk.x.shape[0], tile.stop - tile.start
        z = namespace(buffer).reshape(buffer[: n * k], (n, k))
        self.products.write(chunk.x, self.cast(self.W[tile]).T, z)
        if self.bias is not None:
            z += self.cast(self.bias[tile])
        return z

    def logits_dot(self, chunk: Chunk, plan: Plan, dots: Tangents, out: Array) -> Array:
        """Write x_dot Wᵀ + x W_dotᵀ + b_dot to the first rows of a buffer, and return them."""
        z_dot = out[: chunk.x.shape[0]]
        z_dot[...] = 0 if dots.bias is None else self.cast(dots.bias)
        for x, W in ((dots.x, self.W), (self.x, dots.W)):
            if x is None or W is None:
                continue
            rows = chunk.x if x is self.x else self.cast(x[chunk.rows])
            for tile in cuts(W.shape[0], plan.tile):
                self.products.add(rows, self.cast(W[tile]).T, z_dot[:, tile])
        return z_dot
