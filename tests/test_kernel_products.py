"""The compiled products of the softmax family's Jacobians, against dense matrices of 50 digits."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

from asserts import assert_same_bits, assert_within, unit_roundoff
from kernel_rows import CLASSES, DTYPES, ROWS, pieces_of, sources_of, target_of

pytest.importorskip("numba")

from softgrad.kernels.numba import products

SPREAD = 1.5

KERNELS = {
    "diagonal_minus_outer": ("q", "v"),
    "diagonal_minus_outer_tangent": ("q", "q_dot", "v"),
    "identity_minus_outer": ("q", "v"),
    "identity_minus_outer_transpose": ("q", "v"),
}


def product(name: str, *arrays: np.ndarray, cuts: tuple[int, ...] = ()) -> np.ndarray:
    sources, memory = sources_of(*arrays), target_of(arrays[0].shape, arrays[0].dtype)
    target = memory[: arrays[0].size]

    def run(first: int, last: int, classes: int) -> None:
        getattr(products, name)(sources, target, first, last, classes, ())

    return pieces_of(run, memory, arrays[0].shape, cuts)


def rows_for(
    name: str, rows: int, classes: int, dtype: Any, scale: float = SPREAD
) -> list[np.ndarray]:
    rng = np.random.default_rng(rows * 1009 + classes)
    x = rng.normal(size=(rows, classes)) * scale
    q = np.exp(x - x.max(axis=1, keepdims=True))
    q /= q.sum(axis=1, keepdims=True)
    drawn = {"q": q, "q_dot": rng.normal(size=q.shape) * q, "v": rng.normal(size=q.shape) + 3}
    return [drawn[word].astype(dtype) for word in KERNELS[name]]


def exact_and_scale(name: str, arrays: list[np.ndarray], r: int) -> tuple[list[Any], list[Any]]:
    """Return row r of the dense product, and what its error is measured by."""
    with mpmath.workdps(50):
        q, *_, v = ([mpmath.mpf(float(a)) for a in array[r]] for array in arrays)
        k = int(np.argmax(arrays[0][r]))
        mass, w = mpmath.fsum(q), [a - v[k] for a in v]
        mean, size = mpmath.fdot(q, v) / mass, mpmath.fdot(q, map(abs, w)) / mass
        if name == "diagonal_minus_outer":
            return (
                [a * (b - mean) for a, b in zip(q, v, strict=True)],
                [a * (abs(b) + size) for a, b in zip(q, w, strict=True)],
            )
        if name == "identity_minus_outer":
            of_one = mpmath.fdot(q, w)  # the rounded p counts as adding up to one
            return [b - of_one for b in w], [abs(b) + size for b in w]
        if name == "identity_minus_outer_transpose":
            rest_q, rest_v = mass - q[k], mpmath.fsum(map(abs, v)) - abs(v[k])
            total = mpmath.fsum(v)
            scales = [abs(b) + a * abs(total) for a, b in zip(q, v, strict=True)]
            scales[k] = abs(v[k]) * rest_q + q[k] * rest_v
            exact = [b - a * total for a, b in zip(q, v, strict=True)]
            exact[k] = v[k] * rest_q - q[k] * (total - v[k])  # of a p that sums to one
            return exact, scales
        q_dot = [mpmath.mpf(float(a)) for a in arrays[1][r]]
        c = [b - mean for b in v]
        mean_dot = mpmath.fdot(q_dot, c) / mass
        size_dot = mpmath.fsum(abs(a) * (abs(b) + size) for a, b in zip(q_dot, w, strict=True))
        return (
            [a * b - z * mean_dot for a, b, z in zip(q_dot, c, q, strict=True)],
            [
                abs(a) * (abs(b) + size) + z * size_dot / mass
                for a, b, z in zip(q_dot, w, q, strict=True)
            ],
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("scale", [SPREAD, 12.0])
def test_the_error_is_8_u_of_the_terms(name: str, dtype: Any, scale: float) -> None:
    u, least = unit_roundoff(dtype), float(np.finfo(dtype).smallest_subnormal)
    for classes in CLASSES:
        arrays = rows_for(name, 3, classes, dtype, scale)
        found = product(name, *arrays)
        for r in range(3):
            exact, sizes = exact_and_scale(name, arrays, r)
            errors = [abs(mpmath.mpf(float(a)) - b) for a, b in zip(found[r], exact, strict=True)]
            allowed = [8 * u * float(size) + 2 * least for size in sizes]
            assert_within([float(e) for e in errors], allowed, f"{name}, {classes} classes")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", KERNELS)
def test_a_rows_bits_depend_on_the_row_alone(name: str, dtype: Any) -> None:
    for classes in CLASSES:
        for rows in ROWS:
            arrays = rows_for(name, rows, classes, dtype)
            whole = product(name, *arrays)
            assert not np.isnan(whole).any()
            assert_same_bits(whole, product(name, *arrays, cuts=(rows // 3, rows // 2)))
            last = [a[-1:] for a in arrays]
            assert_same_bits(whole[-1:], product(name, *last))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("classes", [10, 130])
def test_the_result_may_go_to_a_sources_memory(name: str, dtype: Any, classes: int) -> None:
    arrays = rows_for(name, 70, classes, dtype)
    expected = product(name, *arrays)
    for place in (0, -1):
        sources = sources_of(*arrays)
        getattr(products, name)(sources, sources[place], 0, 70, classes, ())
        assert_same_bits(sources[place].reshape(70, classes), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [name for name in KERNELS if "transpose" not in name])
@pytest.mark.parametrize("classes", [10, 130])
def test_an_exact_shift_of_v_changes_no_bit(name: str, dtype: Any, classes: int) -> None:
    *others, v = rows_for(name, 66, classes, dtype)
    v = np.round(v * 256) / 256
    assert_same_bits(product(name, *others, v), product(name, *others, v + dtype(64)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [10, 130, 1000])
def test_rows_are_centred_on_the_first_of_equal_maxima(dtype: Any, classes: int) -> None:
    pairs = [(0, classes - 1), (3, 7), (1, 65), (64, 66), (70, 129), (65, 128)]
    for first, second in [pair for pair in pairs if pair[1] < classes]:
        q, v = rows_for("identity_minus_outer", 65, classes, dtype)
        q[:] = 0
        q[:, [first, second]] = 0.5
        v[:, first] = 0  # −⟨q, w⟩ there, with w = v: so centred, nothing is rounded
        found = product("identity_minus_outer", q, v)
        assert_same_bits(found[:, first], v[:, second] * dtype(-0.5))
        assert_same_bits(found[:, second], v[:, second] - v[:, second] * dtype(0.5))
        v[:, first], v[:, second] = np.inf, 0  # w = −∞ at the second, NaN at the first
        found = product("identity_minus_outer", q, v)
        assert np.isnan(found[:, first]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["diagonal_minus_outer", "diagonal_minus_outer_tangent"])
@pytest.mark.parametrize("classes", [5, 90])
def test_a_weight_of_zero_silences(name: str, dtype: Any, classes: int) -> None:
    arrays = rows_for(name, 66, classes, dtype)
    silent = int(np.argmin(arrays[0][2]))
    for array in arrays[:-1]:
        array[2, silent] = 0
    expected = product(name, *arrays)
    for loud in (np.inf, -np.inf, np.nan):
        arrays[-1][2, silent] = loud
        assert_same_bits(product(name, *arrays), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [5, 90])
def test_rows_without_mass_are_zero_and_nan_stays_in_its_row(dtype: Any, classes: int) -> None:
    q, v = rows_for("diagonal_minus_outer", 66, classes, dtype)
    before = product("diagonal_minus_outer", q, v)
    q[3], q[5, 1], v[7, int(np.argmax(q[7]))] = 0, np.nan, np.nan
    after = product("diagonal_minus_outer", q, v)
    assert not after[3].any()
    assert np.isnan(after[[5, 7]]).all()
    others = np.delete(np.arange(66), [3, 5, 7])
    assert_same_bits(after[others], before[others])


@pytest.mark.parametrize("classes", [10, 130])
def test_words_of_half_precision_are_rounded_once(classes: int) -> None:
    q, v = (a.astype(np.float16) for a in rows_for("diagonal_minus_outer", 66, classes, np.float32))
    words = product("diagonal_minus_outer", q.view(np.int16), v.view(np.int16))
    wide = product("diagonal_minus_outer", q.astype(np.float32), v.astype(np.float32))
    assert_same_bits(words.view(np.float16), wide.astype(np.float16))
