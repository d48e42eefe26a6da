"""From logits x to what softmax sees, z = c·tanh(x/c)/T, and the chain rule back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from softgrad.arrays import Array, computed, namespace
from softgrad.linear import AbstractLinearMap, Composed, Diagonal, Scaled, Sum
from softgrad.linear.rows import weighted
from softgrad.maps import AbstractElementwiseMap, tanh
from softgrad.maps.centred import CentredRows

__all__ = ["Chain", "SoftCap"]


@dataclass(frozen=True)
class SoftCap(AbstractElementwiseMap):
    """c·tanh(x/c), which bends what is large towards ±c."""

    cap: float

    def slopes(self, x: Array) -> tuple[Array, Array, Array]:
        y, first, second = tanh.slopes(x / self.cap)
        return self.cap * y, first, second / self.cap


@dataclass(frozen=True, eq=False)
class Chain:
    """Capped logits y [..., K], to be centred at the temperature T, and the way back to x."""

    y: Array
    temperature: float
    first: Array | None  # [..., K], the slopes of the cap
    second: Array | None  # [..., K], its second derivatives

    @classmethod
    def of(cls, x: Array, where: Array | None, soft_cap: float | None, temperature: float) -> Chain:
        """Cap logits; what is masked may be anything."""
        if soft_cap is None:
            return cls(x, temperature, None, None)
        xp = namespace(x)
        if where is not None:
            x = xp.where(where, x, xp.zeros_like(x))
        y, first, second = SoftCap(soft_cap).slopes(computed(x))
        return cls(y, temperature, first, second)

    def tempered(self, rows: CentredRows) -> CentredRows:
        """Return the rows that were centred at the temperature as those of z = y/T itself."""
        return rows if self.temperature == 1.0 else replace(rows, m=rows.m / self.temperature)

    def tangent(self, x_dot: Array) -> Array:
        """Return the rate of change of z."""
        return self.gradient(x_dot)  # the slopes stand on a diagonal

    def gradient(self, z_bar: Array) -> Array:
        """Return the gradient in x, from that in z."""
        y_bar = z_bar if self.temperature == 1.0 else z_bar / self.temperature
        return y_bar if self.first is None else weighted(y_bar, self.first)

    def hessian(self, z_bar: Callable[[], Array], hessian: AbstractLinearMap) -> AbstractLinearMap:
        """Return the Hessian in x, from the Hessian in z and, where a cap bends, the gradient."""
        T = self.temperature
        if T != 1.0:
            hessian = Scaled(T**-2, hessian)
        if self.first is None:
            return hessian
        slope = Diagonal(self.first)
        curvature = Diagonal(weighted(z_bar() / T, self.second))
        return Sum(Composed(slope, Composed(hessian, slope)), curvature)
