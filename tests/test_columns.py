"""Columns far from 0: the fit is that of the same columns near 0, to the last digits."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import softgrad as sg
from asserts import assert_close, assert_same_bits
from convex import FORMS, data
from softgrad.learn import fits
from softgrad.learn.columns import Columns
from softgrad.learn.columns import near as seen_near
from softgrad.learn.solvers import SOLVERS
from softgrad.learn.stored_rows import StoredRows

FAR = np.array([1.7e9, 0.0, -(2.0**40)])
"""Seconds since 1970, an ordinary column, and one that is farther away still."""


def near() -> tuple[Any, Any]:
    """Return rows of whole numbers, which stay exact far away, and overlapping classes."""
    rng = np.random.default_rng(7)
    X = np.round(rng.normal(size=(300, 3)) * [1e3, 4, 100])
    return X, np.argmax(X @ rng.normal(size=(3, 3)) / 500 + rng.gumbel(size=(300, 3)), axis=1)


def mapped(X: Any, folder: Path) -> Any:
    np.save(folder / "X.npy", X)
    return np.load(folder / "X.npy", mmap_mode="r")


PLACES: dict[str, Callable[[Any, Path], Any]] = {
    "array": lambda X, _: X,
    "columns first": lambda X, _: np.asfortranarray(X),
    "CSR array": lambda X, _: sparse.csr_array(X),
    "CSR matrix": lambda X, _: sparse.csr_matrix(X),
    "file": mapped,
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("solver", SOLVERS)
def test_far_columns_have_the_fit_of_near_ones(solver: str, place: str, tmp_path: Path) -> None:
    X, y = near()
    settings: dict[str, Any] = {"solver": solver, "C": 1e-3, "tol": 1e-10}
    model = sg.SoftmaxClassifier(**settings).fit(X, y)
    there = sg.SoftmaxClassifier(**settings).fit(PLACES[place](X + FAR, tmp_path), y)
    assert_close(there.coef_, model.coef_, u=1e9)
    assert_close(there.intercept_, model.intercept_ - model.coef_ @ FAR, u=1e9)
    assert there.objective_ == pytest.approx(model.objective_, rel=1e-11)
    assert there.optimality_ < 1e-8 * there.objective_
    assert_close(there.predict_proba(X + FAR), model.predict_proba(X), u=1e10)


def test_polish_and_another_start_see_near_columns_too() -> None:
    X, y = near()
    model = sg.SoftmaxClassifier(C=1e-3).fit(X, y)
    there = sg.SoftmaxClassifier(C=1e-3, warm_start=True, solver="lbfgs").fit(X + FAR, y)
    assert there.fit(X + FAR, y).n_iter_ <= 3
    settings: dict[str, Any] = {"max_iter": 500, "polish": True, "random_state": 0}
    rough = sg.SoftmaxClassifier(C=1e-3, solver="adam", learning_rate=1e-12, **settings)
    rough.fit(X + FAR, y)
    for found in (there, rough):
        assert found.objective_ == pytest.approx(model.objective_, rel=1e-7)
        assert found.optimality_ < 1e-6 * found.objective_


UNITS = np.array([2.0**20, 0.0, -(2.0**30)])
"""Mini-batches see the units of the columns, so that these are near 1."""


@pytest.mark.parametrize("place", PLACES)
def test_mini_batches_see_near_columns_too(place: str, tmp_path: Path) -> None:
    X, y = near()
    X /= 1024
    X[:, 1:] *= 128
    best = sg.SoftmaxClassifier().fit(X, y).objective_
    there = sg.SoftmaxClassifier(solver="adam", random_state=0)
    there.fit(PLACES[place](X + UNITS, tmp_path), y)
    assert there.objective_ < 1.01 * best
    assert there.objective_ - best < there.optimality_ < 0.1 * best
    losses = -there.predict_log_proba(X + UNITS)[np.arange(len(y)), y]
    penalty = np.sum(there.coef_**2) / (2 * len(y))
    assert losses.mean() + penalty == pytest.approx(there.objective_, rel=1e-6)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_hidden_layers_see_near_columns_too(early_stopping: bool) -> None:
    X, y = near()
    X /= 1024
    X[:, 1:] *= 128
    settings: dict[str, Any] = {"hidden": (8,), "activation": "tanh", "random_state": 0}
    settings |= {"early_stopping": early_stopping, "max_iter": 60}
    model = sg.SoftmaxClassifier(**settings).fit(X, y)
    there = sg.SoftmaxClassifier(**settings, warm_start=True).fit(X + UNITS, y)
    assert there.score(X + UNITS, y) > model.score(X, y) - 0.02
    if not early_stopping:
        went_on = there.history_[-1].loss
        assert there.fit(X + UNITS, y).history_[0].loss < 1.05 * went_on


def test_statistics_are_those_without_the_detour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not so far away, both ways have their digits."""
    X, y = near()
    X[:, 0] += 1e5
    there = sg.SoftmaxClassifier(C=np.inf, tol=1e-12).fit(X, y)
    summary, test = there.summary(X, y), there.likelihood_ratio(X, y, columns=0)
    monkeypatch.setattr(fits, "near", lambda X, team: Columns(np.zeros(X.shape[1])))
    expected, plain = there.summary(X, y), there.likelihood_ratio(X, y, columns=0)
    assert_close(summary.covariance, expected.covariance, u=1e9, scale=np.abs(expected.covariance))
    assert_close(summary.z, expected.z, u=1e9, scale=np.abs(expected.z))
    assert summary.log_likelihood == pytest.approx(expected.log_likelihood, rel=1e-12)
    assert test.statistic == pytest.approx(plain.statistic, rel=1e-8)


def test_statistics_hold_where_products_have_no_digits() -> None:
    X, y = near()
    there = sg.SoftmaxClassifier(C=np.inf, tol=1e-12).fit(X + FAR, y).summary(X + FAR, y)
    summary = sg.SoftmaxClassifier(C=np.inf, tol=1e-12).fit(X, y).summary(X, y)
    assert_close(there.standard_errors[:, :-1], summary.standard_errors[:, :-1], u=1e9)


@pytest.mark.parametrize("far", [0.0, 2.0**30])
def test_a_separating_direction_is_that_of_the_columns_as_they_came(far: float) -> None:
    x = np.arange(10.0)
    X, y = np.column_stack([x, x % 3])[:, :1] + far, x > 4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        separation = sg.SoftmaxClassifier(C=np.inf).fit(X, y).separation_
    assert separation is not None
    W, b = separation.direction[:, 0], separation.direction[:, 1]
    margins = (X * (W[1] - W[0]) + b[1] - b[0])[:, 0]
    assert np.array_equal(margins > 0, y)


@pytest.mark.parametrize("form", FORMS)
def test_only_what_is_far_moves(form: str) -> None:
    X = FORMS[form](data("wine")[0])
    assert seen_near(X).as_they_came
    assert seen_near(X).of(X) is X


@pytest.mark.parametrize("form", FORMS)
def test_a_shift_is_near_the_mean_and_exact(form: str, rng: np.random.Generator) -> None:
    X = np.round(rng.normal(size=(5000, 3)) * 10)
    X[:, 0] += 2000
    X[:, 2] = 7
    rows = FORMS[form](X)
    columns = seen_near(rows)
    shift, moved = columns.shift, columns.of(rows)
    assert shift.dtype == moved.dtype == rows.dtype
    assert abs(shift[0] - 2000) < 2
    assert shift[1:].tolist() == [0, 7]
    assert type(moved) is type(rows)
    dense = moved.toarray() if sparse.issparse(moved) else moved
    assert np.array_equal(dense, X.astype(rows.dtype) - shift)


def test_sparse_rows_stay_sparse() -> None:
    """A column that is far away has cells throughout, but for a few that are written now."""
    N = 3000
    wide = sparse.random_array((N, 400), density=0.01, format="csr", rng=np.random.default_rng(1))
    years = 2000 + np.arange(N) % 5 * 1.0
    years[1] = 0
    X = sparse.csr_array(sparse.hstack([wide, sparse.csr_array(years[:, None])]))
    moved = seen_near(X).of(X)
    assert sparse.issparse(moved)
    assert moved.nnz <= wide.nnz + N
    assert moved[[1], [400]][0] == pytest.approx(-2002, rel=1e-3)


def test_rows_in_a_file_are_moved_as_they_are_read(tmp_path: Path) -> None:
    X = near()[0] + FAR
    rows = StoredRows(mapped(X, tmp_path))
    moved = seen_near(rows).of(rows)
    shift = seen_near(X).shift
    assert_same_bits(moved[5:9], X[5:9] - shift)
    assert_same_bits(moved.every(7)[:], X[::7] - shift)
    assert_same_bits(rows[:], X)
