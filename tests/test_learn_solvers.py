"""The classifier's solvers: all of them reach one optimum, and say so only when they do."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from convex import NAMES, data, objective, primal, some_theta
from softgrad.learn.curvature import Curvature
from softgrad.learn.objective import Objective
from softgrad.learn.solvers import (
    SOLVERS,
    Settings,
    Solution,
    certificate,
    choose_solver,
    lbfgs,
    preconditioners,
    solve,
)
from softgrad.learn.solvers.gap import GapEstimate
from softgrad.learn.solvers.iterate import Iterate, Point
from softgrad.learn.solvers.line_search import search
from softgrad.learn.solvers.preconditioners import ClassBlocks


@cache
def optimum(name: str, **settings: Any) -> Solution:
    f = objective(name, **settings)
    return solve("newton", f, f.start, Settings(1e-15, 500))


@pytest.mark.parametrize("form", ["float64", "CSR array"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("solver", SOLVERS)
def test_optimum_is_reached(solver: str, name: str, form: str) -> None:
    f, best = objective(name, form), optimum(name).value
    for tol in (1e-3, 1e-6, 1e-9):
        solution = solve(solver, f, f.start, Settings(tol, 1000))
        gap = primal(f, solution.theta) - best
        assert solution.converged
        assert -1e-13 * best <= gap <= tol * best
        assert gap <= solution.bound + 1e-13 * best
    if name != "units":  # where the bound suffers from the columns' units, as the optimum does not
        assert solution.bound <= 1e-5 * best


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("solver", SOLVERS)
def test_float32_rows_end_where_their_digits_do(solver: str, name: str) -> None:
    f = objective(name, "float32")
    exact = replace(f, X=f.X.astype(np.float64))
    best = solve("newton", exact, f.start, Settings(1e-15, 500)).value
    solution = solve(solver, f, f.start, Settings(1e-8, 1000))
    assert solution.converged
    assert primal(f, solution.theta) == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize("form", ["float64", "CSR array"])
@pytest.mark.parametrize("name", ["iris", "units", "tall"])
def test_optimum_is_reached_with_too_many_columns_for_a_square_matrix(
    name: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lbfgs, "_MOST_COLUMNS", 0)
    f, best = objective(name, form), optimum(name).value
    solution = solve("lbfgs", f, f.start, Settings(1e-8, 5000))
    assert solution.converged
    # With a poor metric the estimate of the gap is poorer, too.
    assert -1e-13 * best <= primal(f, solution.theta) - best <= 1e-7 * best


def test_squares_of_float32_columns_may_be_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lbfgs, "_MOST_COLUMNS", 0)
    f = objective("tall", "float32")
    large = replace(f, X=f.X * np.float32(1e20), ridge=1e40 * f.ridge)
    values = [solve("lbfgs", f, f.start, Settings(1e-6, 1000)).value for f in (f, large)]
    assert values[1] == pytest.approx(values[0], rel=1e-5)


def test_a_certificate_is_enough() -> None:
    X, y = np.array([[0.0], [1.0]]), np.array([0, 1])
    f = Objective(X, y, np.full(2, 0.5), 2, ridge=1.0)
    solution = solve("lbfgs", f, f.start, Settings(1e-8, 1000))
    assert solution.bound <= 1e-8 * solution.value
    assert solution.converged


@pytest.mark.parametrize("name", ["many", "tall"])
def test_optimum_is_reached_with_too_many_classes_for_a_square_matrix(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preconditioners, "_COUPLED", 0)
    monkeypatch.setattr(certificate, "_MOST_CLASSES", 0)
    f, best = objective(name), optimum(name).value
    solution = solve("lbfgs", f, f.start, Settings(1e-9, 1000))
    assert -1e-13 * best <= primal(f, solution.theta) - best <= 1e-8 * best
    assert solution.bound <= 1e-4 * best


@pytest.mark.parametrize("name", NAMES)
def test_poor_blocks_end_no_fit_too_soon(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With blocks of a few rows the conjugate gradients stop early, and the gap has to say so."""
    monkeypatch.setattr(preconditioners, "_UNCERTAIN", 0.98)
    f, best = objective(name), optimum(name).value
    solution = solve("newton-cg", f, f.start, Settings(1e-7, 5000))
    assert solution.converged
    assert -1e-13 * best <= primal(f, solution.theta) - best <= 1e-7 * best


@pytest.mark.parametrize("steps", [1, 3, 8])
def test_blocks_know_of_all_curvature(steps: int, rng: np.random.Generator) -> None:
    """Rows that are sure bend little, but where no other row bends a direction they decide."""
    f = objective("digits", ridge=0.0)
    theta = solve("newton-cg", f, f.start, Settings(1e-9, steps)).theta
    curvature, inverse = Curvature(f, theta), ClassBlocks.of(Curvature(f, theta))
    v = rng.normal(size=theta.shape)
    for _ in range(20):  # the power method
        v = inverse(curvature.product(v / np.linalg.norm(v)))
    Hv = curvature.product(v)
    assert np.vdot(Hv, inverse(Hv)) < f.classes * np.vdot(v, Hv)


PUBLISHED = {"iris": 0.192575444027, "wine": 0.062235719897, "digits": 0.009478214904}
"""The minimum of mean cross-entropy + ‖W‖²/2n with a free intercept, to twelve decimals."""


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("solver", SOLVERS)
def test_optimum_of_known_data(solver: str, name: str) -> None:
    X, y = data(name)
    N = len(y)
    f = Objective(X, y, np.full(N, 1 / N), int(y.max()) + 1, ridge=1 / N)
    solution = solve(solver, f, f.start, Settings(1e-11, 1000))
    assert solution.value == pytest.approx(PUBLISHED[name], rel=1e-10)
    assert solution.bound < 1e-8 * solution.value


@pytest.mark.parametrize("solver", SOLVERS)
def test_start_does_not_matter(solver: str, rng: np.random.Generator) -> None:
    f, best = objective("wine"), optimum("wine")
    solution = solve(solver, f, 3 * some_theta(f, rng) + 5, Settings(1e-9, 1000))
    assert solution.value == pytest.approx(best.value, rel=1e-9)
    near = solve(solver, f, solution.theta, Settings(1e-8, 1000))
    assert near.iterations <= 3


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_start_that_is_sure_and_wrong_is_left(solver: str, rng: np.random.Generator) -> None:
    f = objective("wine", ridge=0.0)
    X, y = f.X[:, :2], np.arange(len(f.y)) % 3
    f = replace(f, X=X, y=y, weights=np.full(len(y), 1 / len(y)))
    best = solve(solver, f, f.start, Settings(1e-9, 100))
    wrong = solve(solver, f, 1e4 * some_theta(f, rng), Settings(1e-9, 100))
    assert wrong.converged
    assert wrong.value == pytest.approx(best.value, rel=1e-9)


@pytest.mark.parametrize("solver", SOLVERS)
def test_classes_have_nothing_in_common(solver: str, rng: np.random.Generator) -> None:
    f = objective("wine")
    theta = solve(solver, f, some_theta(f, rng), Settings(1e-8, 1000)).theta
    assert np.all(np.abs(theta.sum(axis=0)) <= 1e-10 * np.abs(theta).max(axis=0))


@pytest.mark.parametrize("solver", SOLVERS)
def test_too_few_iterations_are_said(solver: str) -> None:
    f, best = objective("wine"), optimum("wine").value
    solution = solve(solver, f, f.start, Settings(1e-9, 2))
    assert not solution.converged
    assert solution.iterations == 2
    assert solution.value - best <= solution.bound


def test_an_end_far_from_the_optimum_is_no_convergence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is gained any more, the estimate decides."""
    f = objective("iris")
    start = Point.of(f, f.start)
    for gap, converged in ((1e-13, True), (1e-3, False)):
        idle = [Iterate(start, gap * start.value)] * 100
        monkeypatch.setitem(SOLVERS, "idle", lambda *_, idle=idle: iter(idle))
        solution = solve("idle", f, f.start, Settings(1e-14, 1000))
        assert solution.iterations < 100
        assert solution.converged == converged


@pytest.mark.parametrize("solver", SOLVERS)
def test_columns_may_have_any_units(solver: str) -> None:
    """A preconditioned size does not see them; the gradient's own size would."""
    f = objective("wine", ridge=0.0)
    scaled = replace(f, X=f.X * 1e5)
    for g in (f, scaled):
        assert not solve(solver, g, g.start, Settings(1e-30, 3)).converged
    values = [solve(solver, g, g.start, Settings(1e-3, 6)).value for g in (f, scaled)]
    assert values[0] == pytest.approx(values[1], rel=1e-3)


def test_search_finds_nothing_uphill(rng: np.random.Generator) -> None:
    f = objective("iris")
    point = Point.of(f, some_theta(f, rng))
    assert search(f, point, point.gradient) is None
    lower = search(f, point, -100 * point.gradient)
    assert lower is not None
    assert lower.value < point.value


@pytest.mark.parametrize(
    ("K", "D", "solver"),
    [
        (2, 299, "newton"),
        (2, 300, "lbfgs"),
        (4, 99, "newton"),
        (10, 64, "newton-cg"),
        (64, 64, "newton-cg"),
        (65, 64, "lbfgs"),
        (10, 65, "lbfgs"),
        (10**5, 10**4, "lbfgs"),
    ],
)
def test_auto_goes_by_size(K: int, D: int, solver: str) -> None:
    assert choose_solver(K, D) == solver


def test_gap_is_estimated_from_the_pace() -> None:
    """Steps that each leave 0.9 of the gap, whose decrements are too small to be of use."""
    estimate = GapEstimate([1.0])
    found = [estimate.after(1e-9, 0.9**n) for n in range(1, 60)]
    assert max(found[:19]) == pytest.approx(8e-9)
    for n, gap in enumerate(found[19:], start=20):
        assert gap == pytest.approx(3 * 0.9**n)


def test_gap_is_no_less_than_the_largest_of_three_decrements() -> None:
    estimate = GapEstimate([1.0])
    found = [estimate.after(d, 1.0) for d in (1.0, 0.1, 0.2, 0.1, 0.05)]
    assert found == pytest.approx([8.0, 8.0, 8.0, 1.6, 1.6])
