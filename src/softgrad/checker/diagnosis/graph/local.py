"""The derivative of one step, from calls of that step alone."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softgrad.checker.diagnosis.graph.steps import Step
from softgrad.checker.subject import Vector

__all__ = ["Matrix", "jacobian"]

Matrix = NDArray[np.float64]

_STEP = 2.0**-11
"""Of a difference, in the entry's own scale: what is cut off and what is rounded are alike."""
_FINER = 2.0**-14
_TINY = 2.0**-340
"""Of a complex step: its square is nothing."""


def jacobian(step: Step, values: Sequence[Vector], operand: int) -> Matrix:
    """Return a step's Jacobian in one operand, at any values of the operands."""
    own, out = values[operand], step.value
    linear = _linear(step, values, operand)
    # Entries of a mask may be −1e9, and vary over 1 all the same.
    h = _STEP * np.clip(np.abs(own), 2.0**-10, 1.0)
    if step.elementwise and out.shape == np.broadcast_shapes(*(v.shape for v in values)):
        if linear is not None:
            along = linear(np.ones(own.shape))
        else:
            along = _slope(step, values, operand, h) / np.broadcast_to(h, out.shape)
        source = np.broadcast_to(np.arange(own.size).reshape(own.shape), out.shape)
        J = np.zeros((out.size, own.size))
        J[np.arange(out.size), source.reshape(-1)] = along.reshape(-1)
        return J
    if linear is not None:
        places = _selected(linear, own)
        if places is not None:
            return np.asarray(places.reshape(-1, 1) == np.arange(1, own.size + 1), np.float64)
        units = np.eye(own.size).reshape(own.size, *own.shape)
        return np.stack([linear(unit).reshape(-1) for unit in units], axis=1)
    moves = h * np.eye(own.size).reshape(own.size, *own.shape)
    columns = [_slope(step, values, operand, move).reshape(-1) for move in moves]
    return np.asarray(np.stack(columns, axis=1) / h.reshape(-1))


def _linear(
    step: Step, values: Sequence[Vector], operand: int
) -> Callable[[Vector], Vector] | None:
    """Return how a step depends on one operand, where it does so linearly but for a constant."""
    assert step.function is not None
    shape = values[operand].shape
    before, after = list(values[:operand]), list(values[operand + 1 :])

    def at(x: Vector) -> Vector:
        assert step.function is not None
        return np.asarray(step.function([*before, x, *after]))

    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            base = at(np.zeros(shape))
            one, other = np.random.default_rng(0).standard_normal((2, *shape))
            moved = [at(x) - base for x in (one, other, one - 2 * other)]
            scale = max(np.abs(base).max(initial=0), *(np.abs(m).max(initial=0) for m in moved))
            gap = np.abs(moved[0] - 2 * moved[1] - moved[2]).max(initial=0)
    except Exception:  # it may be that a step does not take zeros
        return None
    return (lambda x: at(x) - base) if gap <= 1e-13 * scale else None


def _selected(linear: Callable[[Vector], Vector], own: Vector) -> Vector | None:
    """Return which entry, from 1, is every one of the result; None where they are no such."""
    with np.errstate(invalid="ignore"):
        places = linear(np.arange(1.0, own.size + 1).reshape(own.shape))
    if not np.isin(places, np.arange(own.size + 1)).all():
        return None
    drawn = np.random.default_rng(1).standard_normal(own.shape)
    numbers = np.concatenate([[0.0], drawn.reshape(-1)])
    return places if np.array_equal(linear(drawn), numbers[places.astype(np.intp)]) else None


def _slope(step: Step, values: Sequence[Vector], operand: int, move: Vector) -> Vector:
    """Return the derivative along a move of one operand, which is a small one."""
    exact = _complex_step(step, values, operand, move)
    # Where a step takes complex numbers and is not analytic, the two are far apart. So they are
    # where it bends within the difference, as the logarithm does near 0, but not with a finer one.
    if exact is not None:
        for shrink in (1.0, _FINER):
            seen = _difference(step, values, operand, shrink * move) / shrink
            if _gap(exact, seen) <= 1e-3 * _gap(seen, 0.0):
                return exact
    near, far = (_difference(step, values, operand, wide * move) / wide for wide in (1.0, 2.0))
    return np.asarray((4 * near - far) / 3)


def _gap(one: Vector, other: Vector | float) -> float:
    return float(np.abs(one - other).max(initial=0))


def _difference(step: Step, values: Sequence[Vector], operand: int, move: Vector) -> Vector:
    with np.errstate(invalid="ignore"):  # −inf stays where it is
        change = _at(step, values, operand, move) - _at(step, values, operand, -move)
    return np.where(np.isfinite(change), change, 0.0) / 2


def _complex_step(
    step: Step, values: Sequence[Vector], operand: int, move: Vector
) -> Vector | None:
    """Return an analytic step's derivative; None where it does not take complex numbers."""
    try:
        moved = _at(step, values, operand, _TINY * 1j * move)
    except Exception:
        return None
    if moved.dtype.kind != "c" or not np.isfinite(moved.imag).all():
        return None
    return np.asarray(moved.imag / _TINY)


def _at(step: Step, values: Sequence[Vector], operand: int, move: Any) -> Any:
    assert step.function is not None
    moved = list(values)
    own = values[operand]
    moved[operand] = np.where(np.isfinite(own), own + move, own)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        return np.asarray(step.function(moved))
