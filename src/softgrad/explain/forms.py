"""The structure of the library's own Jacobians, from their form and not from small numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from softgrad.explain.arguments import Vector
from softgrad.explain.structure import Structure, structure_of
from softgrad.linear import (
    AbstractLinearMap,
    Diagonal,
    DiagonalMinusOuter,
    IdentityMinusOuter,
    InnerProduct,
    InputScaled,
    OnAxis,
)

__all__ = ["kept_by", "structure_by_form"]


def structure_by_form(J: AbstractLinearMap, blocks: Vector) -> Structure:
    """Return what the form of J says; `blocks` [B, m, n] are its matrix."""
    form = _bare(J)
    n = blocks.shape[2]
    match form:
        case Diagonal():
            slopes = _rows(form.d, n)  # [B, n]
            ranks = np.count_nonzero(slopes, axis=1)
            zeros = blocks.size - int(ranks.sum())
            nothing = not slopes.any()
            return _by_form("diagonal", zeros, True, nothing, nothing, ranks)
        case DiagonalMinusOuter() | IdentityMinusOuter() if n == 1:  # one class has p = 1 always
            return _by_form("zero", blocks.size, True, True, True, np.zeros(len(blocks), dtype=int))
        case DiagonalMinusOuter():
            support = np.count_nonzero(_rows(form.q, n), axis=1)  # [B]
            zeros = blocks.size - int((support**2).sum())
            pattern = "dense on the support" if zeros else "dense"
            return _by_form(pattern, zeros, True, True, True, np.maximum(support - 1, 0))
        case IdentityMinusOuter(active=active) if active is None or np.all(active):
            seen = structure_of(blocks)  # symmetric for equal p alone, and the columns with it
            ranks = np.full(len(blocks), n - 1)
            return _by_form("dense", 0, seen.symmetric, True, seen.columns_sum_to_zero, ranks)
        case InnerProduct():
            symmetric = True if n == 1 else None
            return _by_form("dense", 0, symmetric, False, False, np.ones(len(blocks), dtype=int))
    return structure_of(blocks)


def kept_by(J: AbstractLinearMap) -> int | None:
    """Count the numbers that J's products need; None for a form that is not known here."""
    match _bare(J):
        case Diagonal(d=kept) | DiagonalMinusOuter(q=kept):
            return int(np.size(kept))
        case IdentityMinusOuter(p=kept) | InnerProduct(p=kept):
            return int(np.size(kept))
    return None


def _bare(J: AbstractLinearMap) -> AbstractLinearMap:
    """Take off what changes no structure: a layout, and a factor that is not zero."""
    while isinstance(J, (OnAxis, InputScaled)):
        J = J.inner
    return J


def _rows(weights: Any, n: int) -> Vector:  # [B, n]
    return np.reshape(np.asarray(weights), (-1, n))


def _by_form(
    pattern: Any, zeros: int, symmetric: Any, rows: bool, columns: bool, ranks: Any
) -> Structure:
    return Structure(
        pattern, zeros, symmetric, rows, columns, int(ranks.min()), int(ranks.max()), by_form=True
    )
