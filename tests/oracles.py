"""The primals of every operator in mpmath, typed as their definitions; derivatives as differences.

A row is a list of mpmath numbers. Nothing here knows a derivative: those come from differences of
the primal at so many digits that they are as good as exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import mpmath
from mpmath import mpf

__all__ = [
    "DIGITS",
    "cross_entropy",
    "cross_entropy_gradient",
    "entmax",
    "entmax_threshold",
    "fenchel_young",
    "hvp",
    "jacobian",
    "jvp",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "relu",
    "row",
    "sigmoid",
    "softmax",
    "softmax_product",
    "tanh",
    "to_floats",
    "vjp",
]

Row = list[Any]
Primal = Callable[[Row], Row]

DIGITS = 150
"""Enough for differences with a step of 1e-50, whose error is 1e-100: saturated rows as well."""
STEP = mpf(10) ** -50
SECOND_STEP = mpf(10) ** -35


def row(x: Iterable[Any]) -> Row:
    """Return floats as mpmath numbers, exactly."""
    return [mpf(float(v)) for v in x]


def to_floats(y: Iterable[Any]) -> list[float]:
    """Round to float64."""
    return [float(v) for v in y]


# --- primals ---------------------------------------------------------------------------------


def softmax(x: Row, temperature: float = 1.0) -> Row:
    z = [v / mpf(temperature) for v in x]
    top = max(z)
    E = [mpmath.exp(v - top) for v in z]
    S = mpmath.fsum(E)
    return [e / S for e in E]


def logsumexp(x: Row) -> Row:
    top = max(x)
    return [top + mpmath.log(mpmath.fsum(mpmath.exp(v - top) for v in x))]


def log_softmax(x: Row, temperature: float = 1.0) -> Row:
    z = [v / mpf(temperature) for v in x]
    (lse,) = logsumexp(z)
    return [v - lse for v in z]


def sigmoid(x: Row) -> Row:
    return [1 / (1 + mpmath.exp(-v)) for v in x]


def log_sigmoid(x: Row) -> Row:
    # log(1/(1 + e)) keeps no digit of e below 10^-DIGITS; log1p does, and is the same definition
    return [-mpmath.log1p(mpmath.exp(-v)) if v > 0 else v - mpmath.log1p(mpmath.exp(v)) for v in x]


def relu(x: Row) -> Row:
    return [max(v, mpf(0)) for v in x]


def tanh(x: Row) -> Row:
    return [mpmath.tanh(v) for v in x]


def entmax_threshold(x: Row, alpha: float) -> Any:
    """Solve Σ_j [(α − 1)x_j − τ]₊^(1/(α−1)) = 1: halving in floats, then Newton's method."""
    power = 1 / (mpf(alpha) - 1)
    z = [(mpf(alpha) - 1) * v for v in x]
    top = max(z)
    near = [float(v - top) for v in z]
    low, high = -1.0, 0.0
    for _ in range(200):
        middle = (low + high) / 2
        mass = math.fsum((v - middle) ** float(power) for v in near if v > middle)
        low, high = (middle, high) if mass >= 1 else (low, middle)
    support = [v - top for v, f in zip(z, near, strict=True) if f > low]
    tau = mpf(low)
    for _ in range(max(5, int(mpmath.mp.dps).bit_length())):
        excess = mpmath.fsum((v - tau) ** power for v in support) - 1
        slope = -power * mpmath.fsum((v - tau) ** (power - 1) for v in support)
        tau -= excess / slope
    return top + tau


def entmax(x: Row, alpha: float) -> Row:
    power, tau = 1 / (mpf(alpha) - 1), entmax_threshold(x, alpha)
    distances = [(mpf(alpha) - 1) * v - tau for v in x]
    return [d**power if d > 0 else mpf(0) for d in distances]


def cross_entropy(x: Row, t: Row) -> Any:
    """−Σ_j t_j log p_j, with 0·log 0 = 0."""
    log_p = log_softmax(x)
    return -mpmath.fsum(a * b for a, b in zip(t, log_p, strict=True) if a)


def fenchel_young(x: Row, t: Row, alpha: float) -> Any:
    """Ω*(x) + Ω(t) − ⟨x, t⟩ with the negative Tsallis entropy Ω; α = 1 is Shannon's."""
    p = softmax(x) if alpha == 1 else entmax(x, alpha)

    def omega(q: Row) -> Any:
        if alpha == 1:
            return mpmath.fsum(v * mpmath.log(v) for v in q if v)
        a = mpf(alpha)
        return mpmath.fsum(v**a - v for v in q if v) / (a * (a - 1))

    def dot(a: Row, b: Row) -> Any:
        return mpmath.fsum(v * w for v, w in zip(a, b, strict=True))

    return dot(x, p) - omega(p) + omega(t) - dot(x, t)


# --- closed forms for long rows, where differences would take hours; tested against them -------


def softmax_product(p: Row, v: Row) -> Row:
    """The product of softmax's Jacobian with v, given enough digits for its cancellation."""
    mean = mpmath.fdot(p, v)
    return [a * (b - mean) for a, b in zip(p, v, strict=True)]


def cross_entropy_gradient(p: Row, label: int) -> Row:
    return [a - int(j == label) for j, a in enumerate(p)]


# --- differences -----------------------------------------------------------------------------


def _moved(x: Row, x_dot: Sequence[Any], step: Any) -> Row:
    return [v + step * w for v, w in zip(x, x_dot, strict=True)]


def _unit(n: int, j: int) -> Row:
    return [mpf(int(i == j)) for i in range(n)]


def jvp(primal: Primal, x: Row, x_dot: Row) -> Row:
    """The central difference of the primal along x_dot."""
    above, below = primal(_moved(x, x_dot, STEP)), primal(_moved(x, x_dot, -STEP))
    return [(a - b) / (2 * STEP) for a, b in zip(above, below, strict=True)]


def jacobian(primal: Primal, x: Row) -> list[Row]:
    """All columns by differences, returned as a list of rows."""
    columns = [jvp(primal, x, _unit(len(x), j)) for j in range(len(x))]
    return [list(line) for line in zip(*columns, strict=True)]


def vjp(primal: Primal, x: Row, y_bar: Row) -> Row:
    """Differences of ⟨y_bar, y(x)⟩ in every coordinate."""
    return [mpmath.fdot(y_bar, jvp(primal, x, _unit(len(x), j))) for j in range(len(x))]


def hvp(primal: Primal, x: Row, y_bar: Row, x_dot: Row) -> Row:
    """Differences of the differences: the rate of change of `vjp` along x_dot."""

    def number(point: Row) -> Any:
        return mpmath.fdot(y_bar, primal(point))

    products = []
    for j in range(len(x)):
        unit = _unit(len(x), j)
        corners = [
            s * r * number(_moved(_moved(x, x_dot, s * SECOND_STEP), unit, r * SECOND_STEP))
            for s in (1, -1)
            for r in (1, -1)
        ]
        products.append(mpmath.fsum(corners) / (4 * SECOND_STEP**2))
    return products
