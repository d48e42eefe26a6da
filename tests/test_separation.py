"""Separated classes: found, named and certified, and no alarm where one row is in the way."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.optimize import linprog
from sklearn.exceptions import ConvergenceWarning

import softgrad as sg
from asserts import assert_close
from convex import data, some_theta
from softgrad.learn import SeparationWarning
from softgrad.learn.objective import Objective
from softgrad.learn.solvers import SOLVERS
from softgrad.learn.statistics.cone import Cone
from softgrad.learn.statistics.separation import newton_step


def found(X: Any, y: Any, C: float = np.inf, **settings: Any) -> Any:
    """Return what a fit says of separation; its warning says the same."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        model = sg.SoftmaxClassifier(C=C, **settings).fit(X, y)
    said = [w for w in heard if issubclass(w.category, SeparationWarning)]
    assert len(said) == (model.separation_ is not None)
    return model.separation_


def margins(X: Any, y: Any, direction: Any) -> Any:
    """Return how much each row's class gains on every class along a direction: [N, K]."""
    X = X.toarray() if sparse.issparse(X) else np.asarray(X, dtype=np.float64)
    z = X @ direction[:, :-1].T + direction[:, -1]
    return z[np.arange(len(y)), y][:, None] - z


def assert_separates(X: Any, y: Any, direction: Any, complete: bool) -> None:
    """Raise unless no row loses, and some gains; or all gain on every other class."""
    gains = margins(X, y, direction)
    rounding = 1e-12 * (np.abs(gains).max() + np.abs(direction).max())
    assert gains.min() > -rounding
    assert gains.max() > 1e6 * rounding
    others = gains[np.arange(gains.shape[1]) != np.asarray(y)[:, None]]
    assert (others.min() > rounding) == complete


def clouds(rng: np.random.Generator, K: int = 3, N: int = 60) -> tuple[Any, Any]:
    """Return K clouds on a circle, far apart."""
    y = np.arange(N) % K
    angle = 2 * np.pi * y / K
    return 8 * np.column_stack([np.cos(angle), np.sin(angle)]) + rng.normal(size=(N, 2)), y


def one_sided(rng: np.random.Generator, K: int = 3, N: int = 300) -> tuple[Any, Any]:
    """Return classes that overlap, but that rows with a 1 in column 2 are never of class 0."""
    X = rng.normal(size=(N, 4))
    X[:, 2] = rng.random(N) < 0.1
    y = rng.integers(K, size=N)
    y[(X[:, 2] == 1) & (y == 0)] = 1
    return X, y


FORMS: dict[str, Any] = {
    "dense": np.asarray,
    "float32": lambda X: X.astype(np.float32),
    "CSR": sparse.csr_array,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("K", [2, 3])
def test_complete_separation_is_found(
    K: int, solver: str, form: str, rng: np.random.Generator
) -> None:
    X, y = clouds(rng, K)
    X = FORMS[form](X)
    separation = found(X, y, solver=solver)
    assert separation.complete
    assert separation.agreeing == separation.rows == 60
    assert_separates(X, y, separation.direction, complete=True)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("K", [2, 4])
def test_quasi_complete_separation_is_found_and_its_column_named(
    K: int, solver: str, form: str, rng: np.random.Generator
) -> None:
    X, y = one_sided(rng, K)
    X = FORMS[form](X)
    separation = found(X, y, solver=solver)
    assert not separation.complete
    assert separation.columns == ("x2",)
    assert separation.pairs == tuple((0, k) for k in range(1, K))
    assert separation.agreeing == (X.toarray() if form == "CSR" else X)[:, 2].sum()
    assert_separates(X, y, separation.direction, complete=False)


def test_the_newton_step_points_to_the_direction(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cone, "direction", None)  # no programme is solved
    X, y = one_sided(rng)
    assert found(X, y).columns == ("x2",)


def test_one_class_of_several_may_be_apart() -> None:
    X, y = data("iris")
    separation = found(X, np.array(["setosa", "versicolor", "virginica"])[y])
    assert not separation.complete
    assert separation.pairs == (("setosa", "versicolor"), ("setosa", "virginica"))
    assert_separates(X, y, separation.direction, complete=False)


def test_warning_names_columns_and_classes(rng: np.random.Generator) -> None:
    X, y = one_sided(rng, K=2)
    table = pd.DataFrame(X, columns=["age", "income", "smokes", "size"])
    message = r"quasi-completely separated \('no' and 'yes'\) by columns smokes: .* no finite"
    with pytest.warns(SeparationWarning, match=message):
        sg.SoftmaxClassifier(C=np.inf).fit(table, np.array(["no", "yes"])[y])


@pytest.mark.parametrize("name", ["wine", "digits"])
def test_a_fit_of_separated_classes_ends_soon(name: str) -> None:
    X, y = data(name)
    with pytest.warns(SeparationWarning, match="completely separated"):
        model = sg.SoftmaxClassifier(C=np.inf).fit(X, y)
    assert model.n_iter_ < 100
    assert model.score(X, y) == 1
    with pytest.raises(ValueError, match="`C` must be finite where classes are separated"):
        model.summary(X, y)


def test_summary_of_half_separated_classes_says_so(rng: np.random.Generator) -> None:
    X, y = one_sided(rng)
    with pytest.warns(SeparationWarning):
        model = sg.SoftmaxClassifier(C=np.inf).fit(X, y)
    assert any("quasi-completely separated" in note for note in model.summary(X, y).notes)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_penalty_keeps_all_finite(solver: str, rng: np.random.Generator) -> None:
    for X, y in (clouds(rng), one_sided(rng)):
        assert found(X, y, C=1e4, solver=solver) is None


@pytest.mark.parametrize("name", ["many", "tall", "two"])
def test_overlapping_classes_raise_no_alarm(
    name: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Newton step tells, and no programme is solved; it cannot tell where columns are equal."""
    X, y = data(name)
    if name == "many":
        y = rng.integers(6, size=len(y))
    with monkeypatch.context() as patch:
        patch.setattr(Cone, "direction", None)
        assert found(X, y) is None
    assert found(np.column_stack([X, X[:, :1]]), y) is None


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("overlap", [1.0, 1e-3, 1e-6, 1e-9])
def test_one_row_in_the_way_is_enough(
    overlap: float, solver: str, rng: np.random.Generator
) -> None:
    X = np.sort(rng.normal(size=(40, 1)), axis=0)
    y = (np.arange(40) >= 20).astype(int)
    assert found(X, y, solver=solver, max_iter=100).complete
    X = np.concatenate([X, X[19:20] - overlap, X[20:21] + overlap])
    assert found(X, np.append(y, [1, 0]), solver=solver, max_iter=100) is None


@pytest.mark.parametrize("K", [2, 3])
def test_verdict_on_a_line_is_that_of_its_order(K: int, rng: np.random.Generator) -> None:
    """With one column, separation is a matter of which intervals overlap."""
    verdicts = []
    for _ in range(150):
        y = np.arange(K * 3) % K
        X = rng.integers(0, 7, size=(K * 3, 1)) + rng.integers(0, 7) * y[:, None].astype(float)
        cone = Cone(X, y, K)
        direction = cone.direction()
        low = np.array([X[y == k].min() for k in range(K)])
        high = np.array([X[y == k].max() for k in range(K)])
        # A cut has all of some classes on one side, and all of the others on the other; it may pass
        # through a point of both, but one point is not all there is.
        cuts = [high[list(left)].max() <= low[list(right)].min() for left, right in two_sides(K)]
        assert (direction is not None) == (any(cuts) and np.ptp(X) > 0)
        if direction is not None:
            assert_separates(X, y, direction, cone.examined(direction).strict == len(y))
        verdicts.append((direction is not None, any(cuts)))
    assert min(np.bincount([found for found, _ in verdicts])) > 20


@pytest.mark.parametrize("K", [2, 3, 4])
def test_verdict_is_that_of_the_whole_linear_programme(K: int, rng: np.random.Generator) -> None:
    """All margins of all rows at once, on small whole numbers, where much is separated or ties."""
    verdicts = []
    while len(verdicts) < 40:
        N, D = int(rng.integers(3 * K, 40)), int(rng.integers(1, 5))
        X = rng.integers(0, 3, size=(N, D)).astype(float)
        slopes = rng.choice([0.0, 1.0, 4.0]) * rng.normal(size=(D, K))
        y = (X @ slopes + rng.gumbel(size=(N, K))).argmax(axis=1)
        if len(np.unique(y)) < K:
            continue
        A = np.column_stack([X, np.ones(N)])
        identity = np.eye(K)
        differences = identity[y][:, None] - identity  # [N, K, K]
        margins_of = np.einsum("nkc,nd->nkcd", differences, A).reshape(N * K, -1)
        programme = linprog(
            -margins_of.sum(axis=0), A_ub=-margins_of, b_ub=np.zeros(N * K), bounds=(-1, 1)
        )
        separated = -programme.fun > 1e-6
        assert (Cone(X, y, K).direction() is not None) == separated
        if len(verdicts) < 15:
            solver = list(SOLVERS)[len(verdicts) % 3]
            assert (found(X, y, solver=solver, max_iter=200) is not None) == separated
        verdicts.append(separated)
    assert 5 < sum(verdicts) < 35


def two_sides(K: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return the ways to put classes on a left and on a right side."""
    if K == 2:
        return [((0,), (1,)), ((1,), (0,))]
    singles = [((a,), tuple(b for b in range(K) if b != a)) for a in range(K)]
    return singles + [(right, left) for left, right in singles]


@pytest.mark.parametrize("far", [0.0, 1e6])
@pytest.mark.parametrize("unit", [1e-8, 1e8])
def test_units_and_offsets_change_no_verdict(
    unit: float, far: float, rng: np.random.Generator
) -> None:
    X, y = one_sided(rng)
    X = (X + far) * unit
    direction = Cone(X, y, 3).direction()
    assert np.ptp(direction[:, 2]) > 1e3 * np.ptp(direction[:, [0, 1, 3]], axis=0).max()
    y[np.flatnonzero(X[:, 2] > X[:, 2].min())[0]] = 0
    assert Cone(X, y, 3).direction() is None


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
def test_newton_moves_the_logits_of_separated_classes(
    scale: float, rng: np.random.Generator
) -> None:
    """What the proof rests on that nothing is separated: a spread of at least 1 in some row."""
    for X, y in (clouds(rng), one_sided(rng)):
        f = Objective(X, y, np.full(len(y), 1 / len(y)), 3, ridge=0.0)
        theta = scale * some_theta(f, rng)
        step = newton_step(f, theta - theta.mean(axis=0))
        assert np.ptp(X @ step[:, :-1].T + step[:, -1], axis=1).max() >= 1


def test_what_is_near_a_separating_direction_is_itself(rng: np.random.Generator) -> None:
    X, y = one_sided(rng)
    X += [3.0, -20.0, 7.0, 1e3]
    cone = Cone(X, y, 3)
    direction = cone.direction()
    assert_close(cone.near(direction), direction, u=1e6)
    other = np.zeros_like(direction)
    other[0, 0], other[1, 0] = 1.0, -1.0
    assert cone.near(other) is None


def test_columns_are_named_by_what_they_do_in_any_unit(rng: np.random.Generator) -> None:
    X, y = one_sided(rng, K=2)
    X[:, 0] = (rng.random(len(X)) < 0.02) & (y == 1)
    columns = found(X, y).columns
    assert set(columns) == {"x0", "x2"}
    assert found(X * [1e-6, 1.0, 1.0, 1.0], y).columns == columns
    assert found(X * [1e6, 1.0, 1.0, 1.0], y).columns == columns


def test_rows_of_weight_zero_are_not_in_the_way(rng: np.random.Generator) -> None:
    X, y = clouds(rng)
    wrong = np.append(y, (y[0] + 1) % 3)
    rows = np.concatenate([X, X[:1]])
    w = np.append(np.ones(len(y)), 0.0)
    with pytest.warns(SeparationWarning, match="60 of 60 rows"):
        sg.SoftmaxClassifier(C=np.inf).fit(rows, wrong, sample_weight=w)
    assert found(rows, wrong) is None or not found(rows, wrong).complete


def test_separation_shows_itself(rng: np.random.Generator) -> None:
    X, y = one_sided(rng)
    text = str(found(X, y))
    assert text.startswith("The classes are quasi-completely separated (0 and 1, 0 and 2) by")
    assert "coefficients diverge" in text


def test_what_does_not_converge_without_separation_says_that_alone() -> None:
    X, y = data("two")
    with pytest.warns(ConvergenceWarning, match="stopped after 1 steps"):
        model = sg.SoftmaxClassifier(C=np.inf, max_iter=1).fit(X, y)
    assert model.separation_ is None
