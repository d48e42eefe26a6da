"""logsumexp: log Σ_j exp(x_j), the convex function whose gradient is softmax."""

from __future__ import annotations

from dataclasses import dataclass

from softgrad.arrays import Array, namespace
from softgrad.linear import AbstractJacobian, InnerProduct
from softgrad.maps.base import AbstractMap
from softgrad.maps.centred import centre

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

    def linearize_rows(self, x: Array, where: Array | None) -> tuple[Array, AbstractJacobian]:
        xp = namespace(x)
        rows = centre(x, where)
        all_out = rows.m == -xp.inf
        p = xp.where(all_out, xp.zeros_like(x), rows.probabilities)
        return rows.logsumexp, InnerProduct(p)


logsumexp = LogSumExp()
