"""Backwards of other customs: what the checker cannot call, it says how to give."""

from __future__ import annotations

import numpy as np
import pytest

from reports import said
from softgrad.checker import check
from wrong_rules import softmax, softmax_backward

Z = np.random.default_rng(0).normal(size=(4, 5))
W = np.random.default_rng(1).normal(size=(5, 3))


class LeavesAll:
    """Nothing is returned: values and gradients are attributes."""

    def __init__(self, factor=1.0):
        self.weights, self.biases, self.factor = W.copy(), np.zeros((1, 3)), factor

    def forward(self, inputs):
        self.inputs = inputs
        self.output = inputs @ self.weights + self.biases

    def backward(self, dvalues):
        self.dweights = self.factor * self.inputs.T @ dvalues
        self.dbiases = dvalues.sum(axis=0, keepdims=True)
        self.dinputs = dvalues @ self.weights.T


def test_what_a_layer_leaves_is_taken():
    report = check(LeavesAll(), Z)
    assert report.passed
    assert "forward returns nothing: its `output` was taken" in said(report)
    assert "backward returns nothing: its `dinputs` was taken" in said(report)
    assert "weights (in dweights), biases (in dbiases)" in said(report)
    wrong = check(LeavesAll(-1.0), Z)
    assert wrong.diagnosis.code == "sign"
    assert wrong.where.text == "weight weights, everywhere"


class Learns:
    """The backward wants a rate."""

    def forward(self, x):
        return softmax(x)

    def backward(self, g, rate):
        return g


class Forgets(Learns):
    """The backward wants nothing."""

    def backward(self):
        return Z


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((softmax, lambda z: softmax(z) * (1 - softmax(z)), Z), "takes (z), and is called with 2"),
        ((softmax, lambda z, *, dout: dout, Z), "takes (z, *, dout), and is called with 2"),
        ((lambda z, axis: softmax(z), softmax_backward, Z), "forward takes (z, axis), and is"),
        ((Learns(), Z), "layer's backward takes (g, rate), and is called with 1 argument:"),
        ((Forgets(), Z), "layer's backward takes (), and is called with 1 argument:"),
    ],
)
def test_functions_that_take_other_arguments(arguments, text):
    report = check(*arguments)
    assert report.verdict == "inconclusive"
    assert text in said(report)
    assert "`lambda z, g: g * derivative(z)`" in said(report)


def test_a_type_error_within_a_function_is_that():
    def backward(z, g):
        return g + None

    report = check(softmax, backward, Z)
    assert report.verdict == "fail"
    assert "raised TypeError: unsupported operand" in said(report)


def test_the_cotangent_in_the_first_place():
    report = check(softmax, lambda g, z: softmax_backward(z, g), Z)
    assert report.diagnosis.code == "cotangent"
    assert "as its first argument" in report.diagnosis.message
    wrong = check(softmax, lambda g, z: 2 * softmax_backward(z, g), Z)
    assert "as its first argument" not in wrong.diagnosis.message


def test_a_cache_is_no_output():
    def of_arrays(z):
        p = softmax(z)
        return p, p

    report = check(of_arrays, lambda dout, p: p * dout, Z)
    assert report.diagnosis.code == "cotangent"
    assert "a tuple of 2, one for each output" in report.diagnosis.message
    assert "lambda z: forward(z)[0]" in report.diagnosis.evidence
    report = check(lambda z: (softmax(z), {"z": z}), softmax_backward, Z)
    assert report.verdict == "inconclusive"
    assert "a tuple with a dict in it" in said(report)
    assert "lambda z: forward(z)[0]" in said(report)


def test_dictionaries():
    report = check(lambda p: Z @ p["W"], lambda p, g: {"W": Z.T @ g}, {"W": W})
    assert report.verdict == "inconclusive"
    assert "input 0 is a dict: give its arrays one by one" in said(report)
    report = check(lambda W: Z @ W, lambda W, g: {"W": Z.T @ g}, W)
    assert report.verdict == "inconclusive"
    assert "The backward returns a dict" in said(report)


def test_objects_with_other_methods():
    class Other:
        def run(self, x):
            return x

        def gradient(self, g):
            return g

    with pytest.raises(TypeError, match="got Other with `run` and `gradient`"):
        check(Other(), Z)
