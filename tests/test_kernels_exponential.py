"""The compiled exponential and logarithms, in units of the last place: promise A-1."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numba import njit

from asserts import assert_within
from softgrad.kernels.numba.exponential import exp_of_difference
from softgrad.kernels.numba.logarithm import log1p_of_fraction
from softgrad.kernels.numba.logarithm64 import log1p

LEAST_BITS = 0xFF800000
"""−∞ as bits; the float32 numbers from −0 to −∞ are the words from 0x80000000 to here."""


@njit
def exponentials(d, e, out):
    for i in range(d.size):
        out[i] = exp_of_difference(d[i], e[i])


@njit
def logarithms(r, out):
    for i in range(r.size):
        out[i] = log1p_of_fraction(r[i])


@njit
def logarithms_of_any(r, out):
    for i in range(r.size):
        out[i] = log1p(r[i])


def run(kernel: Any, *arrays: np.ndarray) -> np.ndarray:
    out = np.full_like(arrays[0], np.nan)
    kernel(*arrays, out)
    return out


def assert_ulps(found: np.ndarray, exact: np.ndarray, ulps: float, what: str) -> None:
    """Compare with what is exact to far more digits; ulps are those of the found dtype."""
    with np.errstate(under="ignore"):  # subnormal numbers are found, and count
        ulp = np.spacing(exact.astype(found.dtype)).astype(exact.dtype)
    assert_within(np.abs(found.astype(exact.dtype) - exact), ulps * ulp, what)


def float32_from(first: int, last: int, step: int = 1) -> np.ndarray:
    return np.arange(first, last, step, dtype=np.uint32).view(np.float32)


def assert_exponentials_of(d: np.ndarray) -> None:
    with np.errstate(under="ignore"):
        exact = np.exp(d.astype(np.float64))
    assert_ulps(run(exponentials, d, np.zeros_like(d)), exact, 1.0, "A-1 exp, ulp")


def test_a1_exp_is_within_an_ulp_of_a_sample_of_float32() -> None:
    assert_exponentials_of(float32_from(0x80000000, LEAST_BITS + 1, 4099))
    assert_exponentials_of(np.linspace(-105, 0, 300_001, dtype=np.float32))


@pytest.mark.slow
def test_a1_exp_is_within_an_ulp_of_every_float32() -> None:
    """All that are not above 0; from −110 on there is nothing but 0."""
    below = int(np.float32(-110).view(np.uint32))
    for first in range(0x80000000, below + 1, 2**24):
        assert_exponentials_of(float32_from(first, min(first + 2**24, below + 1)))
    for first in range(below, LEAST_BITS + 1, 2**24):
        d = float32_from(first, min(first + 2**24, LEAST_BITS + 1))
        assert not run(exponentials, d, np.zeros_like(d)).any()


def test_a1_exp_is_within_an_ulp_in_float64() -> None:
    d = np.concatenate([np.linspace(-745, 0, 100_001), -np.logspace(-20, 2.8, 100_001)])
    with np.errstate(under="ignore"):
        exact = np.exp(d.astype(np.longdouble))
    assert_ulps(run(exponentials, d, np.zeros_like(d)), exact, 1.0, "A-1 exp, ulp")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exp_hears_of_the_rounding_error_of_its_argument(dtype: Any) -> None:
    d = -np.linspace(1, 80, 50_001).astype(dtype)
    for share in (0.5, -0.5, 0.3):
        e = (share * np.spacing(d)).astype(dtype)
        exact = np.exp(d.astype(np.longdouble) + e.astype(np.longdouble))
        assert_ulps(run(exponentials, d, e), exact, 1.0, "exp(d + e), ulp")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exp_at_its_ends(dtype: Any) -> None:
    d = np.array([0.0, -0.0, -np.inf, -np.finfo(dtype).max, np.nan], dtype)
    found = run(exponentials, d, np.zeros_like(d))
    np.testing.assert_array_equal(found, [1, 1, 0, 0, np.nan])
    assert not np.signbit(found[:4]).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a1_logarithm_of_one_and_a_fraction_is_within_1_5_ulp(dtype: Any) -> None:
    r = np.concatenate([np.linspace(0, 1, 200_001), np.logspace(-37, 0, 100_001)]).astype(dtype)
    found = run(logarithms, r)
    assert_ulps(found, np.log1p(r.astype(np.longdouble)), 1.5, "A-1 log1p, ulp")


def test_a1_logarithm_of_one_and_anything_is_within_1_5_ulp() -> None:
    r = np.concatenate([np.linspace(0, 4, 200_001), np.logspace(-300, 300, 200_001)])
    found = run(logarithms_of_any, r)
    assert_ulps(found, np.log1p(r.astype(np.longdouble)), 1.5, "A-1 log1p, ulp")
