"""The derivative of one step, from calls of that step alone."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softgrad.checker.diagnosis.graph.steps import Step
from softgrad.checker.subject import Vector

__all__ = ["Matrix", "jacobian"]

Matrix = NDArray[np.float64]

_STEP = 2.0**-11
"""Of a difference, in the operand's own scale: what is cut off and what is rounded are alike."""
_TINY = 2.0**-340
"""Of a complex step: its square is nothing."""


def jacobian(step: Step, values: Sequence[Vector], operand: int) -> Matrix:
    """Return a step's Jacobian in one operand, at any values of the operands."""
    own = values[operand]
    if step.elementwise and step.value.shape == np.broadcast_shapes(*(v.shape for v in values)):
        along = _slope(step, values, operand, np.ones(own.shape)).reshape(-1)
        source = np.broadcast_to(np.arange(own.size).reshape(own.shape), step.value.shape)
        J = np.zeros((step.value.size, own.size))
        J[np.arange(along.size), source.reshape(-1)] = along
        return J
    columns = np.eye(own.size).reshape(own.size, *own.shape)
    return np.stack([_slope(step, values, operand, c).reshape(-1) for c in columns], axis=1)


def _slope(step: Step, values: Sequence[Vector], operand: int, move: Vector) -> Vector:
    """Return the derivative along a move of one operand."""
    finite = np.abs(values[operand][np.isfinite(values[operand])])
    h = _STEP * (float(finite.max(initial=0)) or 1.0)
    near = _difference(step, values, operand, move, h)
    exact = _complex_step(step, values, operand, move)
    # Where a step takes complex numbers and is not analytic, the two are far apart.
    if exact is not None and _gap(exact, near) <= 1e-4 * _gap(near, 0.0):
        return exact
    return np.asarray((4 * near - _difference(step, values, operand, move, 2 * h)) / 3)


def _gap(one: Vector, other: Vector | float) -> float:
    return float(np.abs(one - other).max(initial=0))


def _difference(
    step: Step, values: Sequence[Vector], operand: int, move: Vector, h: float
) -> Vector:
    with np.errstate(invalid="ignore"):  # −inf stays where it is
        change = _at(step, values, operand, h * move) - _at(step, values, operand, -h * move)
    return np.where(np.isfinite(change), change, 0.0) / (2 * h)


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
