"""Rows of logits centred on their maximum: the formulas that all kernels share.

A tile is [R, B]: R rows beside each other, B classes of each; what belongs to a row is [R, 1].
Statistics of a row are float64, one or two numbers for thousands of logits, which are float32.
As in the reference, the terms of the maximum are kept apart: r = Σ UNIT·E over the others.
"""

from __future__ import annotations

import triton
import triton.language as tl

from softgrad.kernels.triton.arithmetic import (
    UNIT,
    capped,
    exp_of_difference,
    two_diff,
)

__all__ = [
    "centred_exp",
    "difference",
    "entry",
    "first_visit",
    "gap",
    "in_float64",
    "known_multiple",
    "load_tile",
    "logits",
    "others_of",
    "position",
    "row_numbers",
    "store_tile",
    "total",
    "weighted",
]


@triton.jit
def known_multiple(n, STEP: tl.constexpr):
    """Return n, which is a multiple of STEP, so that the compiler knows."""
    return n // STEP * STEP


@triton.jit
def row_numbers(R: tl.constexpr):
    """Return the numbers of this program's rows, of 64 bits: [R, 1]."""
    return tl.program_id(0).to(tl.int64) * R + tl.arange(0, R)[:, None]


@triton.jit
def load_tile(source, stride, rows, at, N, K, missing, B: tl.constexpr):
    """Return float32 numbers of a tile; `missing` where there are no rows or classes."""
    columns = at + tl.arange(0, B)[None, :]
    places, inside = source + rows * stride + columns, (rows < N) & (columns < K)
    if rows.shape[0] > 1:
        tile = tl.load(places, mask=inside, other=missing)
    elif at + B <= K:  # a mask that ends anywhere would cut what is read at once
        tile = tl.load(places)
    else:
        tile = tl.load(places, mask=inside, other=missing)
    return tile.to(tl.float32)


@triton.jit
def store_tile(target, stride, rows, at, N, K, tile, B: tl.constexpr):
    """Round a tile to the target's dtype, and write what is inside."""
    columns = at + tl.arange(0, B)[None, :]
    places, inside = target + rows * stride + columns, (rows < N) & (columns < K)
    tile = tile.to(target.dtype.element_ty)
    if rows.shape[0] > 1:
        tl.store(places, tile, mask=inside)
    elif at + B <= K:
        tl.store(places, tile)
    else:
        tl.store(places, tile, mask=inside)


@triton.jit
def logits(x, stride, rows, at, N, K, cap, B: tl.constexpr, CAPPED: tl.constexpr):
    """Return what softmax sees of a tile, −∞ outside, and the slope of the cap."""
    z = load_tile(x, stride, rows, at, N, K, float("-inf"), B)
    slope = 1.0
    if CAPPED:
        y, slope = capped(z, cap)
        z = tl.where(at + tl.arange(0, B)[None, :] < K, y, float("-inf"))
    return z, slope


@triton.jit
def difference(x, m, beta, beta_low, TEMPERED: tl.constexpr):
    """Return β(x − m) as d + e."""
    d, e = two_diff(x, m)
    if TEMPERED:
        product = d * beta
        e = tl.fma(d, beta, -product) + tl.fma(d, beta_low, e * beta)
        d = product
    return d, e


@triton.jit
def centred_exp(x, m, beta, beta_low, TEMPERED: tl.constexpr):
    """Return E = exp(β(x − m))/UNIT."""
    d, e = difference(x, m, beta, beta_low, TEMPERED)
    return exp_of_difference(d, e)


@triton.jit
def gap(x, m, beta, beta_low, TEMPERED: tl.constexpr):
    """Return β(m − x), not negative."""
    d, e = difference(x, m, beta, beta_low, TEMPERED)
    return tl.where(d == float("-inf"), float("inf"), -(d + e))


@triton.jit
def total(tile):
    """Sum over the classes in float64: [R, 1]."""
    return tl.sum(tile.to(tl.float64), axis=1, keep_dims=True)


@triton.jit
def weighted(q, v):
    """Multiply, with 0·anything = 0."""
    return q * tl.where(q == 0, q, v)


@triton.jit
def position(is_here, at, K, B: tl.constexpr):
    """Return the first class of a tile's rows that is marked, K where none is: [R, 1]."""
    columns = at + tl.arange(0, B)[None, :]
    return tl.min(tl.where(is_here, columns, K), axis=1, keep_dims=True)


@triton.jit
def entry(source, stride, rows, column, N, K):
    """Return one entry of each row, in float32; NaN where there is no such column."""
    inside = (rows < N) & (column >= 0) & (column < K)
    return tl.load(source + rows * stride + column, mask=inside, other=float("nan")).to(tl.float32)


@triton.jit
def others_of(m, r):
    """Return r, and NaN for a row whose maximum is infinite."""
    return tl.where(tl.abs(m) == float("inf"), float("nan"), r)


@triton.jit
def of_tile(z, beta, beta_low, WHOLE: tl.constexpr, TEMPERED: tl.constexpr):
    """Return the maximum m, E, and r = Σ UNIT·E − 1; a tile of −∞ alone adds nothing: r = −1.

    E is good where the tile holds WHOLE rows: else a maximum has 0, which saves choosing twice.
    """
    m = tl.max(z, axis=1, keep_dims=True)
    d, e = difference(z, tl.where(m == float("-inf"), 0.0, m), beta, beta_low, TEMPERED)
    is_top = z == m
    if WHOLE:
        E = exp_of_difference(d, e)
        rest = tl.where(is_top, 0.0, E)
    else:
        E = exp_of_difference(tl.where(is_top, float("-inf"), d), e)
        rest = E
    ties = tl.sum(is_top.to(tl.int32), axis=1, keep_dims=True)
    empty = m == float("-inf")
    return m, E, total(rest) * UNIT + tl.where(empty, -1.0, (ties - 1).to(tl.float64))


@triton.jit
def in_float64(high, low):
    """Return the sum of two float32 numbers: [1, 1]."""
    return (tl.full((1, 1), 0.0, tl.float64) + high) + low


@triton.jit
def merged(m, r, m_b, r_b, beta):  # β as float64
    """Return maximum and sum of the others of what two parts of a row have."""
    below = tl.minimum(m, m_b).to(tl.float64) - tl.maximum(m, m_b).to(tl.float64)
    F = tl.exp(below * beta)
    F = tl.where(below == below, F, 0.0)  # both −∞
    r = tl.where(m_b > m, r_b + (1.0 + r) * F, r + (1.0 + r_b) * F)
    return tl.maximum(m, m_b), r


@triton.jit
def first_visit(
    x,
    stride,
    rows,
    N,
    K,
    beta,
    beta_low,
    cap,
    B: tl.constexpr,
    WHOLE: tl.constexpr,
    TEMPERED: tl.constexpr,
    CAPPED: tl.constexpr,
):
    """Return z and E, which are good where a tile holds WHOLE rows, and m and r of every row.

    NaN in a row is NaN in r. Tiles of a longer row merge as exponentials do: that with the larger
    maximum keeps its r, and the other adds (1 + r)·exp(−β·distance).
    """
    if WHOLE:
        z, _slope = logits(x, stride, rows, 0, N, K, cap, B, CAPPED)
        m, E, r = of_tile(z, beta, beta_low, WHOLE, TEMPERED)
    else:  # begin with what a tile of −∞ has: a tile before the loop would make it all stand twice
        m = tl.zeros((rows.shape[0], 1), tl.float32) - float("inf")
        r = tl.zeros((rows.shape[0], 1), tl.float64) - 1.0
        z = tl.zeros((rows.shape[0], B), tl.float32)
        E = z
        wide = in_float64(beta, beta_low)
        for at in range(0, K, B):
            tile, _slope = logits(x, stride, rows, at, N, K, cap, B, CAPPED)
            m_b, _E, r_b = of_tile(tile, beta, beta_low, WHOLE, TEMPERED)
            m, r = merged(m, r, m_b, r_b, wide)
    return z, E, m, r
