"""What is skipped is small, is said, and is never more than the bound."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from asserts import as_numpy, assert_same_bits
from softgrad.heads import LinearCrossEntropy, linear_cross_entropy
from specs import probe

N, D, K = 12, 5, 2000
X, BIAS = probe((N, D), seed=1), 0.5 * probe((K,), seed=3)
W = probe((K, D), seed=2) * np.where(np.arange(K) % 700 < 40, 6.0, 0.3)[:, None]  # peaked rows
LABELS = np.arange(N) * 61 % 300


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("below", [1e-7, 1e-5, 1e-3])
@pytest.mark.parametrize("memory", [4 * 8 * K, 2**26])
def test_what_is_skipped_is_within_the_bound(library: str, below: float, memory: int) -> None:
    given: Any = (X, W, LABELS, BIAS)
    if library == "torch":
        torch = pytest.importorskip("torch")
        given = tuple(map(torch.from_numpy, given))
    head = LinearCrossEntropy(memory=memory)
    loss, exact = head.value_and_gradient(*given)
    value, bars, bound = head.approximate_value_and_gradient(*given, skip_below=below)
    assert 0 < bound.skipped < 1
    assert float(value) == pytest.approx(float(loss), rel=1e-14)
    np.testing.assert_allclose(as_numpy(bars.bias), as_numpy(exact.bias), rtol=1e-13, atol=1e-18)
    for name, limit in (("x", bound.x), ("W", bound.W)):
        a, e = as_numpy(getattr(bars, name)), as_numpy(getattr(exact, name))
        off = np.max(np.abs(a - e))
        assert 0 < off <= limit + 1e-15 * np.max(np.abs(e)), name
        assert limit <= below * max(np.sum(np.abs(W)), np.sum(np.abs(X)))


def test_nothing_is_skipped_at_zero_and_nan_never_is() -> None:
    _, exact = linear_cross_entropy.value_and_gradient(X, W, LABELS, BIAS)
    _, bars, bound = linear_cross_entropy.approximate_value_and_gradient(
        X, W, LABELS, BIAS, skip_below=0.0
    )
    assert bound == (0.0, 0.0, 0.0)
    np.testing.assert_allclose(bars.W, exact.W, rtol=0, atol=1e-15 * np.max(np.abs(exact.W)))
    x = X.copy()
    x[3, 0] = np.nan
    _, bars, bound = linear_cross_entropy.approximate_value_and_gradient(
        x, W, LABELS, BIAS, skip_below=1.0
    )
    assert bound.skipped == 0
    assert np.all(np.isnan(bars.x[3]))


def test_all_may_be_skipped() -> None:
    _, bars, bound = linear_cross_entropy.approximate_value_and_gradient(
        X, W, LABELS, skip_below=1.5, frozen=("W",)
    )
    assert bound.skipped == 1
    assert bars.W is None
    assert not np.any(bars.x)
    exact = linear_cross_entropy.value_and_gradient(X, W, LABELS)[1]
    assert np.max(np.abs(exact.x)) <= bound.x
    assert_same_bits(bars.x, np.zeros_like(X))


@pytest.mark.parametrize(
    ("below", "error"),
    [(-1.0, ValueError), (np.nan, ValueError), (np.inf, ValueError), ("0", TypeError)],
)
def test_a_bound_is_a_number_that_is_not_negative(below: Any, error: Any) -> None:
    with pytest.raises(error, match="`skip_below` must be"):
        linear_cross_entropy.approximate_value_and_gradient(X, W, LABELS, skip_below=below)


def test_what_would_be_multiplied_by_infinity_is_never_skipped() -> None:
    x, weights = np.array([[1.0, 2.0]]), np.zeros((512, 2))
    weights[256:, 0] = -np.inf
    _, exact = linear_cross_entropy.value_and_gradient(x, weights, [0])
    _, bars, bound = linear_cross_entropy.approximate_value_and_gradient(
        x, weights, [0], skip_below=1e-3
    )
    assert bound.skipped == 0
    assert np.isnan(exact.x[0, 0])
    assert_same_bits(bars.x, exact.x)
