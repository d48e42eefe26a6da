"""softmax with its product, log_softmax and logsumexp of rows [N, K]."""

from __future__ import annotations

import triton
import triton.language as tl

from softgrad.kernels.triton.arithmetic import UNIT, inverse_of_sum, log1p, scaled_by
from softgrad.kernels.triton.centred import (
    centred_exp,
    difference,
    entry,
    first_visit,
    known_multiple,
    load_tile,
    others_of,
    position,
    row_numbers,
    store_tile,
    total,
    weighted,
)

__all__ = ["log_softmax", "logsumexp", "softmax", "softmax_product"]


@triton.jit
def softmax(
    x,
    x_stride,
    out,
    out_stride,
    N,
    K,
    beta,
    beta_low,
    R: tl.constexpr,
    B: tl.constexpr,
    STEP: tl.constexpr,
    WHOLE: tl.constexpr,
    TEMPERED: tl.constexpr,
):
    """p = E/S, with S = 1 + r."""
    x_stride = known_multiple(x_stride, STEP)
    out_stride = known_multiple(out_stride, STEP)
    K = known_multiple(K, STEP)
    rows = row_numbers(R)
    z, E, m, r = first_visit(
        x, x_stride, rows, N, K, beta, beta_low, 1.0, B, WHOLE, TEMPERED, False
    )
    high, low = inverse_of_sum(others_of(m, r))
    for at in range(0, K, B):
        if not WHOLE:
            z = load_tile(x, x_stride, rows, at, N, K, float("-inf"), B)
            E = centred_exp(z, m, beta, beta_low, TEMPERED)
        store_tile(out, out_stride, rows, at, N, K, scaled_by(high, low, E), B)


@triton.jit
def log_softmax(
    x,
    x_stride,
    out,
    out_stride,
    N,
    K,
    beta,
    beta_low,
    R: tl.constexpr,
    B: tl.constexpr,
    STEP: tl.constexpr,
    WHOLE: tl.constexpr,
    TEMPERED: tl.constexpr,
):
    """log p = (d − log1p(r)) + e; an entry of −∞ stays what it is, except in a row of NaN."""
    x_stride = known_multiple(x_stride, STEP)
    out_stride = known_multiple(out_stride, STEP)
    K = known_multiple(K, STEP)
    rows = row_numbers(R)
    z, _E, m, r = first_visit(
        x, x_stride, rows, N, K, beta, beta_low, 1.0, B, WHOLE, TEMPERED, False
    )
    logarithm = log1p(others_of(m, r)).to(tl.float32)
    for at in range(0, K, B):
        if not WHOLE:
            z = load_tile(x, x_stride, rows, at, N, K, float("-inf"), B)
        d, e = difference(z, m, beta, beta_low, TEMPERED)
        infinite = (d == float("-inf")) & (logarithm == logarithm)
        y = tl.where(infinite, d, (d - logarithm) + e)
        store_tile(out, out_stride, rows, at, N, K, y, B)


@triton.jit
def logsumexp(
    x,
    x_stride,
    out,
    N,
    K,
    R: tl.constexpr,
    B: tl.constexpr,
    STEP: tl.constexpr,
    WHOLE: tl.constexpr,
):
    """m + log1p(r); an infinite maximum is the answer."""
    x_stride = known_multiple(x_stride, STEP)
    K = known_multiple(K, STEP)
    rows = row_numbers(R)
    _z, _E, m, r = first_visit(x, x_stride, rows, N, K, 1.0, 0.0, 1.0, B, WHOLE, False, False)
    infinite = (tl.abs(m) == float("inf")) & (r == r)
    value = tl.where(infinite, m, m + log1p(r))
    tl.store(out + rows, value.to(tl.float32), mask=rows < N)


@triton.jit
def softmax_product(
    x,
    x_stride,
    v,
    v_stride,
    out,
    out_stride,
    N,
    K,
    beta,
    beta_low,
    R: tl.constexpr,
    B: tl.constexpr,
    STEP: tl.constexpr,
    WHOLE: tl.constexpr,
    TEMPERED: tl.constexpr,
):
    """p·(w − ⟨p, w⟩) for p = softmax(βx) and w = v − v_k, k a maximum."""
    x_stride = known_multiple(x_stride, STEP)
    v_stride = known_multiple(v_stride, STEP)
    out_stride = known_multiple(out_stride, STEP)
    K = known_multiple(K, STEP)
    rows = row_numbers(R)
    z, E, m, r = first_visit(
        x, x_stride, rows, N, K, beta, beta_low, 1.0, B, WHOLE, TEMPERED, False
    )
    r = others_of(m, r)
    here = tl.zeros((R, 1), tl.int32) + K
    for at in range(0, K, B):
        if not WHOLE:
            z = load_tile(x, x_stride, rows, at, N, K, float("-inf"), B)
        here = tl.minimum(here, position(z == m, at, K, B))
    centre = entry(v, v_stride, rows, here, N, K)
    mean = tl.zeros((R, 1), tl.float64)
    for at in range(0, K, B):
        if not WHOLE:
            z = load_tile(x, x_stride, rows, at, N, K, float("-inf"), B)
            E = centred_exp(z, m, beta, beta_low, TEMPERED)
        w = load_tile(v, v_stride, rows, at, N, K, 0.0, B) - centre
        mean += total(weighted(E * UNIT, w))
    high, low = inverse_of_sum(r)
    mean = (mean / (1.0 + r)).to(tl.float32)
    for at in range(0, K, B):
        if not WHOLE:
            z = load_tile(x, x_stride, rows, at, N, K, float("-inf"), B)
            E = centred_exp(z, m, beta, beta_low, TEMPERED)
        w = load_tile(v, v_stride, rows, at, N, K, 0.0, B) - centre
        p = scaled_by(high, low, E)
        store_tile(out, out_stride, rows, at, N, K, weighted(p, w - mean), B)
