"""A product from logits: one visit of each row, with the bits of softmax and product apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import softgrad as sg
from asserts import assert_same_bits
from kernel_rows import CLASSES

pytest.importorskip("numba")

ROWS = 67


def logits_and_direction(classes: int, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of which some are saturated, tied, or not finite."""
    rng = np.random.default_rng(classes)
    x = rng.normal(size=(ROWS, classes)) * np.linspace(0.1, 40, ROWS)[:, None]
    x[1], x[2], x[3, 0], x[4, -1] = x[1, 0], -np.inf, np.nan, np.inf
    x[5, 0] = 1000
    x[6, 1:] = -np.inf
    return x.astype(dtype), (rng.normal(size=x.shape) + 3).astype(dtype)


@pytest.mark.parametrize("temperature", [1.0])
@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_bits_are_those_of_two_visits(dtype: Any, classes: int, temperature: float) -> None:
    x, v = logits_and_direction(classes, dtype)
    softmax = sg.Softmax(temperature=temperature)
    expected = softmax.linearize(x, impl="numba")[1].rmv(v)
    assert_same_bits(softmax.vjp(x, v, impl="numba"), expected)
    assert_same_bits(softmax.jvp(x, v, impl="numba"), expected)


@pytest.mark.parametrize("taken", ["x", "v"])
@pytest.mark.parametrize("classes", [10, 130])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_the_result_may_go_to_an_arguments_memory(dtype: Any, classes: int, taken: str) -> None:
    x, v = logits_and_direction(classes, dtype)
    expected = sg.softmax.vjp(x, v, impl="numba")
    out = x if taken == "x" else v
    assert sg.softmax.vjp(x, v, impl="numba", out=out) is out
    assert_same_bits(out, expected)


@pytest.mark.parametrize("classes", [10, 130])
def test_a_masked_class_hears_nothing(classes: int) -> None:
    x, v = logits_and_direction(classes, np.float64)
    where = np.arange(classes) % 3 != 1
    seen = sg.softmax.vjp(x[7:], v[7:], where=where, impl="numba")
    assert np.all(seen[:, ~where] == 0)
    alone = sg.softmax.vjp(x[7:, where], v[7:, where], impl="reference")
    np.testing.assert_allclose(seen[:, where], alone, rtol=1e-12, atol=1e-300)
