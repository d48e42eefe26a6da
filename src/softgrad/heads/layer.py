"""The linear layer z = x Wᵀ + b, some rows at a time: its logits and their tangents."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from softgrad.arrays import Array, is_on_gpu, namespace
from softgrad.heads.plan import Plan, Size, TiledPlan, cuts
from softgrad.heads.products import AbstractProducts
from softgrad.kernels import Choice, How
from softgrad.losses.spread.shards import Shards

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


STILL = Tangents(None, None, None)


class Chunk(NamedTuple):
    """Some rows, in the dtype that they are multiplied in."""

    rows: Any  # a slice or positions among all rows
    x: Array  # [n, D]


_ANY = 2**62
"""A GPU's products are only begun here: they may be as large as they like."""


@dataclass(frozen=True, eq=False)
class LinearLayer:
    """The layer at its arguments, which were checked, and how one is to work on it."""

    x: Array  # [N, D]
    W: Array  # [K, D]
    bias: Array | None  # [K]
    batch: tuple[int, ...]
    dtype: Any
    """What is computed in."""

    products: AbstractProducts
    memory: int
    """The bytes that buffers may take."""

    choice: Choice
    """What works on the logits."""

    frozen: Collection[str]
    """The names of what has no gradient."""

    dots: Tangents = STILL
    """The direction in which it moves."""

    counts: Array | None = None
    """False for rows whose x is taken as 0, [N]; None where all count."""
    shards: Shards | None = None
    """Where W and bias are the own part of those of several ranks: which part."""

    @property
    def how(self) -> How:
        return How(self.choice.impl)

    @property
    def like(self) -> Array:
        """An empty array of the dtype that is computed in, on the device of x."""
        return self.empty((0,))

    @property
    def itemsize(self) -> int:
        """Bytes of a number that is computed with."""
        return 8 if self.dtype == namespace(self.x).float64 else 4

    def plan(self, rows: int, buffers: int, *, light: bool = False) -> Plan:
        """Cut the work on some of the rows such that so many buffers of logits fit."""
        return Plan.of(self._size(rows), buffers=buffers, light=light)

    def tiled_plan(self, rows: int) -> TiledPlan | None:
        """Cut the classes as well, where there are so many that this is faster."""
        return None if is_on_gpu(self.x) else TiledPlan.of(self._size(rows))

    @property
    def classes(self) -> int:
        """The number of classes, those of other ranks included."""
        return int(self.W.shape[0]) if self.shards is None else self.shards.classes

    def _size(self, rows: int) -> Size:
        K, D = self.W.shape
        if self.shards is not None:
            K = max(self.shards.sizes)  # all ranks go through the rows in the same chunks
        converted = self.products.operand(self.W[:0], self.dtype).dtype != self.W.dtype
        size = Size(rows, D, K, self.itemsize, converted, self.memory)
        return size._replace(flops=_ANY) if self.choice.impl == "triton" else size

    def empty(self, shape: tuple[int, ...]) -> Array:
        return self.products.empty(shape, self.dtype, self.x)

    def zeros(self, shape: tuple[int, ...]) -> Array:
        return self.products.zeros(shape, self.dtype, self.x)

    def ones(self, shape: tuple[int, ...]) -> Array:
        return self.products.full(shape, 1, self.dtype, self.x)

    def operand(self, v: Array) -> Array:
        """Return an array in the dtype that it is multiplied in."""
        return self.products.operand(v, self.dtype)

    def room_for_gradient(self, z: Array) -> Array:
        """Return where the gradient in logits z [n, K] goes: to their own memory."""
        return self.products.operand_at(z, self.x.dtype)

    def cast(self, v: Array) -> Array:
        """Return an array in the dtype that is computed in."""
        return namespace(v).astype(v, self.dtype, copy=False)

    def begin_sum(self, v: Array | None) -> Callable[[], Array | None]:
        """Begin to sum what every rank's classes give; what is returned waits for the sum."""
        if self.shards is None or v is None:
            return lambda: v
        return self.shards.ranks.begin_sum(v)

    def summed(self, v: Array) -> Array:
        """Sum what every rank's classes give."""
        return v if self.shards is None else self.shards.summed(v)

    def chunks(self, plan: Plan | TiledPlan, used: Array | None) -> Iterator[Chunk]:
        """Go through the rows, or through those alone that are used."""
        count = self.x.shape[0] if used is None else used.shape[0]
        for cut in cuts(count, plan.chunk):
            rows = cut if used is None else used[cut]
            x = self.operand(self.x[rows])
            if self.counts is not None:
                xp = namespace(x)
                x = xp.where(self.counts[rows][:, None], x, xp.zeros_like(x))
            yield Chunk(rows, x)

    def logits(self, chunk: Chunk, plan: Plan, out: Array) -> Array:
        """Write x Wᵀ + b to the first rows of a buffer, and return them."""  # [n, K]
        z = out[: chunk.x.shape[0]]
        for tile in cuts(self.W.shape[0], plan.tile):
            self._write_logits(chunk, tile, z[:, tile])
        return z

    def tile_of_logits(self, chunk: Chunk, tile: slice, buffer: Array) -> Array:
        """Write the logits of some classes to the front of a flat buffer, in C order."""  # [n, k]
        n, k = chunk.x.shape[0], tile.stop - tile.start
        z = namespace(buffer).reshape(buffer[: n * k], (n, k))
        self._write_logits(chunk, tile, z)
        return z

    def _write_logits(self, chunk: Chunk, tile: slice, z: Array) -> None:
        bias = None if self.bias is None else self.cast(self.bias[tile])
        self.products.write_affine(chunk.x, self.operand(self.W[tile]).T, bias, z)

    def logits_dot(self, chunk: Chunk, plan: Plan, out: Array) -> Array:
        """Write x_dot Wᵀ + x W_dotᵀ + b_dot to the first rows of a buffer, and return them."""
        z_dot, dots = out[: chunk.x.shape[0]], self.dots
        z_dot[...] = 0 if dots.bias is None else self.cast(dots.bias)
        self._add_products(chunk, plan, ((dots.x, self.W), (self.x, dots.W)), z_dot)
        return z_dot

    def logits_bent(self, other: Tangents, chunk: Chunk, plan: Plan, out: Array) -> Array:
        """Write how `logits_dot` changes as the layer moves: x_dot W_dot'ᵀ + x_dot' W_dotᵀ."""
        z_bent, dots = out[: chunk.x.shape[0]], self.dots
        z_bent[...] = 0
        self._add_products(chunk, plan, ((dots.x, other.W), (other.x, dots.W)), z_bent)
        return z_bent

    def _add_products(
        self, chunk: Chunk, plan: Plan, pairs: Iterable[tuple[Array | None, ...]], out: Array
    ) -> None:
        for x, W in pairs:
            if x is None or W is None:
                continue
            rows = chunk.x if x is self.x else self.operand(x[chunk.rows])
            for tile in cuts(W.shape[0], plan.tile):
                self.products.add(rows, self.operand(W[tile]).T, out[:, tile])
