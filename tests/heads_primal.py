"""The head's primal, typed as its definition on dense logits; derivatives as its differences.

Arrays hold mpmath numbers, so that differences with tiny steps are as good as exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

__all__ = ["dense_targets", "directional", "exact", "gradient", "head", "hessian_product", "logits"]

STEP = mpf(10) ** -30
_exp, _log, _tanh = (np.frompyfunc(f, 1, 1) for f in (mpmath.exp, mpmath.log, mpmath.tanh))

Point = list[Any]
Primal = Callable[[Point], Any]


def exact(x: Any) -> Any:
    """Return numbers as mpmath's, exactly."""
    return np.frompyfunc(lambda v: mpf(float(v)), 1, 1)(np.asarray(x, dtype=np.float64))


def logits(point: Point, settings: Any) -> Any:
    """Return c·tanh(z/c)/T of z = x Wᵀ + b."""  # [N, K]
    x, W, bias = point
    z = x @ W.T + (0 if bias is None else bias)
    if settings.soft_cap is not None:
        z = settings.soft_cap * _tanh(z / settings.soft_cap)
    return z / mpf(settings.temperature)


def log_softmax(z: Any) -> tuple[Any, Any]:
    top = z.max(axis=-1, keepdims=True)
    lse = top + _log(_exp(z - top).sum(axis=-1, keepdims=True))
    return z - lse, lse[:, 0]


def dense_targets(targets: Any, K: int, settings: Any) -> tuple[Any, Any]:
    """Return targets [N, K] before smoothing, and which rows count."""
    if isinstance(targets, tuple):
        t = np.zeros((len(targets[0]), K))
        for i, (ids, p) in enumerate(zip(*targets, strict=True)):
            np.add.at(t[i], ids, p)
            others = np.setdiff1d(np.arange(K), ids)
            if settings.rest == "spread":
                t[i, others] += (1 - p.sum()) / len(others)
        return t, np.ones(len(t), bool)
    if targets.ndim == 1:
        counts = targets != (-1 if settings.ignore_index is None else settings.ignore_index)
        t = np.zeros((len(targets), K))
        t[counts, targets[counts]] = 1
        return t, counts
    return targets, np.ones(len(targets), bool)


def head(
    settings: Any, targets: Any, class_weights: Any = None, row_weights: Any = None, bar: Any = 1.0
) -> Primal:
    """Return the loss as a function of [x, W, bias]; "none" is summed with the weights `bar`."""

    def loss(point: Point) -> Any:
        log_p, lse = log_softmax(logits(point, settings))
        N, K = log_p.shape
        t, counts = dense_targets(targets, K, settings)
        c = exact(np.ones(K) if class_weights is None else class_weights)
        w = exact(np.where(counts, np.ones(N) if row_weights is None else row_weights, 0))
        smooth = mpf(settings.label_smoothing)
        losses = -(c * ((1 - smooth) * exact(t) + smooth / K) * log_p).sum(axis=-1)
        losses = w * (losses + mpf(settings.z_loss) * lse**2)
        if settings.reduction == "none":
            return (exact(bar) * losses).sum()
        if settings.reduction == "sum":
            return mpf(float(bar)) * losses.sum()
        masses = w if class_weights is None else w * (c * exact(t)).sum(axis=-1)
        divisors = {"weight": masses.sum(), "count": mpf(int(np.sum(w != 0)))}
        return (
            mpf(float(bar)) * losses.sum() / divisors.get(settings.normalizer, settings.normalizer)
        )

    return loss


def moved(point: Point, dots: Point, step: Any) -> Point:
    """Return the point moved along a direction; None stays where it is."""
    return [v if v is None or d is None else v + step * d for v, d in zip(point, dots, strict=True)]


def directional(primal: Primal, point: Point, dots: Point) -> Any:
    """Return the rate of change along a direction."""
    return (primal(moved(point, dots, STEP)) - primal(moved(point, dots, -STEP))) / (2 * STEP)


def gradient(primal: Primal, point: Point) -> list[Any]:
    """Return the gradient by a difference along every coordinate."""
    return _by_coordinates(lambda unit: directional(primal, point, unit), point)


def hessian_product(primal: Primal, point: Point, dots: Point) -> list[Any]:
    """Return the rate of change of the gradient along a direction."""

    def slope(unit: Point) -> Any:
        step = mpf(10) ** -15

        def difference(sign: int) -> Any:
            there = moved(point, unit, sign * step)
            return primal(moved(there, dots, step)) - primal(moved(there, dots, -step))

        return (difference(1) - difference(-1)) / (4 * step**2)

    return _by_coordinates(slope, point)


def _by_coordinates(slope: Callable[[Point], Any], point: Point) -> list[Any]:
    parts: list[Any] = []
    for which, v in enumerate(point):
        if v is None:
            parts.append(None)
            continue
        part = np.zeros(v.shape)
        for at in np.ndindex(v.shape):
            unit: Point = [None, None, None]
            unit[which] = exact(np.zeros(v.shape))
            unit[which][at] = mpf(1)
            part[at] = float(slope(unit))
        parts.append(part)
    return parts
