"""The two Jacobians of a check: they are those of the functions, and of the worst row alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import softgrad as sg
import softgrad.checker.jacobians as module
from report_cases import words
from report_runs import captions
from softgrad.checker import check
from softgrad.checker.diagnosis.examples import EXAMPLES
from softgrad.checker.jacobians import Jacobians, jacobians_of
from softgrad.report.check import check_page
from softgrad.report.check_jacobians import jacobians_figure

Z = np.random.default_rng(0).normal(size=(4, 7))


@pytest.fixture(autouse=True)
def _errors_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what would cost the picture raise."""
    monkeypatch.setattr(module, "PASSED_OVER", module.PASSED_OVER[:2])


def right(z: Any, g: Any) -> Any:
    return sg.softmax.vjp(z, g)


def diagonal_only(z: Any, g: Any) -> Any:
    p = sg.softmax(z)
    return p * (1 - p) * g


def seen(backward: Any, forward: Any = sg.softmax, *inputs: Any) -> Jacobians:
    inputs = inputs or (Z,)
    found = jacobians_of(check(forward, backward, *inputs), forward, backward, *inputs)
    assert found is not None
    return found


def test_of_independent_rows_the_worst_is_shown() -> None:
    found = seen(diagonal_only)
    assert found.rows == found.shape[0] > 1
    J = found.measured
    K = found.shape[1]
    assert J.shape == found.analytic.shape == (K, K)
    # Of softmax p is to be had from J: its row sums are 0, and J[i, j] = −p[i] p[j].
    p = np.sqrt(-J[0, 1] * J[0, 2] / J[1, 2])
    assert J[0, 0] == pytest.approx(p * (1 - p), rel=1e-9)
    assert np.abs(J.sum(axis=1)).max() < 1e-12
    assert found.analytic == pytest.approx(np.diag(np.diag(J)), rel=1e-9)


@pytest.mark.parametrize("row", [0, 1, -1])
def test_a_row_that_is_wrong_is_shown_among_right_ones(row: int) -> None:
    def backward(z: Any, g: Any) -> Any:
        z_bar = right(z, g)
        z_bar[row] *= 3
        return z_bar

    found = seen(backward)
    assert found.analytic == pytest.approx(3 * found.measured, rel=1e-6)


def test_a_right_backward_has_the_same_jacobian() -> None:
    found = seen(right)
    assert np.abs(found.analytic - found.measured).max() < 1e-9 * np.abs(found.measured).max()
    assert "They agree to" in jacobians_figure(found).caption


def test_rows_that_have_to_do_with_one_another_stay_together() -> None:
    def forward(z: Any) -> Any:
        return np.tanh(z + z.sum(axis=0))

    def backward(z: Any, g: Any) -> Any:
        return g * (1 - forward(z) ** 2)

    found = seen(backward, forward)
    assert found.rows == 1
    assert found.measured.shape == (np.prod(found.shape),) * 2


def test_the_input_that_is_wrong_is_shown() -> None:
    def forward(x: Any, W: Any) -> Any:
        return x @ W

    def backward(x: Any, W: Any, g: Any) -> Any:
        return g @ W.T, 2 * (x.T @ g)

    found = seen(backward, forward, Z, np.random.default_rng(1).normal(size=(7, 3)))
    assert found.input == "input 1"
    assert found.analytic == pytest.approx(2 * found.measured, rel=1e-6, abs=1e-9)


# A gradient of another shape; one that is right unless the cotangent is not 1, or logits large.
WITHOUT = ("unreduced-broadcast", "aliasing", "cotangent", "arithmetic")


@pytest.mark.parametrize("name", [*EXAMPLES])
def test_every_example_has_its_jacobians_or_none(name: str) -> None:
    arguments, more = EXAMPLES[name].arguments(0)
    report = check(*arguments, **more)
    found = jacobians_of(report, *arguments, **more)
    assert (found is None) == (name in WITHOUT)
    if found is not None:
        assert f"of {found.analytic.size} slopes are off" in jacobians_figure(found).caption


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([[0, 0], [0, 0]], "They agree to 0 in every entry"),
        ([[1, 0], [0, 1]], "2 of 4 slopes are off, by up to 1: the diagonal is wrong, and all"),
        ([[0, 1], [2, 0]], "2 of 4 slopes are off, by up to 2: the diagonal is right, and what"),
        ([[1, 1], [0, 0]], "2 of 4 slopes are off, by up to 1."),
    ],
)
def test_the_caption_says_where_they_differ(wrong: list[list[int]], words: str) -> None:
    measured = np.array([[0.5, -0.5], [-0.5, 0.5]])
    found = Jacobians("x", (2,), measured + np.array(wrong), measured, 1e-12)
    assert words in jacobians_figure(found).caption


def test_functions_that_fail_on_a_twin_cost_the_picture_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()

    def forward(z: Any) -> Any:
        if z.shape != (4, 7):
            raise RuntimeError("only this shape")
        return np.tanh(z @ np.ones((7, 100)))  # too many outputs for any Jacobian

    report = check(forward, lambda z, g: g @ np.ones((100, 7)), Z)
    assert jacobians_of(report, forward, lambda z, g: g @ np.ones((100, 7)), Z) is None


def test_the_page_draws_both_and_their_difference() -> None:
    found = seen(diagonal_only)
    page = check_page(check(sg.softmax, diagonal_only, Z), "c", found)
    assert "the diagonal is right, and what lies beside it is wrong" in captions(page)[0]
    drawn = words(page.sections[0].figures[0].svg)
    assert {"your backward", "measured", "difference"} <= set(drawn)
    assert page.sections[0].heading == "The mistake"
    assert check_page(check(sg.softmax, right, Z), "c", seen(right)).sections[0].heading == (
        "What is compared"
    )
