"""Softmax and its losses in decimal arithmetic: definitions, at so many digits that all are right.

Rows are lists of `decimal.Decimal`, whose exp and ln are correctly rounded. No formula is
softgrad's: values are typed as they are defined, products with the Jacobian from its entries, and
second derivatives are differences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext

__all__ = ["CROSS_ENTROPY", "LOG_SOFTMAX", "SOFTMAX", "Exact", "Row", "one_hot"]

Row = list[Decimal]

DIGITS = 200
"""Rows of the battery lose up to 130 digits by cancellation; differences, of other rows, 40."""
STEP = Decimal(10) ** -40


@dataclass(frozen=True)
class Exact:
    """A function of one row of logits z [K], and of a target t [K] where it is a loss."""

    _value: Callable[[Row, Row], Row]
    _vjp: Callable[[Row, Row, Row], Row]

    def value(self, z: Row, t: Row) -> Row:
        """Return the function's value: [K], or one number."""
        with localcontext(Context(prec=DIGITS)):
            return self._value(z, t)

    def vjp(self, z: Row, t: Row, y_bar: Row) -> Row:
        """Return the transposed Jacobian times a cotangent: [K]."""
        with localcontext(Context(prec=DIGITS)):
            return self._vjp(z, t, y_bar)

    def jvp(self, z: Row, t: Row, z_dot: Row) -> Row:
        """Return how the value changes along z_dot."""
        with localcontext(Context(prec=DIGITS)):
            return _along(lambda point: self._value(point, t), z, z_dot)

    def hvp(self, z: Row, t: Row, y_bar: Row, z_dot: Row) -> Row:
        """Return how the VJP changes along z_dot: [K]."""
        with localcontext(Context(prec=DIGITS)):
            return _along(lambda point: self._vjp(point, t, y_bar), z, z_dot)


def one_hot(label: int, K: int) -> Row:
    """Return the target that a label stands for."""
    return [Decimal(int(j == label)) for j in range(K)]


def _along(function: Callable[[Row], Row], z: Row, z_dot: Row) -> Row:
    ahead = function([v + STEP * d for v, d in zip(z, z_dot, strict=True)])
    behind = function([v - STEP * d for v, d in zip(z, z_dot, strict=True)])
    return [(a - b) / (2 * STEP) for a, b in zip(ahead, behind, strict=True)]


def _exponentials(z: Row) -> tuple[Decimal, dict[Decimal, Decimal], Decimal]:
    """Return the largest logit, exp of every logit less that one, and the sum of the row."""
    top = max(z)
    E = {v: (v - top).exp() for v in set(z)}
    return top, E, _sum([E[v] for v in z])


def _softmax(z: Row, t: Row) -> Row:
    _, E, S = _exponentials(z)
    p = {v: E[v] / S for v in E}
    return [p[v] for v in z]


def _log_softmax(z: Row, t: Row) -> Row:
    top, _, S = _exponentials(z)
    logsumexp = top + S.ln()
    return [v - logsumexp for v in z]


def _cross_entropy(z: Row, t: Row) -> Row:
    log_p = _log_softmax(z, t)
    return [-_sum([a * b for a, b in zip(t, log_p, strict=True) if a])]


def _softmax_vjp(z: Row, t: Row, p_bar: Row) -> Row:
    p = _softmax(z, t)
    mean = _sum([a * b for a, b in zip(p, p_bar, strict=True) if b])
    return [a * (b - mean) for a, b in zip(p, p_bar, strict=True)]


def _log_softmax_vjp(z: Row, t: Row, y_bar: Row) -> Row:
    total = _sum(y_bar)
    return [b - a * total for a, b in zip(_softmax(z, t), y_bar, strict=True)]


def _cross_entropy_vjp(z: Row, t: Row, loss_bar: Row) -> Row:
    total = _sum(t)
    return [loss_bar[0] * (a * total - b) for a, b in zip(_softmax(z, t), t, strict=True)]


def _sum(values: Sequence[Decimal]) -> Decimal:
    return sum(values, Decimal(0))


SOFTMAX = Exact(_softmax, _softmax_vjp)
LOG_SOFTMAX = Exact(_log_softmax, _log_softmax_vjp)
CROSS_ENTROPY = Exact(_cross_entropy, _cross_entropy_vjp)
