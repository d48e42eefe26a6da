"""What a comparison of heads says: every sentence is decided by the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from softgrad.explain.arguments import Vector
from softgrad.explain.heads import HEADS
from softgrad.explain.tables import listed
from softgrad.maps import AbstractSimplexMap
from softgrad.results import number

if TYPE_CHECKING:
    from softgrad.explain.compare import HeadGradient

__all__ = ["words_for"]

_ROUNDING = 1e-13
"""Relative to the largest term: what a sum of a few hundred terms may miss zero by."""


def words_for(x: Vector, target: int, heads: Sequence[HeadGradient]) -> Iterator[str]:
    """Yield what is zero, which signs differ, and why."""
    yield _about_x(x)
    if not x.any():
        return
    for head in heads:
        yield _zeros(head, target)
    for other in heads[1:]:
        yield _signs(heads[0], other)
        yield from _sizes(heads[0], other)
    for head in heads:
        yield f"A descent step with {head.name} {_step(head.logits_bar)}."
    for head in heads:
        if head.logits_bar.any():
            yield _sum(head)


def _about_x(x: Vector) -> str:
    """Say what x does to each row of the gradient in W."""
    if not x.any():
        return "Every gradient in W is exactly zero, because x is zero: row k is ∂L/∂z[k] times x."
    text = "Row k of the gradient in W is ∂L/∂z[k] times x."
    zero = np.flatnonzero(x == 0)
    if zero.size:
        text += f" {listed('column', zero).capitalize()} of it: exactly zero, as x is there."
    if (x < 0).any() and (x > 0).any():
        return f"{text} x has both signs, and so has each row that is not zero."
    sign = "positive" if (x < 0).any() else "negative"
    return f"{text} No entry of x is {sign}, so each row has one sign."


def _zeros(head: HeadGradient, target: int) -> str:
    """Say which rows of the gradient in W are zero, and why."""
    K = head.logits_bar.size
    if K == 1 and not head.logits_bar.any():
        return f"{head.name}: the gradient is exactly zero: a single class has p = 1 for every z."
    reach = HEADS[head.name].reach.format(t=target)
    zero = np.flatnonzero(~head.W_bar.any(axis=1))
    if not zero.size:
        why = "" if reach else _why_all_rows(head)
        return f"{head.name}: no row is zero{why}."
    which = f"{listed('row', zero)} {'is' if zero.size == 1 else 'are'} exactly zero"
    apart = zero[zero != target] if reach else zero[:0]
    reasons = [f"{reach}"] if apart.size else []
    if apart.size < zero.size:
        reasons.append("what is left of the gradient there is too small for float64")
    return f"{head.name}: {which}: {'; '.join(reasons)}."


def _why_all_rows(head: HeadGradient) -> str:
    if head.name.startswith("softmax"):
        return ": every cell of softmax depends on every logit, through the sum that they share"
    return ": the loss reads every cell"


def _signs(first: HeadGradient, other: HeadGradient) -> str:
    """Compare the signs of two heads, row by row."""
    one, two = np.sign(first.logits_bar), np.sign(other.logits_bar)
    groups = (
        ("opposite", one * two < 0),
        (f"zero for {other.name} alone", (one != 0) & (two == 0)),
        (f"zero for {first.name} alone", (one == 0) & (two != 0)),
        ("the same", (one == two) & (one != 0)),
    )
    parts = [f"{what} in {listed('row', np.flatnonzero(at))}" for what, at in groups if at.any()]
    found = ", ".join(parts) or "zero in every row"
    written = ""
    if one.size <= 12:
        written = f" ({_as_signs(one)}) and ({_as_signs(two)}),"
    return f"Signs of ∂L/∂z for {first.name} and {other.name}:{written} {found}."


def _as_signs(signs: Vector) -> str:
    return " ".join("−0+"[int(sign) + 1] for sign in signs)


def _sizes(first: HeadGradient, other: HeadGradient) -> Iterator[str]:
    """Compare the sizes of the gradients in W."""
    one, two = float(np.linalg.norm(first.W_bar)), float(np.linalg.norm(other.W_bar))
    if not one or not two:
        return
    large, small = (first, other) if one >= two else (other, first)
    ratio = max(one, two) / min(one, two)
    if not np.isfinite(ratio):
        return
    if ratio < 1 + 1e-9:
        yield f"The gradients in W of {first.name} and {other.name} are equally large."
        return
    yield f"The gradient in W of {large.name} is {ratio:.3g} times as large as {small.name}'s."


def _step(z_bar: Vector) -> str:
    """Say what moving W against the gradient does to the logits of this sample."""
    down, still, up = (np.flatnonzero(np.sign(z_bar) == sign) for sign in (1, 0, -1))
    parts = [
        f"{verb} {listed('logit', places)}"
        for verb, places in (("raises", up), ("lowers", down), ("leaves", still))
        if places.size
    ]
    return ", ".join(parts) + (" as before" if still.size else "")


def _sum(head: HeadGradient) -> str:
    """Say what the gradient in z sums to, and why softmax's sums to zero."""
    total, largest = float(head.logits_bar.sum()), float(np.abs(head.logits_bar).max())
    if not isinstance(HEADS[head.name].outputs, AbstractSimplexMap):
        return f"{head.name}: ∂L/∂z sums to {number(total)}: nothing ties the logits together."
    if abs(total) > _ROUNDING * head.logits_bar.size * largest:
        return f"{head.name}: ∂L/∂z sums to {number(total)}."
    return (
        f"{head.name}: ∂L/∂z sums to zero: adding the same to every logit changes no output, so "
        "what one logit gains the others lose."
    )
