"""softmax: p_i = exp(x_i / T) / Σ_j exp(x_j / T)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, get_args

from softgrad.arithmetic import accurate_sum
from softgrad.arrays import Array, namespace
from softgrad.kernels import AUTO, How
from softgrad.linear import (
    AbstractJacobian,
    AbstractLinearMap,
    DiagonalMinusOuter,
    InputScaled,
)
from softgrad.linear.base import Shapes
from softgrad.linear.rows import weighted
from softgrad.maps.centred import Probabilities, centre, probabilities
from softgrad.maps.rows import (
    EmptyRow,
    empty_rows,
    fill_empty_rows,
    fill_masked,
    one_of,
    settle_real,
)
from softgrad.maps.simplex import AbstractSimplexMap

__all__ = ["Softmax", "softmax"]


@dataclass(frozen=True)
class Softmax(AbstractSimplexMap):
    """The softmax map: positive numbers that sum to one along an axis.

    Parameters
    ----------
    temperature : float
        T from 1e-30 to 1e30: small is sharp, large is flat.
    empty_row : {"nan", "zero", "uniform", "raise"}
        What a row of −inf alone becomes. A row that `where` masks whole is 0.

    Derivative
    ----------
    J = (diag(p) − p pᵀ)/T, symmetric and dense: ∂p_i/∂x_j = p_i([i = j] − p_j)/T. It costs O(K)
    to apply and K² only as a matrix. Adding the same to every x_j changes nothing: J·1 = 0.

    Numerics
    --------
    p to 4 ulp in every normal component, J·v to 8 u·p_i(|w_i| + Σ p|w|) with w = v − v_k, for any
    logits, also when the row is saturated (tests/test_promises.py).

    References
    ----------
    Bridle, 1990; Blanchard, Higham & Higham, 2021, "Accurately computing the log-sum-exp and
    softmax functions".

    Examples
    --------
    >>> import softgrad as sg
    >>> p, J = sg.softmax.linearize([2.0, 1.0, 0.0])
    >>> p.round(4)
    array([0.6652, 0.2447, 0.09  ])
    >>> J.as_matrix().round(4)
    array([[ 0.2227, -0.1628, -0.0599],
           [-0.1628,  0.1848, -0.022 ],
           [-0.0599, -0.022 ,  0.0819]])
    >>> sg.softmax.vjp([40.0, 0.0], [1.0, 0.0])  # h(1 − h) would lose every digit of it
    array([ 4.24835426e-18, -4.24835426e-18])
    """

    temperature: float = 1.0
    empty_row: EmptyRow = "nan"

    no_kernel: ClassVar[str] = ""
    no_gpu_kernel: ClassVar[str] = ""

    def __post_init__(self) -> None:
        settle_real(self, "temperature", least=1e-30, most=1e30)  # 1/T is finite
        one_of("empty_row", self.empty_row, get_args(EmptyRow))

    def linearize_rows(
        self, x: Array, where: Array | None, how: How = AUTO
    ) -> tuple[Array, AbstractJacobian]:
        xp, plain = namespace(x), where is None and self.empty_row == "nan"
        if how.wanted == "product" and plain and how.compiled(x) is not None:
            return x, self._at_temperature(SoftmaxAt(x, self.temperature, how))
        p, peak = probabilities(x, where, self.temperature, how)
        p = fill_masked(p, where, 0.0)
        if self.empty_row == "nan":  # which p already is
            return p, self._jacobian(Probabilities(p, peak), how)
        empty = empty_rows(x, where)
        constant = xp.where(empty, xp.zeros_like(p), p)
        jacobian = self._jacobian(Probabilities(constant, peak), how)
        return fill_empty_rows(p, empty, where, self.empty_row), jacobian

    def _jacobian(self, of: Probabilities, how: How) -> AbstractJacobian:
        return self._at_temperature(DiagonalMinusOuter(of.p, how=how, peak=of.peak))

    def _at_temperature(self, jacobian: AbstractJacobian) -> AbstractJacobian:
        return jacobian if self.temperature == 1.0 else InputScaled(jacobian, 1 / self.temperature)

    def fenchel_young_rows(self, x: Array, t: Array) -> Array:
        """Return T·KL(t ‖ p), with 0·log 0 = 0."""
        xp = namespace(x, t)
        log_p = centre(x, None, self.temperature).log_probabilities
        log_t = xp.log(xp.where(t > 0, t, xp.ones_like(t)))
        return self.temperature * accurate_sum(weighted(t, log_t - log_p))


@dataclass(frozen=True, eq=False, repr=False)
class SoftmaxAt(AbstractJacobian):
    """The Jacobian of softmax at logits: a kernel visits each row once for p and the product."""

    x: Array  # [..., K]
    temperature: float
    how: How

    @property
    def shapes(self) -> Shapes:
        return tuple(self.x.shape), tuple(self.x.shape)

    def apply(self, x_dot: Array) -> Array:
        compiled = self.how.compiled(self.x, x_dot)
        if compiled is None:
            return self.made.apply(x_dot)
        return compiled.softmax_product(self.x, x_dot, self.temperature, self.how.out)

    def apply_transpose(self, y_bar: Array) -> Array:
        return self.apply(y_bar)

    def as_matrix(self) -> Array:
        return self.made.as_matrix()

    def derivative(self, x_dot: Array) -> AbstractLinearMap:
        return self.made.derivative(x_dot)

    @cached_property
    def made(self) -> AbstractJacobian:
        """The Jacobian at the probabilities."""
        how = replace(self.how, out=None)
        p, peak = probabilities(self.x, None, self.temperature, how)
        return DiagonalMinusOuter(p, how=how, peak=peak)


softmax = Softmax()
