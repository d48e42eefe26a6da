"""Fisher's information at the optimum, its inverse, and what that says of any contrast of classes.

For a multinomial logit the information is the Hessian of the negative log-likelihood: expected and
observed information are one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from softgrad.arrays import Array
from softgrad.learn.curvature import Curvature
from softgrad.learn.objective import Objective
from softgrad.learn.solvers.newton import reduced_hessian

__all__ = ["Information", "contrasts", "pivoted_factor"]


@dataclass(frozen=True, eq=False)
class Information:
    """The objective's second derivatives at theta, in units of the rows' whole weight.

    Both are those of the objective's own columns; covariances are of the columns as they came.
    """

    objective: Objective
    theta: Array  # [K, D+1]
    total: float
    """Σ of the weights as they were given: the objective's own sum to 1."""

    @cached_property
    def value_and_gradient(self) -> tuple[float, Array]:
        return self.objective.value_and_gradient(self.theta)

    @property
    def log_likelihood(self) -> float:
        W = self.theta[:, :-1]
        penalty = 0.5 * self.objective.ridge * float(np.vdot(W, W))
        return -self.total * (self.value_and_gradient[0] - penalty)

    @cached_property
    def inverse(self) -> Array:
        """The covariance of classes minus the last: [(K−1)(D+1), (K−1)(D+1)].

        Raises
        ------
        LinAlgError
            A term is a combination of those before it; `args[0]` is its index in a row of theta.
        """
        from scipy.linalg import cho_solve

        H = reduced_hessian(Curvature(self.objective, self.theta))
        L, scale, dependent = pivoted_factor(H)
        if dependent is not None:
            raise np.linalg.LinAlgError(dependent % self.theta.shape[1])
        inverse: Array = cho_solve((L, True), np.eye(len(L)), overwrite_b=True, check_finite=False)
        inverse /= scale * self.total
        inverse /= scale[:, None]
        return inverse

    @property
    def left(self) -> float:
        """What the objective can gain, times the total: half the squared Newton decrement."""
        g = self.total * self.value_and_gradient[1][:-1].ravel()
        return 0.5 * float(g @ self.inverse @ g)

    @property
    def parameters(self) -> float:
        """How many coefficients are free: tr(H⁻¹ F), all of them where there is no penalty.

        F is the information of the rows alone, H that with the penalty (Gray, 1992).
        """
        K, D1 = self.theta.shape
        f = self.objective
        blocks = self.inverse.reshape(K - 1, D1, K - 1, D1)
        variances = np.einsum("kdld->dkl", blocks)  # [D+1, K−1, K−1]
        shape = np.eye(K - 1) - 1 / K
        shrunk = self.total * f.ridge * f.penalised * np.einsum("dkl,kl->d", variances, shape)
        return float((K - 1) * D1 - shrunk.sum())

    def covariance(self, M: Array) -> Array:
        """Return the covariance of M theta [R, D+1], row after row, for M [R, K] of row sums 0."""
        K, D1 = self.theta.shape
        blocks = self.inverse.reshape(K - 1, D1, K - 1, D1)
        half = np.tensordot(M[:, :-1], blocks, axes=(1, 0))  # [R, D+1, K−1, D+1]
        whole = np.tensordot(half, M[:, :-1], axes=(2, 1))  # [R, D+1, D+1, R]
        whole = self.objective.outside(whole.transpose(0, 1, 3, 2))  # [R, D+1, R, D+1]
        whole = self.objective.outside(whole.transpose(2, 3, 0, 1))
        return np.ascontiguousarray(whole).reshape(len(M) * D1, len(M) * D1)


def contrasts(K: int, reference: int | None) -> Array:
    """Return M [R, K]: every other class minus the reference; without one, minus the mean of all.

    >>> contrasts(3, 0)
    array([[-1.,  1.,  0.],
           [-1.,  0.,  1.]])
    """
    if reference is None:
        return np.eye(K) - 1 / K
    M = np.delete(np.eye(K), reference, axis=0)
    M[:, reference] = -1
    return M


def pivoted_factor(H: Array) -> tuple[Array, Array, int | None]:
    """Return L and scale with L Lᵀ = H / (scale scaleᵀ), and the first term that others determine.

    With a unit diagonal, the square of a pivot is what the terms before it leave unexplained.
    Nothing is added to the diagonal here: a covariance of what is not determined would be made up.
    L takes the place of H.
    """
    from scipy.linalg import lapack

    diagonal = np.diagonal(H)
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    H /= scale
    H /= scale[:, None]
    L, failed = lapack.dpotrf(H.T, lower=1, clean=1, overwrite_a=1)
    pivots = np.diagonal(L)[: failed - 1 if failed else None]
    small = np.flatnonzero(pivots**2 <= 16 * len(H) * np.finfo(float).eps)
    if len(small):
        return L, scale, int(small[0])
    return L, scale, failed - 1 if failed else None
