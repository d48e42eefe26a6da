"""logsumexp: log Σ_j exp(x_j), the convex function whose gradient is softmax."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from softgrad.arrays import Array, namespace
from softgrad.kernels import AUTO, How
from softgrad.linear import AbstractJacobian, Deferred, InnerProduct
from softgrad.maps.base import AbstractMap
from softgrad.maps.centred import Probabilities, centre, mask_out

__all__ = ["LogSumExp", "logsumexp"]


@dataclass(frozen=True)
class LogSumExp(AbstractMap):
    """log Σ exp along an axis, which it takes away: [..., K] to [...].

    Derivative
    ----------
    The gradient is softmax(x), so that jvp is ⟨p, v⟩ and vjp is p·g. ``jacobian`` returns the
    gradient itself, shaped like `x`. A row of −inf alone has the value −inf and the gradient 0.

    Numerics
    --------
    Two roundings more than log1p of a correctly summed Σ_{j≠k} exp(x_j − x_k).

    References
    ----------
    Blanchard, Higham & Higham, 2021, "Accurately computing the log-sum-exp and softmax functions".

    Examples
    --------
    >>> import softgrad as sg
    >>> float(sg.logsumexp([1000.0, 1000.0]) - 1000.0)
    0.693147180559...
    """

    no_kernel: ClassVar[str] = ""
    no_gpu_kernel: ClassVar[str] = ""

    def linearize_rows(
        self, x: Array, where: Array | None, how: How = AUTO
    ) -> tuple[Array, AbstractJacobian]:
        compiled = how.compiled(x)
        x = mask_out(x, where)
        if compiled is None:
            rows = centre(x)
            return rows.logsumexp, _gradient(rows.peaked, rows.logsumexp, how)
        y = compiled.logsumexp(x)

        def gradient() -> AbstractJacobian:
            return _gradient(Probabilities(compiled.softmax(x)), y, how)

        return y, Deferred((tuple(x.shape), tuple(x.shape[:-1])), gradient)


def _gradient(of: Probabilities, y: Array, how: How) -> AbstractJacobian:
    """Return ⟨p, ·⟩, with p = 0 in a row of −inf alone."""
    xp, p = namespace(y), of.p
    p = xp.where((y == -xp.inf)[..., None], xp.zeros_like(p), p)
    return InnerProduct(p, how, of.peak)


logsumexp = LogSumExp()
