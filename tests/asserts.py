"""Comparisons that can fail: relative to the answer's scale, never passed by an empty answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mpmath
import numpy as np

__all__ = [
    "as_numpy",
    "assert_close",
    "assert_mpmath_close",
    "assert_not_uniform",
    "assert_same_bits",
    "assert_within",
    "assert_zero",
    "unit_roundoff",
]


def as_numpy(x: Any) -> np.ndarray:
    """Return NumPy's view of an array of any library; half precision becomes float32."""
    if type(x).__module__.startswith("torch"):
        x = x.detach().cpu()
        return x.float().numpy() if x.element_size() == 2 else x.numpy()
    x = np.asarray(x)
    return x.astype(np.float32) if x.dtype.itemsize == 2 and x.dtype.kind not in "iu" else x


def unit_roundoff(dtype: Any) -> float:
    """Return u: half the distance from 1 to the next number."""
    return float(np.finfo(dtype).eps) / 2


def assert_within(error: Any, allowed: Any, what: str) -> float:
    """Raise unless error ≤ allowed everywhere; the message has the worst ratio. Return it."""
    error, allowed = np.broadcast_arrays(np.asarray(error), np.asarray(allowed))
    assert error.size, f"{what}: nothing was compared"
    assert np.all(np.isfinite(allowed)), f"{what}: the bound itself is not finite"
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where((error == 0) & (allowed == 0), 0.0, error / allowed)
    worst = float(np.max(np.where(np.isnan(ratio), np.inf, ratio)))
    at = np.unravel_index(np.argmax(np.where(np.isnan(ratio), np.inf, ratio)), ratio.shape)
    message = (
        f"{what}: error {error[at]!r} at {tuple(map(int, at))}, {worst:.3g} of what is allowed"
    )
    assert worst <= 1, message
    return worst


def assert_close(
    actual: Any, expected: Any, *, u: float, scale: Any = None, what: str = ""
) -> None:
    """Raise unless |actual − expected| ≤ u·(unit roundoff)·scale.

    `scale` is by default the largest |expected| of all; it may be an array, for a bound on every
    component. What zeros would pass is refused.
    """
    actual, expected = as_numpy(actual), np.asarray(expected, dtype=np.float64)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, not {expected.shape}"
    scale = np.max(np.abs(expected), initial=0.0) if scale is None else np.asarray(scale)
    allowed = u * unit_roundoff(actual.dtype) * np.broadcast_to(scale, expected.shape)
    refuse_empty(np.abs(expected), allowed, what)
    assert_within(np.abs(actual.astype(np.float64) - expected), allowed, what)


def assert_mpmath_close(
    actual: Any, expected: Sequence[Any], *, u: float, scale: Any = None, what: str = ""
) -> None:
    """Do what `assert_close` does for one row, against mpmath's numbers, without rounding them.

    The default scale is every component's own: a relative error. Below the normal numbers one unit
    in the last place is allowed.
    """
    actual = as_numpy(actual)
    assert actual.shape == (len(expected),), f"{what}: shape {actual.shape}"
    scales = [abs(y) for y in expected] if scale is None else scale
    roundoff, tiny = u * unit_roundoff(actual.dtype), float(np.finfo(actual.dtype).smallest_normal)
    grain = mpmath.mpf(tiny) * 2 * unit_roundoff(actual.dtype)
    errors, allowed = [], []
    for a, y, s in zip(actual.tolist(), expected, scales, strict=True):
        if mpmath.isinf(y):
            assert a == float(y), f"{what}: {a}, not {y}"
            continue
        bound = roundoff * s + grain * (max(1, u) if s < tiny / unit_roundoff(actual.dtype) else 0)
        errors.append(float(abs(mpmath.mpf(a) - y) / bound) if bound else float(a != 0))
        allowed.append(float(min(bound / (abs(y) or 1), 2)) if y else 1.0)
    assert min(allowed, default=0.0) < 0.1, f"{what}: zeros would pass this comparison"
    assert_within(errors, np.ones(len(errors)), what)


def refuse_empty(magnitude: np.ndarray, allowed: np.ndarray, what: str) -> None:
    """Raise where an answer of nothing but zeros, or no answer at all, would pass."""
    assert magnitude.size, f"{what}: nothing is compared"
    assert np.any(magnitude > 10 * allowed), f"{what}: zeros would pass this comparison"


def assert_zero(actual: Any, *, u: float, scale: Any, what: str = "") -> None:
    """Raise unless |actual| ≤ u·(unit roundoff)·scale, the size of the terms that cancelled."""
    actual = as_numpy(actual)
    scale = np.broadcast_to(np.asarray(scale, dtype=np.float64), actual.shape)
    assert np.any(scale > 0), f"{what}: nothing cancelled here, so that anything would be zero"
    assert_within(np.abs(actual), u * unit_roundoff(actual.dtype) * scale, what)


def assert_same_bits(actual: Any, expected: Any, what: str = "") -> None:
    """Raise unless dtype, shape and every bit agree; NaN equals NaN."""
    actual, expected = as_numpy(actual), as_numpy(expected)
    assert actual.dtype == expected.dtype, f"{what}: {actual.dtype}, not {expected.dtype}"
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, not {expected.shape}"
    assert actual.size, f"{what}: nothing is compared"
    same = (actual == expected) & (np.signbit(actual) == np.signbit(expected))
    same |= np.isnan(actual) & np.isnan(expected)
    assert np.all(same), f"{what}: {actual[~same][:4]!r}, not {expected[~same][:4]!r}"


def assert_not_uniform(v: Any) -> None:
    """Raise for a vector that lies in softmax's null space: no test can fail with it."""
    v = as_numpy(v)
    assert v.size == 0 or v.shape[-1] < 2 or np.all(np.ptp(v, axis=-1) > 0), "a uniform vector"
