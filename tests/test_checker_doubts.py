"""Where differences cannot tell, the checker neither passes nor fails."""

from __future__ import annotations

import numpy as np
import pytest

from reports import said
from softgrad.checker import check
from softgrad.checker.probes import cotangents
from wrong_rules import OPERATIONS, cross_entropy, cross_entropy_backward, softmax, softmax_backward


def test_saturated_softmax_is_no_silent_pass():
    z = np.array([[400.0, 0.0, -300.0], [10.0, -500.0, 900.0]])
    for backward in (softmax_backward, lambda z, g: 0 * g):
        report = check(softmax, backward, z)
        assert report.verdict == "inconclusive"
        assert "the forward is not constant" in said(report)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_truly_zero_gradient(dtype):
    z = np.random.default_rng(0).normal(size=(4, 9)).astype(dtype)

    def total(z):
        return softmax(z).sum(axis=-1)

    def chained(z, g):
        return softmax_backward(z, np.repeat(g[:, None], z.shape[-1], axis=1))

    for right in (chained, lambda z, g: 0 * z):
        report = check(total, right, z)
        assert report.passed, str(report)
        assert "the forward is constant" in said(report)
        assert report.relative_error is None
    report = check(total, lambda z, g: softmax(z) * g[:, None], z)
    assert report.verdict == "fail"


def test_forward_that_never_moves():
    x = -np.arange(1.0, 6.0)

    def relu(x):
        return np.maximum(x, 0)

    report = check(relu, lambda x, g: g * (x > 0), x)
    assert report.verdict == "inconclusive"
    assert "not constant" in said(report)
    assert check(lambda x: 0 * x, lambda x, g: 0 * g, x).passed
    assert check(relu, lambda x, g: 0.01 * g, x).verdict == "fail"
    assert check(relu, lambda x, g: 1e-12 * g, x).verdict == "inconclusive"


def test_kinks_are_not_false_alarms():
    def relu(x):
        return np.maximum(x, 0)

    def right(x, g):
        return g * (x > 0)

    for near in (0.0, 1e-3, 1e-6, 1e-9, -1e-9):
        report = check(relu, right, np.array([near, 1.0, -2.0]))
        assert report.verdict != "fail", str(report)
    assert check(relu, right, np.array([0.0])).verdict == "inconclusive"
    large = np.random.default_rng(0).normal(size=100_000)
    assert check(relu, right, large).passed
    assert check(relu, lambda x, g: g * (x < 0), large).verdict == "fail"
    assert check(relu, lambda x, g: 1.2 * g * (x > 0), np.array([0.3, -0.4, 2])).verdict == "fail"


def test_tie_is_left_open():
    def largest(x):
        return x.max()

    def backward(x, g):
        return g * (np.arange(x.size) == x.argmax())

    assert check(largest, backward, np.array([1.0, 2.0, 2.0])).verdict == "inconclusive"
    assert check(largest, backward, np.array([1.0, 2.0, 3.0])).verdict == "pass"


def test_noisy_forward_is_left_open():
    rng = np.random.default_rng(0)
    report = check(lambda x: x + rng.normal(size=x.shape), lambda x, g: g, np.ones(5))
    assert report.verdict == "inconclusive"
    assert "it draws random numbers" in said(report)


def test_non_finite_forward_is_left_open():
    with np.errstate(over="ignore"):
        report = check(lambda x: np.exp(x), lambda x, g: g * np.exp(x), np.array([1.0, 800.0]))
    assert report.verdict == "inconclusive"
    assert "1 of the forward's 2 output numbers are not finite" in said(report)
    assert report.relative_error is None


def test_edge_of_the_domain():
    def entropy(p):
        return -(p * np.log(p)).sum()

    def backward(p, g):
        return -g * (np.log(p) + 1)

    p = np.array([1e-3, 0.3, 0.699])
    assert check(entropy, backward, p).passed
    assert check(entropy, lambda p, g: -g * np.log(p), p).verdict == "fail"


@pytest.mark.parametrize(
    ("dtype", "shape", "scale", "seed"),
    [
        # A loss near zero moves in jumps, and here two neighbouring steps agree by luck.
        ("float64", (1, 3), 14.830808527483054, 424416645),
        ("float32", (1, 2), 25.456563052801634, 970383987),
        # Here it stops moving at small steps.
        ("float64", (1, 2), 57.91193224722079, 351267307),
        ("float64", (1, 4), 28.26275661649833, 798035879),
    ],
)
def test_saturated_loss_is_no_false_alarm(dtype, shape, scale, seed):
    inputs = OPERATIONS["cross_entropy"].sample(np.random.default_rng(seed), shape, scale, dtype)
    report = check(cross_entropy, cross_entropy_backward, *inputs, seed=seed)
    assert report.verdict != "fail", str(report)


def test_rounding_of_large_logits_in_the_backward_is_no_false_alarm():
    # One unit in the last place of 1e4 is 1e-3 in float32, and exp turns it into 1e-3 of p.
    z = (1e4 + np.random.default_rng(0).normal(size=(4, 9))).astype(np.float32)

    def backward(z, g):
        z, g = z.astype(np.float32), g.astype(np.float32)  # no float64 run is to be had
        high = z.max(axis=-1, keepdims=True)
        lse = high + np.log(np.exp(z - high).sum(axis=-1, keepdims=True))
        p = np.exp(z - lse)
        return p * (g - (g * p).sum(axis=-1, keepdims=True))

    assert check(softmax, backward, z).verdict != "fail"
    assert check(softmax, lambda z, g: backward(z, g) * np.float32(1.2), z).verdict == "fail"


def test_every_second_cotangent_has_no_constant_part():
    drawn = cotangents(np.random.default_rng(0), (np.zeros((3, 4, 1)),), 3)
    sums = [max(abs(v[0].sum(axis=axis)).max() for axis in (0, 1)) for v in drawn]
    assert sums[1] < 1e-14 < 0.1 < min(sums[0], sums[2])


@pytest.mark.parametrize("shape", [(4, 7), (1,)])
@pytest.mark.parametrize("rate", [100, 1000, 2000, 1e5, 1e8])
def test_quick_variation_is_no_false_alarm(rate, shape):
    def forward(x):
        return np.sin(rate * x)

    def right(x, g):
        return rate * g * np.cos(rate * x)

    for seed in range(20):
        x = np.random.default_rng(seed).normal(size=shape)
        assert check(forward, right, x, seed=seed).verdict != "fail"
        assert check(forward, lambda x, g: 2 * right(x, g), x, seed=seed).verdict != "pass"


def test_bank_of_frequencies_is_no_false_alarm():
    rates = np.pi * 2.0 ** np.arange(12)[:, None, None]

    def right(x, g):
        return (g * rates * np.cos(rates * x)).sum(axis=0)

    for seed in range(20):
        x = np.random.default_rng(seed).normal(size=(4, 7))
        assert check(lambda x: np.sin(rates * x), right, x, seed=seed).verdict != "fail"


@pytest.mark.parametrize("scale", [0.02, 1, 5])
@pytest.mark.parametrize("classes", [10, 200, 1000])
def test_wrong_rules_in_float16_do_not_pass(classes, scale):
    def diagonal_only(z, g):
        p = softmax(z)
        return g * p * (1 - p)

    def narrow(backward):
        return lambda z, g: backward(z.astype(np.float16), g.astype(np.float16))

    def scaled(z, g):
        return (1.02 * softmax_backward(z, g)).astype(z.dtype)

    for seed in range(10):
        z = scale * np.random.default_rng(seed).normal(size=(2, classes))
        z = z.astype(np.float16)
        for wrong in (diagonal_only, scaled, narrow(diagonal_only)):
            assert check(softmax, wrong, z, seed=seed).verdict != "pass"
        assert check(softmax, softmax_backward, z, seed=seed).passed
        # With no float64 run, rounding and a small mistake look the same.
        assert check(softmax, narrow(softmax_backward), z, seed=seed).verdict == "inconclusive"


SMOOTH = {
    "triple": (lambda x: 3 * x, lambda x, g: 3 * g),
    "square": (lambda x: x * x, lambda x, g: 2 * x * g),
    "logarithm": (lambda x: np.log(np.abs(x)), lambda x, g: g / x),
    "length": (
        lambda x: x / np.linalg.norm(x),
        lambda x, g: (g - x * (g * x).sum() / (x * x).sum()) / np.linalg.norm(x),
    ),
}


@pytest.mark.parametrize("size", [1e-30, 1e-20, 1e-8, 1e-5, 1e3, 1e6, 1e30])
@pytest.mark.parametrize("name", SMOOTH)
def test_inputs_are_probed_over_the_scale_on_which_the_forward_varies(name, size):
    forward, right = SMOOTH[name]
    for seed in range(5):
        # No entry is near zero, where the logarithm varies over less.
        rng = np.random.default_rng(seed)
        x = size * rng.uniform(0.5, 2, (4, 7)) * rng.choice([-1, 1], (4, 7))
        report = check(forward, right, x, seed=seed)
        assert report.passed, str(report)
        assert report.cost.forward <= 37
        assert report.error_bar < 1e-9
        for factor in (1 + 1e-6, 1 - 1e-6, -1, 0):
            report = check(forward, lambda x, g, c=factor: c * right(x, g), x, seed=seed)
            assert report.verdict == "fail", str(report)


@pytest.mark.parametrize("size", [1e-30, 1e-9, 1e-5, 1e3, 1e5])
def test_softmax_varies_over_one_at_every_size_of_the_logits(size):
    for seed in range(5):
        z = size * np.random.default_rng(seed).normal(size=(4, 7))
        z = np.vstack([z, size + np.random.default_rng(seed).normal(size=(4, 7))])
        report = check(softmax, softmax_backward, z, seed=seed)
        assert report.passed, str(report)
        report = check(softmax, lambda z, g: 1.0001 * softmax_backward(z, g), z, seed=seed)
        assert report.verdict == "fail", str(report)


def test_part_that_varies_over_one_is_not_hidden_by_one_that_varies_over_more():
    def forward(x):
        return 1e-3 * x + np.sin(x)

    def right(x, g, factor=1):
        return 1e-3 * g + factor * g * np.cos(x)

    for seed in range(5):
        x = 1e4 * np.random.default_rng(seed).normal(size=(4, 7))
        report = check(forward, right, x, seed=seed)
        assert report.passed, str(report)
        report = check(forward, lambda x, g: right(x, g, 1.001), x, seed=seed)
        assert report.verdict == "fail", str(report)


def relu(x):
    return np.maximum(x, 0)


def relu_with(slope_at_zero, factor=1.0):
    return lambda x, g: g * np.where(x == 0, slope_at_zero, factor * (x > 0))


def as_layer(forward, backward):
    class Layer:
        def forward(self, x):
            self.x = x
            return forward(x)

        def backward(self, g):
            return backward(self.x, g)

    return (Layer(),)


KINKED = np.random.default_rng(0).normal(size=(4, 7))
KINKED[1, 2] = KINKED[3, 0] = 0
W = np.random.default_rng(1).normal(size=(7, 3))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("form", [lambda *pair: pair, as_layer], ids=["pair", "layer"])
@pytest.mark.parametrize(
    ("after", "before"),
    [
        (lambda y: y, lambda x, g: g),
        (lambda y: y.sum(), lambda x, g: g * np.ones_like(x)),
        (lambda y: y @ W.astype(y.dtype), lambda x, g: g @ W.astype(x.dtype).T),
    ],
    ids=["alone", "sum", "matrix"],
)
def test_gradient_on_a_kink_lies_between_the_slopes_and_all_else_is_judged(
    after, before, form, dtype
):
    x = KINKED.astype(dtype)
    for seed in range(5):

        def run(at_zero, factor=1.0, seed=seed):
            def backward(x, g):
                return relu_with(at_zero, factor)(x, before(x, g)).astype(x.dtype)

            report = check(*form(lambda x: after(relu(x)), backward), x, seed=seed)
            assert report.cost.forward <= 37
            assert report.cost.backward <= 9
            return report

        for at_zero in (0, 0.5, 1):
            report = run(at_zero)
            assert report.passed, str(report)
            assert "a kink or a tie" in said(report)
            assert "input 0[" in said(report)
        for at_zero in (5, -1):
            report = run(at_zero)
            assert report.verdict == "fail", str(report)
            assert "the gradient must lie between them" in said(report)
        for factor in (-1, 2, 1.01):
            assert run(0, factor).verdict == "fail"


def test_many_kinks_are_judged_together():
    x = np.where(np.arange(60) % 2, np.random.default_rng(0).normal(size=60), 0.0)
    for seed in range(10):
        for at_zero in (0, 0.5, 1):
            assert check(relu, relu_with(at_zero), x, seed=seed).passed
        for at_zero in (5, -1):
            assert check(relu, relu_with(at_zero), x, seed=seed).verdict == "fail"


def test_a_thousand_entries_of_which_some_are_near_a_kink():
    """The usual steps cross one after another, and the smallest of them crosses none."""
    after = np.random.default_rng(0).uniform(0.9, 1.1, (32, 32))
    for seed in (2, 29, 49, 51, 57):
        x = 0.6 * np.random.default_rng(seed).normal(size=(32, 32))
        assert check(relu, relu_with(0), x, seed=seed).passed
        report = check(
            lambda x: np.tanh(relu(x)), lambda x, g: g * (x > 0) / np.cosh(x) ** 2, x, seed=seed
        )
        assert report.passed, str(report)
        wrong = check(relu, lambda x, g: after * relu_with(0)(x, g), x, seed=seed)
        assert wrong.verdict == "fail"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("size", [1e-30, 1e-6, 1, 1e4, 1e5, 1e6, 1e8, 1e30])
def test_kinks_and_ties_are_found_at_every_size(size, dtype):
    x = (size * np.array([[1, 0, -1, 2, 0.3], [2, 1, 2, 0.5, -1]])).astype(dtype)
    y = x[:, [1, 0, 2, 4, 3]]

    def largest(x, g, share=1):
        at = np.arange(x.shape[-1]) == x.argmax(axis=-1)[:, None]
        return share * g[:, None] * at

    for seed in range(10):
        assert check(relu, relu_with(0), x, seed=seed).passed
        assert check(relu, relu_with(3), x, seed=seed).verdict == "fail"
        report = check(lambda x: x.max(axis=-1), largest, x, seed=seed)
        assert report.passed, str(report)
        report = check(lambda x: x.max(axis=-1), lambda x, g: largest(x, g, 2), x, seed=seed)
        assert report.verdict == "fail"
        report = check(np.maximum, lambda a, b, g: (g * (a >= b), g * (a < b)), x, y, seed=seed)
        assert report.passed, str(report)


@pytest.mark.parametrize(
    ("forward", "slope", "kink", "slopes"),
    [
        (np.abs, np.sign, 0.0, (-1, 1)),
        (lambda x: np.where(x > 0, x, x / 8), lambda x: np.where(x > 0, 1, 1 / 8), 0.0, (1 / 8, 1)),
        (
            lambda x: np.where(x > 0, x, 2 * np.expm1(np.minimum(x, 0))),
            lambda x: np.where(x > 0, 1, 2 * np.exp(np.minimum(x, 0))),
            0.0,
            (1, 2),
        ),
        (lambda x: np.maximum(0, 1 - x), lambda x: -1.0 * (x < 1), 1.0, (-1, 0)),
        (lambda x: np.clip(x, -1, 0.7), lambda x: 1.0 * (abs(x + 0.15) < 0.85), 0.7, (0, 1)),
    ],
    ids=["abs", "leaky", "elu of 2", "hinge", "clip"],
)
def test_one_sided_slopes_pass_with_a_note(forward, slope, kink, slopes):
    x = np.append(0.4 * np.random.default_rng(0).normal(size=9), kink)
    for seed in range(5):

        def run(at_kink, seed=seed):
            at = np.where(x == kink, at_kink, slope(x))
            return check(forward, lambda x, g: g * at, x, seed=seed)

        for inside in (*slopes, sum(slopes) / 2):
            report = run(inside)
            assert report.passed, str(report)
            assert "input 0[9]" in said(report)
        for outside in (slopes[0] - 2, slopes[1] + 1):
            assert run(outside).verdict == "fail"


def test_point_with_nothing_but_kinks_is_left_open():
    for backward in (lambda x, g: g * np.sign(x), lambda x, g: 0 * g):
        report = check(np.abs, backward, np.zeros(3))
        assert report.verdict == "inconclusive"
        assert "a kink or a tie at every entry" in said(report)
        assert "does not move" not in said(report)
    assert check(np.abs, lambda x, g: 3 * g, np.zeros(3)).verdict == "fail"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("form", ["pair", "layer"])
def test_random_numbers_of_the_forward_are_no_mistake(form, dtype):
    rng = np.random.default_rng(0)
    x = np.random.default_rng(1).normal(size=(4, 9)).astype(dtype)

    class Dropout:
        def forward(self, x):
            self.mask = (rng.random(x.shape) < 0.7).astype(x.dtype)
            return x * self.mask

        def backward(self, g):
            return g * self.mask

    layer = Dropout()
    pair = (layer.forward, lambda x, g: layer.backward(g))
    for seed in range(5):
        report = check(*(pair if form == "pair" else (layer,)), x, seed=seed)
        assert report.verdict == "inconclusive", str(report)
        assert "Two calls of the forward with the same inputs differ" in said(report)
        assert "Fix its seed" in said(report)
        assert "state is kept between calls" not in said(report)


def test_small_random_part_goes_into_the_error_bar():
    rng = np.random.default_rng(0)
    x = np.random.default_rng(1).normal(size=(4, 9))

    def forward(x):
        return np.tanh(x) + 1e-12 * rng.normal(size=x.shape)

    def right(x, g):
        return g * (1 - np.tanh(x) ** 2)

    for seed in range(10):
        assert check(forward, right, x, seed=seed).verdict != "fail"
        assert check(forward, lambda x, g: 1.1 * right(x, g), x, seed=seed).verdict == "fail"


@pytest.mark.parametrize("form", [lambda *pair: pair, as_layer], ids=["pair", "layer"])
def test_entry_near_a_pole_hides_no_other(form):
    for seed in range(16):
        x = np.random.default_rng(seed).normal(size=(8, 32))
        report = check(*form(lambda x: 1 / x, lambda x, g: -g / x**2), x, seed=seed)
        assert report.passed, str(report)
        assert report.cost.forward <= 37
        for factor in (0, -1, 1.01):
            report = check(*form(lambda x: 1 / x, lambda x, g, c=factor: -c * g / x**2), x)
            assert report.verdict == "fail", str(report)


@pytest.mark.parametrize("outputs", [1, 3])
def test_layer_without_biases_at_a_row_of_zeros_is_no_false_alarm(outputs):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, V, U = rng.normal(size=(4, 5)), rng.normal(size=(5, 6)), rng.normal(size=(6, outputs))
        x[2] = 0

        def backward(x, V, U, g):
            h = x @ V
            h_bar = g @ U.T * (h > 0)
            return h_bar @ V.T, x.T @ h_bar, relu(h).T @ g

        report = check(lambda x, V, U: relu(x @ V) @ U, backward, x, V, U, seed=seed)
        assert report.verdict != "fail", str(report)
        report = check(
            lambda x, V, U: relu(x @ V) @ U,
            lambda *a: (backward(*a)[0], -backward(*a)[1], backward(*a)[2]),
            x, V, U, seed=seed,
        )  # fmt: skip
        assert report.verdict == "fail", str(report)


def test_several_kinks_of_one_entry_are_no_false_alarm():
    # Each output has its own side at 0, and what reverse mode answers is between no common ones.
    def forward(x):
        both = np.stack([x, -x], axis=-1)
        return np.maximum(both, both / 8)

    def backward(x, g):
        both = np.stack([x, -x], axis=-1)
        part = g * np.where(both > 0, 1, 1 / 8)
        return part[..., 0] - part[..., 1]

    x = np.append(np.random.default_rng(0).normal(size=6), 0.0)
    for seed in range(4):
        assert check(forward, backward, x, seed=seed).verdict == "inconclusive"
        wrong = check(forward, lambda x, g: 1.7 * backward(x, g), x, seed=seed)
        assert wrong.verdict == "fail"
