"""Probes: random cotangents and directions, and their point moved by one unit in the last place."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from softgrad.checker.formats import is_floating, limits
from softgrad.checker.subject import AnyArray, Arrays, Subject, Vector, flat

__all__ = [
    "FINEST",
    "LEVELS",
    "SIZE",
    "coarsest_epsilon",
    "cotangents",
    "directions",
    "far_from_one",
    "first_step",
    "nudged",
    "nudged_cotangent",
    "smaller",
]

LEVELS = 6
FINEST = 4.0 ** (1 - LEVELS)
_LARGE, _SMALL = 64.0, 2.0**-13
SIZE = math.sqrt(2.3)
"""The RMS of a cotangent's entries; a scalar cotangent has this size, all digits in use.

At 1.5 a backward that rounds it to tenths, or to float16, would look right.
"""


def coarsest_epsilon(arrays: Arrays) -> float:
    """Return the largest spacing at 1 among the floating-point arrays."""
    return max(limits(array.dtype).epsilon for array in arrays if is_floating(array))


def first_step(epsilon: float) -> float:
    """Return the largest step, a power of two: 1/32 in float64, 1/4 in float32, 1/2 in float16."""
    return float(2.0 ** round(np.log2(epsilon) / 10))


def cotangents(rng: np.random.Generator, outputs: Arrays, count: int) -> list[Arrays]:
    """Draw Gaussian cotangents, every second one off the constants along every axis.

    Softmax's Jacobian maps constants to zero, so a uniform cotangent would see nothing.
    """
    drawn = []
    for index in range(count):
        drawn.append(tuple(_cotangent(rng, output, index % 2 == 1) for output in outputs))
    return drawn


def directions(
    rng: np.random.Generator,
    subject: Subject,
    points: Arrays,
    count: int,
    of: Literal["one", "input", "entry"] = "one",
) -> Vector:
    """Draw directions in the inputs' own scales, one a row.

    Entries are ± uniform in [1/2, 3/2]: of mean zero, and none is small enough to hide an entry.
    Scales `of` one are kept in reach of 1: logits of 1e4, or of 1e-9, still vary over 1. Those of
    each entry are for what has poles.
    """
    pairs = list(zip(points, subject.masks, strict=True))
    return np.stack([flat([_direction(rng, p, m, of) for p, m in pairs]) for _ in range(count)])


def far_from_one(subject: Subject, points: Arrays) -> bool:
    """Whether the own scale of an input is far from that of its usual directions."""
    sizes = [_size(p if m is None else p[m]) for p, m in zip(points, subject.masks, strict=True)]
    return any(size > _LARGE or 0 < size < _SMALL for size in sizes)


def nudged(rng: np.random.Generator, subject: Subject) -> Arrays:
    """Return the inputs, every probed entry moved up or down to the next number of its dtype."""
    return tuple(map(lambda p, m: _nudge(rng, p, m), subject.points, subject.masks))


def nudged_cotangent(rng: np.random.Generator, cotangent: Arrays) -> Arrays:
    """Return a cotangent, every entry moved up or down to the next number of its dtype."""
    return tuple(_nudge(rng, c, None) if is_floating(c) else c for c in cotangent)


def smaller(array: AnyArray) -> AnyArray:
    """Return an array times a power of two that leaves products with its numbers room.

    It takes a quarter of the exponents below 1: 2^-6 in float16, 2^-37 in float32.
    """
    if not is_floating(array):
        return array
    room = round(-math.log2(limits(array.dtype).smallest) / 4)
    return np.asarray((array * 2.0**-room).astype(array.dtype))


def _cotangent(rng: np.random.Generator, output: AnyArray, centred: bool) -> AnyArray:
    if not is_floating(output):
        return np.zeros_like(output)
    noise = np.asarray(rng.standard_normal(output.shape))
    for axis, length in enumerate(output.shape):
        if centred and length > 1:
            noise -= noise.mean(axis=axis, keepdims=True)
    # All are of one size, so that the rounding seen with one tells of the others; and not of size
    # 1, where a scalar cotangent would be ±1 and forgetting it might not show.
    noise *= SIZE / math.sqrt(float(np.mean(noise**2)) or 1.0)
    return noise.astype(output.dtype)


def _size(values: AnyArray) -> float:
    """Return the RMS; no square over- or underflows."""
    largest = float(np.abs(values).max(initial=0.0))
    parts = values.astype(np.float64) / (largest or 1.0)
    return largest * math.sqrt(float(np.mean(parts**2))) if largest else 0.0


def _direction(
    rng: np.random.Generator, point: AnyArray, mask: NDArray[np.bool_] | None, of: str
) -> AnyArray:
    probed = point if mask is None else point[mask]
    if probed.size == 0:
        return np.zeros(point.shape)
    epsilon = limits(point.dtype).epsilon
    size = _size(probed) or 1.0
    scale: Any = max(min(size, 1.0), _SMALL) if of == "one" else size
    # Never so small that a step drowns in the spacing of the numbers.
    scale = max(scale, 8.0 * float(np.abs(probed).max()) * epsilon ** (2 / 3))
    finite = np.where(np.isfinite(point), point, np.zeros_like(point))
    if of == "entry":
        scale = np.where(finite != 0, np.abs(finite.astype(np.float64)), scale)
    scale = 2.0 ** np.round(np.log2(scale))
    signs = np.where(rng.random(point.shape) < 0.5, -1.0, 1.0)
    entries = signs * scale * rng.uniform(0.5, 1.5, point.shape)
    # Multiples of a power of two for which x + h·u and x − h·u are exact at every step.
    spacing = np.spacing(np.abs(finite)).astype(np.float64)
    grain = np.clip(spacing / (first_step(epsilon) * FINEST), scale / 2**40, scale / 8)
    entries = np.round(entries / grain) * grain
    return entries if mask is None else np.where(mask, entries, 0.0)


def _nudge(rng: np.random.Generator, point: AnyArray, mask: NDArray[np.bool_] | None) -> AnyArray:
    limit = np.where(rng.random(point.shape) < 0.5, -np.inf, np.inf).astype(point.dtype)
    moved = np.nextafter(point, limit)
    return np.asarray(moved if mask is None else np.where(mask, moved, point))
