"""Cross-entropy of rows of logits: loss and gradient in one kernel, the gradient in place.

A row's target t has the mass T = Σ t. Its loss is f(T·L + Σ t_j β(m − z_j)) with L = log1p(r), plus
f·ζ·logsumexp² for a z-loss. Its gradient is f(T·p_j − t_j) + 2fζ·logsumexp·p_j, times β and the
slope of a soft cap. Where the maximum holds more than half of the probability, r < 1, its entry is
f(Σ_{j≠k} t_j − T·r/S) instead: two numbers close to each other are never subtracted.

A row with the factor f = 0 counts nothing, whatever it holds, and its gradient is 0. A class index
that is out of range makes its row NaN: nobody has looked at it before.
"""

from __future__ import annotations

import triton
import triton.language as tl

from softgrad.kernels.triton.arithmetic import UNIT, capped, in_two_parts, log1p, scaled_by
from softgrad.kernels.triton.centred import (
    centred_exp,
    entry,
    first_visit,
    gap,
    in_float64,
    known_multiple,
    load_tile,
    logits,
    others_of,
    row_numbers,
    store_tile,
    total,
)

__all__ = ["cross_entropy", "cross_entropy_dense"]


@triton.jit
def finish(m, r, T, distance, f, zeta, beta):
    """Return the loss, what multiplies every E of the gradient, and the z-loss's part; float64."""
    logarithm = log1p(r)
    logsumexp = tl.where(zeta == 0.0, 0.0, m * beta + logarithm)
    pull = 2.0 * zeta * logsumexp
    loss = f * (T * logarithm + distance + zeta * logsumexp * logsumexp)
    slope = f * beta * (T + pull) / (1.0 + r)
    counts = f != 0.0
    return tl.where(counts, loss, 0.0), tl.where(counts, slope, 0.0), pull


@triton.jit
def at_maximum(others, T, r, f, pull, beta):
    """Return the gradient at a maximum with r < 1, whose target is T − others."""
    return f * beta * (others + (pull - T * r) / (1.0 + r))


@triton.jit
def load_factor(factors, rows, N):
    """Return the factor of every row in float64, 0 where there is no row: [R, 1]."""
    return tl.load(factors + rows, mask=rows < N, other=0.0).to(tl.float64)


@triton.jit
def load_listed(ids, masses, at, k, f, rows, N, K, ONES: tl.constexpr, Q: tl.constexpr):
    """Return Q of the k classes of each row and their masses: [R, Q].

    A bad class in a row that counts has the mass NaN, and what is beyond k has none.
    """
    q = at + tl.arange(0, Q)[None, :]
    here = (rows < N) & (q < k)
    column = tl.load(ids + rows * k + q, mask=here, other=0)
    mass = tl.where(here, 1.0, 0.0).to(tl.float64)
    if not ONES:
        mass = tl.load(masses + rows * k + q, mask=here, other=0.0).to(tl.float64)
    fine = (column >= 0) & (column < K)
    return tl.where(fine, column, 0), tl.where(fine | (f == 0.0), mass, float("nan"))


@triton.jit
def share_out(ids, masses, k, f, rows, N, K, column, Q: tl.constexpr):
    """Return the mass of classes [R, Q], which may stand several times, and that of all others."""
    own, others = tl.zeros(column.shape, tl.float64), tl.zeros(column.shape, tl.float64)
    for at in range(0, k, Q):
        other, mass = load_listed(ids, masses, at, k, f, rows, N, K, False, Q)
        mass = mass[:, None, :]
        same = column[:, :, None] == other[:, None, :]  # [R, Q, Q]
        own += tl.sum(tl.where(same, mass, 0.0), axis=2)
        others += tl.sum(tl.where(same, 0.0, mass), axis=2)
    return own, others


@triton.jit
def smoothed(class_weights, share, label, at, K, B: tl.constexpr, WEIGHTED: tl.constexpr):
    """Return the target of all classes but the label: [R, B]."""
    columns = at + tl.arange(0, B)[None, :]
    t = tl.where((columns < K) & (columns != label), share, 0.0)
    if WEIGHTED:
        t = t * tl.load(class_weights + columns, mask=columns < K, other=0.0)
    return t


@triton.jit
def mass_of_shares(t, share, WEIGHTED: tl.constexpr):
    """Sum targets that are 0 or the share, times a weight or not: those without are counted."""
    if WEIGHTED:
        return total(t)
    return in_float64(share, 0.0) * tl.sum((t != 0.0).to(tl.int32), axis=1, keep_dims=True)


@triton.jit
def load_targets(
    t,
    stride,
    class_weights,
    keep,
    share,
    rows,
    at,
    N,
    K,
    B: tl.constexpr,
    SMOOTHED: tl.constexpr,
    WEIGHTED: tl.constexpr,
):
    """Return c·(keep·t + share), the target of every class, 0 outside: [R, B]."""
    columns = at + tl.arange(0, B)[None, :]
    mass = load_tile(t, stride, rows, at, N, K, 0.0, B)
    if SMOOTHED:
        mass = tl.where(columns < K, keep * mass + share, 0.0)
    if WEIGHTED:
        mass = mass * tl.load(class_weights + columns, mask=columns < K, other=0.0)
    return mass


@triton.jit
def cross_entropy(
    x,
    x_stride,
    out,
    out_stride,
    ids,
    masses,
    fixed,
    k,
    class_weights,
    share,
    factors,
    losses,
    N,
    K,
    zeta,
    zeta_low,
    beta,
    beta_low,
    cap,
    R: tl.constexpr,
    B: tl.constexpr,
    STEP: tl.constexpr,
    WHOLE: tl.constexpr,
    TEMPERED: tl.constexpr,
    CAPPED: tl.constexpr,
    ONES: tl.constexpr,
    SMOOTHED: tl.constexpr,
    WEIGHTED: tl.constexpr,
    GRADIENT: tl.constexpr,
    ALIASED: tl.constexpr,
    Q: tl.constexpr,
):
    """Targets are k class indices a row with a mass each, Q of which are seen at a time.

    Labels are k = 1. SMOOTHED ones leave `share`, times the class weight, to every other class.
    `fixed` [N, k] is room for the entries that have a target: they are found before the logits are
    overwritten, and written last.
    """
    x_stride = known_multiple(x_stride, STEP)
    out_stride = known_multiple(out_stride, STEP)
    K = known_multiple(K, STEP)
    rows = row_numbers(R)
    f = load_factor(factors, rows, N)
    z, E, m, r = first_visit(
        x, x_stride, rows, N, K, beta, beta_low, cap, B, WHOLE, TEMPERED, CAPPED
    )
    r = others_of(m, r)
    wide = in_float64(beta, beta_low)

    T, distance = tl.zeros((R, 1), tl.float64), tl.zeros((R, 1), tl.float64)
    for at in range(0, k, Q):
        column, mass = load_listed(ids, masses, at, k, f, rows, N, K, ONES, Q)
        picked = entry(x, x_stride, rows, column, N, K)
        if CAPPED:
            picked, _bend = capped(picked, cap)
        T += total(mass)
        far = gap(picked, m, beta, beta_low, TEMPERED).to(tl.float64)
        distance += total(tl.where(mass == 0.0, 0.0, mass * far))
    spread = tl.zeros((R, 1), tl.float64)
    spread_top = tl.zeros((R, 1), tl.float64)
    if SMOOTHED:
        label, _mass = load_listed(ids, masses, 0, k, f, rows, N, K, ONES, Q)
        for at in range(0, K, B):
            if not WHOLE:
                z, _slope = logits(x, x_stride, rows, at, N, K, cap, B, CAPPED)
            t = smoothed(class_weights, share, label, at, K, B, WEIGHTED)
            if WEIGHTED:
                spread += total(t)
            spread_top += mass_of_shares(tl.where(z == m, t, 0.0), share, WEIGHTED)
            far = gap(z, m, beta, beta_low, TEMPERED)
            distance += total(tl.where(t == 0.0, 0.0, t * far))
        if not WEIGHTED:  # no tile is made for it: Triton 3.7 gave every thread all of its entries
            spread += in_float64(share, 0.0) * (K - 1)
        T += spread
    loss, slope, pull = finish(m, r, T, distance, f, in_float64(zeta, zeta_low), wide)
    tl.store(losses + rows, loss.to(tl.float32), mask=rows < N)

    if GRADIENT:
        for at in range(0, k, Q):
            column, mass = load_listed(ids, masses, at, k, f, rows, N, K, ONES, Q)
            others = spread
            own = mass
            if not ONES:
                own, others = share_out(ids, masses, k, f, rows, N, K, column, Q)
                others += spread
            picked = entry(x, x_stride, rows, column, N, K)
            bend = 1.0
            if CAPPED:
                picked, bend = capped(picked, cap)
            E_picked = centred_exp(picked, m, beta, beta_low, TEMPERED).to(tl.float64)
            p = E_picked * UNIT / (1.0 + r)
            g = f * wide * ((T * p - own) + pull * p)
            top = (picked == m) & (r < 1.0)
            g = tl.where(top, at_maximum(others, T, r, f, pull, wide), g) * bend
            g = tl.where(f == 0.0, 0.0, g)
            q = at + tl.arange(0, Q)[None, :]
            tl.store(fixed + rows * k + q, g.to(tl.float32), mask=(rows < N) & (q < k))
        tl.debug_barrier()  # every entry was read before any is written

        high, low = in_two_parts(slope)
        weight = (f * wide).to(tl.float32)
        at_top = at_maximum(T - spread_top, T, r, f, pull, wide).to(tl.float32)
        for at in range(0, K, B):
            bend = 1.0
            if CAPPED or not WHOLE:
                z, bend = logits(x, x_stride, rows, at, N, K, cap, B, CAPPED)
                E = centred_exp(z, m, beta, beta_low, TEMPERED)
            g = scaled_by(high, low, E * UNIT)
            if SMOOTHED:
                t = smoothed(class_weights, share, label, at, K, B, WEIGHTED)
                g = tl.where((z == m) & (r < 1.0), at_top, g - weight * t)
            g = tl.where(f == 0.0, 0.0, g * bend)
            if ALIASED:
                tl.debug_barrier()  # a short number may stand where a long one was
            store_tile(out, out_stride, rows, at, N, K, g, B)
        tl.debug_barrier()
        for at in range(0, k, Q):
            column, _mass = load_listed(ids, masses, at, k, f, rows, N, K, ONES, Q)
            q = at + tl.arange(0, Q)[None, :]
            here = (rows < N) & (q < k)
            g = tl.load(fixed + rows * k + q, mask=here, other=0.0)
            tl.store(out + rows * out_stride + column, g.to(out.dtype.element_ty), mask=here)


@triton.jit
def cross_entropy_dense(
    x,
    x_stride,
    out,
    out_stride,
    t,
    t_stride,
    class_weights,
    keep,
    share,
    factors,
    losses,
    N,
    K,
    zeta,
    zeta_low,
    beta,
    beta_low,
    cap,
    R: tl.constexpr,
    B: tl.constexpr,
    STEP: tl.constexpr,
    WHOLE: tl.constexpr,
    TEMPERED: tl.constexpr,
    CAPPED: tl.constexpr,
    SMOOTHED: tl.constexpr,
    WEIGHTED: tl.constexpr,
    GRADIENT: tl.constexpr,
    ALIASED: tl.constexpr,
):
    """Targets are a number a class, smoothed and weighted as they are read."""
    x_stride = known_multiple(x_stride, STEP)
    out_stride = known_multiple(out_stride, STEP)
    t_stride = known_multiple(t_stride, STEP)
    K = known_multiple(K, STEP)
    rows = row_numbers(R)
    f = load_factor(factors, rows, N)
    z, E, m, r = first_visit(
        x, x_stride, rows, N, K, beta, beta_low, cap, B, WHOLE, TEMPERED, CAPPED
    )
    r = others_of(m, r)
    wide = in_float64(beta, beta_low)

    top, others = tl.zeros((R, 1), tl.float64), tl.zeros((R, 1), tl.float64)
    distance = tl.zeros((R, 1), tl.float64)
    for at in range(0, K, B):
        if not WHOLE:
            z, _slope = logits(x, x_stride, rows, at, N, K, cap, B, CAPPED)
        mass = load_targets(
            t, t_stride, class_weights, keep, share, rows, at, N, K, B, SMOOTHED, WEIGHTED
        )
        top += total(tl.where(z == m, mass, 0.0))
        others += total(tl.where(z == m, 0.0, mass))
        far = gap(z, m, beta, beta_low, TEMPERED)
        distance += total(tl.where(mass == 0.0, 0.0, mass * far))
    T = top + others
    loss, slope, pull = finish(m, r, T, distance, f, in_float64(zeta, zeta_low), wide)
    tl.store(losses + rows, loss.to(tl.float32), mask=rows < N)

    if GRADIENT:
        high, low = in_two_parts(slope)
        weight = (f * wide).to(tl.float32)
        at_top = at_maximum(others, T, r, f, pull, wide).to(tl.float32)
        for at in range(0, K, B):
            bend = 1.0
            if CAPPED or not WHOLE:
                z, bend = logits(x, x_stride, rows, at, N, K, cap, B, CAPPED)
                E = centred_exp(z, m, beta, beta_low, TEMPERED)
            mass = load_targets(
                t, t_stride, class_weights, keep, share, rows, at, N, K, B, SMOOTHED, WEIGHTED
            )
            g = scaled_by(high, low, E * UNIT) - weight * mass
            g = tl.where((z == m) & (r < 1.0), at_top, g)
            g = tl.where(f == 0.0, 0.0, g * bend)
            if ALIASED:
                tl.debug_barrier()  # a short number may stand where a long one was
            store_tile(out, out_stride, rows, at, N, K, g, B)
