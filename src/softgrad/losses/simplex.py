"""What the losses of simplex maps share: their targets, and p − t."""

from __future__ import annotations

from softgrad.arithmetic import accurate_sum, exp
from softgrad.arrays import Array, indices, is_concrete, namespace
from softgrad.errors import mismatch
from softgrad.kernels import How
from softgrad.linear import IdentityMinusOuter
from softgrad.linear.rows import Peak
from softgrad.maps.centred import CentredRows, Probabilities

__all__ = ["check_probabilities", "p_minus_label", "p_minus_t"]


def p_minus_t(p: Array, t: Array, how: How, peak: Peak | None = None) -> Array:
    """Return p·Σt − t, which is p − t for a target that sums to one: [..., K].

    It is log_softmax's VJP with the sign turned, which keeps the digits where p is close to 1.
    """
    jacobian = IdentityMinusOuter(p, how=how, peak=peak)
    return 0 - jacobian.apply_transpose(t)  # 0 − 0 is 0, not an ugly −0


def p_minus_label(z: CentredRows, of: Probabilities, label: Array, t: Array) -> Array:
    """Return p·t − t at the label and p·t elsewhere, for labels and their targets t [..., 1]."""
    xp, p, peak = namespace(of.p), of.p, Peak.of(*of)
    # 1 − p is what the others sum to. Taken from 1, it would have the rounding of Σp as well.
    own = exp(*(xp.take_along_axis(part, label, axis=-1) for part in (z.d, z.e)))  # [..., 1]
    others = xp.where(label == peak.top.position, peak.others, (1 + (z.r - own)) / (1 + z.r))
    return xp.where(label == indices(p), 0 - others * t, p * t)  # 0 − 0 is 0, not an ugly −0


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
