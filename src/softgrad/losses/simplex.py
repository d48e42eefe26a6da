"""What the losses of simplex maps share: their targets, and p − t."""

from __future__ import annotations

from softgrad.arithmetic import accurate_sum
from softgrad.arrays import Array, indices, is_concrete, namespace
from softgrad.errors import mismatch
from softgrad.kernels import How
from softgrad.linear import IdentityMinusOuter
from softgrad.linear.rows import Peak, minus_share

__all__ = ["check_probabilities", "p_minus_label", "p_minus_t"]


def p_minus_t(p: Array, t: Array, how: How, peak: Peak | None = None) -> Array:
    """Return p·Σt − t, which is p − t for a target that sums to one: [..., K].

    It is log_softmax's VJP with the sign turned, which keeps the digits where p is close to 1.
    """
    jacobian = IdentityMinusOuter(p, how=how, peak=peak)
    return 0 - jacobian.apply_transpose(t)  # 0 − 0 is 0, not an ugly −0


def p_minus_label(p: Array, label: Array, t: Array, known: Peak | None) -> Array:
    """Return p·t − t at the label and p·t elsewhere, for labels and their targets t [..., 1]."""
    xp, peak, nothing = namespace(p), Peak.of(p, known), namespace(t).zeros_like(t)
    y = xp.where(label == indices(p), t, nothing)  # [..., K]
    y_others = xp.where(label == peak.top.position, nothing, t)
    return 0 - minus_share(y, p, peak, t, y_others)


def check_probabilities(t: Array, used: Array) -> None:
    """Raise unless every used row of t is not negative and sums to one, within a thousandth."""
    if not is_concrete(t):
        return
    xp = namespace(t)
    # The targets may have been rounded to half precision: this is about mistakes, not digits.
    fine = xp.all(t >= 0, axis=-1) & (xp.abs(accurate_sum(t) - 1) <= 1e-3)
    if not bool(xp.all(fine | ~used)):
        got = "a row with a negative entry or another sum"
        raise ValueError(mismatch("targets", "probabilities that sum to one", got))
