"""SoftmaxClassifier: scikit-learn's contract, LogisticRegression's optimum, and plain errors."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning, SkipTestWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import check_estimator

import softgrad as sg
from asserts import assert_close, assert_same_bits
from convex import data, objective
from softgrad.learn import predictions
from softgrad.learn.solvers import SOLVERS, Settings, solve


@pytest.mark.parametrize("solver", ["auto", *SOLVERS])
def test_scikit_learns_own_checks_pass(solver: str) -> None:
    with warnings.catch_warnings():
        # The one check that wants an environment variable has a test of its own.
        warnings.filterwarnings("ignore", "Skipping check check_array_api", SkipTestWarning)
        results = check_estimator(sg.SoftmaxClassifier(solver=solver))
    found = {result["check_name"]: result["status"] for result in results}
    assert found.pop("check_array_api_input") in ("skipped", "passed")
    assert len(found) > 40
    assert set(found.values()) == {"passed"}


def test_scikit_learns_check_of_arrays_passes() -> None:
    code = (
        "import softgrad as sg\n"
        "from sklearn.utils.estimator_checks import check_array_api_input as check\n"
        "for expect in (False, True):\n"
        "    check('SoftmaxClassifier', sg.SoftmaxClassifier(), array_namespace='numpy',\n"
        "          expect_only_array_outputs=expect)\n"
    )
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


WEIGHTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "classes": {"class_weight": {0: 3.0, 1: 0.5}},
    "balanced": {"class_weight": "balanced"},
    "strong penalty": {"C": 0.01},
    "weak penalty": {"C": 100.0},
}


@pytest.mark.parametrize("rows", [False, True], ids=["", "row weights"])
@pytest.mark.parametrize("settings", WEIGHTINGS.values(), ids=WEIGHTINGS)
@pytest.mark.parametrize("name", ["iris", "many", "two"])
def test_optimum_is_that_of_logistic_regression(
    name: str, settings: dict[str, Any], rows: bool, rng: np.random.Generator
) -> None:
    X, y = data(name)
    w = rng.uniform(0, 2, size=len(y)) if rows else None
    peer = LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=500, **settings)
    peer.fit(X, y, sample_weight=w)
    model = sg.SoftmaxClassifier(tol=1e-13, **settings).fit(X, y, sample_weight=w)
    assert_close(model.coef_, peer.coef_, u=1e9)
    assert_close(model.intercept_, peer.intercept_, u=1e9)
    assert_close(model.decision_function(X), peer.decision_function(X), u=1e9)
    assert_close(model.predict_proba(X), peer.predict_proba(X), u=1e9)
    assert np.array_equal(model.predict(X), peer.predict(X))
    assert model.score(X, y) == peer.score(X, y)


PUBLISHED = {"iris": 0.192575444027, "wine": 0.062235719897, "digits": 0.009478214904}


@pytest.mark.parametrize("name", PUBLISHED)
def test_optimum_of_known_data_without_any_setting(name: str) -> None:
    model = sg.SoftmaxClassifier().fit(*data(name))
    assert model.objective_ == pytest.approx(PUBLISHED[name], rel=1e-10)
    assert 0 <= model.optimality_ < 1e-9 * model.objective_


def test_no_penalty_leaves_no_slope(rng: np.random.Generator) -> None:
    X = rng.normal(size=(300, 3))
    y = rng.integers(3, size=300)
    model = sg.SoftmaxClassifier(C=np.inf).fit(X, y)
    residual = model.predict_proba(X) - np.eye(3)[y]
    slopes = residual.T @ np.column_stack([X, np.ones(300)])
    assert np.abs(slopes).max() <= 1e-6 * np.abs(residual).sum()
    assert model.optimality_ == np.inf


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array], ids=["dense", "CSR"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_weight_zero_is_a_row_removed_bit_for_bit(
    solver: str, form: Any, rng: np.random.Generator
) -> None:
    X, y = data("wine")
    w = rng.uniform(0.5, 2, size=len(y)) * (rng.random(len(y)) > 0.3)
    y = np.where(rng.random(len(y)) > 0.02, y, 7)  # a class whose rows may all be gone
    w[y == 7] = 0
    kept = np.flatnonzero(w)
    weighted = sg.SoftmaxClassifier(solver=solver).fit(form(X), y, sample_weight=w)
    removed = sg.SoftmaxClassifier(solver=solver).fit(form(X[kept]), y[kept], sample_weight=w[kept])
    assert_same_bits(weighted.coef_, removed.coef_)
    assert_same_bits(weighted.intercept_, removed.intercept_)
    assert weighted.classes_.tolist() == [0, 1, 2]


def test_weight_two_is_a_row_repeated(rng: np.random.Generator) -> None:
    X, y = data("iris")
    w = rng.integers(1, 4, size=len(y))
    weighted = sg.SoftmaxClassifier().fit(X, y, sample_weight=w)
    repeated = sg.SoftmaxClassifier().fit(np.repeat(X, w, axis=0), np.repeat(y, w))
    assert_close(weighted.coef_, repeated.coef_, u=1e6)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array], ids=["dense", "CSR"])
def test_float32_stays_float32(form: Any) -> None:
    X, y = data("iris")
    narrow = form(X.astype(np.float32))
    model, wide = sg.SoftmaxClassifier().fit(narrow, y), sg.SoftmaxClassifier().fit(X, y)
    assert model.coef_.dtype == model.intercept_.dtype == np.float32
    assert_close(model.coef_, wide.coef_, u=1e4)
    for verb in (model.decision_function, model.predict_proba, model.predict_log_proba):
        assert verb(narrow).dtype == np.float32


LABELS: dict[str, Any] = {
    "text": np.array(["setosa", "versicolor", "virginica"]),
    "objects": np.array(["c", "a", "b"], dtype=object),
    "far apart": np.array([-5, 10**12, 3]),
    "floats": np.array([2.0, 0.0, 1.0]),
}


@pytest.mark.parametrize("names", LABELS.values(), ids=LABELS)
def test_labels_come_back_as_they_were(names: Any) -> None:
    X, y = data("iris")
    model = sg.SoftmaxClassifier().fit(X, names[y])
    plain = sg.SoftmaxClassifier().fit(X, y)
    assert np.array_equal(model.classes_, np.unique(names))
    assert np.array_equal(model.predict(X), names[plain.predict(X)])
    assert_close(model.predict_proba(X), plain.predict_proba(X)[:, np.argsort(names)], u=1e7)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_frames_bring_their_column_names(frame: Any) -> None:
    X, y = data("iris")
    columns = ["a", "b", "c", "d"]
    table = frame(dict(zip(columns, X.T, strict=True)))
    model = sg.SoftmaxClassifier().fit(table, y)
    assert model.feature_names_in_.tolist() == columns
    plain = sg.SoftmaxClassifier().fit(X, y)
    assert_close(model.coef_, plain.coef_, u=1e4)
    assert_close(model.predict_proba(table), plain.predict_proba(X), u=1e4)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(table[columns[::-1]])


def test_grid_search_takes_it() -> None:
    search = GridSearchCV(sg.SoftmaxClassifier(), {"C": [1e-6, 1.0]}).fit(*data("iris"))
    assert search.best_params_ == {"C": 1.0}


def test_warm_start_goes_on() -> None:
    X, y = data("digits")
    model = sg.SoftmaxClassifier(solver="lbfgs", warm_start=True).fit(X, y)
    first = model.n_iter_
    assert model.fit(X, y).n_iter_ <= 5 < first
    assert model.set_params(C=0.9).fit(X, y).n_iter_ < first
    cold = sg.SoftmaxClassifier(C=0.9).fit(X, y)
    assert model.objective_ == pytest.approx(cold.objective_, rel=1e-8)


def test_warm_start_of_two_classes_goes_on() -> None:
    X, y = data("two")
    model = sg.SoftmaxClassifier(warm_start=True).fit(X, y)
    before = model.coef_
    assert model.fit(X, y).n_iter_ == 1
    assert_close(model.coef_, before, u=1e8)


def test_warm_start_on_other_data_is_refused() -> None:
    X, y = data("iris")
    model = sg.SoftmaxClassifier(warm_start=True).fit(X, y)
    for other in ((X[:, :3], y), (X, np.where(y == 2, 9, y)), (X[y < 2], y[y < 2])):
        with pytest.raises(ValueError, match=r"`warm_start` must be False, or data with"):
            sg.SoftmaxClassifier.fit(model, *other)
        model.fit(X, y)


@pytest.mark.parametrize("name", ["two", "digits"])
def test_top_k_are_the_largest_log_probabilities(name: str) -> None:
    X, y = data(name)
    model = sg.SoftmaxClassifier(tol=1e-3).fit(X, y)
    log_p = model.predict_log_proba(X)
    labels, log_probs = model.predict_top_k(X, 2)
    assert np.array_equal(labels[:, 0], model.predict(X))
    assert_same_bits(log_probs, -np.sort(-log_p, axis=1)[:, :2])
    assert_same_bits(np.take_along_axis(log_p, labels, axis=1), log_probs)


def test_log_probabilities_have_no_floor() -> None:
    X, y = data("two")
    model = sg.SoftmaxClassifier().fit(X, y)
    far = 1e4 * X[:3]
    assert model.predict_proba(far).min() == 0
    log_p = model.predict_log_proba(far)
    assert np.isfinite(log_p).all()
    assert_close(log_p[:, 1] - log_p[:, 0], model.decision_function(far), u=8)


def test_predictions_do_not_depend_on_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = data("many")
    model = sg.SoftmaxClassifier(tol=1e-3).fit(X, y)
    labels, p, top = model.predict(X), model.predict_proba(X), model.predict_top_k(X, 3)
    monkeypatch.setattr(predictions, "_MEMORY", 7 * 4 * 8 * len(model.classes_))
    assert np.array_equal(model.predict(X), labels)
    assert_close(model.predict_proba(X), p, u=100)
    assert np.array_equal(model.predict_top_k(X, 3).labels, top.labels)
    assert_close(model.predict_top_k(X, 3).log_probs, top.log_probs, u=100)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array], ids=["dense", "CSR"])
@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
def test_logits_are_never_stored(
    solver: str, form: Any, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    N, K, budget = 20_000, 200, 2**20
    X, y = form(rng.normal(size=(N, 3))), np.arange(N) % K
    f = replace(objective("iris"), X=X, y=y, classes=K, weights=np.full(N, 1 / N), memory=budget)
    monkeypatch.setattr(predictions, "_MEMORY", budget)
    solve(solver, f, f.start, Settings(0.0, 1))  # kernels are loaded
    tracemalloc.start()
    try:
        theta = solve(solver, f, f.start, Settings(0.0, 2)).theta
        predictions.by_chunks(X, theta, lambda z: (z.argmax(axis=1),))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * budget + 6 * 8 * K * K < 8 * N * K / 4


def test_what_is_not_reached_is_said() -> None:
    with pytest.warns(ConvergenceWarning, match=r"newton-cg stopped after 2 steps.*seemed to be"):
        model = sg.SoftmaxClassifier(max_iter=2).fit(*data("digits"))
    assert model.n_iter_ == 2
    assert model.optimality_ > 0.1 * model.objective_


X, Y = data("iris")
BAD: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "C": ({"C": 0}, {}, "`C` must be positive, got 0"),
    "C of text": ({"C": "1"}, {}, "`C` must be a number, got '1'"),
    "C of NaN": ({"C": np.nan}, {}, "`C` must be positive, got nan"),
    "tol": ({"tol": -1.0}, {}, r"`tol` must be not negative, got -1\.0"),
    "solver": ({"solver": "saga"}, {}, "`solver` must be 'auto' or 'newton' or .* got 'saga'"),
    "max_iter": ({"max_iter": 0}, {}, "`max_iter` must be a positive integer, got 0"),
    "warm_start": ({"warm_start": 1}, {}, "`warm_start` must be True or False, got 1"),
    "class_weight": ({"class_weight": "even"}, {}, "`class_weight` must be None, 'balanced' or"),
    "class weight zero": (
        {"class_weight": {0: 0.0}},
        {},
        "`class_weight` must be positive and finite",
    ),
    "class weight of nobody": (
        {"class_weight": {0: 1.0, 5: 2.0}},
        {},
        r"`class_weight` must be a dict whose keys are among the labels \[0, 1, 2\], got \[5\]",
    ),
    "sample_weight": (
        {},
        {"sample_weight": np.ones(3)},
        r"`sample_weight` must be of shape \(150,\), one weight a row, got float64 \(3,\)",
    ),
    "negative weight": (
        {},
        {"sample_weight": np.r_[np.ones(4), -1, np.ones(145)]},
        r"`sample_weight` must be not negative and finite, got -1\.0 at position 4",
    ),
    "weights of nothing": (
        {},
        {"sample_weight": np.full(150, 1e-320)},
        "`sample_weight` must be of a sum that is finite and not rounded to 0",
    ),
    "a tiny column": (
        {"C": np.inf},
        {"X": X * [1, 1, 1e-200, 1]},
        r"`X` must be 0, or at least 1e-150 in some row, in every column .* in column 2$",
    ),
    "C·n": ({"C": 1e-300}, {"sample_weight": np.full(150, 1e-20)}, "`C` must be such that C times"),
    "huge C": ({"C": 10**400}, {}, "`C` must be a number that float64 holds"),
    "no weight": ({}, {"sample_weight": np.zeros(150)}, "`sample_weight` .* got zero in all"),
    "one class": (
        {},
        {"y": np.full(150, "a")},
        "`y` must be of at least two classes in rows of positive weight, got one class: 'a'",
    ),
    "one class of weight": (
        {},
        {"sample_weight": (Y == 1) * 1.0},
        "`y` must be of at least two classes",
    ),
    "lengths": ({}, {"y": Y[:5]}, "inconsistent numbers of samples"),
    "numbers to regress": (
        {},
        {"y": Y + 0.5},
        r"`y` must be integers, text or booleans, got 0\.5. Unknown label type: continuous",
    ),
    "labels of two sorts": (
        {},
        {"y": np.where(Y == 1, None, np.array(["a", "b", "c"], object)[Y])},
        "`y` must be integers, text or booleans, got 'a' and None",
    ),
    "labels that are NaN": ({}, {"y": np.where(Y == 1, np.nan, Y)}, "Input y contains NaN"),
    "NaN": ({}, {"X": np.where(X > 7, np.nan, X)}, "Input X contains NaN"),
    "infinity": ({}, {"X": np.where(X > 7, np.inf, X)}, "Input X contains infinity"),
    "too large": ({}, {"X": X * 1e150}, r"`X` must be no larger than 1e150 .* got 7\.9e\+150"),
    "text": ({}, {"X": np.array([["a"] * 4] * 150)}, "`X` must be numbers, got 'a' in column 0"),
    "a column of text": (
        {},
        {"X": pd.DataFrame(X).assign(kind="1.5", place="here")},
        "`X` must be numbers, got 'here' in column 'place'",
    ),
    "a column of dates": (
        {},
        {"X": pd.DataFrame(X).assign(day=pd.Timestamp("2020-02-03"))},
        "`X` must be numbers, got '2020-02-03.*' in column 'day'",
    ),
    "complex rows": ({}, {"X": X + 1j}, "`X` must be real numbers, got complex ones"),
    "a dict": ({}, {"X": {"a": X}}, r"`X` must be rows \[N, D\] of numbers, got dict"),
    "a LazyFrame": (
        {},
        {"X": pl.LazyFrame(X), "y": "column_0"},
        "`X` must be rows, or what yields blocks .* got a LazyFrame",
    ),
    "a name without a table": ({}, {"y": "kind"}, "`y` must be one label a row; .* got 'kind'"),
    "labels of two kinds": (
        {},
        {"y": np.array([0, "b", 2], dtype=object)[Y]},
        "`y` must be integers, text or booleans, got 0 and 'b'",
    ),
    "labels that are missing": (
        {},
        {"y": np.array([None, "b", "c"])[Y]},
        "`y` must be integers, text or booleans, got None and 'b'",
    ),
    "bytes as labels": ({}, {"y": Y.astype("S1")}, "`y` must be integers, text or booleans, got"),
    "complex labels": (
        {},
        {"y": Y + 1j},
        "`y` must be integers, text or booleans, got complex numbers",
    ),
    "a seed of text": (
        {"random_state": "a"},
        {},
        "`random_state` must be None, an integer .* got 'a'",
    ),
}


@pytest.mark.parametrize(("settings", "arguments", "message"), BAD.values(), ids=BAD)
def test_errors_name_the_argument(
    settings: dict[str, Any], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        sg.SoftmaxClassifier(**settings).fit(**{"X": X, "y": Y, **arguments})


@pytest.mark.parametrize("k", [0, 4, 1.5])
def test_top_k_needs_a_number_of_classes(k: Any) -> None:
    model = sg.SoftmaxClassifier().fit(X, Y)
    with pytest.raises((ValueError, TypeError), match="`k` must be"):
        model.predict_top_k(X, k)


def test_scikit_learn_is_loaded_by_the_classifier_alone() -> None:
    code = (
        "import sys, softgrad, softgrad.learn; print('sklearn' in sys.modules);"
        "softgrad.SoftmaxClassifier; print('sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_a_missing_scikit_learn_is_said() -> None:
    code = "import sys; sys.modules['sklearn'] = None; import softgrad as sg; sg.SoftmaxClassifier"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "scikit-learn is needed here: pip install 'softgrad[learn]'" in done.stderr
