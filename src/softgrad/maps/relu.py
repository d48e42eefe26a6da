"""relu: max(x, 0)."""

from __future__ import annotations

from dataclasses import dataclass

from softgrad.arrays import Array, namespace
from softgrad.maps.elementwise import AbstractElementwiseMap

__all__ = ["ReLU", "relu"]


@dataclass(frozen=True)
class ReLU(AbstractElementwiseMap):
    """The rectified linear unit.

    Derivative
    ----------
    Diagonal: 1 for x > 0, 0 for x ≤ 0; at the kink x = 0 the slope is 0.

    References
    ----------
    Fukushima, 1969.

    Examples
    --------
    >>> import softgrad as sg
    >>> sg.relu([-2.0, 0.0, 3.0]), sg.relu.vjp([-2.0, 0.0, 3.0], [1.0, 1.0, 1.0])
    (array([0., 0., 3.]), array([0., 0., 1.]))
    """

    def slopes(self, x: Array) -> tuple[Array, Array, Array]:
        xp = namespace(x)
        zero = xp.zeros_like(x)
        first = xp.where(x <= 0, zero, xp.where(xp.isnan(x), x, xp.ones_like(x)))
        second = xp.where(xp.isnan(x), x, zero)
        return xp.where(x <= 0, zero, x), first, second  # NaN is not ≤ 0: it stays


relu = ReLU()
