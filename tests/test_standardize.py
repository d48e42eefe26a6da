"""`standardize`: the fit is that of columns which somebody else standardised, told in old units."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.preprocessing import StandardScaler

import softgrad as sg
from asserts import assert_close
from convex import data
from softgrad.learn.columns import Columns, standardised
from softgrad.learn.stored_rows import StoredRows

FITS: dict[str, dict[str, Any]] = {
    "newton": {"solver": "newton"},
    "newton-cg": {"solver": "newton-cg"},
    "lbfgs": {"solver": "lbfgs"},
    "sgd": {"solver": "sgd", "max_iter": 20, "random_state": 0},
    "polish": {"solver": "adam", "polish": True, "max_iter": 5, "random_state": 1},
    "early stopping": {"solver": "adam", "early_stopping": True, "max_iter": 9, "random_state": 2},
    "hidden": {"hidden": (6,), "activation": "tanh", "max_iter": 20, "random_state": 3},
}


def rows() -> tuple[Any, Any, Any]:
    """Return X with columns of all units, far ones and a constant one; y; and weights."""
    X, y = data("wine")
    X = X * 10.0 ** np.linspace(-8, 8, X.shape[1])
    X[:, 3] += 1e3 * X[:, 3].std()
    X = np.column_stack([X, np.full(len(X), 0.1)])
    return X, y, np.random.default_rng(5).uniform(0.5, 2, size=len(y))


@pytest.mark.parametrize("name", FITS)
def test_it_is_the_fit_of_standardised_columns(name: str) -> None:
    X, y, w = rows()
    scaler = StandardScaler().fit(X, sample_weight=w)
    Z = scaler.transform(X)
    own = sg.SoftmaxClassifier(standardize=True, **FITS[name]).fit(X, y, w)
    expected = sg.SoftmaxClassifier(**FITS[name]).fit(Z, y, w)
    assert own.n_iter_ == expected.n_iter_
    assert_close(own.predict_proba(X), expected.predict_proba(Z), u=1e6)
    assert own.objective_ == pytest.approx(expected.objective_, rel=1e-9)
    if name != "hidden":
        assert_close(own.coef_ * scaler.scale_, expected.coef_, u=1e7)
        assert own.optimality_ == pytest.approx(expected.optimality_, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("solver", ["newton", "adam"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_where_the_rows_are_makes_no_difference(dtype: Any, solver: str, tmp_path: Path) -> None:
    X, y, w = rows()
    X = X.astype(dtype)
    settings = {"solver": solver, "standardize": True, "random_state": 0, "batch_size": len(y)}
    expected = sg.SoftmaxClassifier(**settings).fit(X, y, w)
    np.save(tmp_path / "X.npy", X)
    there = sg.SoftmaxClassifier(**settings).fit(np.load(tmp_path / "X.npy", mmap_mode="r"), y, w)
    in_pieces = sg.SoftmaxClassifier(**settings).fit(
        [(X[:70], y[:70], w[:70]), (X[70:], y[70:], w[70:])]
    )
    u = 1e7 if dtype == np.float64 else 300
    for found in (there, in_pieces):
        assert found.coef_.dtype == dtype
        assert_close(found.predict_proba(X), expected.predict_proba(X), u=u)


@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
def test_sparse_rows_have_the_same_optimum(solver: str, rng: np.random.Generator) -> None:
    """Only their units differ: what is taken from a column is nothing to a free intercept."""
    X = rng.normal(size=(200, 6)) * (rng.random((200, 6)) < 0.3) * 10.0 ** np.arange(-3, 3)
    X[:, 5] += 3e4
    y = (X[:, 0] * 1e3 + rng.gumbel(size=200) > 0) + 2 * (X[:, 3] > 0)
    settings: dict[str, Any] = {"solver": solver, "standardize": True, "tol": 1e-11}
    dense = sg.SoftmaxClassifier(**settings).fit(X, y)
    found = sg.SoftmaxClassifier(**settings).fit(sparse.csr_array(X), y)
    assert found.objective_ == pytest.approx(dense.objective_, rel=1e-10)
    assert_close(found.predict_proba(X), dense.predict_proba(X), u=1e10)


def test_the_penalty_is_that_of_standardised_columns() -> None:
    X, y, w = rows()
    model = sg.SoftmaxClassifier(standardize=True, C=0.2).fit(X, y, w)
    p = model.predict_proba(X)[np.arange(len(y)), y]
    mean = w @ X / w.sum()
    deviation = np.sqrt(w @ (X - mean) ** 2 / w.sum())
    penalty = np.sum((model.coef_[:, :-1] * deviation[:-1]) ** 2) / (2 * 0.2 * w.sum())
    loss = -(w @ np.log(p)) / w.sum()
    assert model.objective_ == pytest.approx(loss + penalty, rel=1e-11)
    assert np.abs(model.coef_[:, -1]).max() < 1e-6 * np.abs(model.intercept_).max()


def test_a_weight_is_how_often_a_row_is_there() -> None:
    X, y, _ = rows()
    w = np.random.default_rng(0).integers(0, 3, size=len(y))
    weighed = sg.SoftmaxClassifier(standardize=True).fit(X, y, w)
    repeated = sg.SoftmaxClassifier(standardize=True).fit(np.repeat(X, w, axis=0), np.repeat(y, w))
    assert_close(weighed.predict_proba(X), repeated.predict_proba(X), u=1e7)


def test_another_fit_begins_where_the_last_one_ended() -> None:
    X, y, w = rows()
    model = sg.SoftmaxClassifier(standardize=True, warm_start=True, solver="newton-cg")
    assert model.fit(X, y, w).n_iter_ > 3
    assert model.fit(X, y, w).n_iter_ <= 1


def test_statistics_do_not_depend_on_units_without_a_penalty() -> None:
    X, y = data("rare")
    X, y = X[y < 3], y[y < 3]
    plain = sg.SoftmaxClassifier(C=np.inf, tol=1e-12).fit(X, y)
    own = sg.SoftmaxClassifier(C=np.inf, tol=1e-12, standardize=True).fit(X, y)
    a, b = own.summary(X, y), plain.summary(X, y)
    assert_close(a.standard_errors, b.standard_errors, u=1e7)
    assert_close(a.coefficients, b.coefficients, u=1e8)
    few, all_ = (m.likelihood_ratio(X, y, columns=[0, 2]).statistic for m in (own, plain))
    assert few == pytest.approx(all_, rel=1e-8)


def test_statistics_with_a_penalty_say_what_it_is_of() -> None:
    X, y, _ = rows()
    X = X[:, :4]
    scaler = StandardScaler().fit(X)
    own = sg.SoftmaxClassifier(standardize=True, tol=1e-12).fit(X, y)
    theirs = sg.SoftmaxClassifier(tol=1e-12).fit(scaler.transform(X), y)
    a, b = own.summary(X, y), theirs.summary(scaler.transform(X), y)
    assert_close(a.standard_errors[:, :-1] * scaler.scale_, b.standard_errors[:, :-1], u=1e8)
    assert "each weight of a standardised column has the prior" in a.notes[0]
    assert "each weight has the prior" in b.notes[0]


def test_a_separating_direction_is_that_of_the_columns_as_they_came() -> None:
    X, y = np.arange(10.0)[:, None] * 1e5 + 3e9, np.arange(10) > 4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = sg.SoftmaxClassifier(C=np.inf, standardize=True).fit(X, y).separation_
    assert found is not None
    W, b = found.direction[:, 0], found.direction[:, 1]
    assert np.array_equal((X * (W[1] - W[0]) + b[1] - b[0])[:, 0] > 0, y)


def test_a_table_with_columns_of_all_units(tmp_path: Path) -> None:
    """What nobody can scale beforehand: mini-batches over the rows of a file."""
    X, y, _ = rows()
    names = [f"x{d}" for d in range(X.shape[1])]
    pd.DataFrame(X, columns=names).assign(kind=y).to_csv(tmp_path / "t.csv", index=False)
    settings: dict[str, Any] = {"hidden": (8,), "random_state": 0}
    blind = sg.SoftmaxClassifier(**settings).fit(str(tmp_path / "t.csv"), "kind")
    model = sg.SoftmaxClassifier(standardize=True, **settings).fit(str(tmp_path / "t.csv"), "kind")
    frame = pd.DataFrame(X, columns=names)
    assert model.score(frame, y) > 0.98 > 0.8 > blind.score(frame, y)


@pytest.mark.parametrize("size", [1e-140, 1e-300, 1e140])
def test_cells_of_any_size(size: float, rng: np.random.Generator) -> None:
    X = rng.normal(size=(50, 2)) + np.array([0, 3])
    y = X[:, 0] + rng.normal(size=50) > 0
    columns = standardised(X * size, np.ones(50))
    assert_close(columns.of(X * size), StandardScaler().fit_transform(X), u=1e4)
    plain = sg.SoftmaxClassifier(standardize=True).fit(X, y)
    assert_close(
        sg.SoftmaxClassifier(standardize=True).fit(X * size, y).predict_proba(X * size),
        plain.predict_proba(X),
        u=1e6,
    )


def test_a_constant_column_stays_in_its_unit() -> None:
    X = np.column_stack([np.full(7, 0.1), np.arange(7.0), np.full(7, 1e17), np.zeros(7)])
    columns = standardised(X, np.linspace(1, 2, 7))
    assert columns.scale is not None
    assert columns.scale[[0, 2, 3]].tolist() == [1, 1, 1]
    assert np.abs(columns.of(X)[:, [0, 2, 3]]).max() <= 16


def test_rows_in_a_file_are_seen_as_they_are_read(rng: np.random.Generator) -> None:
    X = rng.normal(size=(30, 3))
    columns = Columns(np.array([1.0, 0.0, -2.0]), np.array([3.0, 0.5, 7.0]))
    seen = columns.of(StoredRows(X))
    assert np.array_equal(seen[:], columns.of(X))
    assert np.array_equal(seen.only(np.array([2, 0]))[4:9], columns.of(X)[4:9, [2, 0]])
    theta = rng.normal(size=(4, 4))
    assert_close(columns.inside(columns.outside(theta)), theta, u=8)
    z = columns.of(X) @ theta[:, :3].T + theta[:, 3]
    moved = columns.outside(theta)
    assert_close(X @ moved[:, :3].T + moved[:, 3], z, u=16)


def test_it_needs_all_rows() -> None:
    assert not hasattr(sg.SoftmaxClassifier(standardize=True), "partial_fit")
    with pytest.raises(AttributeError) as error:
        sg.SoftmaxClassifier(standardize=True).partial_fit  # noqa: B018
    assert "`standardize` must be False for partial_fit" in str(error.value.__cause__)
    with pytest.raises(TypeError, match="standardize"):
        sg.SoftmaxClassifier(standardize="yes").fit(*data("two"))


def test_parts_that_come_after_it_have_no_moments_of_other_units() -> None:
    X, y, _ = rows()
    settings: dict[str, Any] = {"solver": "adam", "max_iter": 5, "random_state": 0}
    model = sg.SoftmaxClassifier(standardize=True, **settings).fit(X, y)
    assert not model._stream.moments
    assert sg.SoftmaxClassifier(**settings).fit(data("two")[0], data("two")[1])._stream.moments


def test_a_checkpoint_of_other_units_is_refused(tmp_path: Path) -> None:
    X, y, _ = rows()
    file = tmp_path / "c"

    def stop(step: Any) -> None:
        if step.number == 3:
            raise KeyboardInterrupt

    settings: dict[str, Any] = {"solver": "lbfgs", "checkpoint": file, "checkpoint_every": 0}
    with pytest.raises(KeyboardInterrupt):
        sg.SoftmaxClassifier(callbacks=stop, **settings).fit(X, y)
    with pytest.raises(ValueError, match="standardize"):
        sg.SoftmaxClassifier(standardize=True, **settings).fit(X, y)
