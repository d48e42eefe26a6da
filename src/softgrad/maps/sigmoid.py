"""sigmoid: σ(x) = 1 / (1 + exp(−x)), and its logarithm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from softgrad.arithmetic import exp, log1p
from softgrad.arrays import Array, namespace
from softgrad.maps.elementwise import AbstractElementwiseMap

__all__ = ["LogSigmoid", "Sigmoid", "log_sigmoid", "log_sigmoid_pair", "sigmoid", "sigmoid_pair"]


def sigmoid_pair(x: Array) -> tuple[Array, Array]:
    """Return σ(x) and 1 − σ(x) = σ(−x), each to full relative accuracy."""
    xp, E = namespace(x), _decay(x)
    large, small = 1 / (1 + E), E / (1 + E)
    return xp.where(x < 0, small, large), xp.where(x < 0, large, small)


def log_sigmoid_pair(x: Array) -> tuple[Array, Array]:
    """Return log σ(x) and log σ(−x), each to full relative accuracy."""
    xp, zero, tail = namespace(x), namespace(x).zeros_like(x), log1p(_decay(x))
    return xp.where(x < 0, x, zero) - tail, xp.where(x < 0, zero, -x) - tail


def _decay(x: Array) -> Array:
    """Return exp(−|x|); automatic differentiation would take the slope of |x| at 0 for 0."""
    return exp(namespace(x).where(x < 0, x, -x))


@dataclass(frozen=True)
class Sigmoid(AbstractElementwiseMap):
    """The logistic sigmoid.

    Derivative
    ----------
    Diagonal: σ′ = σ(x)·σ(−x), which is h(1 − h) without the subtraction; the second derivative is
    −σ′·tanh(x/2).

    Numerics
    --------
    A few ulp in σ, 1 − σ and σ′ for all x (tests/test_promises.py).

    References
    ----------
    Verhulst, 1845.

    Examples
    --------
    >>> import softgrad as sg
    >>> float(sg.sigmoid.jvp(40.0, 1.0))  # h(1 − h) would be 0
    4.248354255291589e-18
    """

    kernel: ClassVar[str] = "sigmoid"
    no_kernel: ClassVar[str] = ""

    def slopes(self, x: Array) -> tuple[Array, Array, Array]:
        p, one_minus_p = sigmoid_pair(x)
        first = p * one_minus_p
        return p, first, first * namespace(x).tanh(-x / 2)  # σ(−x) − σ(x), without cancelling at 0


@dataclass(frozen=True)
class LogSigmoid(AbstractElementwiseMap):
    """log σ(x) = min(x, 0) − log1p(exp(−|x|)).

    Derivative
    ----------
    Diagonal: σ(−x), and −σ(x)·σ(−x) for the second.

    Numerics
    --------
    A few ulp for all x (tests/test_promises.py).

    References
    ----------
    Mächler, 2012, "Accurately computing log(1 − exp(−|a|))".

    Examples
    --------
    >>> import softgrad as sg
    >>> sg.log_sigmoid([-1000.0, 0.0, 40.0])
    array([-1.00000000e+03, -6.93147181e-01, -4.24835426e-18])
    """

    kernel: ClassVar[str] = "log_sigmoid"
    no_kernel: ClassVar[str] = ""

    def slopes(self, x: Array) -> tuple[Array, Array, Array]:
        p, one_minus_p = sigmoid_pair(x)
        return log_sigmoid_pair(x)[0], one_minus_p, -p * one_minus_p


sigmoid = Sigmoid()
log_sigmoid = LogSigmoid()
