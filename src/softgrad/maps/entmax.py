"""sparsemax and α-entmax: softmax's relatives with exact zeros."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from softgrad.arithmetic import accurate_sum, first_max
from softgrad.arrays import Array, namespace
from softgrad.kernels import AUTO, How
from softgrad.linear import AbstractJacobian, Deferred, DiagonalMinusOuter
from softgrad.linear.rows import weighted
from softgrad.maps.centred import mask_out
from softgrad.maps.rows import fill_masked, settle_real
from softgrad.maps.simplex import AbstractSimplexMap
from softgrad.maps.thresholds import threshold

__all__ = ["Entmax", "Sparsemax", "entmax15", "sparsemax"]


@dataclass(frozen=True)
class Entmax(AbstractSimplexMap):
    """α-entmax: p = [(α − 1)(x − m) − τ]₊^(1/(α−1)), with the τ that makes it sum to one.

    Parameters
    ----------
    alpha : float
        1 < α ≤ 100: near 1 it is close to softmax, 2 is sparsemax, larger is sparser.

    Derivative
    ----------
    J = diag(q) − q qᵀ/(1ᵀq) with q = p^(2−α) on the support and 0 off it, exact. Where an entry
    just enters the support (α ≥ 2), the derivative is the one with the entry outside.

    Numerics
    --------
    τ is exact for α = 1.5 and 2, and bisected to its last bit otherwise; p then has an absolute
    error of a few u·max p^(2−α)/(α − 1) over the support (tests/test_promises.py).

    References
    ----------
    Peters, Niculae & Martins, 2019, "Sparse sequence-to-sequence models", eq. (10) and prop. 3.

    Examples
    --------
    >>> import softgrad as sg
    >>> sg.Entmax(alpha=1.5)([2.0, 1.0, -1.0]).round(4)
    array([0.8307, 0.1693, 0.    ])
    """

    alpha: float = 1.5

    def __post_init__(self) -> None:
        settle_real(self, "alpha", above=1, most=100)
        obstacle = "" if self.alpha in (1.5, 2.0) else "kernels know α = 1.5 and 2 alone"
        object.__setattr__(self, "no_kernel", obstacle)

    def linearize_rows(
        self, x: Array, where: Array | None, how: How = AUTO
    ) -> tuple[Array, AbstractJacobian]:
        return entmax_rows(x, where, self.alpha, how)

    def fenchel_young_rows(self, x: Array, t: Array) -> Array:
        return tsallis_loss_rows(x, t, self.alpha)


@dataclass(frozen=True)
class Sparsemax(AbstractSimplexMap):
    """The Euclidean projection onto the simplex: p = [x − τ]₊.

    Derivative
    ----------
    J = diag(s) − s sᵀ/(1ᵀs) with s = 1[p > 0], exact: the mean over the support is taken off, and
    everything else is dropped. Where an entry just enters the support, the derivative is the one
    with the entry outside. The second derivative is 0.

    Numerics
    --------
    Exact but for the rounding of a few sums: an absolute error of a few u (tests/test_promises.py).

    References
    ----------
    Martins & Astudillo, 2016, "From softmax to sparsemax", prop. 1 and eq. (10).

    Examples
    --------
    >>> import softgrad as sg
    >>> sg.sparsemax([1.0, 0.8, -1.0]).round(4)
    array([0.6, 0.4, 0. ])
    >>> sg.sparsemax.jacobian([1.0, 0.8, -1.0])
    array([[ 0.5, -0.5,  0. ],
           [-0.5,  0.5,  0. ],
           [ 0. ,  0. ,  0. ]])
    """

    no_kernel: ClassVar[str] = ""

    def linearize_rows(
        self, x: Array, where: Array | None, how: How = AUTO
    ) -> tuple[Array, AbstractJacobian]:
        return entmax_rows(x, where, 2.0, how)

    def fenchel_young_rows(self, x: Array, t: Array) -> Array:
        return tsallis_loss_rows(x, t, 2.0)


def entmax_rows(
    x: Array, where: Array | None, alpha: float, how: How
) -> tuple[Array, AbstractJacobian]:
    """Return p and its Jacobian."""
    compiled = how.compiled(x) if alpha in (1.5, 2.0) else None
    if compiled is None:
        p = _above(_distances(x, where, alpha), alpha)
    else:
        run = compiled.sparsemax if alpha == 2.0 else compiled.entmax15
        p = run(mask_out(x, where), how.target(x))
    p = fill_masked(p, where, 0.0)
    if how.wanted == "value":
        return p, Deferred((tuple(p.shape), tuple(p.shape)), lambda: _jacobian(p, alpha, how))
    return p, _jacobian(p, alpha, how)


def _jacobian(p: Array, alpha: float, how: How) -> AbstractJacobian:
    """Return the Jacobian where the probabilities are p."""
    xp, support = namespace(p), p != 0
    zero, safe_p = xp.zeros_like(p), xp.where(support, p, xp.ones_like(p))
    q = xp.where(support, safe_p ** (2 - alpha), zero)
    q = xp.where(xp.isnan(p), p, q)  # NaN**0 is 1
    slope = xp.where(support, (2 - alpha) * safe_p ** (1 - alpha), zero)
    return DiagonalMinusOuter(q, slope=slope, how=how)


def tsallis_loss_rows(x: Array, t: Array, alpha: float) -> Array:
    """Return the Bregman divergence of t from p, and what t puts outside the support.

    With Ω(p) = Σ(p^α − p)/(α(α − 1)) every term is not negative, so that nothing cancels in a sum.
    """
    xp = namespace(x, t)
    distances = _distances(x, None, alpha)
    p = _above(distances, alpha)
    outside = xp.where(distances < 0, -distances, xp.zeros_like(p)) / (alpha - 1)
    p_power = p ** (alpha - 1)
    bregman = (t**alpha - p * p_power) / (alpha * (alpha - 1)) - p_power * (t - p) / (alpha - 1)
    return accurate_sum(bregman + weighted(t, outside))


def _distances(x: Array, where: Array | None, alpha: float) -> Array:
    """Return (α − 1)(x − m) − τ: positive on the support."""
    xp = namespace(x)
    x = mask_out(x, where)
    m = first_max(x).value
    z = (alpha - 1) * (
        x - xp.where(xp.isinf(m), xp.zeros_like(m) + xp.nan, m)
    )  # an infinite m has no p
    return z - threshold(z, alpha)


def _above(distances: Array, alpha: float) -> Array:
    """Return the probabilities; the sum of bisected ones is divided out."""
    xp = namespace(distances)
    p = xp.where(distances <= 0, xp.zeros_like(distances), distances) ** (1 / (alpha - 1))
    return p if alpha in (1.5, 2.0) else p / accurate_sum(p)[..., None]


sparsemax = Sparsemax()
entmax15 = Entmax(alpha=1.5)
