"""One row of logits, centred on its arg-max: what softmax, its logarithm and the losses share.

Every promise about digits comes from here. The maximum's own term is exactly 1 and is kept apart,
so that log1p and the other terms see r = Σ_{j≠k} exp(x_j − x_k) itself and never 1 + r − 1; and
the rounding error of x_j − x_k is kept, so that the range of the logits costs no digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from softgrad.arithmetic import (
    FirstMax,
    Made,
    accurate_sum,
    exp,
    first_max,
    is_fused,
    log1p,
    two_diff,
    two_inverse,
    two_product,
)
from softgrad.arrays import Array, computed, dtype_name, namespace
from softgrad.kernels import How
from softgrad.linear.rows import Peak

__all__ = ["CentredRows", "Probabilities", "centre", "mask_out", "probabilities"]


class Probabilities(NamedTuple):
    """Probabilities of rows, and what products with them need not look for."""

    p: Array  # [..., K]
    peak: Peak | None = None


@dataclass(frozen=True, eq=False)
class CentredRows:
    """β(x − m) = d + e,  E = exp(d + e),  S = 1 + r = Σ E, for the first maximum m of each row."""

    m: Array  # [..., 1]
    d: Array  # [..., K], not positive
    e: Array  # [..., K]
    E: Array  # [..., K], exactly 1 at the maximum
    r: Array  # [..., 1], the sum of the others
    top: FirstMax

    @property
    def probabilities(self) -> Array:
        """p = E / S."""
        return self.E / (1 + self.r)

    @property
    def peaked(self) -> Probabilities:
        """p with its peak, where passes over the rows cost most."""
        peak = Peak(self.top, self.r / (1 + self.r)) if is_fused(self.r) else None
        return Probabilities(self.probabilities, peak)

    @property
    def log_probabilities(self) -> Array:
        """log p = (d − log1p(r)) + e; at the maximum that is −log1p(r)."""
        xp = namespace(self.d)
        constant = xp.zeros_like(self.d) - xp.inf  # deaf to automatic differentiation as well
        infinite = (self.d == -xp.inf) & ~xp.isnan(self.r)
        return xp.where(infinite, constant, (self.d - log1p(self.r)) + self.e)

    @property
    def logsumexp(self) -> Array:
        """log Σ exp(x) = m + log1p(r); an infinite maximum is the answer."""  # [...]
        xp = namespace(self.m)
        value = xp.where(xp.isinf(self.m), self.m, self.m + log1p(self.r))
        return value[..., 0]


def centre(x: Array, where: Array | None = None, temperature: float = 1.0) -> CentredRows:
    """Centre rows x [..., K] on their first maximum.

    A row with a NaN or +inf, or of −inf alone, has NaN in r and so in everything made from r.
    """
    xp = namespace(x)
    x = mask_out(computed(x), where)
    top = first_max(x)

    def terms(x: Array, m: Array, here: Array) -> tuple[Array, ...]:
        d, e = two_diff(x, m)
        if temperature != 1.0:
            d, e = _divide(d, e, temperature)
        E = exp(d, e)
        # d is 0 at the maximum, and NaN where that is infinite or NaN: it takes E's place.
        return xp.where(here, d, E), d, e, E

    others, d, e, E = terms(x, top.value, top.here)
    made = Made(lambda *parts: terms(*parts)[0], (x, top.value, top.here))
    r = accurate_sum(others, made)[..., None]
    return CentredRows(top.value, d, e, E, r, top)


def probabilities(x: Array, where: Array | None, temperature: float, how: How) -> Probabilities:
    """Return softmax(x/T) of rows, by a kernel where there is one for them."""
    x = mask_out(x, where)
    compiled = how.compiled(x)
    if compiled is not None:
        return Probabilities(compiled.softmax(x, temperature, how.target(x)))
    return centre(x, None, temperature).peaked


def mask_out(x: Array, where: Array | None) -> Array:
    """Put −inf at every masked entry."""
    if where is None:
        return x
    xp = namespace(x)
    return xp.where(where, x, xp.zeros_like(x) - xp.inf)


def _divide(d: Array, e: Array, temperature: float) -> tuple[Array, Array]:
    """Return (d + e)/T as a sum of two."""
    xp, (high, low) = namespace(d), two_inverse(temperature, dtype_name(d))
    product, error = two_product(d, high)
    error = error + (d * low + e * high)
    return product, xp.where(xp.isfinite(product), error, xp.zeros_like(error))
