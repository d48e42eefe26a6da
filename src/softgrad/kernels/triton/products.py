"""Products of the softmax family's Jacobians with rows, by the formulas of `softgrad.linear`.

Every v is centred on its entry at the first maximum of q, so that the dominant term is exactly zero
and nothing cancels on a saturated row. Where a weight is 0, what it multiplies has no say.
"""

from __future__ import annotations

import triton
import triton.language as tl

from softgrad.kernels.triton.centred import (
    entry,
    known_multiple,
    load_tile,
    position,
    row_numbers,
    store_tile,
    total,
    weighted,
)

__all__ = [
    "diagonal_minus_outer",
    "diagonal_minus_outer_tangent",
    "identity_minus_outer",
    "identity_minus_outer_transpose",
]


@triton.jit
def first_max(q, stride, rows, N, K, R: tl.constexpr, B: tl.constexpr):
    """Return where the first maximum stands, and Σ q, 1 for a row of zeros."""
    m = tl.zeros((R, 1), tl.float32) + float("-inf")
    here = tl.zeros((R, 1), tl.int32) + K
    mass = tl.zeros((R, 1), tl.float64)
    for at in range(0, K, B):
        tile = load_tile(q, stride, rows, at, N, K, float("-inf"), B)
        top = tl.max(tile, axis=1, keep_dims=True)
        here = tl.where(top > m, position(tile == top, at, K, B), here)
        m = tl.maximum(m, top)
        mass += total(tl.where(tile == float("-inf"), 0.0, tile))
    return here, tl.where(mass == 0.0, 1.0, mass)


@triton.jit
def mean_of(
    q, q_stride, v, v_stride, rows, N, K, centre, shift, mass, R: tl.constexpr, B: tl.constexpr
):
    """Return Σ q·(v − centre − shift) / mass."""
    mean = tl.zeros((R, 1), tl.float64)
    for at in range(0, K, B):
        weight = load_tile(q, q_stride, rows, at, N, K, 0.0, B)
        w = (load_tile(v, v_stride, rows, at, N, K, 0.0, B) - centre) - shift
        mean += total(weighted(weight, w))
    return (mean / mass).to(tl.float32)


@triton.jit
def sum_without(source, stride, rows, here, N, K, R: tl.constexpr, B: tl.constexpr):
    """Return the sum over all entries but one."""
    rest = tl.zeros((R, 1), tl.float64)
    for at in range(0, K, B):
        tile = load_tile(source, stride, rows, at, N, K, 0.0, B)
        rest += total(tl.where(at + tl.arange(0, B)[None, :] == here, 0.0, tile))
    return rest


@triton.jit
def diagonal_minus_outer(
    q,
    q_stride,
    v,
    v_stride,
    out,
    out_stride,
    N,
    K,
    R: tl.constexpr,
    B: tl.constexpr,
    STEP: tl.constexpr,
):
    """q·(w − ⟨q, w⟩/Σq) with w = v − v_k."""
    q_stride = known_multiple(q_stride, STEP)
    v_stride = known_multiple(v_stride, STEP)
    out_stride = known_multiple(out_stride, STEP)
    K = known_multiple(K, STEP)
    rows = row_numbers(R)
    here, mass = first_max(q, q_stride, rows, N, K, R, B)
    centre = entry(v, v_stride, rows, here, N, K)
    mean = mean_of(q, q_stride, v, v_stride, rows, N, K, centre, 0.0, mass, R, B)
    for at in range(0, K, B):
        weight = load_tile(q, q_stride, rows, at, N, K, 0.0, B)
        w = (load_tile(v, v_stride, rows, at, N, K, 0.0, B) - centre) - mean
        store_tile(out, out_stride, rows, at, N, K, weighted(weight, w), B)


@triton.jit
def diagonal_minus_outer_tangent(
    q,
    q_stride,
    q_dot,
    q_dot_stride,
    v,
    v_stride,
    out,
    out_stride,
    N,
    K,
    R: tl.constexpr,
    B: tl.constexpr,
    STEP: tl.constexpr,
):
    """q_dot·w − q·⟨q_dot, w⟩/Σq with ⟨q, w⟩ = 0."""
    q_stride = known_multiple(q_stride, STEP)
    q_dot_stride = known_multiple(q_dot_stride, STEP)
    v_stride = known_multiple(v_stride, STEP)
    out_stride = known_multiple(out_stride, STEP)
    K = known_multiple(K, STEP)
    rows = row_numbers(R)
    here, mass = first_max(q, q_stride, rows, N, K, R, B)
    centre = entry(v, v_stride, rows, here, N, K)
    mean = mean_of(q, q_stride, v, v_stride, rows, N, K, centre, 0.0, mass, R, B)
    mean_dot = mean_of(q_dot, q_dot_stride, v, v_stride, rows, N, K, centre, mean, mass, R, B)
    for at in range(0, K, B):
        weight = load_tile(q, q_stride, rows, at, N, K, 0.0, B)
        weight_dot = load_tile(q_dot, q_dot_stride, rows, at, N, K, 0.0, B)
        w = (load_tile(v, v_stride, rows, at, N, K, 0.0, B) - centre) - mean
        y = weighted(weight_dot, w) - weight * mean_dot
        store_tile(out, out_stride, rows, at, N, K, y, B)


@triton.jit
def identity_minus_outer(
    p,
    p_stride,
    v,
    v_stride,
    out,
    out_stride,
    N,
    K,
    R: tl.constexpr,
    B: tl.constexpr,
    STEP: tl.constexpr,
):
    """w − ⟨p, w⟩ with w = v − v_k."""
    p_stride = known_multiple(p_stride, STEP)
    v_stride = known_multiple(v_stride, STEP)
    out_stride = known_multiple(out_stride, STEP)
    K = known_multiple(K, STEP)
    rows = row_numbers(R)
    here, _mass = first_max(p, p_stride, rows, N, K, R, B)
    centre = entry(v, v_stride, rows, here, N, K)
    mean = mean_of(p, p_stride, v, v_stride, rows, N, K, centre, 0.0, 1.0, R, B)
    for at in range(0, K, B):
        w = (load_tile(v, v_stride, rows, at, N, K, 0.0, B) - centre) - mean
        store_tile(out, out_stride, rows, at, N, K, w, B)


@triton.jit
def identity_minus_outer_transpose(
    p,
    p_stride,
    y_bar,
    y_stride,
    out,
    out_stride,
    N,
    K,
    R: tl.constexpr,
    B: tl.constexpr,
    STEP: tl.constexpr,
):
    """y_bar − p·Σy_bar; at the largest p y·(1 − p) − p·(Σy − y), both differences summed."""
    p_stride = known_multiple(p_stride, STEP)
    y_stride = known_multiple(y_stride, STEP)
    out_stride = known_multiple(out_stride, STEP)
    K = known_multiple(K, STEP)
    rows = row_numbers(R)
    here, _mass = first_max(p, p_stride, rows, N, K, R, B)
    p_k, y_k = entry(p, p_stride, rows, here, N, K), entry(y_bar, y_stride, rows, here, N, K)
    p_rest = sum_without(p, p_stride, rows, here, N, K, R, B).to(tl.float32)
    y_rest = sum_without(y_bar, y_stride, rows, here, N, K, R, B)
    y_all = (y_rest + y_k).to(tl.float32)
    at_top = y_k * p_rest - p_k * y_rest.to(tl.float32)
    for at in range(0, K, B):
        y = load_tile(y_bar, y_stride, rows, at, N, K, 0.0, B)
        y = y - load_tile(p, p_stride, rows, at, N, K, 0.0, B) * y_all
        y = tl.where(at + tl.arange(0, B)[None, :] == here, at_top, y)
        store_tile(out, out_stride, rows, at, N, K, y, B)
