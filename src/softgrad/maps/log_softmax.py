"""log_softmax: log p_i = x_i/T − log Σ_j exp(x_j/T)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from softgrad.arrays import Array, namespace
from softgrad.kernels import AUTO, How
from softgrad.linear import AbstractJacobian, Deferred, IdentityMinusOuter, InputScaled
from softgrad.maps.base import AbstractMap
from softgrad.maps.centred import Probabilities, centre, mask_out
from softgrad.maps.rows import fill_masked, settle_real

__all__ = ["LogSoftmax", "log_softmax"]


@dataclass(frozen=True)
class LogSoftmax(AbstractMap):
    """The logarithm of softmax, which stays finite where softmax underflows.

    Parameters
    ----------
    temperature : float
        T from 1e-30 to 1e30.

    Derivative
    ----------
    J = (I − 1 pᵀ)/T, not symmetric: jvp is v − ⟨p, v⟩, vjp is g − p·Σg. Entries at −inf are
    constant.

    Numerics
    --------
    5 u relative in every component, the dominant one too (tests/test_promises.py).

    References
    ----------
    Blanchard, Higham & Higham, 2021, "Accurately computing the log-sum-exp and softmax functions".

    Examples
    --------
    >>> import softgrad as sg
    >>> sg.log_softmax([40.0, 0.0])
    array([-4.24835426e-18, -4.00000000e+01])
    """

    temperature: float = 1.0

    no_kernel: ClassVar[str] = ""
    no_gpu_kernel: ClassVar[str] = ""

    def __post_init__(self) -> None:
        settle_real(self, "temperature", least=1e-30, most=1e30)  # 1/T is finite

    def linearize_rows(
        self, x: Array, where: Array | None, how: How = AUTO
    ) -> tuple[Array, AbstractJacobian]:
        xp, T = namespace(x), self.temperature
        compiled = how.compiled(x)
        if compiled is None:
            rows = centre(x, where, T)
            y = fill_masked(rows.log_probabilities, where, -xp.inf)
            return y, self._jacobian(rows.peaked, y, where, how)
        x = mask_out(x, where)
        y = fill_masked(compiled.log_softmax(x, T, how.target(x)), where, -xp.inf)

        def jacobian() -> AbstractJacobian:
            return self._jacobian(Probabilities(compiled.softmax(x, T)), y, where, how)

        return y, Deferred((tuple(x.shape), tuple(x.shape)), jacobian)

    def _jacobian(
        self, of: Probabilities, y: Array, where: Array | None, how: How
    ) -> AbstractJacobian:
        p, active = fill_masked(of.p, where, 0.0), ~namespace(y).isinf(y)
        peak = of.peak if where is None else None  # a row that is masked whole has none
        jacobian = IdentityMinusOuter(p, active, how, peak)
        return jacobian if self.temperature == 1.0 else InputScaled(jacobian, 1 / self.temperature)


log_softmax = LogSoftmax()
