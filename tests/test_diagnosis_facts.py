"""What shows without a Jacobian is called what it is: rounding, shapes, numbers of entries."""

from functools import partial

import numpy as np
import pytest

import softgrad as sg
from reports import assert_named


def square_backward(x, g):
    return 2 * x * g


def into_integers(x, g):
    x_bar = np.zeros(x.shape, int)
    x_bar[...] = square_backward(x, g)
    return x_bar.astype(float)


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def jacobian(z, g=None):
    """That of each row: [..., K, K]."""
    p = softmax(z)
    return p[..., None] * (np.eye(p.shape[-1]) - p[..., None, :])


def jacobian_as_taught(z, g):
    s = softmax(z).reshape(-1, 1)
    return np.diagflat(s) - s @ s.T


CASES = {
    "a Jacobian": (softmax, jacobian, (7,), "cotangent", "is the Jacobian"),
    "a Jacobian for each row": (softmax, jacobian, (4, 7), "cotangent", "is the Jacobian"),
    "a Jacobian of one row": (softmax, jacobian_as_taught, (1, 7), "cotangent", "the Jacobian"),
    "a Jacobian of all rows as one": (softmax, jacobian_as_taught, (4, 7), "unnamed", "shape"),
    "a wrong Jacobian": (
        softmax,
        lambda z, g: jacobian(z) * (1 - np.eye(7)),
        (4, 7),
        "unnamed",
        "shape",
    ),
    "a Jacobian that is not summed": (
        softmax,
        lambda z, g: jacobian(z) * g[..., None],
        (4, 7),
        "unreduced-broadcast",
        "not summed",
    ),
    "what is not summed, and not right": (
        lambda x: x + np.zeros((4, 7)),
        lambda x, g: g * np.linspace(0.5, 2, 28).reshape(4, 7),
        (7,),
        "unreduced-broadcast",
        "keeps axes",
    ),
    "an array of integers": (np.square, into_integers, (4, 7), "arithmetic", "whole numbers"),
    "complex": (
        np.square,
        lambda x, g: square_backward(x, g).astype(complex),
        (4, 7),
        "unnamed",
        "is complex128, and must be float64",
    ),
    "too many": (
        np.square,
        lambda x, g: (square_backward(x, g), None),
        (4, 7),
        "unnamed",
        "returns 2 gradients",
    ),
    "an axis of length 1": (
        lambda x: x + np.zeros((4, 5)),
        lambda x, g: g.sum(axis=0),
        (1, 5),
        "unreduced-broadcast",
        "lacks an axis of length 1",
    ),
    "axes swapped": (
        np.square,
        lambda x, g: square_backward(x, g).T,
        (1, 5),
        "axis",
        "is transposed",
    ),
    "flat": (np.square, lambda x, g: square_backward(x, g).ravel(), (4, 7), "axis", "shape"),
    "halves": (
        np.square,
        lambda x, g: square_backward(x, g).astype(np.float16).astype(float),
        (4, 7),
        "arithmetic",
        "rounded to float16",
    ),
    "the sign of a loss's": (
        lambda x: x.mean(),
        lambda x, g: np.sign(g) / x.size * np.ones_like(x),
        (2, 8),
        "cotangent",
        "16-fold",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_facts_have_their_names(name):
    forward, backward, shape, code, words = CASES[name]
    for seed in range(4):
        x = np.random.default_rng(seed).normal(size=shape)
        diagnosis = sg.check(forward, backward, x, seed=seed).diagnosis
        assert diagnosis.code == code, str(diagnosis)
        assert words in diagnosis.message


def test_numbers_that_are_whole_by_themselves_are_not_called_cut_off():
    def right(x, g):
        return np.where(x > 0, g, 0.0)

    x = np.random.default_rng(0).normal(size=(4, 7))
    relu = lambda x: np.maximum(x, 0)  # noqa: E731
    assert sg.check(relu, lambda x, g: np.zeros_like(x), x).diagnosis.code == "zero"
    assert sg.check(relu, lambda x, g: np.sign(right(x, g)), x).diagnosis.code == "cotangent"


def norm(x, axis, epsilon):
    d = x - x.mean(axis=axis, keepdims=True)
    return d / np.sqrt((d * d).mean(axis=axis, keepdims=True) + epsilon)


def norm_backward(x, g, axis, epsilon, mean=None, power=1):
    d = x - x.mean(axis=axis, keepdims=True)
    sigma = np.sqrt((d * d).mean(axis=axis, keepdims=True) + epsilon)
    y = d / sigma
    slope = (g * y).mean(axis=axis, keepdims=True)
    return (
        g - g.mean(axis=axis if mean is None else mean, keepdims=True) - y * slope
    ) / sigma**power


@pytest.mark.parametrize("epsilon", [0.0, 1e-12, 1e-5])
@pytest.mark.parametrize("axis", [0, 1])
def test_norms(axis, epsilon):
    for seed in range(4):
        x = np.random.default_rng(seed).normal(size=(6, 7))
        forward = lambda x: norm(x, axis, epsilon)  # noqa: E731
        variance = lambda x, g: norm_backward(x, g, axis, epsilon, power=2)  # noqa: E731
        across = lambda x, g: norm_backward(x, g, axis, epsilon, mean=1 - axis)  # noqa: E731
        found = sg.check(forward, variance, x, seed=seed).diagnosis
        assert (found.code, found.message.split(" (")[0]) == (
            "chain-term",
            "The factor 1/σ is doubled",
        )
        found = sg.check(forward, across, x, seed=seed).diagnosis
        assert found.code == "axis"
        assert f"along axis {1 - axis} where it must be axis {axis}" in found.message


def cross_entropy(z, labels):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    s = e / e.sum(axis=-1, keepdims=True)
    return -np.log(s[np.arange(len(z)), labels]).mean()


def of_another_label(z, labels, g, shift):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    s = e / e.sum(axis=-1, keepdims=True)
    s[np.arange(len(z)), labels + shift] -= 1
    return g * s / len(z)


@pytest.mark.parametrize("shift", [-1, 1])
def test_labels_that_are_off_by_one(shift):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        z, labels = rng.normal(size=(4, 9)), rng.integers(1, 8, 4)

        def wrong(z, labels, g):
            at = (labels + shift) % z.shape[1] - shift
            return of_another_label(z, at, g, shift)

        found = sg.check(cross_entropy, wrong, z, labels, seed=seed).diagnosis
        assert found.code == "subset"
        assert f"the class {'before' if shift < 0 else 'after'} the label" in found.message


def test_a_backward_that_stops_at_the_first_entry_is_not_linear():
    def wrong(z, g):
        s = softmax(z)
        for i, upstream in enumerate(g):
            if upstream != 0:
                return upstream * s[i] * (np.eye(len(s))[i] - s)
        return 0 * z

    report = sg.check(softmax, wrong, np.random.default_rng(0).normal(size=7))
    assert report.diagnosis.code == "cotangent"
    assert "sum of incoming gradients" in report.diagnosis.message


@pytest.mark.parametrize("shape", [(7, 1), (7,), (3, 7)])
def test_a_gradient_that_is_summed_too_far(shape):
    x = np.random.default_rng(0).normal(size=(7, 5))

    def forward(b):
        return np.tanh(x + b.reshape(-1, 7).sum(axis=0)[:, None])

    def wrong(b, g):
        return (g * (1 - forward(b) ** 2)).sum() * (3 if shape == (3, 7) else 1)

    report = sg.check(forward, wrong, np.random.default_rng(1).normal(size=shape))
    assert report.diagnosis.code == "axis"
    assert "summed over all axes" in report.diagnosis.message
    assert "the sum of the right one" in report.diagnosis.evidence
    report = sg.check(forward, lambda b, g: 2 * wrong(b, g), np.ones(shape))
    assert "the sum of the right one" not in report.diagnosis.evidence


def test_an_axis_of_length_one_hides_no_other_mistake():
    x = np.random.default_rng(0).normal(size=(7, 5))

    def forward(W, b):
        return np.tanh(x @ W + b)

    def wrong(factor):
        def backward(W, b, g):
            d = g * (1 - forward(W, b) ** 2)
            return factor * x.T @ d, d.sum(axis=0)

        return backward

    W, b = np.random.default_rng(1).normal(size=(5, 3)), np.zeros((1, 3))
    alone = sg.check(forward, wrong(1.0), W, b)
    assert alone.diagnosis.code == "unreduced-broadcast"
    assert "lacks an axis of length 1" in alone.diagnosis.message
    report = sg.check(forward, wrong(0.25), W, b)
    assert report.diagnosis.code == "scale"
    assert any("must have the input's shape (1, 3)" in found.message for found in report.findings)


def a_third(x, W):
    return np.tanh(x @ W) / 3


def summed_in(dtype, factor=1.0):
    def backward(x, W, g):
        d = g * (1 - np.tanh(x @ W) ** 2)
        total = np.zeros(W.shape, dtype)
        for row, above in zip(x, d, strict=True):
            total += np.outer(row, above)
        return d @ W.T / 3, factor * total.astype(float) / 3

    return backward


def test_a_sum_in_a_narrower_dtype_is_called_so():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(5, 4)), rng.normal(size=(4, 3))
    found = sg.check(a_third, summed_in(np.float32), *inputs).diagnosis
    assert found.code == "arithmetic"
    assert "on the way" in found.message
    for dtype, factor in ((np.float32, 1.001), (float, 1 + 3e-8)):
        found = sg.check(a_third, summed_in(dtype, factor), *inputs).diagnosis
        assert found.code != "arithmetic"


@pytest.mark.parametrize("axis", [0, 1])
def test_a_constant_that_is_lost_in_a_narrow_dtype_is_left_where_it_is(axis):
    for seed in range(4):
        x = 20 * np.random.default_rng(seed).normal(size=(6, 7)).astype(np.float32)
        forward = lambda x: norm(x, axis, 1e-5)  # noqa: E731
        wrong = lambda x, g: norm_backward(x, g, axis, 1e-5, power=2)  # noqa: E731
        found = sg.check(forward, wrong, x, seed=seed).diagnosis
        assert found.code == "chain-term"
        assert "without the" not in found.evidence


def log_softmax_of_columns(W, b):
    z = W @ COLUMNS + b
    return z - np.log(np.exp(z).sum(axis=0))


def bias_summed_over_classes(W, b, g):
    d = g - np.exp(log_softmax_of_columns(W, b)) * g.sum(axis=0)
    return d @ COLUMNS.T, np.full_like(b, d.sum())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sum_that_cancels_in_every_entry_is_one_over_an_axis_too_many(dtype):
    rng = np.random.default_rng(0)
    W, b = (rng.normal(size=shape).astype(dtype) for shape in ((5, 3), (5, 1)))
    report = sg.check(log_softmax_of_columns, bias_summed_over_classes, W, b)
    assert_named(report, "axis", "one number in every entry")


def columns(W, b):
    return np.tanh(W @ COLUMNS + b)


def columns_backward(W, b, g, of_bias):
    d = g * (1 - columns(W, b) ** 2)
    return d @ COLUMNS.T, of_bias(d)


COLUMNS = np.random.default_rng(1).normal(size=(3, 7))
OF_BIAS = {
    "one number": (lambda d: np.full((5, 1), d.sum()), "one number in every entry"),
    "over the rows": (lambda d: d.sum(axis=0, keepdims=True), "summed over another axis"),
    "over the rows, flat": (lambda d: d.sum(axis=0), "summed over another axis"),
}


@pytest.mark.parametrize("name", OF_BIAS)
def test_a_bias_that_is_summed_over_too_much_or_another_axis(name):
    rng = np.random.default_rng(0)
    W, b = rng.normal(size=(5, 3)), rng.normal(size=(5, 1))
    of_bias, words = OF_BIAS[name]
    assert_named(sg.check(columns, partial(columns_backward, of_bias=of_bias), W, b), "axis", words)


@pytest.mark.parametrize("factor", [0.5, 0.0])
def test_another_number_in_every_entry_is_no_sum(factor):
    rng = np.random.default_rng(0)
    W, b = rng.normal(size=(5, 3)), rng.normal(size=(5, 1))
    wrong = partial(columns_backward, of_bias=lambda d: np.full((5, 1), factor * d.sum()))
    assert sg.check(columns, wrong, W, b).diagnosis.code == ("zero" if factor == 0 else "unnamed")


def softmax_of_channels(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def diagonal_of_channels(x, g):
    s = softmax_of_channels(x)
    return g * s * (1 - s)


def test_images_of_four_sizes_have_a_twin_that_is_small_enough():
    x = np.random.default_rng(0).normal(size=(3, 8, 7, 6))
    assert_named(sg.check(softmax_of_channels, diagonal_of_channels, x), "diagonal-only")
