"""sigmoid, log_sigmoid and binary cross-entropy of numbers, all from E = exp(−|x|)."""

from __future__ import annotations

from softgrad.kernels.numba.elementwise import elementwise
from softgrad.kernels.numba.exponential import exp_of_difference
from softgrad.kernels.numba.instructions import (
    fma,
    get,
    put,
    scalar,
    scratch,
    typed,
    weighted,
    zero_of,
)
from softgrad.kernels.numba.lanes import LANES, load, store
from softgrad.kernels.numba.logarithm import log1p_of_fraction

__all__ = ["binary_cross_entropy", "log_sigmoid", "sigmoid"]


@elementwise
def sigmoid(sources, targets, total, args):
    """σ(x), and its slope σ(x)·σ(−x), for the source x."""
    (source,), (value, slope) = sources, targets
    zero = zero_of(source[0])
    x, y, y_dot = scratch(LANES, zero), scratch(LANES, zero), scratch(LANES, zero)
    for at in range(0, total, LANES):
        load(x, source, at)
        for j in range(LANES):
            p, one_minus_p = pair(get(x, j), decay(get(x, j)))
            put(y, j, p)
            put(y_dot, j, p * one_minus_p)
        store(y, value, at)
        store(y_dot, slope, at)


@elementwise
def log_sigmoid(sources, targets, total, args):
    """log σ(x), and its slope σ(−x), for the source x."""
    (source,), (value, slope) = sources, targets
    zero = zero_of(source[0])
    x, y, y_dot = scratch(LANES, zero), scratch(LANES, zero), scratch(LANES, zero)
    for at in range(0, total, LANES):
        load(x, source, at)
        for j in range(LANES):
            E = decay(get(x, j))
            _, one_minus_p = pair(get(x, j), E)
            put(y, j, least_of(get(x, j), zero) - log1p_of_fraction(E))
            put(y_dot, j, one_minus_p)
        store(y, value, at)
        store(y_dot, slope, at)


@elementwise
def binary_cross_entropy(sources, targets, total, args):
    """Loss −π t·log σ(x) − (1 − t)·log σ(−x) and its gradient (1 − t)·σ(x) − π t·σ(−x).

    The sources are the logits x, the targets t and a factor of both results, 0 where an element
    counts nothing; the targets are the loss and the gradient, and the argument is π.
    """
    (logits, labels, factors), (loss, gradient), (pos_weight,) = sources, targets, args
    zero = zero_of(logits[0])
    one, weight = typed(1.0, zero), typed(pos_weight, zero)
    x, t, f = scratch(LANES, zero), scratch(LANES, zero), scratch(LANES, zero)
    for at in range(0, total, LANES):
        load(x, logits, at)
        load(t, labels, at)
        load(f, factors, at)
        for j in range(LANES):
            E = decay(get(x, j))
            p, one_minus_p = pair(get(x, j), E)
            positive, negative, tail = weight * get(t, j), one - get(t, j), log1p_of_fraction(E)
            of_positive = tail - least_of(get(x, j), zero)  # −log σ(x)
            of_negative = tail - least_of(-get(x, j), zero)  # −log σ(−x)
            both = weighted(positive, of_positive) + weighted(negative, of_negative)
            put(t, j, weighted(get(f, j), both))
            put(x, j, weighted(get(f, j), negative * p - positive * one_minus_p))
        store(t, loss, at)
        store(x, gradient, at)


@scalar
def decay(x):
    """Return exp(−|x|)."""
    return exp_of_difference(x if x < 0 else -x, typed(0.0, x))


@scalar
def pair(x, E):
    """Return σ(x) and σ(−x): 1/(1 + E) and E/(1 + E), with one division for both.

    A step of Newton's method with the error of 1 + E makes them as good as correctly rounded.
    """
    one = typed(1.0, x)
    whole = one + E
    lost = E - (whole - one)
    inverse = one / whole
    large = fma(fma(-inverse, lost, fma(-inverse, whole, one)), inverse, inverse)
    ratio = E * inverse
    small = fma(fma(-ratio, lost, fma(-ratio, whole, E)), inverse, ratio)
    return (small if x < 0 else large), (large if x < 0 else small)


@scalar
def least_of(x, bound):
    """Return the smaller of two numbers; a NaN x stays NaN."""
    return bound if x > bound else x
