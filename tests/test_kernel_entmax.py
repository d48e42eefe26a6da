"""The compiled sparsemax and entmax15, against their definition in mpmath."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

import oracles
from asserts import assert_same_bits, assert_within, unit_roundoff
from kernel_rows import CLASSES, DTYPES, ROWS, pieces_of, sources_of, target_of

pytest.importorskip("numba")

from softgrad.kernels.numba import entmax

ALPHAS = {"sparsemax": 2.0, "entmax15": 1.5}


def values(name: str, x: np.ndarray, cuts: tuple[int, ...] = ()) -> np.ndarray:
    sources, memory = sources_of(x), target_of(x.shape, x.dtype)
    target = memory[: x.size]

    def run(first: int, last: int, classes: int) -> None:
        getattr(entmax, name)(sources, target, first, last, classes, ())

    return pieces_of(run, memory, x.shape, cuts)


def rows_for(rows: int, classes: int, dtype: Any, scale: float = 1.0) -> np.ndarray:
    return (
        np.random.default_rng(rows * 1009 + classes).normal(size=(rows, classes)) * scale
    ).astype(dtype)


def assert_right(name: str, x: np.ndarray) -> None:
    found, u = values(name, x), unit_roundoff(x.dtype)
    with mpmath.workdps(40):
        for r, logits in enumerate(x):
            exact = oracles.entmax(oracles.row(logits), ALPHAS[name])
            errors = [abs(mpmath.mpf(float(a)) - b) for a, b in zip(found[r], exact, strict=True)]
            assert_within([float(e) for e in errors], 4 * u, f"{name} of row {r}")
    # A threshold rounded by u moves the sum by (Σ p^(2−α))·u/(α − 1): most where p is flat.
    slope = np.sum(found ** (2 - ALPHAS[name]), axis=1, where=found > 0, dtype=np.longdouble)
    off = np.abs(np.sum(found, axis=1, dtype=np.longdouble) - 1) / np.maximum(slope, 4)
    assert_within(off, 2 * u / (ALPHAS[name] - 1), f"Σ {name}")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ALPHAS)
@pytest.mark.parametrize("scale", [0.02, 1.0, 30.0, 1e4])
def test_the_error_is_4_u(name: str, dtype: Any, scale: float) -> None:
    for classes in CLASSES:
        if scale * classes != 20:  # a support of 1000 entries: minutes of mpmath
            assert_right(name, rows_for(2, classes, dtype, scale))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ALPHAS)
def test_rows_that_take_many_steps(name: str, dtype: Any) -> None:
    for classes in (40, 150):
        j = np.arange(classes)
        x = np.stack(
            [-(1 - 2.0**-j), 1 - 0.9**j, -j / classes, 0 * j, -np.sqrt(j) / 40, -1.0 * (j % 3 > 0)]
        )
        assert_right(name, x.astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ALPHAS)
def test_a_rows_bits_depend_on_the_row_alone(name: str, dtype: Any) -> None:
    for classes in CLASSES:
        for rows in ROWS:
            x = rows_for(rows, classes, dtype)
            whole = values(name, x)
            assert_same_bits(whole, values(name, x, cuts=(rows // 3, rows // 2)))
            assert_same_bits(whole[-1:], values(name, x[-1:]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ALPHAS)
@pytest.mark.parametrize("classes", [10, 130])
def test_special_rows(name: str, dtype: Any, classes: int) -> None:
    x = rows_for(70, classes, dtype)
    before = values(name, x)
    tiny = np.finfo(dtype).smallest_subnormal
    x[1, 3], x[2, 4], x[3], x[5, 1:] = np.nan, np.inf, -np.inf, -np.inf
    x[6] = tiny * np.arange(classes)
    x[7, ::2] = -np.inf
    after = values(name, x)
    assert np.isnan(after[[1, 2, 3]]).all()
    assert_same_bits(after[5], np.eye(1, classes, dtype=dtype)[0])
    assert_within(np.abs(after[6] * classes - 1), 8 * unit_roundoff(dtype), "subnormal logits")
    assert not after[7, ::2].any()
    assert_within(abs(np.sum(after[7], dtype=np.longdouble) - 1), 8 * unit_roundoff(dtype), "Σ")
    others = np.delete(np.arange(70), [1, 2, 3, 5, 6, 7])
    assert_same_bits(after[others], before[others])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ALPHAS)
@pytest.mark.parametrize("classes", [10, 130])
def test_the_result_may_go_to_the_sources_memory(name: str, dtype: Any, classes: int) -> None:
    x = rows_for(70, classes, dtype)
    (source,) = sources_of(x)
    getattr(entmax, name)((source,), source, 0, 70, classes, ())
    assert_same_bits(source.reshape(70, classes), values(name, x))
