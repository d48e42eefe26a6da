"""The edge cases of the library, each by its name: what every map and loss does at its limits."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import numpy as np
import pytest

import softgrad as sg
from asserts import assert_close, assert_same_bits
from softgrad import maps
from specs import SPECS, Compiled, Spec, each_way, probe, sample, where_holds

INF, NAN = np.inf, np.nan
SIMPLEX = where_holds(lambda spec: spec.simplex, compiled=True)
ALONG_ROWS = where_holds(lambda spec: not spec.elementwise, compiled=True)


def assert_equal(actual: Any, expected: Any) -> None:
    """Compare exactly, with NaN equal to NaN; the sign of zero does not count."""
    np.testing.assert_array_equal(actual, np.asarray(expected), strict=False)


def every_product(f: Any, x: Any, where: Any = None) -> dict[str, Any]:
    """Return value, jvp, vjp, jacobian and hvp at x in directions that are not uniform."""
    x = np.asarray(x)
    x_dot, y = probe(x.shape, seed=1, dtype=x.dtype), f(x, where=where)
    y_bar = probe(y.shape, seed=2, dtype=x.dtype)
    return {
        "value": y,
        "jvp": f.jvp(x, x_dot, where=where),
        "vjp": f.vjp(x, y_bar, where=where),
        "jacobian": f.jacobian(x, where=where),
        "hvp": f.hvp(x, y_bar, x_dot, where=where),
    }


# --- saturation ------------------------------------------------------------------------------


def test_saturated_row_keeps_every_digit_of_its_gradient() -> None:
    expected = np.array([4.248354255291589e-18, -4.248354255291589e-18])
    assert_same_bits(sg.softmax.vjp([40.0, 0.0], [1.0, 0.0]), expected)
    assert_same_bits(sg.softmax.jvp([40.0, 0.0], [1.0, 0.0]), expected)
    assert_same_bits(sg.softmax.jacobian([40.0, 0.0]), np.stack([expected, -expected]))
    assert_same_bits(sg.cross_entropy.gradient([40.0, 0.0], 0), -expected)
    assert_same_bits(sg.log_softmax([40.0, 0.0]), np.array([-4.248354255291589e-18, -40.0]))
    assert float(sg.cross_entropy([40.0, 0.0], 0)) == 4.248354255291589e-18


# --- empty and small -------------------------------------------------------------------------


@ALONG_ROWS
def test_empty_class_axis(spec: Spec) -> None:
    x = np.zeros((3, 0))
    y, jacobian = spec.map.linearize(x)
    if spec.to_number:
        assert_equal(y, [-INF] * 3)
        assert jacobian.mv(x).shape == (3,)
        assert_equal(jacobian.mv(x), np.zeros(3))
        assert jacobian.rmv(np.array([1.0, 2.0, 3.0])).shape == (3, 0)
    else:
        assert y.shape == (3, 0)
        assert jacobian.mv(x).shape == (3, 0)
        assert jacobian.rmv(x).shape == (3, 0)
        assert spec.map.jacobian(x).shape == (3, 0, 0)
        assert spec.map.hvp(x, x, x).shape == (3, 0)


@pytest.mark.parametrize(
    "loss", [sg.cross_entropy, sg.binary_cross_entropy, sg.squared_error, sg.FenchelYoung()]
)
def test_loss_without_classes_raises(loss: Any) -> None:
    with pytest.raises(ValueError, match=r"`x` must be of at least one class, got shape \(3, 0\)"):
        loss(np.zeros((3, 0)), np.zeros((3, 0)))


@each_way
def test_zero_rows(spec: Spec) -> None:
    x = np.zeros((0, 4))
    y = spec.map(x)
    assert y.shape == spec.out_shape((0, 4))
    assert spec.map.vjp(x, y).shape == (0, 4)
    assert spec.map.jvp(x, x).shape == y.shape
    assert spec.map.jacobian(x).shape == ((0, 4) if spec.to_number else (0, 4, 4))


@pytest.mark.parametrize("make", [sg.CrossEntropy, sg.BinaryCrossEntropy, sg.SquaredError])
def test_mean_over_zero_rows_follows_on_empty(make: Any) -> None:
    x, targets = np.zeros((0, 4)), np.zeros((0, 4))
    value, gradient = make().value_and_gradient(x, targets)
    assert float(value) == 0
    assert gradient.shape == (0, 4)
    assert np.isnan(make(on_empty="nan")(x, targets))
    assert float(make(reduction="sum")(x, targets)) == 0
    assert make(reduction="none").gradient(x, targets).shape == (0, 4)
    message = "`targets` must be at least one row that counts, got none"
    with pytest.raises(ValueError, match=message):
        make(on_empty="raise")(x, targets)


@SIMPLEX
def test_one_class_has_probability_one_and_no_gradient(spec: Spec) -> None:
    products = every_product(spec.map, np.array([[3.7], [-1e4], [0.0]]))
    assert_equal(products.pop("value"), np.ones((3, 1)))
    for product in products.values():
        assert_equal(product, np.zeros_like(product))


def test_one_class_has_log_probability_zero() -> None:
    x = np.array([[3.7], [-1e4]])
    assert_equal(sg.log_softmax(x), np.zeros((2, 1)))
    assert_equal(sg.log_softmax.vjp(x, [[2.0], [3.0]]), np.zeros((2, 1)))
    assert_equal(sg.logsumexp(x), x[:, 0])
    loss, gradient = sg.cross_entropy.value_and_gradient(x, [0, 0])
    assert float(loss) == 0
    assert_equal(gradient, np.zeros((2, 1)))


# --- infinities ------------------------------------------------------------------------------


def test_row_of_minus_infinity_alone() -> None:
    x = np.array([[-INF, -INF, -INF], [0.0, 1.0, 2.0]])
    lse = sg.logsumexp(x)
    assert lse[0] == -INF
    assert_equal(sg.logsumexp.vjp(x, [2.0, 3.0])[0], np.zeros(3))
    assert_equal(sg.logsumexp.jvp(x, probe(x.shape))[0], 0.0)
    assert_equal(sg.softmax(x)[0], [NAN] * 3)
    assert_same_bits(sg.softmax(x)[1], sg.softmax(x[1]))


def test_empty_row_setting_of_softmax() -> None:
    x = np.array([[-INF, -INF, -INF, -INF], [0.0, 1.0, 2.0, -INF]])
    fine = sg.softmax(x[1])
    for word, row in (("nan", [NAN] * 4), ("zero", [0.0] * 4), ("uniform", [0.25] * 4)):
        f = sg.Softmax(empty_row=word)
        assert_equal(f(x)[0], row)
        assert_same_bits(f(x)[1], fine)
        if word != "nan":
            assert_equal(f.vjp(x, probe(x.shape))[0], np.zeros(4))
    raising = sg.Softmax(empty_row="raise")
    with pytest.raises(ValueError, match="`x` must be above −inf somewhere in every row"):
        raising(x)
    assert_same_bits(raising(x[1]), fine)


def test_empty_row_setting_with_a_mask() -> None:
    """A row that is masked whole is 0 under every setting; unmasked −inf is an empty row."""
    x = np.array([[1.0, -INF, -INF], [1.0, 2.0, 3.0]])
    where = np.array([[False, True, True], [False, False, False]])
    assert_equal(sg.Softmax(empty_row="uniform")(x, where=where), [[0, 0.5, 0.5], [0, 0, 0]])
    assert_equal(sg.Softmax(empty_row="zero")(x, where=where), np.zeros((2, 3)))
    assert_equal(sg.softmax(x, where=where), [[0, NAN, NAN], [0, 0, 0]])
    with pytest.raises(ValueError, match="`x` must be above"):
        sg.Softmax(empty_row="raise")(x, where=where)


@SIMPLEX
def test_row_masked_whole_is_zero(spec: Spec) -> None:
    x = np.array([[1.0, 2.0, 3.0], [0.0, 1.0, 0.5]])
    where = np.array([[False] * 3, [True] * 3])
    for product in every_product(spec.map, x, where).values():
        assert_equal(product[0], np.zeros_like(product[0]))
    assert_same_bits(spec.map(x, where=where)[1], spec.map(x[1]))


def test_row_masked_whole_has_logarithm_minus_infinity() -> None:
    x, where = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[False] * 2, [True] * 2])
    assert_equal(sg.log_softmax(x, where=where)[0], [-INF, -INF])
    assert_equal(sg.logsumexp(x, where=where)[0], -INF)
    for f in (sg.log_softmax, sg.logsumexp):
        y_bar = probe(f(x).shape, seed=1)
        assert_equal(f.vjp(x, y_bar, where=where)[0], [0, 0])
        assert np.any(f.vjp(x, y_bar, where=where)[1])
        assert not np.any(f.jvp(x, probe(x.shape), where=where)[0])


@SIMPLEX
def test_some_minus_infinity_is_exactly_zero(spec: Spec) -> None:
    x = np.array([[0.3, -INF, 0.1, 0.2], [-INF, 1.0, -INF, -INF]])
    kept = [0, 2, 3]
    all_of_it = every_product(spec.map, x)
    for name, product in all_of_it.items():
        assert np.all(np.isfinite(product)), name
        assert_equal(product[0, 1], np.zeros_like(product[0, 1]))
    assert_equal(all_of_it["value"][1], [0, 1, 0, 0])
    assert_close(all_of_it["value"][0, kept], spec.map(x[0, kept]), u=4)


def test_some_minus_infinity_in_log_softmax() -> None:
    x = np.array([0.3, -INF, 0.1])
    assert_equal(sg.log_softmax(x)[1], -INF)
    assert_same_bits(sg.log_softmax(x)[[0, 2]], sg.log_softmax(x[[0, 2]]))
    x_bar = sg.log_softmax.vjp(x, [1.0, 5.0, 2.0])
    assert_equal(x_bar[1], 0.0)
    assert_same_bits(x_bar[[0, 2]], sg.log_softmax.vjp(x[[0, 2]], [1.0, 2.0]))
    assert_same_bits(sg.logsumexp(x), sg.logsumexp(x[[0, 2]]))


@ALONG_ROWS
def test_one_plus_infinity_makes_its_row_nan(spec: Spec) -> None:
    x = np.array([[0.0, INF, -1.0], [0.3, 0.1, 0.2]])
    y = spec.map(x)
    assert_equal(y[0], INF if spec.to_number else [NAN] * 3)
    assert_same_bits(y[1:], spec.map(x[1:]))


@each_way
def test_nan_stays_in_its_row(spec: Spec) -> None:
    x = sample("normal", 1.0, k=4)
    broken = x.copy()
    broken[1, 2] = NAN
    clean, dirty = every_product(spec.map, x), every_product(spec.map, broken)
    for name in clean:
        assert_same_bits(dirty[name][[0, 2]], clean[name][[0, 2]], name)
    if spec.elementwise:
        assert np.isnan(dirty["value"][1, 2])
        assert_same_bits(dirty["value"][1, [0, 1, 3]], clean["value"][1, [0, 1, 3]])
    else:
        assert np.all(np.isnan(dirty["value"][1]))


@ALONG_ROWS
@pytest.mark.parametrize("junk", [NAN, INF, -INF, 1e300])
def test_what_is_under_a_mask_has_no_effect(spec: Spec, junk: float) -> None:
    x = sample("normal", 1.0, k=4)
    where = np.array([True, False, True, True])
    clean, x[:, 1] = every_product(spec.map, x, where), junk
    for name, product in every_product(spec.map, x, where).items():
        assert_same_bits(product, clean[name], name)
    kept = spec.map(x[:, [0, 2, 3]])
    y = spec.map(x, where=where)
    assert_close(y if spec.to_number else y[:, [0, 2, 3]], kept, u=4)


@ALONG_ROWS
@pytest.mark.parametrize("junk", [NAN, INF])
def test_junk_in_directions_under_a_mask_has_no_effect_on_the_rest(spec: Spec, junk: float) -> None:
    x, x_dot = sample("normal", 1.0, k=4), probe((3, 4), seed=1)
    where = np.array([True, False, True, True])
    clean = spec.map.jvp(x, x_dot, where=where)
    x_dot[:, 1] = junk
    dirty = spec.map.jvp(x, x_dot, where=where)
    kept = slice(None) if spec.to_number else (slice(None), [0, 2, 3])
    assert_same_bits(dirty[kept], clean[kept])


@each_way
def test_finite_inputs_give_finite_results_without_warnings(spec: Spec) -> None:
    """No overflow on the way: the largest numbers, and the smallest, are inputs like any other."""
    big = np.finfo(float).max
    rows = [[big, -big, 0.0], [big, big, big], [-big, -big, 1.0], [5e-324, 0.0, -5e-324]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, product in every_product(spec.map, np.array(rows)).items():
            assert not np.any(np.isnan(product)), name


@SIMPLEX
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_underflow_is_plus_zero(spec: Spec, dtype: type) -> None:
    """So far below the maximum that the rounding error of the distance is itself above 1."""
    p = spec.map(np.array([3e20, 1.0, -7.3e19, 1.1e18], dtype))
    assert_equal(p, [1, 0, 0, 0])
    assert not np.any(np.signbit(p))


# --- labels ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "loss", [sg.cross_entropy, Compiled(sg.cross_entropy), sg.FenchelYoung(map=sg.sparsemax)]
)
@pytest.mark.parametrize(("labels", "value", "position"), [([0, 3, -1], 3, 1), ([2, 0, -1], -1, 2)])
def test_bad_label_raises_with_the_first_position_and_value(
    loss: Any, labels: list[int], value: int, position: int
) -> None:
    x = sample("normal", 1.0, k=3)
    expected = f"`targets` must be class indices from 0 to 2, got {value} at position {position}"
    for call in (loss, loss.gradient, loss.value_and_gradient, loss.hessian):
        with pytest.raises(IndexError) as caught:
            call(x, np.array(labels))
        assert str(caught.value) == expected


def test_bad_label_in_a_batch_of_batches_names_all_its_coordinates() -> None:
    labels = np.zeros((2, 3), int)
    labels[1, 2] = 9
    with pytest.raises(IndexError, match=r"got 9 at position \(1, 2\)"):
        sg.cross_entropy(np.zeros((2, 3, 4)), labels)


def test_label_of_the_ignored_kind_is_not_bad() -> None:
    x = sample("normal", 1.0, k=3)
    loss = sg.CrossEntropy(ignore_index=-100)
    value, gradient = loss.value_and_gradient(x, [0, -100, 2])
    assert_same_bits(value, sg.cross_entropy(x[[0, 2]], [0, 2]))
    assert_same_bits(gradient[[0, 2]], sg.cross_entropy.gradient(x[[0, 2]], [0, 2]))
    assert_equal(gradient[1], np.zeros(3))
    with pytest.raises(IndexError, match="got -1 at position 1"):
        loss(x, [0, -1, 2])


def test_ignored_row_has_no_say_whatever_its_logits() -> None:
    x = sample("normal", 1.0, k=3)
    loss = sg.CrossEntropy(ignore_index=7)
    clean = loss.value_and_gradient(x, [0, 7, 2])
    x[1] = [NAN, INF, -INF]
    dirty = loss.value_and_gradient(x, [0, 7, 2])
    assert_same_bits(dirty[0], clean[0])
    assert_same_bits(dirty[1], clean[1])


def test_every_label_ignored() -> None:
    x, labels = sample("normal", 1.0, k=3), np.full(3, -1)
    value, gradient = sg.CrossEntropy(ignore_index=-1).value_and_gradient(x, labels)
    assert float(value) == 0
    assert_equal(gradient, np.zeros((3, 3)))
    nan = sg.CrossEntropy(ignore_index=-1, on_empty="nan")
    assert np.isnan(nan(x, labels))
    assert_equal(nan.gradient(x, labels), np.zeros((3, 3)))
    with pytest.raises(ValueError, match="`targets` must be at least one row that counts"):
        sg.CrossEntropy(ignore_index=-1, on_empty="raise")(x, labels)


@pytest.mark.parametrize("rows", [2, 4096])
def test_weights_whose_sum_overflows_have_no_mean(rows: int) -> None:
    x, labels = sample("normal", 1.0, k=64, rows=rows, dtype=np.float32), np.arange(rows) % 64
    weights = np.full(rows, 3e38, np.float32)
    value, gradient = sg.cross_entropy.value_and_gradient(x, labels, row_weights=weights)
    assert np.isnan(value)
    assert np.isnan(gradient).all()
    small = sg.cross_entropy(x, labels, row_weights=weights / np.float32(2 * rows))
    assert_close(small, sg.cross_entropy(x, labels), u=4)


# --- targets ---------------------------------------------------------------------------------


def test_soft_targets_that_do_not_sum_to_one_have_the_exact_gradient() -> None:
    """The gradient of −Σ t_j log p_j is p·Σt − t, not p − t."""
    x, t = sample("normal", 1.0), np.abs(probe((3, 5), seed=1))
    gradient = sg.CrossEntropy(reduction="sum").gradient(x, t)
    mass = np.sum(t, axis=-1, keepdims=True)
    assert np.all(np.abs(mass - 1) > 0.1)
    assert_close(gradient, sg.softmax(x) * mass - t, u=16)


def test_validate_refuses_targets_that_are_no_probabilities() -> None:
    x, strict = sample("normal", 1.0, k=3), sg.CrossEntropy(validate=True)
    fine = np.array([[0.2, 0.3, 0.5], [1, 0, 0], [0.1, 0.1, 0.8]])
    assert_same_bits(strict(x, fine), sg.cross_entropy(x, fine))
    for t in (fine * 1.01, np.where(fine == 0.2, -0.2, fine), fine - 0.1, np.full((3, 3), NAN)):
        with pytest.raises(ValueError, match="`targets` must be probabilities that sum to one"):
            strict(x, t)
        sg.cross_entropy(x, t)  # and without it they are taken as they are


@pytest.mark.parametrize("make", [sg.CrossEntropy, sg.LinearCrossEntropy])
def test_smoothed_labels_without_weight_are_a_mean_over_nothing(make: Any) -> None:
    x, labels, classes = probe((2, 4), 1), np.array([3, 3]), np.array([1.0, 2.0, 0.5, 0.0])
    arguments = (x, np.eye(4), labels) if make is sg.LinearCrossEntropy else (x, labels)
    for on_empty, expected in (("zero", 0.0), ("nan", np.nan)):
        f = make(label_smoothing=0.1, on_empty=on_empty)
        value, gradient = f.value_and_gradient(*arguments, class_weights=classes)
        np.testing.assert_equal(float(value), expected)
        assert not np.any(gradient[0] if make is sg.LinearCrossEntropy else gradient)
    total = make(label_smoothing=0.1, reduction="sum")
    assert total(*arguments, class_weights=classes) > 0.1  # a sum has what smoothing gives


def test_target_zero_at_minus_infinity_contributes_nothing() -> None:
    x = np.array([[0.5, -INF, 0.2]])
    t = np.array([[0.25, 0.0, 0.75]])
    value, gradient = sg.cross_entropy.value_and_gradient(x, t)
    assert_same_bits(value, sg.cross_entropy(x[:, [0, 2]], t[:, [0, 2]]))
    assert_equal(gradient[0, 1], 0.0)
    assert float(sg.cross_entropy(x, [1])) == INF


def test_label_smoothing_spreads_over_unmasked_classes_only() -> None:
    x, where = sample("normal", 1.0, k=4), np.array([True, True, False, True])
    labels, kept = np.array([0, 1, 3]), [0, 1, 3]
    smooth = sg.CrossEntropy(label_smoothing=0.1)
    value, gradient = smooth.value_and_gradient(x, labels, where=where)
    packed = smooth.value_and_gradient(x[:, kept], np.array([0, 1, 2]))
    assert_close(value, packed[0], u=4)
    assert_close(gradient[:, kept], packed[1], u=4)
    assert_equal(gradient[:, 2], np.zeros(3))


@pytest.mark.parametrize("normalizer", ["weight", "count", 2.5])
def test_hard_label_is_its_one_hot_soft_label(normalizer: Any) -> None:
    x, labels = sample("normal", 1.0), np.array([0, 4, 2])
    c, w = np.array([0.5, 2.0, 1.0, 0.25, 3.0]), np.array([1.0, 0.5, 2.0])
    loss = sg.CrossEntropy(normalizer=normalizer, label_smoothing=0.1)
    hard = loss.value_and_gradient(x, labels, class_weights=c, row_weights=w)
    soft = loss.value_and_gradient(x, np.eye(5)[labels], class_weights=c, row_weights=w)
    assert_same_bits(hard[0], soft[0])
    assert_same_bits(hard[1], soft[1])


def test_normalizer_is_explicit_with_class_weights() -> None:
    x, labels, c = sample("normal", 1.0, k=3), np.array([0, 1, 1]), np.array([0.5, 2.0, 1.0])
    total = float(sg.CrossEntropy(reduction="sum")(x, labels, class_weights=c))
    for normalizer, divisor in (("weight", 4.5), ("count", 3.0), (7.0, 7.0)):
        loss = sg.CrossEntropy(normalizer=normalizer)
        assert_close(loss(x, labels, class_weights=c), total / divisor, u=4)


# --- kinds of numbers ------------------------------------------------------------------------


@each_way
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.uint64])
def test_integers_are_promoted_before_any_arithmetic(spec: Spec, dtype: type) -> None:
    x = np.array([0, 5, 9], dtype)
    assert_same_bits(spec.map(x), spec.map(x.astype(np.float64)))
    assert_same_bits(spec.map([0, 5, 9]), spec.map([0.0, 5.0, 9.0]))


@each_way
def test_bool_is_a_type_error(spec: Spec) -> None:
    with pytest.raises(TypeError, match=r"`x` must be real numbers .*, got bool \(2,\)"):
        spec.map(np.array([True, False]))


@each_way
def test_masked_array_is_a_type_error_that_points_to_where(spec: Spec) -> None:
    x = np.ma.masked_array([1.0, 2.0], [True, False])
    with pytest.raises(TypeError, match="`x` must be a plain array; give the mask as `where=`"):
        spec.map(x)


@pytest.mark.parametrize("loss", [sg.cross_entropy, sg.binary_cross_entropy, sg.squared_error])
def test_masked_array_is_a_type_error_for_losses(loss: Any) -> None:
    x, masked = np.zeros((1, 2)), np.ma.masked_array([[1.0, 0.0]], [[True, False]])
    with pytest.raises(TypeError, match="`x` must be a plain array"):
        loss(masked, x)
    with pytest.raises(TypeError, match="`targets` must be a plain array"):
        loss(x, masked)


@pytest.mark.parametrize("make", [sg.Softmax, sg.LogSoftmax])
@pytest.mark.parametrize("temperature", [0.0, -1.0, NAN, INF])
def test_temperature_that_is_not_positive_is_a_value_error(make: Any, temperature: float) -> None:
    with pytest.raises(
        ValueError, match=r"`temperature` must be a finite number from 1e-30 to 1e\+30, got"
    ):
        make(temperature=temperature)


@pytest.mark.parametrize("temperature", [1e-30, 1e30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_temperatures_are_limits(temperature: float, dtype: type) -> None:
    p = sg.Softmax(temperature=temperature)(np.array([2.0, 1.0, 2.0], dtype))
    assert_equal(p, [0.5, 0, 0.5] if temperature < 1 else np.full(3, 1 / dtype(3)))
    for beyond in (temperature**2, temperature**10):
        with pytest.raises(
            ValueError, match=r"`temperature` must be a finite number from 1e-30 to 1e\+30, got"
        ):
            sg.Softmax(temperature=beyond)


# --- binary cross-entropy --------------------------------------------------------------------


def test_binary_cross_entropy_of_certain_and_right_is_zero() -> None:
    loss = sg.BinaryCrossEntropy(reduction="none")
    x, t = np.array([-INF, INF]), np.array([0.0, 1.0])
    assert_equal(loss(x, t), [0.0, 0.0])
    assert_equal(loss.gradient(x, t), [0.0, 0.0])
    assert_equal(loss(x, 1 - t), [INF, INF])
    assert_equal(loss.gradient(x, 1 - t), [-1.0, 1.0])


# --- kinks -----------------------------------------------------------------------------------


def test_relu_has_slope_zero_at_zero() -> None:
    assert_equal(sg.relu.jvp([0.0, -0.0, 1.0, -1.0], [3.0, 2.0, 5.0, 7.0]), [0, 0, 5, 0])
    assert_equal(np.signbit(sg.relu([-0.0, 0.0])), [False, False])


@pytest.mark.parametrize("family", [sg.sparsemax, sg.Entmax(alpha=2.0), sg.Entmax(alpha=3.0)])
def test_entry_that_just_enters_the_support_counts_as_outside(family: Any) -> None:
    """(α − 1)(x_1 − x_0) = −1: the second entry is at the threshold exactly."""
    alpha = getattr(family, "alpha", 2.0)
    x = np.array([1.0, 1.0 - 1.0 / (alpha - 1)])
    assert_equal(family(x), [1.0, 0.0])
    assert_equal(family.jacobian(x), np.zeros((2, 2)))


def test_every_map_is_a_record() -> None:
    """A map without a record would be a map without tests."""
    tested = {type(spec.map) for spec in SPECS}
    for name in maps.__all__:
        kind = getattr(maps, name)
        if isinstance(kind, type) and issubclass(kind, maps.AbstractMap):
            assert inspect.isabstract(kind) or kind in tested, name


@ALONG_ROWS
def test_nan_row_has_nan_derivatives(spec: Spec) -> None:
    """A derivative at a value that is NaN is not a number either."""
    x = np.array([[0.3, NAN, 0.2], [0.3, 0.1, 0.2]])
    y_bar = probe(np.asarray(spec.map(x)).shape)
    assert np.isnan(spec.map.vjp(x, y_bar)[0]).all()
    assert np.isfinite(spec.map.vjp(x, y_bar)[1]).all()


@pytest.mark.parametrize(("alpha", "classes"), [(100.0, 3), (100.0, 1000), (66.0, 100_000)])
def test_entmax_of_a_large_alpha(alpha: float, classes: int) -> None:
    assert_close(sg.Entmax(alpha)(np.zeros(classes)), np.full(classes, 1 / classes), u=8)
    x = np.where(np.arange(classes) == 1, 3.0, 0.0)
    assert_equal(sg.Entmax(alpha)(x), (x > 0).astype(float))
    with pytest.raises(ValueError, match=r"`alpha` must be a finite .* above 1, at most 100, got"):
        sg.Entmax(101.0)


@pytest.mark.parametrize("map_", [sg.softmax, sg.sparsemax, sg.Entmax(1.3)])
def test_fenchel_young_takes_a_target_of_zero_at_minus_infinity(map_: Any) -> None:
    loss = sg.FenchelYoung(map=map_)
    assert_close(loss([1.0, 0.4, -INF], 1), loss([1.0, 0.4], 1), u=4)
    assert_close(loss.gradient([1.0, 0.4, -INF], 1)[:2], loss.gradient([1.0, 0.4], 1), u=4)


def test_label_beyond_every_integer_is_not_the_ignored_one() -> None:
    label = np.array([2**64 - 1], np.uint64)
    with pytest.raises(IndexError, match="got 18446744073709551615 at position 0"):
        sg.CrossEntropy(ignore_index=-1)([[1.0, 2.0]], label)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_row_that_is_masked_whole_counts_nothing(smoothing: float) -> None:
    loss = sg.CrossEntropy(label_smoothing=smoothing)
    x = np.array([[1.0, 2.0, 0.5], [0.1, -0.2, 0.7]])
    mask = np.array([[True] * 3, [False] * 3])
    value, gradient = loss.value_and_gradient(x, [0, 1], where=mask)
    alone, gradient_alone = loss.value_and_gradient(x[:1], [0])
    assert_same_bits(value, alone)
    assert_same_bits(gradient[:1], gradient_alone)
    assert_equal(gradient[1], [0.0, 0.0, 0.0])


def test_nan_target_under_a_mask_has_no_effect() -> None:
    x, mask = np.array([[1.0, 2.0, 3.0]]), np.array([True, True, False])
    spoilt = sg.cross_entropy.gradient(x, [[0.3, 0.7, NAN]], where=mask)
    assert_same_bits(spoilt, sg.cross_entropy.gradient(x, [[0.3, 0.7, 0.0]], where=mask))


@pytest.mark.parametrize("targets", [[0.3, 0.3], [1.5, -0.5]])
def test_fenchel_young_refuses_targets_off_the_simplex(targets: list[float]) -> None:
    message = "`targets` must be probabilities that sum to one, got"
    with pytest.raises(ValueError, match=message):
        sg.FenchelYoung(map=sg.sparsemax)([1.0, 2.0], targets)
    with pytest.raises(ValueError, match=message):
        sg.CrossEntropy(validate=True)([1.0, 2.0], targets)


def test_validation_takes_probabilities_of_half_precision() -> None:
    t = np.full((2, 1000), np.float16(1e-3))
    assert sg.CrossEntropy(validate=True)(np.zeros((2, 1000)), t) > 6


def test_numpy_numbers_as_settings_leave_float32_alone() -> None:
    x, g = np.float32([[1.0, 2.0]]), np.float32([[0.5, -1.0]])
    losses = [
        sg.CrossEntropy(label_smoothing=np.float64(0.1), z_loss=np.float64(0.1)),
        sg.BinaryCrossEntropy(pos_weight=np.float64(2)),
        sg.FenchelYoung(map=sg.Entmax(np.float64(1.3))),
    ]
    for loss in losses:
        value, gradient = loss.value_and_gradient(x, np.float32([[0.0, 1.0]]))
        assert value.dtype == gradient.dtype == np.float32
    assert sg.Entmax(np.float64(1.3)).vjp(x, g).dtype == np.float32


def test_fenchel_young_keeps_the_digits_of_a_confident_row() -> None:
    gradient = sg.FenchelYoung().gradient([40.0, 0.0], 0)
    assert_close(gradient, [-4.248354255291589e-18, 4.248354255291589e-18], u=4)


def test_overflow_in_a_cast_to_half_precision_is_quiet() -> None:
    assert_equal(sg.log_softmax(np.float16([60000, -60000])), [0.0, -INF])
