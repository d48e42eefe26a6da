"""Bugs that other libraries had, each pinned by its report, so that softgrad never has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import softgrad as sg
from asserts import as_numpy, assert_close, assert_same_bits
from specs import probe, sample

F32 = np.float32


def f32(*values: float) -> np.ndarray:
    return np.array(values, F32)


# --- saturation ------------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [17.0, 17.5, 20.0, 40.0, 80.0])
def test_gradient_of_a_confident_row_keeps_its_digits(gap: float) -> None:
    """pytorch #195684 #195680, jax #40344 #40386, tensorflow #126633: p − 1 is no subtraction."""
    z = f32(gap, 0.0)
    small = np.exp(-gap) / (1 + np.exp(-gap))
    expected = np.array([-small, small])
    gradient = sg.cross_entropy.gradient(z, 0)
    assert_close(gradient, expected, u=6, scale=np.abs(expected))
    product = sg.softmax.vjp(z, f32(1.0, 0.0))
    slope = small * (1 - small)
    assert_close(product, np.array([slope, -slope]), u=8, scale=slope)
    assert_close(sg.log_softmax.vjp(z, f32(-1.0, 0.0)), expected, u=8, scale=np.abs(expected))


def test_log_softmax_of_the_dominant_class_is_not_zero() -> None:
    """pytorch #113708, scipy #19521: log p = −log1p(r), and not x − logsumexp(x)."""
    assert_close(sg.log_softmax(f32(20, 0))[:1], [-np.log1p(np.exp(-20.0))], u=5)
    assert_close(sg.log_softmax([1000.0, 960.0])[:1], [-np.log1p(np.exp(-40.0))], u=5)
    assert_close(sg.cross_entropy(f32(20, 0), 0), np.log1p(np.exp(-20.0)), u=5)


def test_saturated_loss_and_its_gradient_agree_on_what_is_left() -> None:
    """Liger-Kernel #1329: a loss above zero beside a gradient of zero, or the other way round."""
    for gap in (10.0, 30.0, 60.0, 85.0):
        loss, gradient = sg.cross_entropy.value_and_gradient(f32(gap, 0), 0)
        assert loss > 0
        assert gradient[0] < 0 < gradient[1]
        assert_close(-gradient[0], loss, u=8, scale=loss * (1 + 2e7 * np.exp(-gap)))


# --- a common offset -------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [1e4, 1e6, 1e8, -1e8, 1e30])
def test_loss_of_equal_logits_is_log_2_at_any_offset(offset: float) -> None:
    """pytorch #11752 #38839, mlx #4169, optax PR #1792: logsumexp − logit[target] gave 0."""
    z = f32(offset, offset)
    assert_close(sg.cross_entropy(z, 0), np.log(2), u=2)
    assert_close(sg.log_softmax(z), [-np.log(2)] * 2, u=2)
    assert_same_bits(sg.softmax(z), f32(0.5, 0.5))
    assert_same_bits(sg.cross_entropy.gradient(z, 0), f32(-0.5, 0.5))


# --- −inf and NaN ----------------------------------------------------------------------------


def test_logsumexp_of_minus_infinities_has_no_nan_in_its_gradient() -> None:
    """pytorch #49724 #31829, jax #6811: (−inf) − (−inf)."""
    x = np.full(3, -np.inf)
    assert sg.logsumexp(x) == -np.inf
    assert_same_bits(sg.logsumexp.vjp(x, 1.0), np.zeros(3))
    assert_same_bits(sg.logsumexp.jacobian(x), np.zeros(3))
    assert sg.logsumexp([0.0, np.inf]) == np.inf
    assert sg.logsumexp([-np.inf, 3.0]) == 3.0


def test_masked_classes_leave_no_nan_in_any_gradient() -> None:
    """jax #17070, pytorch #101967: where= and −inf inside a differentiated softmax."""
    x, where = np.array([1.0, np.nan, -np.inf, 0.5]), np.array([True, False, False, True])
    v = np.array([1.0, 3.0, -2.0, 0.5])
    for f in (sg.softmax, sg.log_softmax, sg.sparsemax, sg.entmax15):
        assert np.all(np.isfinite(f.vjp(x, v, where=where))), f
    loss, gradient = sg.cross_entropy.value_and_gradient(x, 0, where=where)
    assert np.isfinite(loss)
    assert_same_bits(gradient[[1, 2]], np.zeros(2))


def test_target_at_zero_probability_and_target_zero() -> None:
    """optax #896: 0·(−inf) in soft targets is 0, and a hard target there is an infinite loss."""
    z = np.array([0.0, -np.inf])
    assert float(sg.cross_entropy(z, np.array([1.0, 0.0]))) == 0
    assert_same_bits(np.abs(sg.cross_entropy.gradient(z, np.array([1.0, 0.0]))), np.zeros(2))
    assert float(sg.cross_entropy(z, 1)) == np.inf


# --- binary cross-entropy --------------------------------------------------------------------


@pytest.mark.parametrize("x", [-1e4, -200.0, -100.0, 100.0, 200.0, 1e4])
def test_binary_cross_entropy_far_out_is_linear_and_not_clamped(x: float) -> None:
    """pytorch #49844 #102894 #135359: a clamp at 100, or a NaN beside infinity."""
    loss = sg.BinaryCrossEntropy(reduction="none")
    wrong, right = float(x < 0), float(x > 0)
    assert_close(loss(x, wrong), abs(x), u=2)
    assert_close(loss.gradient(x, wrong), np.sign(x), u=2)
    small = np.exp(-abs(x))
    if small:
        assert_close(loss(x, right), small, u=2 * abs(x))
    else:
        assert float(loss(x, right)) == 0
    soft = loss.value_and_gradient(x, 0.25)
    assert np.all(np.isfinite(soft))


# --- labels and reduction --------------------------------------------------------------------


@pytest.mark.parametrize("label", [-1, 3, 100])
def test_label_out_of_range_is_an_error_and_no_zero_loss(label: int) -> None:
    """optax #1185, tensorflow #8484: a loss of NaN or 0, and silence."""
    with pytest.raises(IndexError, match=f"got {label} at position 0"):
        sg.cross_entropy(np.zeros((1, 3)), np.array([label]))


def test_mean_with_weights_and_ignored_rows_divides_by_what_counts() -> None:
    """pytorch #61309 #73205 #49882: ignored rows or unsmoothed weights in the divisor."""
    x, c = sample("normal", 1.0, k=3), np.array([0.5, 2.0, 1.0])
    labels = np.array([1, -100, 2])
    each = sg.CrossEntropy(reduction="none", label_smoothing=0.1, ignore_index=-100)
    mean = sg.CrossEntropy(label_smoothing=0.1, ignore_index=-100)
    losses = each(x, labels, class_weights=c)
    assert float(losses[1]) == 0
    assert_close(mean(x, labels, class_weights=c), losses.sum() / 3.0, u=4)  # 2 + 1
    count = sg.CrossEntropy(label_smoothing=0.1, ignore_index=-100, normalizer="count")
    assert_close(count(x, labels, class_weights=c), losses.sum() / 2, u=4)


def test_every_row_hears_its_own_weight() -> None:
    """Liger-Kernel #968: one upstream gradient for all rows."""
    x, labels = sample("normal", 1.0, k=4), np.array([0, 1, 2])
    each = sg.CrossEntropy(reduction="none")
    plain = each.gradient(x, labels)
    weighted = each.gradient(x, labels, row_weights=np.array([1.0, -0.0, 4.0]))
    assert_same_bits(weighted[0], plain[0])
    assert not np.any(weighted[1])
    assert_same_bits(weighted[2], 4 * plain[2])


# --- in place, padding, accumulation ---------------------------------------------------------


def test_calling_twice_gives_the_same_answer() -> None:
    """Liger-Kernel #272, unsloth #5002: the gradient was written over the logits."""
    x, labels = sample("normal", 1.0), np.array([0, 1, 2])
    kept = x.copy()
    first = sg.cross_entropy.value_and_gradient(x, labels)
    second = sg.cross_entropy.value_and_gradient(x, labels)
    assert_same_bits(x, kept)
    for one, other in zip(first, second, strict=True):
        assert_same_bits(one, other)


@pytest.mark.parametrize("k", [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129])
def test_no_tail_is_lost_at_any_length(k: int) -> None:
    """verl #5349, apple/ml-cross-entropy #59: padding took part, or the last block did not.

    All logits are far below zero, so that a padding of zeros would swallow them.
    """
    for dtype in (np.float32, np.float64):
        x = (sample("normal", 1.0, k=k, rows=1)[0] - 50).astype(dtype)
        exact = np.exp(x.astype(np.float64) - x.max())
        assert_close(sg.softmax(x), exact / exact.sum(), u=8)
        assert_close(sg.logsumexp(x), x.max() + np.log(exact.sum()), u=4)


def test_accumulated_gradient_is_the_gradient_of_the_batch() -> None:
    """transformers PR #34191, trl #2175: a mean of means over parts of different size."""
    x, labels = probe((5, 4), seed=1), np.array([0, -100, 2, 3, -100])
    whole = sg.CrossEntropy(ignore_index=-100).gradient(x, labels)
    part = sg.CrossEntropy(ignore_index=-100, normalizer=3)
    pieces = np.concatenate([part.gradient(x[:2], labels[:2]), part.gradient(x[2:], labels[2:])])
    assert_close(pieces, whole, u=4)


# --- precision, integers ---------------------------------------------------------------------


def test_float16_does_not_overflow_inside() -> None:
    """executorch #20090, TransformerEngine #3193: exp and its sum in half precision."""
    z = np.array([60000.0, -60000.0, 59968.0], np.float16)
    p = sg.softmax(z)
    assert p.dtype == np.float16
    assert p.tolist() == [1.0, 0.0, float(np.float16(np.exp(-32.0)))]
    loss = sg.cross_entropy(z, 1)
    assert loss.dtype == np.float32
    assert float(loss) == 120000.0  # beyond the largest float16


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int64])
def test_integer_logits_are_promoted_before_the_maximum_is_subtracted(dtype: type) -> None:
    """SciPy's softmax: uint8 [0, 5, 9] wraps around."""
    z = np.array([0, 5, 9], dtype)
    assert_same_bits(sg.softmax(z), sg.softmax([0.0, 5.0, 9.0]))
    assert_same_bits(sg.cross_entropy(z, 1), sg.cross_entropy([0.0, 5.0, 9.0], 1))


# --- tests that cannot fail ------------------------------------------------------------------


WRONG = {
    "h(1 - h)": lambda z, g: g * sg.softmax(z) * (1 - sg.softmax(z)),
    "zero": lambda z, g: np.zeros_like(z),
    "sign": lambda z, g: -sg.softmax.vjp(z, g),
    "one per mille": lambda z, g: 1.001 * sg.softmax.vjp(z, g),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_uniform_cotangent_tells_nothing_and_the_checker_does(wrong: Any) -> None:
    """cs249r_book #2053: with a uniform cotangent the zero backward passes."""
    z = sample("normal", 1.0)
    assert not np.any(sg.softmax.vjp(z, np.full(z.shape, 1.0)))  # so would any zero be right
    assert sg.check(sg.softmax, sg.softmax.vjp, z).verdict == "pass"
    assert sg.check(sg.softmax, wrong, z).verdict == "fail"


def test_more_than_two_to_the_31_elements_have_indices_that_fit() -> None:
    """pytorch #84144: indices are 64-bit in the label check and beside the rows."""
    from softgrad.arrays import indices

    assert indices(np.zeros((1, 2))).dtype == np.int64
    assert as_numpy(indices(np.zeros((1, 2)))).tolist() == [0, 1]


@pytest.mark.slow
def test_more_classes_than_float32_has_integers() -> None:
    """A row of 2²⁶ classes: a running float32 sum of ones stops at 2²⁴."""
    k = 2**26
    p = sg.softmax(np.zeros(k, F32))
    assert float(p[0]) == float(p[-1]) == 2.0**-26
    assert_close(sg.logsumexp(np.zeros(k, F32)), 26 * np.log(2), u=2)
