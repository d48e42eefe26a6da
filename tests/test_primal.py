"""Every map's value is its definition, at any scale of the logits, against mpmath."""

from __future__ import annotations

import numpy as np
import pytest

import oracles
from asserts import assert_mpmath_close
from specs import SAMPLES, Spec, each_sample, each_way, sample, where_holds

DTYPES = pytest.mark.parametrize("dtype", [np.float64, np.float32])


@each_way
@each_sample
@DTYPES
def test_value_is_the_definition(spec: Spec, kind: str, scale: float, dtype: type) -> None:
    for x in sample(kind, scale, k=7, dtype=dtype):
        assert_row_is_right(spec, x)


@each_way
@pytest.mark.parametrize("k", [1, 2, 3, 64, 1000])
def test_value_is_the_definition_for_any_number_of_classes(spec: Spec, k: int) -> None:
    for scale in (1.0, 30.0):
        assert_row_is_right(spec, sample("normal", scale, k=k, rows=1)[0])


def assert_row_is_right(spec: Spec, x: np.ndarray) -> None:
    expected = spec.oracle(oracles.row(x))
    actual = np.reshape(spec.map(x), len(expected))
    if not any(expected):  # relu of negative numbers, log_softmax of one class
        assert np.all(actual == 0)
        return
    assert_mpmath_close(actual, expected, u=spec.u, scale=spec.size(expected), what=spec.name)


@where_holds(lambda spec: spec.kink is not None)
def test_samples_stay_clear_of_kinks(spec: Spec) -> None:
    for kind, scale in SAMPLES:
        for x in sample(kind, scale):
            assert spec.kink(oracles.row(x)) > 1e-7, (kind, scale, x)
