"""Operators that must agree with one another, whichever formula each of them uses."""

from __future__ import annotations

import numpy as np
import pytest

import softgrad as sg
from asserts import assert_close, assert_same_bits, assert_zero
from specs import each_sample, probe, sample


@each_sample
def test_softmax_is_exp_of_log_softmax(kind: str, scale: float) -> None:
    x = sample(kind, scale)
    p, log_p = sg.softmax(x), sg.log_softmax(x)
    # exp turns the rounding of log p, u·|log p|, into a relative error
    allowed = 5 * (1 + np.abs(np.maximum(log_p, -745))) * p + 1e-300
    assert_close(np.exp(log_p), p, u=1, scale=allowed)


@each_sample
def test_log_softmax_is_x_minus_logsumexp(kind: str, scale: float) -> None:
    x = sample(kind, scale)
    lse = sg.logsumexp(x)[:, None]
    assert_close(x - lse, sg.log_softmax(x), u=4, scale=np.abs(x) + np.abs(lse))


@each_sample
def test_gradient_of_logsumexp_is_softmax(kind: str, scale: float) -> None:
    x = sample(kind, scale)
    assert_same_bits(sg.logsumexp.jacobian(x), sg.softmax(x))
    y_bar = probe(x.shape[:-1], seed=1)
    assert_same_bits(sg.logsumexp.vjp(x, y_bar), sg.softmax(x) * y_bar[:, None])


@each_sample
def test_second_derivative_of_logsumexp_is_the_jacobian_of_softmax(kind: str, scale: float) -> None:
    x, x_dot, y_bar = sample(kind, scale), probe((3, 5)), probe((3,), seed=1)
    expected = y_bar[:, None] * sg.softmax.jvp(x, x_dot)
    assert_same_bits(sg.logsumexp.hvp(x, y_bar, x_dot), expected)


@each_sample
def test_softmax_of_two_classes_is_sigmoid(kind: str, scale: float) -> None:
    z = sample(kind, scale).ravel()
    pairs = np.stack([z, np.zeros_like(z)], axis=-1)
    p, log_p = sg.softmax(pairs), sg.log_softmax(pairs)
    assert_close(p[:, 0], sg.sigmoid(z), u=6, scale=sg.sigmoid(z) + 1e-300)
    assert_close(log_p[:, 0], sg.log_sigmoid(z), u=6, scale=np.abs(sg.log_sigmoid(z)) + 1e-300)
    v = probe(z.shape)
    slope = sg.sigmoid.jvp(z, v)
    first = sg.softmax.jvp(pairs, np.stack([v, np.zeros_like(v)], axis=-1))[:, 0]
    if np.max(np.abs(slope)) > 1e-290:
        assert_close(first, slope, u=12, scale=np.abs(slope) + 1e-300)


@each_sample
def test_tanh_is_a_stretched_sigmoid(kind: str, scale: float) -> None:
    x = sample(kind, scale)
    assert_close(2 * sg.sigmoid(2 * x) - 1, sg.tanh(x), u=8, scale=1.0)
    v = probe(x.shape)
    slope = 4 * sg.sigmoid.jvp(2 * x, v)
    if np.any(slope):
        assert_close(sg.tanh.jvp(x, v), slope, u=16, scale=np.abs(slope) + 1e-300)


@each_sample
def test_sigmoid_and_its_mirror_image_sum_to_one(kind: str, scale: float) -> None:
    x = sample(kind, scale)
    assert_zero(sg.sigmoid(x) + sg.sigmoid(-x) - 1, u=2, scale=1.0)
    assert_same_bits(sg.sigmoid.jvp(x, probe(x.shape)), sg.sigmoid.jvp(-x, probe(x.shape)))


@each_sample
def test_slope_of_log_sigmoid_is_sigmoid_of_the_opposite(kind: str, scale: float) -> None:
    x, v = sample(kind, scale), probe((3, 5))
    assert_same_bits(sg.log_sigmoid.jvp(x, v), sg.sigmoid(-x) * v)


@each_sample
def test_temperature_divides_the_logits(kind: str, scale: float) -> None:
    """For a power of two the division is exact, and so are all bits."""
    x, v = sample(kind, scale), probe((3, 5))
    for temperature in (0.5, 4.0):
        warm = sg.Softmax(temperature=temperature)
        assert_same_bits(warm(x), sg.softmax(x / temperature))
        assert_same_bits(warm.vjp(x, v), sg.softmax.vjp(x / temperature, v) / temperature)
        log_warm = sg.LogSoftmax(temperature=temperature)
        assert_same_bits(log_warm(x), sg.log_softmax(x / temperature))
        assert_same_bits(log_warm.vjp(x, v), sg.log_softmax.vjp(x / temperature, v) / temperature)


@each_sample
def test_entmax_at_two_is_sparsemax(kind: str, scale: float) -> None:
    x, v = sample(kind, scale), probe((3, 5))
    assert_same_bits(sg.Entmax(alpha=2.0)(x), sg.sparsemax(x))
    assert_same_bits(sg.Entmax(alpha=2.0).vjp(x, v), sg.sparsemax.vjp(x, v))


@pytest.mark.parametrize("alpha", [1.5, 2.0])
def test_bisection_meets_the_exact_thresholds(alpha: float) -> None:
    """The general α, a hair beside one that is solved exactly, gives nearly the same."""
    x, hair = sample("normal", 1.0, k=9), 1e-9
    beside = (sg.Entmax(alpha=alpha - hair)(x) + sg.Entmax(alpha=alpha + hair)(x)) / 2
    np.testing.assert_allclose(beside, sg.Entmax(alpha=alpha)(x), rtol=1e-12, atol=1e-13)


def test_entmax_tends_to_softmax_as_alpha_tends_to_one() -> None:
    x = sample("normal", 1.0)
    gaps = [np.max(np.abs(sg.Entmax(alpha=1 + a)(x) - sg.softmax(x))) for a in (0.1, 0.05, 0.025)]
    assert 1.6 < gaps[0] / gaps[1] < 2.6  # linear in α − 1
    assert 1.6 < gaps[1] / gaps[2] < 2.6


@each_sample
def test_entmax_sums_to_one_and_sparser_with_alpha(kind: str, scale: float) -> None:
    x = sample(kind, scale)
    sizes = []
    for alpha in (1.3, 1.5, 2.0, 3.0):
        p = sg.Entmax(alpha=alpha)(x)
        assert np.all(p >= 0)
        assert_zero(np.sum(p, axis=-1) - 1, u=64, scale=1.0)
        sizes.append(np.count_nonzero(p))
    assert sizes == sorted(sizes, reverse=True)


@each_sample
def test_fenchel_young_of_softmax_is_cross_entropy(kind: str, scale: float) -> None:
    x, labels = sample(kind, scale), np.array([1, 4, 2])
    loss = sg.FenchelYoung(map=sg.softmax)
    assert_close(loss(x, labels), sg.cross_entropy(x, labels), u=8)
    p_minus_t = sg.cross_entropy.gradient(x, labels)
    assert_close(loss.gradient(x, labels), p_minus_t, u=8, scale=1.0)
    v = probe(x.shape)
    hessian = sg.cross_entropy.hessian(x, labels).mv(v)
    if np.any(hessian):
        assert_close(loss.hessian(x, labels).mv(v), hessian, u=8, scale=np.max(np.abs(hessian)))


@each_sample
def test_cross_entropy_is_minus_the_log_probability(kind: str, scale: float) -> None:
    x, labels = sample(kind, scale), np.array([1, 4, 2])
    loss = sg.CrossEntropy(reduction="none")(x, labels)
    assert_close(loss, -sg.log_softmax(x)[np.arange(3), labels], u=8)


@each_sample
def test_binary_cross_entropy_is_the_cross_entropy_of_two_classes(kind: str, scale: float) -> None:
    z = sample(kind, scale).ravel()
    labels = np.arange(z.size) % 2  # label 1 is the class with logit z
    pairs = np.stack([np.zeros_like(z), z], axis=-1)
    none = {"reduction": "none"}
    binary = sg.BinaryCrossEntropy(**none)
    pair = sg.CrossEntropy(**none)
    loss = pair(pairs, labels)
    assert_close(binary(z, labels.astype(float)), loss, u=8, scale=loss + 1e-300)
    gradient = pair.gradient(pairs, labels)[:, 1]
    assert_close(
        binary.gradient(z, labels.astype(float)), gradient, u=8, scale=np.abs(gradient) + 1e-300
    )


@each_sample
def test_gradient_of_cross_entropy_is_the_vjp_of_log_softmax(kind: str, scale: float) -> None:
    x, t = sample(kind, scale), sg.softmax(probe((3, 5)))
    loss = sg.CrossEntropy(reduction="sum")
    gradient = loss.gradient(x, t)
    assert_same_bits(gradient, -sg.log_softmax.vjp(x, t))
    assert_close(gradient, sg.softmax(x) - t, u=8, scale=1.0)


@each_sample
def test_hessian_of_cross_entropy_is_the_jacobian_of_softmax(kind: str, scale: float) -> None:
    x, labels, v = sample(kind, scale), np.array([0, 3, 2]), probe((3, 5))
    hessian = sg.CrossEntropy(reduction="sum").hessian(x, labels)
    assert_same_bits(hessian.mv(v), sg.softmax.jvp(x, v))
    assert_same_bits(hessian.as_matrix(), sg.softmax.jacobian(x))


@each_sample
def test_squared_error_has_the_difference_as_gradient(kind: str, scale: float) -> None:
    x, t = sample(kind, scale), probe((3, 5))
    loss = sg.SquaredError(reduction="sum")
    assert_same_bits(loss.gradient(x, t), x - t)
    assert_close(loss(x, t), np.sum((x - t) ** 2) / 2, u=8)
    assert_same_bits(loss.hessian(x, t).as_matrix(), np.broadcast_to(np.eye(5), (3, 5, 5)))
