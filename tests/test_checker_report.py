"""What the checker says: sentences, faces, and complaints about its own arguments."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from reports import said
from softgrad.checker import Report, check
from softgrad.checker.diagnosis import explain
from softgrad.testing import assert_gradient
from wrong_rules import OPERATIONS, linear, linear_backward, softmax, softmax_backward

Z = np.random.default_rng(0).normal(size=(4, 9))


def doubled(z, g):
    return 2 * softmax_backward(z, g)


class Layer:
    def forward(self, x):
        return x

    def backward(self, g):
        return g


def test_report_is_a_frozen_result():
    report = check(softmax, doubled, Z)
    assert isinstance(report, Report)
    assert (report.subject, report.dtype, report.seed) == ("doubled", "float64", 0)
    assert not report.passed
    assert report.relative_error == pytest.approx(1, rel=1e-9)
    assert 0 < report.error_bar < 1e-8
    assert report.cost.seconds > 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.verdict = "pass"


def test_faces_agree():
    report = check(softmax, doubled, Z)
    assert str(report).startswith("FAIL  doubled  relative error 1 ±")
    assert "disagrees with the derivative" in str(report)
    assert "float64 complex step" in report._repr_html_()
    read = json.loads(report.to_json())
    assert read["schema"] == "softgrad.check/1"
    assert read["verdict"] == "fail"
    assert read["findings"][0]["level"] == "fail"
    assert read["cost"]["forward"] == report.cost.forward


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"relative_error": math.inf, "error_bar": 0.0},
        {"relative_error": None, "error_bar": None, "diagnosis": None, "where": None},
    ],
    ids=["as it is", "infinite", "nothing compared"],
)
@pytest.mark.parametrize("backward", [softmax_backward, doubled])
def test_a_report_is_read_back_from_its_fields(backward, change):
    report = dataclasses.replace(check(softmax, backward, Z), **change)
    read = Report.from_dict(json.loads(report.to_json()))
    assert read == report
    assert str(read) == str(report)


def test_fields_of_another_schema_are_refused():
    fields = check(softmax, doubled, Z).to_dict() | {"schema": "softgrad.check/0"}
    with pytest.raises(ValueError, match=r"`fields` must be of softgrad\.check/1, got "):
        Report.from_dict(fields)


def test_save_html_is_one_offline_page(tmp_path):
    def named(z, g):
        return doubled(z, g)

    named.__name__ = "<script>alert(1)</script>"
    path = tmp_path / "report.html"
    check(softmax, named, Z).save_html(path)
    page = path.read_text()
    assert page.startswith("<!doctype html>")
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page
    assert "wrong" in page[page.index('class="verdict bad"') :][:200]
    assert page.count("<svg") == 1
    assert len(page) < 20_000


def test_save_html_draws_the_jacobians_of_the_functions_that_are_given(tmp_path):
    path = tmp_path / "report.html"
    check(softmax, doubled, Z, seed=3).save_html(path, softmax, doubled, Z, seed=3)
    page = path.read_text()
    assert "your backward" in page
    assert "seed=3" in page
    assert page.count("<svg") > 1


def test_exception_in_the_backward_is_a_finding():
    def broken(z, g):
        raise RuntimeError("no\nsuch thing")

    report = check(softmax, broken, Z)
    assert report.verdict == "fail"
    assert "The backward raised RuntimeError: no such thing (test_checker_report.py:" in said(
        report
    )


def test_exception_in_the_forward_is_a_doubt():
    def broken(z):
        return np.linalg.inv(z)

    report = check(broken, softmax_backward, Z)
    assert report.verdict == "inconclusive"
    assert "The forward raised LinAlgError" in said(report)
    assert "test_checker_report.py:" in said(report)


def test_exception_in_the_reference_names_the_reference():
    def broken(z):
        raise ValueError("odd")

    report = check(softmax, softmax_backward, Z, reference=broken)
    assert report.verdict == "inconclusive"
    assert "The reference cannot be used: it raised ValueError: odd" in said(report)
    assert "The forward" not in said(report)


def test_call_that_does_not_fit_names_the_function():
    report = check(softmax, lambda z: z, Z)
    assert report.verdict == "inconclusive"
    assert "The backward takes (z), and is called with 2 arguments" in said(report)


def test_type_error_within_a_function_is_its_own():
    def backward(z, g):
        return softmax(z, g)

    report = check(softmax, backward, Z)
    assert report.verdict == "fail"
    assert "The backward raised TypeError: " in said(report)
    assert "test_checker_report.py:" in said(report)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda x, W, b: (x, W), "one entry for each floating-point input, 3, got 2."),
        (lambda x, W, b: (x, W.T, b), "gradient of input 1 must have the input's shape (7, 9)"),
        (lambda x, W, b: (x, W, None), "The gradient of input 2 is None"),
        (lambda x, W, b: (x.astype(int), W, b), "input 0 must have the input's dtype float64"),
        (lambda x, W, b: (x.astype("f4"), W, b), "dtype float64, got float32"),
        (lambda x, W, b: (np.nan * x, W, b), "36 of the gradient's 106 entries are not finite"),
    ],
)
def test_wrong_entries_are_named(change, sentence):
    inputs = OPERATIONS["linear"].sample(np.random.default_rng(0), (4, 9), 1, "float64")
    report = check(linear, lambda *a: change(*linear_backward(*a)), *inputs)
    assert report.verdict == "fail"
    assert sentence in said(report)


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        ("zero", "The backward returns zero"),
        ("constant added", "A zero cotangent must give a zero gradient, got entries up to 0.01"),
        ("cotangent squared", "16 times the cotangent must give 16 times the gradient"),
        ("cotangent's size", "Minus the cotangent must give minus the gradient"),
        ("cotangent overwritten", "The backward overwrites the cotangent that it is given."),
        ("input overwritten", "The backward overwrites its input 0."),
        ("accumulating", "must give the same gradient"),
        ("diagonal only", "The backward disagrees with the derivative of the forward"),
    ],
)
def test_sentence_tells_the_mistake(mistake, sentence):
    report = check(softmax, OPERATIONS["softmax"].wrong[mistake](), Z)
    assert report.findings[0].level == "fail"
    assert sentence in said(report)


def test_zero_cotangent_must_give_exact_zeros():
    report = check(softmax, lambda z, g: softmax_backward(z, g) + 1e-17, Z)
    assert report.verdict == "fail"
    assert "A zero cotangent" in said(report)


def test_wider_gradient_is_only_noted():
    z = Z.astype(np.float32)
    report = check(softmax, lambda z, g: softmax_backward(z, g).astype(np.float64), z)
    assert report.passed
    assert "The gradient of input 0 is float64, the input is float32." in said(report)


def test_byte_order_of_the_input_is_not_noted():
    report = check(softmax, softmax_backward, Z.astype(">f8"))
    assert report.passed
    assert "The gradient of input" not in said(report)


def test_memory_layout_of_the_cotangent_matters():
    def reads_the_buffer(z, g):
        flat = np.lib.stride_tricks.as_strided(g, (g.size,), (g.itemsize,))
        return softmax_backward(z, flat.reshape(z.shape))

    report = check(softmax, reads_the_buffer, Z)
    assert report.verdict == "fail"
    assert "not contiguous" in said(report)


@pytest.mark.parametrize(
    ("error", "match", "arguments", "options"),
    [
        (TypeError, "`forward` must be callable, got ndarray", (Z, softmax_backward, Z), {}),
        (TypeError, "`backward` must be callable, got NoneType", (softmax,), {}),
        (TypeError, "`backward` must be callable, got ndarray", (softmax, Z), {}),
        (ValueError, "`inputs` must be", (softmax, softmax_backward), {}),
        (TypeError, r"`inputs\[0\]` must be .*complex128", (softmax, softmax_backward, Z + 1j), {}),
        (ValueError, r"`inputs\[0\]` must be finite", (softmax, softmax_backward, Z * np.nan), {}),
        (TypeError, "`dtype` must be", (softmax, softmax_backward, Z), {"dtype": "int32"}),
        (TypeError, "`reference` must be", (softmax, softmax_backward, Z), {"reference": 1}),
        (ValueError, "`seed` must be", (softmax, softmax_backward, Z), {"seed": -1}),
        (ValueError, "`where` must be booleans", (softmax, softmax_backward, Z), {"where": [True]}),
        (ValueError, "`where` must be True", (softmax, softmax_backward, Z), {"where": Z > 99}),
        (
            ValueError,
            "`where` must be one mask",
            (softmax, softmax_backward, Z),
            {"where": (None, None)},
        ),
        (TypeError, "`forward` must be a layer, got its class, Layer", (Layer, Z), {}),
    ],
)
def test_wrong_use_names_the_argument(error, match, arguments, options):
    with pytest.raises(error, match=match):
        check(*arguments, **options)


def test_assert_gradient_raises_with_the_report():
    assert_gradient(softmax, softmax_backward, Z)
    with pytest.raises(AssertionError, match="FAIL  doubled  relative error 1 "):
        assert_gradient(softmax, doubled, Z)
    with pytest.raises(AssertionError, match="INCONCLUSIVE"):
        assert_gradient(np.abs, lambda x, g: g * np.sign(x), np.zeros(3))


def test_arrays_of_other_libraries_are_refused_by_name():
    class Tensor:
        dtype = "float32"

        def __array__(self):
            return Z

    with pytest.raises(TypeError, match=r"`inputs\[0\]` must be an array of NumPy, .*Tensor"):
        check(softmax, softmax_backward, Tensor())
    with pytest.raises(TypeError, match=r"`backward` must be an array of NumPy, PyTorch or JAX"):
        check(softmax, Tensor())


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("not even this")


def fails_unspeakably(*arguments):
    raise Unspeakable


@pytest.mark.parametrize(
    ("forward", "sentence"),
    [
        (lambda x: None, "The forward returns None (is a `return` missing?): it must return"),
        (lambda x: "loss", "The forward returns a str: it must return"),
        (lambda x: {"loss": x}, "The forward returns a dict: it must return"),
        (lambda x: x + 1j, "The forward returns complex128 numbers: it must return"),
        (lambda x: x.argmax(), "The forward returns int64 numbers alone: it must return"),
        (lambda x: (), "The forward returns an empty tuple: it must return"),
        (lambda x: (x, None), "The forward returns a tuple with None in it (what is kept"),
        (lambda x: [[1.0], [1.0, 2.0]], "The forward returns what is no array: "),
        (lambda x: (x, (x, x[0])), "returns a tuple with a tuple of arrays in it (what is"),
        (lambda x: x[:0], "The forward's outputs are empty"),
        (fails_unspeakably, "The forward raised Unspeakable (test_checker_report.py:"),
    ],
)
def test_what_a_forward_may_not_return_is_a_doubt(forward, sentence):
    report = check(forward, lambda x, g: g, Z)
    assert report.verdict == "inconclusive"
    assert sentence in said(report)


@pytest.mark.parametrize(
    ("backward", "sentence"),
    [
        (lambda x, g: [[1.0], [1.0, 2.0]], "The gradient of input 0 is no array: "),
        (
            lambda x, g: "gradient",
            "The gradient of input 0 must be an array of numbers, got a str.",
        ),
        (lambda x, g: 1j * g, "must have the input's dtype float64, got complex128"),
        (fails_unspeakably, "The backward raised Unspeakable (test_checker_report.py:"),
    ],
)
def test_what_a_backward_may_not_return_fails(backward, sentence, monkeypatch):
    monkeypatch.setattr(explain, "PASSED_OVER", (Exception,))
    report = check(np.tanh, backward, Z)
    assert report.verdict == "fail"
    assert sentence in said(report)


def test_gradients_in_a_dict_are_a_doubt():
    report = check(np.tanh, lambda x, g: {"x": g}, Z)
    assert report.verdict == "inconclusive"
    assert "The backward returns a dict: it must return an array, or a tuple" in said(report)


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ((np.arange(3),), "No input is of floating-point numbers"),
        (([1, 2, 3],), "No input is of floating-point numbers"),
        (({"W": np.ones(3)},), "and input 0 is a dict: give its arrays one by one"),
        ((3, "mean"), "No input is of floating-point numbers"),
        ((np.zeros((0, 5)),), "The floating-point inputs are empty"),
    ],
)
def test_nothing_to_differentiate_is_a_doubt(inputs, sentence):
    for arguments in ((softmax, softmax_backward), (Layer(),)):
        report = check(*arguments, *inputs)
        assert report.verdict == "inconclusive"
        assert sentence in said(report)
        assert str(report).startswith("INCONCLUSIVE")
