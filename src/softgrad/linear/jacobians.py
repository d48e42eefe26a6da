"""The Jacobians of the softmax family and of elementwise maps.

One of them serves softmax, sparsemax and entmax alike, and its derivative in q gives their second
derivatives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from softgrad.arithmetic import accurate_sum, first_max
from softgrad.arrays import Array, namespace
from softgrad.blocks import matrix_by_rows, scaled
from softgrad.kernels import AUTO, How
from softgrad.linear.algebra import Outer, Scaled, matrix_by_columns
from softgrad.linear.base import AbstractJacobian, AbstractLinearMap, Shapes
from softgrad.linear.rows import Peak, centred, eye, mass, minus_share, total, weighted, without

__all__ = [
    "Diagonal",
    "DiagonalMinusOuter",
    "IdentityMinusOuter",
    "InnerProduct",
    "InputScaled",
]


@dataclass(frozen=True, eq=False, repr=False)
class DiagonalMinusOuter(AbstractJacobian):
    """diag(q) − q qᵀ / (1ᵀq): the Jacobian of every map of the softmax family.

    Symmetric, positive semi-definite, and it takes constant vectors to zero. The product uses that:
    with v centred on its entry at the largest q the dominant term is exactly zero, and nothing
    cancels on a saturated row.
    """

    q: Array  # [..., K], not negative
    slope: Array | float = 1.0
    """dq/dp, how q moves with the map's output p: 1 for softmax, 0 for sparsemax."""

    how: How = AUTO
    peak: Peak | None = None

    @property
    def shapes(self) -> Shapes:
        return tuple(self.q.shape), tuple(self.q.shape)

    def apply(self, x_dot: Array) -> Array:
        compiled = self.how.compiled(self.q, x_dot)
        if compiled is not None:
            return compiled.diagonal_minus_outer(self.q, x_dot, self.how.out)
        w = centred(self.q, x_dot, self.peak)
        mean = total(weighted(self.q, w)) / mass(self.q, self.peak)  # [..., 1]
        return weighted(self.q, w - mean)

    def apply_transpose(self, y_bar: Array) -> Array:
        return self.apply(y_bar)

    def as_matrix(self) -> Array:
        xp = namespace(self.q)
        q, q_total, top = self.q, mass(self.q), first_max(self.q)
        others = xp.where(top.here, total(without(top, q)), q_total - q)  # Σ_{i≠j} q_i
        share, diagonal = (q / q_total)[..., None, :], (q * (others / q_total))[..., None]

        def some(rows: slice) -> Array:
            off_diagonal = 0 - q[..., rows, None] * share  # never −0
            return xp.where(eye(q, rows), diagonal[..., rows, :], off_diagonal)

        return matrix_by_rows(some, q)

    def derivative(self, x_dot: Array) -> AbstractLinearMap:
        q_dot = self.slope * self.apply(x_dot)
        return DiagonalMinusOuterTangent(self.q, q_dot, self.how, self.peak)


@dataclass(frozen=True, eq=False, repr=False)
class DiagonalMinusOuterTangent(AbstractLinearMap):
    """The rate of change of diag(q) − q qᵀ / (1ᵀq) as q moves along q_dot; symmetric as well."""

    q: Array  # [..., K]
    q_dot: Array  # [..., K]
    how: How = AUTO
    peak: Peak | None = None

    @property
    def shapes(self) -> Shapes:
        return tuple(self.q.shape), tuple(self.q.shape)

    def apply(self, x_dot: Array) -> Array:
        compiled = self.how.compiled(self.q, self.q_dot, x_dot)
        if compiled is not None:
            return compiled.diagonal_minus_outer_tangent(self.q, self.q_dot, x_dot, self.how.out)
        w = centred(self.q, x_dot, self.peak)
        q_total = mass(self.q, self.peak)
        w = w - total(weighted(self.q, w)) / q_total  # now ⟨q, w⟩ = 0
        mean_dot = total(weighted(self.q_dot, w)) / q_total
        return weighted(self.q_dot, w) - self.q * mean_dot

    def apply_transpose(self, y_bar: Array) -> Array:
        return self.apply(y_bar)

    def as_matrix(self) -> Array:
        return matrix_by_columns(self, self.q)


@dataclass(frozen=True, eq=False, repr=False)
class IdentityMinusOuter(AbstractJacobian):
    """I − 1 pᵀ: the Jacobian of log_softmax. Its transpose takes t to t − p·Σt."""

    p: Array  # [..., K]
    active: Array | None = None  # [..., K]
    """False where log p is −inf: such an entry is constant and hears nothing."""

    how: How = AUTO
    peak: Peak | None = None

    @property
    def shapes(self) -> Shapes:
        return tuple(self.p.shape), tuple(self.p.shape)

    def apply(self, x_dot: Array) -> Array:
        compiled = self.how.compiled(self.p, x_dot)
        if compiled is not None:
            return self._only_active(compiled.identity_minus_outer(self.p, x_dot, self.how.out))
        w = centred(self.p, x_dot, self.peak)
        return self._only_active(w - total(weighted(self.p, w)))

    def apply_transpose(self, y_bar: Array) -> Array:
        y_bar = self._only_active(y_bar)
        compiled = self.how.compiled(self.p, y_bar)
        if compiled is not None:
            return compiled.identity_minus_outer_transpose(self.p, y_bar, self.how.out)
        peak = Peak.of(self.p, self.peak)
        return minus_share(y_bar, self.p, peak, total(y_bar), total(without(peak.top, y_bar)))

    def as_matrix(self) -> Array:
        return matrix_by_columns(self, self.p)

    def derivative(self, x_dot: Array) -> AbstractLinearMap:
        p_dot = DiagonalMinusOuter(self.p, how=self.how, peak=self.peak).apply(x_dot)
        return Outer(self._only_active(-namespace(p_dot).ones_like(p_dot)), p_dot)

    def _only_active(self, x: Array) -> Array:
        if self.active is None:
            return x
        xp = namespace(x)
        return xp.where(self.active, x, xp.zeros_like(x))


@dataclass(frozen=True, eq=False, repr=False)
class InnerProduct(AbstractJacobian):
    """x_dot ↦ ⟨p, x_dot⟩: the Jacobian of logsumexp; its matrix is the gradient p itself."""

    p: Array  # [..., K]
    how: How = AUTO
    peak: Peak | None = None

    @property
    def shapes(self) -> Shapes:
        return tuple(self.p.shape), tuple(self.p.shape[:-1])

    def apply(self, x_dot: Array) -> Array:
        return accurate_sum(weighted(self.p, x_dot))

    def apply_transpose(self, y_bar: Array) -> Array:
        return self.p * y_bar[..., None]

    def as_matrix(self) -> Array:
        return self.p

    def derivative(self, x_dot: Array) -> AbstractLinearMap:
        p_dot = DiagonalMinusOuter(self.p, how=self.how, peak=self.peak).apply(x_dot)
        return InnerProduct(p_dot, self.how)


@dataclass(frozen=True, eq=False, repr=False)
class Diagonal(AbstractJacobian):
    """diag(d): the Jacobian of an elementwise map with the slopes d."""

    d: Array  # [..., K]
    slope: Array | float | Callable[[], Array] = 0.0
    """dd/dx, the elementwise map's second derivative, or what computes it."""

    @property
    def shapes(self) -> Shapes:
        return tuple(self.d.shape), tuple(self.d.shape)

    def apply(self, x_dot: Array) -> Array:
        return self.d * x_dot

    def apply_transpose(self, y_bar: Array) -> Array:
        return self.d * y_bar

    def as_matrix(self) -> Array:
        xp = namespace(self.d)
        d = self.d[..., None]

        def some(rows: slice) -> Array:
            slopes = d[..., rows, :]
            return xp.where(eye(self.d, rows), slopes, xp.zeros_like(slopes))

        return matrix_by_rows(some, self.d)

    def derivative(self, x_dot: Array) -> AbstractLinearMap:
        slope = self.slope() if callable(self.slope) else self.slope
        return Diagonal(slope * x_dot)


@dataclass(frozen=True, eq=False, repr=False)
class InputScaled(AbstractJacobian):
    """The Jacobian of x ↦ f(βx), from the Jacobian of f at βx."""

    inner: AbstractJacobian
    beta: float

    @property
    def shapes(self) -> Shapes:
        return self.inner.shapes

    @property
    def reads_half(self) -> bool:
        return self.inner.reads_half

    def apply(self, x_dot: Array) -> Array:
        return self.beta * self.inner.apply(x_dot)

    def apply_transpose(self, y_bar: Array) -> Array:
        return self.beta * self.inner.apply_transpose(y_bar)

    def as_matrix(self) -> Array:
        return scaled(self.beta, self.inner.as_matrix())

    def derivative(self, x_dot: Array) -> AbstractLinearMap:
        return Scaled(self.beta**2, self.inner.derivative(x_dot))
