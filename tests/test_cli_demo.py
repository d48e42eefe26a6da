"""`softgrad demo`, and the tour behind it."""

import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import softgrad as sg
from cli_runs import assert_refused, softgrad
from softgrad import nn
from softgrad.cli.command import Output
from softgrad.cli.fitting import Fit, Settings
from softgrad.explain.tour import take_tour
from softgrad.explain.tour_answers import descent_step
from softgrad.results import number


@pytest.fixture(scope="module")
def fit():
    made = Fit("iris", Settings(epochs=10))
    made.check()
    made.train(Output.standard(as_json=True))
    return made


@pytest.fixture(scope="module")
def tour(fit):
    X = fit.model.standardizer(fit.held_out.X)
    return take_tour(fit.result(), fit.model.network, X, fit.held_out.y)


def test_the_demo_answers_five_questions_and_writes_a_report(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    outcome = softgrad("demo", "--seed", 1)
    assert outcome.code == 0
    assert outcome.err == ""
    assert "Seed 1" in outcome.out
    assert re.findall(r"^(\d)\. .*\?$", outcome.out, re.MULTILINE) == list("12345")
    assert outcome.out.index("PASS  softmax") < outcome.out.index("FAIL  h_times_one_minus_h")
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert [path.name for path in tmp_path.iterdir()] == ["softgrad-report.html"]
    page = (tmp_path / "softgrad-report.html").read_text("utf-8")
    assert "Why is the derivative of softmax a matrix?" in page
    assert "<svg" in page
    assert len(page.encode()) <= 300_000


def test_the_demo_in_json_holds_the_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr("softgrad.cli.fitting.Settings", partial(Settings, epochs=2))
    outcome = softgrad("demo", "-o", tmp_path / "r.html", "--json")
    assert outcome.code == 0
    assert outcome.err == ""
    document = outcome.document
    assert document["schema"] == "softgrad.tour/1"
    assert len(document["answers"]) == 5
    assert np.shape(document["sample"]["jacobian"]) == (10, 10)


def test_the_demo_refuses_a_file_that_cannot_be_written():
    assert_refused(softgrad("demo", "-o", "no/such/report.html"), "no/such")


def test_an_interrupted_demo_writes_nothing(tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("softgrad.cli.fitting.train", interrupt)
    assert softgrad("demo", "-o", tmp_path / "r.html").code == 130
    assert list(tmp_path.iterdir()) == []


def test_the_sample_is_the_row_with_the_largest_jacobian(fit, tour):
    p = fit.model.network.probabilities(fit.model.standardizer(fit.held_out.X))
    traces = (p * (1 - p)).sum(axis=1)
    assert np.trace(tour.sample.jacobian) == pytest.approx(traces.max(), rel=1e-12)
    np.testing.assert_allclose(tour.sample.p, p[np.argmax(traces)], rtol=1e-12)
    assert tour.sample.target == fit.held_out.y[np.argmax(traces)]


def test_the_heads_are_compared_on_the_last_layer_of_the_network(fit, tour):
    np.testing.assert_allclose(tour.comparison.logits, tour.sample.logits, rtol=1e-12)
    np.testing.assert_array_equal(tour.comparison.W, fit.model.network.layers[-2].W)
    assert tour.comparison.target == tour.sample.target


def test_the_gradient_around_a_hidden_softmax_is_measured(tour):
    hidden = tour.hidden
    size = np.abs(hidden.z_bar).max()
    assert hidden.layers[1] == "softmax"
    np.testing.assert_allclose(hidden.z_bar, hidden.measured, rtol=0, atol=1e-7 * size)
    p, g = hidden.p, hidden.p_bar
    np.testing.assert_allclose(hidden.z_bar, p * (g - p @ g), rtol=0, atol=1e-13 * size)
    assert np.abs(hidden.diagonal_only - hidden.measured).max() > 0.05 * size


def test_one_output_goes_to_1_and_the_sum_stays(tour):
    assert tour.followed.trajectory.outputs[-1, 1] > 0.9
    assert not tour.followed_sum.trajectory.gradient_size.any()
    assert len(tour.followed_classes) == tour.followed.trajectory.outputs.shape[1] == 3


def test_the_right_backward_passes_and_the_diagonal_alone_fails(tour):
    assert (tour.right.verdict, tour.wrong.verdict) == ("pass", "fail")


def test_what_the_answers_print_was_computed(tour):
    tables = [block for answer in tour.answers for block in answer.blocks if hasattr(block, "rows")]
    why, product, heads, _, passing = tables
    sample, shown = tour.sample, tour.sample.shown
    for k, (_, p, measured, slope, diagonal) in zip(shown, why.rows, strict=True):
        j = int(np.argmax(sample.p))
        assert p == sample.p[k]
        assert slope == sample.jacobian[k, j]
        assert measured == pytest.approx(slope, rel=1e-4)
        assert diagonal == (pytest.approx(slope, rel=1e-9) if k == j else 0)
    for k, (_, _, _, pulled_back, fused) in zip(shown, product.rows, strict=True):
        assert fused == pytest.approx(sample.p[k] - (k == sample.target), rel=1e-9)
        assert pulled_back == pytest.approx(fused, rel=1e-9)
    names = ("softmax p", "softmax ∂L/∂z", "sigmoid p", "sigmoid ∂L/∂z", "sigmoid-all ∂L/∂z")
    assert heads.columns[1:] == names
    for k, (_, p, z_bar, q, of_one_cell, of_all) in zip(shown, heads.rows, strict=True):
        assert p == pytest.approx(sample.p[k], rel=1e-12)
        assert z_bar != 0
        assert (of_one_cell != 0) == (k == sample.target)
        assert of_all == pytest.approx(q - (k == sample.target), rel=1e-9)
    for unit, p, *_ in passing.rows:
        assert p == tour.hidden.p[unit]


def test_what_the_answers_say_of_signs_was_decided_by_the_numbers(tour):
    heads, output, hidden = (str(answer.blocks) for answer in tour.answers[2:])
    name = tour.sample.classes[tour.sample.target]
    assert f"With softmax a descent step raises the logit of class {name} and lowers 2" in heads
    assert "leaves 2 others alone; 2 of the 3 rows" in heads
    flipped = replace(tour.comparison.heads[0], logits_bar=-tour.comparison.heads[0].logits_bar)
    step = descent_step(flipped, tour.sample.target, name)
    assert step == f"raises 2 others and lowers the logit of class {name}"
    slopes = tour.followed.trajectory.objective * (1 - tour.followed.trajectory.objective)
    assert f"goes from {number(slopes[0])} to {number(slopes[-1])}" in output
    assert "new and untrained" in hidden


def test_a_network_without_a_last_linear_layer_is_refused(fit):
    X, y = fit.held_out.X, fit.held_out.y
    with pytest.raises(ValueError, match="ends in Linear and softmax"):
        take_tour(fit.result(), nn.Network([sg.softmax]), X, y)


def test_the_tour_has_every_face(tour):
    assert "1. Why is the derivative" in str(tour)
    assert "Jᵀ" in tour._repr_html_()
    assert tour.to_dict()["schema"] == "softgrad.tour/1"
