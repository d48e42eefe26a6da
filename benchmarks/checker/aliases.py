"""Mistakes that cannot be told apart: a derivative at −x is the negated one, where it is odd."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.subject import Array, Codes

__all__ = ["other_names"]

Answers = list[tuple[Any, ...]]
_SAME = 1e-13


def other_names(right: Answers, found: Answers, cotangents: list[Any]) -> Codes:
    """Return the simple mistakes that give the very answers of a wrong backward.

    There is an answer of each for every cotangent; the first two differ in more than length.
    """
    if not found or any(map(_has_no_size, found)):
        return frozenset()
    shapes = [tuple(map(np.shape, answers)) for answers in (right[0], found[0])]
    if shapes[0] != shapes[1]:
        return frozenset()
    names: set[str] = set()
    for entry in range(len(right[0])):
        J = _stacked(right, entry)
        A = _stacked(found, entry)
        if not _is_small(A - J, J):
            names |= _names_of(A, J, cotangents)
    return frozenset(names)


def _names_of(A: Array, J: Array, cotangents: list[Any]) -> set[str]:
    if _is_small(A, J):
        # What cancels is what a row-summed Jacobian gives, too.
        return {"zero", "projection-term"} if A.any() else {"zero"}
    names = set()
    factor = (A * J).sum() / ((J * J).sum() or 1)
    if _is_small(A - factor * J, A):
        names.add("sign" if factor < 0 and _is_small(A + J, A) else "scale")
    if not isinstance(cotangents[0], tuple):
        g = np.stack([np.asarray(v) for v in cotangents])
        if g.shape == A.shape and _is_small(A - g, A):
            names.add("identity")
    return names


def _has_no_size(answers: tuple[Any, ...]) -> bool:
    return any(a is None or not np.isfinite(np.asarray(a, np.longdouble)).all() for a in answers)


def _stacked(answers: Answers, entry: int) -> Array:
    return np.stack([np.asarray(a[entry], np.longdouble) for a in answers])


def _is_small(gap: Array, size: Array) -> bool:
    return bool(np.sqrt((gap**2).sum()) <= _SAME * np.sqrt((size**2).sum()))
