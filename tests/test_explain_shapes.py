"""shapes: kind, shape and structure against the numbers, for maps, losses and own functions."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import softgrad as sg
from softgrad.explain import shapes

ROW = np.array([2.0, 1.0, -0.5])
ROWS = np.random.default_rng(2).normal(size=(4, 3))


def own_softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def words_of(*arguments, **options):
    return " ".join(shapes(*arguments, **options).words)


@pytest.mark.parametrize(
    ("f", "x", "kind", "shape", "pattern"),
    [
        (sg.sigmoid, 2.0, "number", (), "diagonal"),
        (np.sin, 0.5, "number", (), "dense"),
        (sg.logsumexp, ROW, "gradient", (3,), "dense"),
        (lambda x: (x**2).sum(), ROW, "gradient", (3,), "dense"),
        (sg.softmax, ROW, "Jacobian", (3, 3), "dense"),
        (sg.log_softmax, ROW, "Jacobian", (3, 3), "dense"),
        (sg.tanh, ROW, "Jacobian", (3, 3), "diagonal"),
        (np.sin, ROW, "Jacobian", (3, 3), "diagonal"),
        (sg.sparsemax, [1.0, 0.9, -3.0], "Jacobian", (3, 3), "dense on the support"),
        (sg.relu, [-1.0, -2.0], "Jacobian", (2, 2), "diagonal"),
        (sg.tanh, [0.5], "Jacobian", (1, 1), "diagonal"),
        (sg.softmax, [0.5], "Jacobian", (1, 1), "zero"),
        (sg.log_softmax, [[0.5], [2.0]], "Jacobian", (2, 1, 2, 1), "zero"),
        (sg.softmax, [0.0, 800.0], "Jacobian", (2, 2), "dense on the support"),
        (sg.Softmax(temperature=0.5), ROWS, "Jacobian", (4, 3, 4, 3), "dense"),
        (sg.log_softmax, [0.0, 800.0], "Jacobian", (2, 2), "dense"),
        (sg.logsumexp, [0.0, 800.0], "gradient", (2,), "dense"),
        (lambda x: x[::-1] * [1.0, 0.0, 1.0], ROW, "Jacobian", (3, 3), "partly zero"),
        (lambda x: np.maximum(x, 0.0), [-1.0, -2.0], "Jacobian", (2, 2), "zero"),
        (sg.softmax, ROWS, "Jacobian", (4, 3, 4, 3), "dense"),
        (own_softmax, ROWS, "Jacobian", (4, 3, 4, 3), "dense"),
        (sg.tanh, ROWS, "Jacobian", (4, 3, 4, 3), "diagonal"),
        (lambda x: np.array([x, x**2]), 3.0, "Jacobian", (2,), "dense"),
    ],
)
def test_kind_shape_and_pattern(f, x, kind, shape, pattern):
    result = shapes(f, x)
    assert (result.kind, result.derivative_shape) == (kind, shape)
    assert result.structure.pattern == pattern


def test_a_map_and_the_same_function_of_a_user_agree():
    ours, own = shapes(sg.softmax, ROWS), shapes(own_softmax, ROWS)
    np.testing.assert_array_equal(ours.matrices, sg.softmax.jacobian(ROWS))
    np.testing.assert_allclose(own.matrices, ours.matrices, atol=1e-11)
    assert ours.structure.by_form
    assert ours.structure == dataclasses.replace(own.structure, by_form=True)
    assert ours.error is None
    assert 0 < own.error < 1e-10


@pytest.mark.parametrize("size", [1e-3, 1.0, 30.0, 1e4])
def test_the_error_bar_holds_what_the_differences_miss(size):
    x = size * np.array([1.0, 2.0, 3.5])
    result = shapes(lambda x: np.log(x) + np.sin(x[::-1]), x)
    truth = np.diag(1 / x) + np.diag(np.cos(x[::-1]))[:, ::-1]
    miss = np.sqrt(np.mean((result.matrices[0] - truth) ** 2))
    assert miss <= result.error
    assert result.error <= 1e-4 * np.abs(truth).max()


@pytest.mark.parametrize("f", [sg.softmax, lambda x: own_softmax(x.T).T], ids=["map", "own"])
def test_rows_lie_along_the_axis_that_is_named(f):
    result = shapes(f, ROWS, axis=0)
    assert result.matrices.shape == (3, 4, 4)
    assert result.structure.least_rank == result.structure.greatest_rank == 3
    np.testing.assert_allclose(result.matrices, sg.softmax.jacobian(ROWS, axis=0), atol=1e-10)


def test_an_axis_that_was_taken_away():
    ours = shapes(sg.logsumexp, ROWS, axis=0)
    own = shapes(lambda x: np.log(np.exp(x).sum(axis=0)), ROWS, axis=0)
    assert ours.matrices.shape == own.matrices.shape == (3, 1, 4)
    np.testing.assert_allclose(own.matrices[:, 0], own_softmax(ROWS.T), atol=1e-10)
    np.testing.assert_allclose(own.matrices, ours.matrices, atol=1e-10)


def test_rows_that_hear_each_other_are_one_block():
    result = shapes(lambda x: x - x.mean(axis=0), ROWS)
    assert result.matrices.shape == (1, 12, 12)
    assert "block diagonal" not in " ".join(result.words)


def test_structure_is_that_of_the_map():
    softmax = shapes(sg.softmax, ROW).structure
    assert softmax.symmetric
    assert softmax.zeros == 0
    assert softmax.rows_sum_to_zero
    assert softmax.columns_sum_to_zero
    assert softmax.greatest_rank == 2
    logarithm = shapes(sg.log_softmax, ROW).structure
    assert not logarithm.symmetric
    assert logarithm.rows_sum_to_zero
    assert not logarithm.columns_sum_to_zero
    sigmoid = shapes(sg.sigmoid, ROW).structure
    assert not sigmoid.rows_sum_to_zero
    assert sigmoid.least_rank == 3
    underflowing = shapes(sg.softmax, np.arange(400.0)).structure
    assert (underflowing.zeros, underflowing.least_rank) == (0, 399)
    support = shapes(sg.sparsemax, [[1.0, 0.9, -3.0], [0.1, 0.2, 0.3]]).structure
    assert (support.zeros, support.least_rank, support.greatest_rank) == (5, 1, 2)
    saturated = shapes(sg.softmax, [40.0, 0.0]).structure
    assert (saturated.pattern, saturated.least_rank) == ("dense", 1)
    rectangular = shapes(lambda x: x[:2] * x[2], ROW).structure
    assert rectangular.symmetric is None


@pytest.mark.parametrize(
    ("f", "x", "said", "unsaid"),
    [
        (sg.softmax, ROW, ["dense", "symmetric", "rows sum to zero", "rank is 2 of 3"], "diagonal"),
        (sg.sigmoid, ROW, ["It is diagonal", "elementwise product"], "sum to zero"),
        (sg.softmax, ROWS, ["block diagonal: 4 rows", "144 numbers, 36 of them"], "error"),
        (
            sg.sparsemax,
            [1.0, 0.9, -3.0],
            ["dense on the support", "5 of the 9 entries are zero"],
            "no entry",
        ),
        (own_softmax, ROW, ["Measured by differences"], "diagonal"),
        (lambda x: np.tanh(3 * x) @ np.ones(3), ROW, ["No entry is numerically zero"], "Jacobian"),
        (sg.tanh, [0.5], ["It is diagonal", "The one output has a slope in the one"], "stored"),
        (sg.tanh, 0.5, ["the slope 0.7864"], "No entry"),
        (sg.relu, [0.0, -1.0], ["It is diagonal", "Every slope on the diagonal"], "rank"),
        (sg.relu, [2.0, -1.0, 3.0], ["1 of the 3 slopes", "rank is numerically 2 of 3"], "nothing"),
        (sg.softmax, [0.0, 800.0], ["1 of the 2 outputs has all the weight"], "small for float64"),
        (sg.softmax, [100.0, 50.0, 0.0], ["It is dense", "rank is 2 of 3"], "numerically"),
        (sg.log_softmax, [0.0, 800.0], ["Numerically, 2 of the 4 entries are zero"], "symmetric"),
        (sg.softmax, [2.0, 1.0], ["written out it has 4 numbers; its products need 2"], "slope of"),
        (np.sin, ROW, ["It is numerically diagonal"], "products need"),
    ],
)
def test_words_match_the_numbers(f, x, said, unsaid):
    words = words_of(f, x)
    for part in said:
        assert part in words
    assert unsaid not in words


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (lambda x: x.astype(int), [1.0, 2.0]),
        (np.floor, [2.0, 3.5, 0.0]),
        (lambda x: x**3, [1e100, 2.0]),
        (lambda x: np.floor(x).sum(), 1.0),
    ],
)
def test_what_cannot_be_measured_is_not_called_zero(f, x):
    result = shapes(f, x)
    assert result.unclear
    assert result.structure is None
    said = str(result)
    assert "could not be measured here" in said
    assert "zero" not in said
    assert "/∂x[0]" not in said


@pytest.mark.parametrize(
    ("f", "x", "slopes"),
    [
        (lambda x: x**3, [1e100, -2e100], [3e200, 1.2e201]),
        (lambda x: 2 * x, [1e300, 3e300], [2.0, 2.0]),
        (lambda x: x**2, [1e6, 3e9], [2e6, 6e9]),
        (lambda x: x**3, [0.0, 0.0], [0.0, 0.0]),
        (lambda x: 0 * x + 7.0, [1e3, 0.0], [0.0, 0.0]),
        (lambda x: x.astype(int), [1.5, 2.5], [0.0, 0.0]),
    ],
)
def test_large_inputs_and_true_zeros_are_measured(f, x, slopes):
    result = shapes(f, x)
    assert result.structure.pattern == ("diagonal" if any(slopes) else "zero")
    np.testing.assert_allclose(result.matrices[0].diagonal(), slopes, rtol=1e-5)


def test_a_kink_is_no_derivative():
    result = shapes(np.abs, [0.0, 1.0])
    assert result.structure is None
    assert "there is a kink here" in " ".join(result.words)
    assert "diagonal" not in " ".join(result.words)
    assert shapes(np.abs, [-0.5, 1.0]).structure.pattern == "diagonal"


@pytest.mark.parametrize(
    ("loss", "targets", "kind", "blocks"),
    [
        (sg.cross_entropy, [0, 1, 2, 0], "gradient", (1, 1, 12)),
        (sg.squared_error, np.ones((4, 3)), "gradient", (1, 1, 12)),
        (sg.CrossEntropy(reduction="none"), [0, 1, 2, 0], "Jacobian", (4, 1, 3)),
        (sg.BinaryCrossEntropy(reduction="none"), np.ones((4, 3)), "Jacobian", (12, 1, 1)),
    ],
)
def test_losses(loss, targets, kind, blocks):
    result = shapes(loss, ROWS, targets=targets)
    assert (result.kind, result.matrices.shape) == (kind, blocks)
    np.testing.assert_array_equal(result.matrices.ravel(), loss.gradient(ROWS, targets).ravel())


def test_the_rows_of_a_loss_lie_along_its_axis():
    loss = sg.CrossEntropy(reduction="none")
    along = shapes(loss, ROWS.T, axis=0, targets=[0, 1, 2, 0])
    np.testing.assert_array_equal(along.matrices, shapes(loss, ROWS, targets=[0, 1, 2, 0]).matrices)


def test_json_round_trip_and_faces():
    result = shapes(lambda x: own_softmax(x), ROW)
    back = json.loads(result.to_json())
    assert back == result.to_dict()
    assert back["schema"] == "softgrad.shapes/1"
    assert back["structure"]["pattern"] == "dense"
    assert max(map(len, str(result).splitlines())) <= 100
    page = result._repr_html_()
    assert "<lambda>" not in page
    assert "&lt;lambda&gt;" in page
    assert "the first 6 × 6 of 9 × 9" in str(shapes(sg.softmax, np.arange(9.0)))


def test_a_function_is_not_given_the_array_that_is_kept():
    def overwrites(x):
        x *= x
        return x

    x = ROW.copy()
    np.testing.assert_allclose(shapes(overwrites, x).matrices[0], np.diag(2 * ROW), atol=1e-9)
    np.testing.assert_array_equal(x, ROW)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((3, ROW), {}, TypeError, "`f` must be a map, a loss or a function, got 3"),
        ((sg.softmax, [np.nan]), {}, ValueError, r"`x` must be finite, got nan at \[0\]"),
        ((sg.softmax, np.zeros(600)), {}, ValueError, "`x` must be small enough"),
        ((np.sin, np.zeros(600)), {}, ValueError, "`x` must be of at most 512 numbers"),
        ((lambda x: np.zeros(10**6), ROW), {}, ValueError, "`f` must be a function whose Jacobian"),
        ((lambda x: x > 0, ROW), {}, TypeError, "`f` must be a function that returns real numbers"),
        ((lambda x: x / 0.0 * 0.0, ROW), {}, ValueError, "`f` must be finite at `x`"),
        (
            (lambda x: x + np.random.default_rng().random(2), [1.0, 2.0]),
            {},
            ValueError,
            "`f` must be a function that returns the same",
        ),
        ((lambda x: x[x > 0], [0.0, 1.0]), {}, ValueError, "`f` must be a function whose output"),
        ((sg.cross_entropy, ROW), {}, TypeError, "`targets` must be given for a loss"),
        ((sg.softmax, ROW), {"targets": 1}, TypeError, "`targets` must be left out"),
        ((sg.softmax, ROW), {"axis": 2}, ValueError, "`axis` must be within"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_bad_arguments_are_named(arguments, options, error, message):
    with pytest.raises(error, match=message):
        shapes(*arguments, **options)
