"""The cotangents of a linear layer: sums over chunks of rows and tiles of classes."""

from __future__ import annotations

from softgrad.arithmetic import accurate_sum, two_sum
from softgrad.arrays import Array, namespace, quiet, wider_dtype
from softgrad.heads.layer import Chunk, Gradients, LinearLayer
from softgrad.heads.plan import Plan, cuts
from softgrad.heads.skipping import Skipping
from softgrad.heads.sums import WeightSums
from softgrad.losses.spread.parts import tile_kernels

__all__ = ["Cotangents"]

_COLUMNS = 2**16
"""Numbers of which sums of columns are made at a time, where temporaries are needed: in a cache. A
GPU, which casts them to float64, is given a sixteenth of the memory for it."""


class Cotangents:
    """The sums that become x_bar, W_bar and bias_bar, chunk by chunk and tile by tile."""

    def __init__(self, layer: LinearLayer, skipping: Skipping | None = None) -> None:
        self.layer, self.skipping = layer, skipping
        shape, make = tuple(layer.x.shape), layer.products
        self.x = None if "x" in layer.frozen else make.zeros(shape, layer.x.dtype, layer.x)
        self.W = None if "W" in layer.frozen else WeightSums(layer)
        self.nothing_yet = True  # W_bar is written first, and added to from then on
        if self.W is not None and skipping is not None:
            self.W.clear()
            self.nothing_yet = False
        fixed = layer.bias is None or "bias" in layer.frozen
        self.bias = None if fixed else ColumnSums(layer)

    def add(self, chunk: Chunk, plan: Plan, z_bar: Array, gradient: Array | None = None) -> None:
        """Add a chunk's z_bar W, z_barᵀ x and Σ z_bar.

        For a gradient g in the logits, what changes as the layer moves: g W_dot and gᵀ x_dot.
        """
        terms: list[tuple[Array, Array | None, Array | None]] = [(z_bar, chunk.x, self.layer.W)]
        if gradient is not None:
            dots = self.layer.dots
            x_dot = None if dots.x is None else self.layer.operand(dots.x[chunk.rows])
            terms.append((gradient, x_dot, dots.W))
        x_bar = self.room(chunk)
        tiles, some_first = list(cuts(z_bar.shape[1], plan.tile)), self.skipping is None
        if self.skipping is not None:
            tiles = self.skipping.kept(z_bar, chunk.x, plan.tile)
            if x_bar is not None:
                x_bar[...] = 0
        for number, (g, _, W) in enumerate(terms):
            for tile in tiles:
                first = some_first and number == 0 and tile.start == 0
                self._into_x(x_bar, g[:, tile], W, tile, first)
        summed = self.layer.begin_sum(x_bar)  # while W_bar is made
        for number, (g, x, _) in enumerate(terms):
            for tile in tiles:
                self._into_W(g[:, tile], x, tile, self.nothing_yet and number == 0)
        self._store(chunk, summed())
        if self.bias is not None:
            self.bias.add(z_bar)

    def add_tile(self, chunk: Chunk, z_bar: Array, tile: slice, x_bar: Array | None) -> None:
        """Add what some classes of a chunk give; x_bar [n, D] was made by `room`."""
        self._into_x(x_bar, z_bar, self.layer.W, tile, tile.start == 0)
        self._into_W(z_bar, chunk.x, tile, self.nothing_yet)
        if self.bias is not None:
            self.bias.add(z_bar, tile.start)

    def room(self, chunk: Chunk) -> Array | None:
        """Return memory for a chunk's x_bar, in the dtype that is computed in."""  # [n, D]
        if self.x is None:
            return None
        made_there = isinstance(chunk.rows, slice) and self.x.dtype == self.layer.dtype
        x_bar = self.x[chunk.rows] if made_there else self.layer.empty(tuple(chunk.x.shape))
        if not self.layer.W.shape[0]:  # a rank without classes adds nothing
            x_bar[...] = 0
        return x_bar

    def close(self, chunk: Chunk, x_bar: Array | None) -> None:
        """End a chunk of which all tiles were added."""
        self._store(chunk, self.layer.begin_sum(x_bar)())

    def _store(self, chunk: Chunk, x_bar: Array | None) -> None:
        """Put x_bar where it belongs, unless it was made there."""
        self.nothing_yet = False
        if self.x is None or x_bar is None:
            return
        made_there = isinstance(chunk.rows, slice) and self.x.dtype == self.layer.dtype
        if self.layer.shards is not None or not made_there:
            if not isinstance(chunk.rows, slice):  # PyTorch rounds what goes to slices alone
                x_bar = namespace(x_bar).astype(x_bar, self.x.dtype, copy=False)
            self.x[chunk.rows] = x_bar

    def _into_x(
        self, x_bar: Array | None, g: Array, W: Array | None, tile: slice, first: bool
    ) -> None:
        if x_bar is not None and W is not None:
            put = self.layer.products.write if first else self.layer.products.add
            put(g, self.layer.operand(W[tile]), x_bar)

    def _into_W(self, g: Array, x: Array | None, tile: slice, first: bool) -> None:
        if self.W is not None and x is not None:
            put = self.layer.products.write if first else self.layer.products.add
            for here, sums in self.W.parts(tile):
                put(g[:, here].T, x, sums)

    def result(self) -> Gradients:
        """Return the sums in the dtypes and shapes of the arguments."""
        if self.W is not None and self.nothing_yet:
            self.W.clear()
        layer, x = self.layer, self.x
        if x is not None:
            x = namespace(x).reshape(x, (*layer.batch, layer.x.shape[1]))
        with quiet():  # what is too large for half precision becomes infinite
            W = None if self.W is None else self.W.result()
            return Gradients(x, W, None if self.bias is None else self.bias.total())


class ColumnSums:
    """Σ over rows of what comes in chunks [n, K]: with twice the working precision."""

    def __init__(self, layer: LinearLayer) -> None:
        self.bias, self.how = layer.bias, layer.how
        self.wide = wider_dtype(layer.like)
        self.numbers = layer.memory // 128 if self.how.impl == "triton" else _COLUMNS
        dtype = layer.dtype if self.wide is None else self.wide
        self.high = layer.products.zeros((layer.W.shape[0],), dtype, layer.x)
        self.low = layer.products.zeros((layer.W.shape[0],), dtype, layer.x)

    def add(self, z_bar: Array, start: int = 0) -> None:
        """Add the sums of columns [n, k] that begin at class `start`."""
        n, k = z_bar.shape
        if self.how.impl == "numba" and self.how.compiled(z_bar) is not None:
            high, low = (namespace(z_bar).asarray(v) for v in tile_kernels().column_sums(z_bar))
            self._add(slice(start, start + k), high, low)
            return
        step = max(1, self.numbers // max(1, n))
        for cut in cuts(k, step):
            self._add(slice(start + cut.start, start + cut.stop), self._sums(z_bar[:, cut]), 0.0)

    def _sums(self, z_bar: Array) -> Array:
        if self.wide is None:
            return accurate_sum(z_bar.T)
        return namespace(z_bar).sum(z_bar, axis=0, dtype=self.wide)

    def _add(self, tile: slice, sums: Array, low: Array | float) -> None:
        self.high[tile], error = two_sum(self.high[tile], sums)
        self.low[tile] += error + low

    def total(self) -> Array:
        """Return the sums in the bias's own dtype."""
        xp = namespace(self.high)
        total = xp.where(xp.isfinite(self.low), self.high + self.low, self.high)
        return total if self.bias is None else xp.astype(total, self.bias.dtype)
