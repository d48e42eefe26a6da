"""The classifier's objective, its gradient, its Hessian, and the bound on what is left to gain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import entr, softmax

from asserts import assert_close, assert_within
from convex import FORMS, NAMES, objective, primal, some_theta
from softgrad.learn.affine import complements
from softgrad.learn.curvature import Curvature
from softgrad.learn.solvers.certificate import balanced, certified_gap, least_gap
from softgrad.learn.solvers.iterate import Point, Settings
from softgrad.learn.solvers.newton import reduced_hessian
from softgrad.learn.solvers.preconditioners import ClassBlocks, Diagonal, Kronecker
from softgrad.learn.solvers.solve import solve


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_value_is_the_definition(name: str, form: str, rng: np.random.Generator) -> None:
    f = objective(name, form)
    theta = some_theta(f, rng)
    value, gradient = f.value_and_gradient(theta)
    expected = primal(f, theta.astype(f.X.dtype).astype(np.float64))
    assert abs(value - expected) <= 64 * f.precision * expected
    assert gradient.dtype == np.float64


@pytest.mark.parametrize("form", ["float64", "CSR array"])
@pytest.mark.parametrize("name", NAMES)
def test_gradient_is_the_slope_of_the_value(name: str, form: str, rng: np.random.Generator) -> None:
    f = objective(name, form)
    theta = some_theta(f, rng)
    _, gradient = f.value_and_gradient(theta)
    for _ in range(3):
        direction = some_theta(f, rng)
        up, down = (primal(f, theta + s * 1e-5 * direction) for s in (1, -1))
        slope = float(np.vdot(gradient, direction))
        assert (up - down) / 2e-5 == pytest.approx(slope, rel=1e-7)


@pytest.mark.parametrize("form", ["float64", "CSR array"])
@pytest.mark.parametrize("name", NAMES)
def test_hessian_is_the_slope_of_the_gradient(
    name: str, form: str, rng: np.random.Generator
) -> None:
    f = objective(name, form)
    theta, direction = some_theta(f, rng), some_theta(f, rng)
    up, down = (f.value_and_gradient(theta + s * 1e-5 * direction)[1] for s in (1, -1))
    product = Curvature(f, theta).product(direction)
    # Columns have their units: each is compared by itself.
    scale = np.abs(product).max(axis=0)
    assert_within(np.abs((up - down) / 2e-5 - product) / scale, 1e-6, "Hessian")


@pytest.mark.parametrize("name", NAMES)
def test_whole_hessian_is_its_products(name: str, rng: np.random.Generator) -> None:
    """Without the last class, and for a penalty of what classes do not have in common."""
    f = objective(name)
    theta, direction = some_theta(f, rng), some_theta(f, rng)
    direction[-1] = 0
    shared = f.ridge * f.penalised * direction.mean(axis=0)
    product = (Curvature(f, theta).product(direction) - shared)[:-1]
    H = reduced_hessian(Curvature(f, theta))
    assert_close((H @ direction[:-1].ravel()).reshape(product.shape), product, u=1e4)


@pytest.mark.parametrize("name", ["iris", "many"])
@pytest.mark.parametrize("form", ["float64", "CSR array"])
def test_chunks_change_nothing(name: str, form: str, rng: np.random.Generator) -> None:
    whole = objective(name, form)
    parts = replace(whole, memory=4 * 8 * whole.classes * 7)  # seven rows
    theta, direction = some_theta(whole, rng), some_theta(whole, rng)
    one, many = Curvature(whole, theta), Curvature(parts, theta)
    assert len(list(one.chunks())) == 1 < len(list(many.chunks()))
    assert_close(parts.value_and_gradient(theta)[1], whole.value_and_gradient(theta)[1], u=100)
    assert_close(many.product(direction), one.product(direction), u=100)
    assert_close(reduced_hessian(many), reduced_hessian(one), u=100)
    for kind in (Kronecker, Diagonal):
        assert_close(kind.of(many)(direction), kind.of(one)(direction), u=1e5)


@pytest.mark.parametrize("kind", [ClassBlocks, Diagonal, Kronecker])
@pytest.mark.parametrize("form", ["float64", "CSR matrix"])
@pytest.mark.parametrize("name", NAMES)
def test_preconditioners_are_symmetric_and_positive(
    kind: type, form: str, name: str, rng: np.random.Generator
) -> None:
    f = objective(name, form)
    inverse = kind.of(Curvature(f, some_theta(f, rng)))
    a, b = (some_theta(f, rng) for _ in range(2))
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    ab, ba = np.vdot(a, inverse(b)), np.vdot(inverse(a), b)
    size = np.sqrt(np.vdot(a, inverse(a)) * np.vdot(b, inverse(b)))
    assert size > 0
    assert abs(ab - ba) <= 1e-6 * size


@pytest.mark.parametrize(
    "name", [n for n in NAMES if n != "tall"]
)  # where it is measured on some rows
def test_kronecker_is_the_hessian_where_classes_are_alike(
    name: str, rng: np.random.Generator
) -> None:
    f = objective(name)
    at_start = Curvature(f, f.start)
    x = some_theta(f, rng)
    x -= x.mean(axis=0)
    assert_close(Kronecker.of(at_start)(at_start.product(x)), x, u=1e8)


@pytest.mark.parametrize("name", NAMES)
def test_bound_holds_everywhere(name: str, rng: np.random.Generator) -> None:
    """Also where the intercepts are not at their best, which the gradient in W does not see."""
    f = objective(name)
    best = solve("newton", f, f.start, Settings(1e-14, 200))
    for share in (1.0, 0.1, 1e-3):
        theta = best.theta + share * some_theta(f, rng)
        gap = primal(f, theta) - best.value
        bound = certified_gap(f, Point.of(f, theta))
        assert 0 < gap <= bound < np.inf


def test_bound_needs_its_part_for_the_intercepts() -> None:
    """At the best W for wrong intercepts, the gradient in W alone would promise too much."""
    f = replace(objective("iris"), ridge=1.0)
    best = solve("newton", f, f.start, Settings(1e-14, 200))
    theta = f.start
    theta[:, -1] = [3, 0, -3]
    for _ in range(200):  # descent in W alone
        _, gradient = f.value_and_gradient(theta)
        theta[:, :-1] -= 0.02 * gradient[:, :-1]
    point = Point.of(f, theta)
    assert least_gap(f, point) < point.value - best.value <= certified_gap(f, point)


@pytest.mark.parametrize("name", NAMES)
def test_bound_is_no_less_than_the_gap_to_the_dual(name: str, rng: np.random.Generator) -> None:
    """The dual as it is defined, at probabilities that satisfy its constraint."""
    f = objective(name)
    for share in (1.0, 0.1):
        theta = share * some_theta(f, rng)
        p = softmax(f.X @ theta[:, :-1].T + theta[:, -1], axis=1)
        t = np.eye(f.classes)[f.y]
        pi, a = f.weights @ t, f.weights @ (p - t)
        odds = np.max(a / pi)
        p = (p + odds * (pi - a / odds)) / (1 + odds)
        assert_close(f.weights @ p, pi, u=100)
        A = (f.weights[:, None] * (p - t)).T @ f.X
        dual = f.weights @ entr(p).sum(axis=1) - np.sum(A**2) / (2 * f.ridge)
        gap = primal(f, theta) - dual
        bound = certified_gap(f, Point.of(f, theta))
        assert gap * (1 - 1e-12) <= bound <= 2 * gap


@pytest.mark.parametrize("name", NAMES)
def test_balanced_intercepts_make_the_bound_the_gradients(
    name: str, rng: np.random.Generator
) -> None:
    f = objective(name)
    best = solve("newton", f, f.start, Settings(1e-14, 200))
    point = Point.of(f, best.theta + 1e-3 * some_theta(f, rng))
    for _ in range(4):
        point = balanced(f, point)
    assert_close(certified_gap(f, point), least_gap(f, point), u=1e10)


def test_there_is_no_bound_without_a_penalty() -> None:
    f = objective("iris", ridge=0.0)
    assert certified_gap(f, Point.of(f, f.start)) == np.inf


def test_thinned_rows_are_a_mean_of_their_own(rng: np.random.Generator) -> None:
    f = objective("many")
    few = f.thinned(100)
    assert len(few.y) == 100
    theta = some_theta(f, rng)
    w = f.weights[::6] / f.weights[::6].sum()
    some = replace(f, X=f.X[::6], y=f.y[::6], weights=w)
    assert_close(few.value_and_gradient(theta)[1], some.value_and_gradient(theta)[1], u=100)
    assert f.thinned(601) is f


def test_complements_keep_their_digits() -> None:
    p = np.array([[1 - 1e-16, 3e-17, 7e-17], [1.0, 1e-30, 2e-30], [0.25, 0.25, 0.5]])
    expected = np.array([[1e-16, 1, 1], [3e-30, 1, 1], [0.75, 0.75, 0.5]])
    assert_close(complements(p), expected, u=8, scale=expected)
