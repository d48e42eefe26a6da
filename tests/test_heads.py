"""The fused head against dense logits: every option, alone and with others, and all products."""

from __future__ import annotations

from functools import cache
from typing import Any

import mpmath
import numpy as np
import pytest

import heads_primal as primal
from asserts import as_numpy, assert_close, assert_same_bits
from softgrad.heads import LinearCrossEntropy
from softgrad.heads.products import NumPyProducts
from softgrad.losses import TopK
from specs import probe

N, D, K = 5, 3, 7
LABELS = np.array([2, 0, 6, 3, 3])
X, W, BIAS = probe((N, D), seed=1), 0.9 * probe((K, D), seed=2), 1.3 * probe((K,), seed=3)
CLASS_WEIGHTS = np.linspace(0.25, 1.75, K)
ROW_WEIGHTS = np.array([1.0, 0.5, 3.0, 0.0, 1.25])
SOFT = np.exp(probe((N, K), seed=5))
SOFT /= SOFT.sum(axis=-1, keepdims=True)
TOP_K = TopK(
    np.array([[2, 0, 2], [1, 5, 6], [3, 2, 0], [0, 1, 2], [6, 6, 6]]),
    np.array([[0.5, 0.25, 0.125], [0.3, 0.4, 0.3], [0.75, 0, 0.125], [0, 0, 0], [0.1, 0.2, 0.3]]),
)
TARGETS = {"labels": LABELS, "soft": SOFT, "top_k": TOP_K}
BARS = {"mean": 0.7, "sum": -1.5, "none": np.array([0.3, -1.0, 2.0, 5.0, 0.5])}
MEMORY = {"a row": 1, "two rows": 3 * 8 * K * 4, "all rows": 2**26}

CASES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "plain": ({}, {}, "labels"),
    "class weights": ({}, {"class_weights": CLASS_WEIGHTS}, "labels"),
    "row weights": ({}, {"row_weights": ROW_WEIGHTS}, "labels"),
    "smoothing": ({"label_smoothing": 0.2}, {}, "labels"),
    "soft targets": ({}, {}, "soft"),
    "weighted soft targets": ({}, {"class_weights": CLASS_WEIGHTS}, "soft"),
    "top k": ({}, {}, "top_k"),
    "top k, spread": ({"rest": "spread"}, {"class_weights": CLASS_WEIGHTS}, "top_k"),
    "ignored": ({"ignore_index": 3}, {}, "labels"),
    "z-loss": ({"z_loss": 0.05}, {}, "labels"),
    "soft cap": ({"soft_cap": 2.0}, {}, "labels"),
    "temperature": ({"temperature": 0.6}, {}, "labels"),
    "sum": ({"reduction": "sum"}, {}, "labels"),
    "none": ({"reduction": "none"}, {}, "labels"),
    "count": ({"normalizer": "count"}, {"class_weights": CLASS_WEIGHTS}, "labels"),
    "number": ({"normalizer": 11.0}, {}, "soft"),
    "much": (
        {"label_smoothing": 0.1, "z_loss": 0.02, "soft_cap": 3.0, "temperature": 1.7},
        {"class_weights": CLASS_WEIGHTS, "row_weights": ROW_WEIGHTS},
        "top_k",
    ),
    "more": (
        {"ignore_index": 6, "z_loss": 0.02, "reduction": "none", "soft_cap": 1.5},
        {"class_weights": CLASS_WEIGHTS, "row_weights": ROW_WEIGHTS},
        "labels",
    ),
    "most": (
        {"label_smoothing": 0.3, "temperature": 0.4, "normalizer": "count", "rest": "spread"},
        {"row_weights": ROW_WEIGHTS},
        "soft",
    ),
}
each_case = pytest.mark.parametrize("case", CASES)
each_memory = pytest.mark.parametrize("memory", MEMORY)


@pytest.fixture(autouse=True)
def fewer_digits() -> Any:
    """Let differences of 1e-30 keep their digits, and cost little."""
    with mpmath.workdps(90):
        yield


def to_library(library: str, *arrays: Any) -> tuple[Any, ...]:
    """Return arrays of a library; None stays None, and a `TopK` one of its arrays."""
    if library == "numpy":
        return arrays
    torch = pytest.importorskip("torch")

    def convert(v: Any) -> Any:
        if isinstance(v, TopK):
            return TopK(*map(convert, v))
        return v if v is None or isinstance(v, float) else torch.tensor(np.asarray(v))

    return tuple(map(convert, arrays))


def settings_of(case: str, memory: str = "two rows") -> tuple[LinearCrossEntropy, Any, Any]:
    settings, options, targets = CASES[case]
    head = LinearCrossEntropy(**settings, memory=MEMORY[memory])
    return head, TARGETS[targets], options


def assert_gradients(actual: Any, expected: list[Any], u: float) -> None:
    for name, a, e in zip(("x", "W", "bias"), actual, expected, strict=True):
        assert_close(a, e, u=u, what=name)


@each_case
@each_memory
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_value_and_gradient_are_those_of_dense_logits(case: str, memory: str, library: str) -> None:
    head, targets, options = settings_of(case, memory)
    bar = BARS[head.reduction]
    x, W_, bias, t, factor = to_library(library, X, W, BIAS, targets, bar)
    weights = dict(zip(options, to_library(library, *options.values()), strict=True))
    value, bars = head.value_and_gradient(x, W_, t, bias, loss_bar=factor, **weights)
    f, point, _ = definition(case)
    assert_close(np.sum(bar * as_numpy(value)), float(f(point)), u=64, what="value")
    assert_gradients(bars, expected_gradient(case), u=256)
    assert_same_bits(head(x, W_, t, bias, **weights), value)


DOTS = [probe(v.shape, seed=9) for v in (X, W, BIAS)]
OTHERS = [probe(v.shape, seed=10) for v in (X, W, BIAS)]


@cache
def expected_gradient(case: str) -> list[Any]:
    f, point, _ = definition(case)
    return primal.gradient(f, point)


@cache
def expected_bends(case: str) -> list[Any]:
    return primal.hessian_product(*definition(case))


def definition(case: str) -> tuple[primal.Primal, list[Any], list[Any]]:
    """Return the primal of a case, the point and the direction."""
    head, targets, options = settings_of(case)
    f = primal.head(head, targets, **options, bar=BARS[head.reduction])
    return f, [primal.exact(v) for v in (X, W, BIAS)], [primal.exact(v) for v in DOTS]


@each_case
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_jvp_hvp_and_ggn_are_those_of_dense_logits(case: str, library: str) -> None:
    head, targets, options = settings_of(case)
    bar = BARS[head.reduction]
    x, W_, bias, t, factor = to_library(library, X, W, BIAS, targets, bar)
    weights = dict(zip(options, to_library(library, *options.values()), strict=True))
    x_dot, W_dot, bias_dot = to_library(library, *DOTS)
    along = {"x_dot": x_dot, "W_dot": W_dot, "bias_dot": bias_dot}
    slope = as_numpy(head.jvp(x, W_, t, bias, **along, **weights))
    expected = float(primal.directional(*definition(case)))
    scale = sum(np.sum(np.abs(g * v)) for g, v in zip(expected_gradient(case), DOTS, strict=True))
    assert_close(np.sum(bar * slope), expected, u=256, scale=scale, what="jvp")
    product = head.hvp(x, W_, t, bias, **along, loss_bar=factor, **weights)
    assert_gradients(product, expected_bends(case), u=1024)
    ggn = head.ggn(x, W_, t, bias, **along, loss_bar=factor, **weights)
    assert_gradients(ggn, gauss_newton(case), u=1024)
    other = dict(zip(along, to_library(library, *OTHERS), strict=True))
    bent = as_numpy(head.second_derivative(x, W_, t, bias, **along, other=other, **weights))
    terms = [g * v for g, v in zip(expected_bends(case), OTHERS, strict=True)]
    scale = sum(np.sum(np.abs(term)) for term in terms)
    assert_close(
        np.sum(bar * bent), sum(map(np.sum, terms)), u=1024, scale=scale, what="second_derivative"
    )


@cache
def gauss_newton(case: str) -> list[Any]:
    """Return the Hessian's product less what comes from the logits' own bend: z is bilinear."""
    f, (x, W_, bias), dots = definition(case)
    rows = primal.exact(np.eye(N))  # the logits are a layer of one-hot features, too
    _, z_bar, _ = primal.gradient(f, [rows, (x @ W_.T + bias).T, None])  # [K, N]
    bends = expected_bends(case)
    x_dot, W_dot, _ = (np.asarray(v, dtype=np.float64) for v in dots)
    return [bends[0] - z_bar.T @ W_dot, bends[1] - z_bar @ x_dot, bends[2]]


@pytest.mark.parametrize("kind", ["labels", "soft"])
def test_a_gradient_that_half_precision_cannot_hold_is_infinite(kind: str) -> None:
    x, W = np.float16(probe((N, 3), seed=1)), np.float16(probe((K, 3), seed=2))
    bias = np.zeros(K, dtype=np.float16)
    head = LinearCrossEntropy(reduction="sum", temperature=1e-6)
    wide = [np.float32(v) for v in (x, W, bias)]
    t = TARGETS[kind]
    expected = head.value_and_gradient(*wide[:2], t, wide[2])[1]
    actual = head.value_and_gradient(x, W, t, bias)[1]  # without a warning
    for a, e in zip(actual, expected, strict=True):
        too_large = np.abs(e) > np.finfo(np.float16).max
        assert too_large.any()
        np.testing.assert_array_equal(a[too_large], np.sign(e[too_large]) * np.inf)
        assert np.isfinite(a[~too_large]).all()


@pytest.mark.parametrize("shape", [(3000, 150), (150, 3000)])
def test_products_are_added_in_every_thread_where_they_belong(
    shape: tuple[int, int], rng: np.random.Generator
) -> None:
    N, K = shape
    a, b = (rng.integers(-9, 9, size).astype(np.float32) for size in ((N, 4), (4, K)))
    out = rng.integers(-9, 9, (N, K)).astype(np.float32)
    expected, c = out + a @ b, rng.integers(-9, 9, K).astype(np.float32)
    NumPyProducts().add(a, b, out)
    assert_same_bits(out, expected)  # integers: no rounding
    NumPyProducts().write_affine(a, b, c, out)
    assert_same_bits(out, a @ b + c)
