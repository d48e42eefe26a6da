"""tanh."""

from __future__ import annotations

from dataclasses import dataclass

from softgrad.arithmetic import exp
from softgrad.arrays import Array, namespace
from softgrad.maps.elementwise import AbstractElementwiseMap

__all__ = ["Tanh", "tanh"]


@dataclass(frozen=True)
class Tanh(AbstractElementwiseMap):
    """The hyperbolic tangent.

    Derivative
    ----------
    Diagonal: sech²(x) = 4E/(1 + E)² with E = exp(−2|x|), which 1 − tanh² loses; −2·tanh·sech² for
    the second.

    Numerics
    --------
    A few ulp in value and slopes for all x (tests/test_promises.py).

    References
    ----------
    LeCun et al., 1998, "Efficient backprop".

    Examples
    --------
    >>> import softgrad as sg
    >>> float(sg.tanh.jvp(20.0, 1.0))  # 1 − tanh² would be 0
    1.69934170211...e-17
    """

    def slopes(self, x: Array) -> tuple[Array, Array, Array]:
        xp = namespace(x)
        y, E = xp.tanh(x), exp(-2 * xp.abs(x))
        first = 4 * E / ((1 + E) * (1 + E))
        return y, first, -2 * y * first


tanh = Tanh()
