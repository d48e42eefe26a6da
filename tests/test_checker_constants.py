"""Labels and masks given as floats: constants, and not inputs whose gradient was forgotten."""

from __future__ import annotations

import numpy as np
import pytest

from reports import said
from softgrad.checker import check
from wrong_rules import softmax

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(4, 5))
ONE_HOT = np.eye(5)[[0, 2, 1, 4]]
MASK = (RNG.random((4, 5)) < 0.6) / 0.6


def cross_entropy(z, t):
    return -(t * np.log(softmax(z))).sum() / len(z)


def gradient(z, t, g, factor=1.0):
    return factor * g * (softmax(z) - t) / len(z)


def product(z, by):
    return z * by


def product_with_mask(z, mask):
    return z * mask


class Loss:
    def __init__(self, factor=1.0):
        self.factor = factor

    def forward(self, z, t):
        self.kept = z, t
        return cross_entropy(z, t)

    def backward(self, g):
        return gradient(*self.kept, g, self.factor)


@pytest.mark.parametrize(
    "answer", [lambda x_bar: (x_bar, None), lambda x_bar: x_bar], ids=["None", "left out"]
)
def test_one_hot_labels_without_a_gradient_are_a_constant(answer):
    report = check(cross_entropy, lambda z, t, g: answer(gradient(z, t, g)), Z, ONE_HOT)
    assert report.passed, str(report)
    assert "taken for a constant" in said(report)
    report = check(cross_entropy, lambda z, t, g: answer(gradient(z, t, g, 2)), Z, ONE_HOT)
    assert report.verdict == "fail"
    assert report.diagnosis.code == "scale"
    assert "input 1" not in report.where.text


def test_labels_of_a_layer():
    assert check(Loss(), Z, ONE_HOT).passed
    assert check(Loss(4.0), Z, ONE_HOT).diagnosis.code == "scale"


@pytest.mark.parametrize(
    ("forward", "backward", "by"),
    [
        (cross_entropy, lambda z, t, g: (gradient(z, t, g), 0 * t), ONE_HOT),
        (product, lambda z, m, g: (g * m, None), MASK),
        (product_with_mask, lambda z, m, g: (g * m, None), RNG.normal(size=(4, 5))),
    ],
    ids=["zeros", "two values", "a name"],
)
def test_what_may_be_a_constant_is_left_open(forward, backward, by):
    report = check(forward, backward, Z, by)
    assert report.verdict == "inconclusive", str(report)
    assert "Else its gradient is missing" in said(report)
    wrong = check(forward, lambda z, t, g: (2 * backward(z, t, g)[0], None), Z, by)
    assert wrong.verdict == "fail"


@pytest.mark.parametrize("by", [RNG.normal(size=(4, 5)), np.zeros(5), np.ones(5)])
def test_any_other_input_without_a_gradient_is_severed(by):
    report = check(lambda z, b: z + b, lambda z, b, g: (g, None), Z, by)
    assert report.verdict == "fail"
    assert report.diagnosis.code == "severed"


def test_a_gradient_of_labels_is_checked_as_any_other():
    def backward(z, t, g, factor=1.0):
        return gradient(z, t, g), -factor * g * np.log(softmax(z)) / len(z)

    def total(z, t):  # t need not sum to 1
        return cross_entropy(z, t) + np.log(softmax(z)).sum() * (t.sum() - len(t)) * 0

    assert check(total, backward, Z, ONE_HOT).passed
    assert check(total, lambda *a: backward(*a, factor=2.0), Z, ONE_HOT).verdict == "fail"
