"""The compiled sigmoid, log_sigmoid and binary cross-entropy, against mpmath."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

import oracles
from asserts import assert_same_bits, assert_within, unit_roundoff
from kernel_rows import DTYPES, sources_of, target_of

pytest.importorskip("numba")

from softgrad.kernels.numba import sigmoid as kernels

KERNELS = ("sigmoid", "log_sigmoid", "binary_cross_entropy")
SIZES = (1, 63, 64, 65, 1000)
PI, FACTOR = 2.5, 0.75


def results(name: str, *arrays: np.ndarray, cuts: tuple[int, ...] = ()) -> tuple[np.ndarray, ...]:
    """Return the value and the slope or gradient; the guards behind both are looked at."""
    sources, size = sources_of(*arrays), arrays[0].size
    memories = [target_of((size,), arrays[0].dtype) for _ in range(2)]
    guards = [memory[size:].copy() for memory in memories]
    args = (PI,) if name == "binary_cross_entropy" else ()
    for first, last in zip((0, *cuts), (*cuts, size), strict=True):
        targets = tuple(memory[:size] for memory in memories)
        getattr(kernels, name)(sources, targets, first, last, args)
    for memory, guard in zip(memories, guards, strict=True):
        assert_same_bits(memory[size:], guard)
    return tuple(memory[:size] for memory in memories)


def numbers(name: str, size: int, dtype: Any) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(size)
    most = 80 if dtype == np.float32 else 600
    x = np.where(rng.random(size) < 0.5, rng.normal(size=size), rng.uniform(-most, most, size))
    t = np.where(rng.random(size) < 0.5, rng.random(size) < 0.5, rng.random(size))
    arrays = x.astype(dtype), t.astype(dtype), np.full(size, FACTOR, dtype)
    return arrays if name == "binary_cross_entropy" else arrays[:1]


def exact(name: str, arrays: tuple[np.ndarray, ...]) -> tuple[list[Any], list[Any], list[Any]]:
    """Return the value, the slope and what the slope's error is measured by."""
    x = oracles.row(arrays[0])
    p, q = oracles.sigmoid(x), oracles.sigmoid([-v for v in x])
    if name == "sigmoid":
        slope = [a * b for a, b in zip(p, q, strict=True)]
        return p, slope, slope
    if name == "log_sigmoid":
        return oracles.log_sigmoid(x), q, q
    log_p, log_q = oracles.log_sigmoid(x), oracles.log_sigmoid([-v for v in x])
    value, slope, size = [], [], []
    for t, a, b, la, lb in zip(oracles.row(arrays[1]), p, q, log_p, log_q, strict=True):
        value.append(-FACTOR * (PI * t * la + (1 - t) * lb))
        slope.append(FACTOR * ((1 - t) * a - PI * t * b))
        size.append(FACTOR * ((1 - t) * a + PI * t * b))
    return value, slope, size


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", KERNELS)
def test_the_relative_error_is_a_few_u(name: str, dtype: Any) -> None:
    u, arrays = unit_roundoff(dtype), numbers(name, 1000, dtype)
    value, slope = results(name, *arrays)
    with mpmath.workdps(400):  # exp(−600) beside 1
        exact_value, exact_slope, size = exact(name, arrays)
        for found, expected, scale, units in (
            (value, exact_value, exact_value, 3 if name == "sigmoid" else 5),
            (slope, exact_slope, size, 6),
        ):
            errors = [abs(mpmath.mpf(float(a)) - b) for a, b in zip(found, expected, strict=True)]
            allowed = [units * u * float(abs(v)) for v in scale]
            assert_within([float(e) for e in errors], allowed, name)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sigmoid_and_the_logarithm_are_within_1_5_ulp(dtype: Any) -> None:
    x = np.linspace(-6, 6, 100_001).astype(dtype)
    with np.errstate(all="raise"):
        wide = x.astype(np.longdouble)
        E = np.exp(-np.abs(wide))
        p, log_p = np.where(wide < 0, E, 1) / (1 + E), np.minimum(wide, 0) - np.log1p(E)
    for name, expected, ulps in (("sigmoid", p, 1.5), ("log_sigmoid", log_p, 2.0)):
        value, _ = results(name, x)
        ulp = np.spacing(np.abs(expected).astype(dtype)).astype(np.longdouble)
        assert_within(np.abs(value - expected), ulps * ulp, name)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", KERNELS)
def test_pieces_have_the_bits_of_the_whole(name: str, dtype: Any) -> None:
    for size in SIZES:
        arrays = numbers(name, size, dtype)
        whole = results(name, *arrays)
        for cuts in ((size // 3, size // 2), (size - 1,)):
            for a, b in zip(whole, results(name, *arrays, cuts=cuts), strict=True):
                assert_same_bits(a, b)
        for a, b in zip(whole, results(name, *(v[-1:] for v in arrays)), strict=True):
            assert_same_bits(a[-1:], b)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", KERNELS)
def test_results_may_go_to_the_sources_memory(name: str, dtype: Any) -> None:
    arrays = numbers(name, 130, dtype)
    expected = results(name, *arrays)
    args = (PI,) if name == "binary_cross_entropy" else ()
    x, *rest = sources_of(*arrays)
    slope = rest[0] if rest else np.empty_like(x)
    getattr(kernels, name)((x, *rest), (x, slope), 0, 130, args)
    assert_same_bits(x, expected[0])
    assert_same_bits(slope, expected[1])


@pytest.mark.parametrize("dtype", DTYPES)
def test_infinite_and_missing_numbers(dtype: Any) -> None:
    x = np.array([-np.inf, np.inf, np.nan, 0.0], dtype)
    value, slope = results("sigmoid", x)
    assert_same_bits(value, np.array([0, 1, np.nan, 0.5], dtype))
    assert_same_bits(slope, np.array([0, 0, np.nan, 0.25], dtype))
    value, slope = results("log_sigmoid", x)
    assert_same_bits(value[:3], np.array([-np.inf, 0, np.nan], dtype))
    assert_same_bits(slope, np.array([1, 0, np.nan, 0.5], dtype))
    value, slope = results(
        "binary_cross_entropy", x, np.array([0, 1, 1, 1], dtype), np.ones(4, dtype)
    )
    assert_same_bits(np.abs(value[:3]), np.array([0, 0, np.nan], dtype))
    assert_same_bits(np.abs(slope[:3]), np.array([0, 0, np.nan], dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_number_that_can_be_represented_comes_back_as_zero(dtype: Any) -> None:
    least = np.log(np.finfo(dtype).smallest_subnormal, dtype=np.float64)
    x = np.linspace(least + 0.5, -1, 200).astype(dtype)
    value, slope = results("sigmoid", x)
    assert np.all(value > 0)
    assert np.all(slope > 0)
    assert np.all(results("log_sigmoid", -x)[0] < 0)
