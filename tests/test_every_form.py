"""What `fit` takes, all other methods take: they say of blocks what they say of the array."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning, NotFittedError

import softgrad as sg
from asserts import assert_close, assert_same_bits
from convex import data
from softgrad.errors import UsageError
from test_blocks import NAMES, SOURCES, WORDS, X, Y, batches, cut, frame, written

PREDICTIONS = ("predict", "predict_proba", "predict_log_proba", "decision_function")


def model_for(source: str, tmp_path: Path, **settings: Any) -> tuple[Any, dict[str, Any], Any]:
    """Return a fitted model, arguments of that form, and the rows in an array or a frame."""
    arguments = SOURCES[source](tmp_path, WORDS[Y])
    named = isinstance(arguments.get("y"), str) or source == "pairs of frames"
    rows = frame() if named else X
    if source == "some columns":
        rows = np.ascontiguousarray(arguments["X"])
    return sg.SoftmaxClassifier(**settings).fit(rows, WORDS[Y]), arguments, rows


@pytest.mark.parametrize("source", SOURCES)
def test_score(source: str, tmp_path: Path) -> None:
    model, arguments, rows = model_for(source, tmp_path, C=1e-4)
    assert 0.5 < model.score(rows, WORDS[Y]) < 0.97
    assert model.score(**arguments) == pytest.approx(model.score(rows, WORDS[Y]), rel=1e-12)


@pytest.mark.parametrize("source", SOURCES)
def test_summary(source: str, tmp_path: Path) -> None:
    model, arguments, rows = model_for(source, tmp_path, tol=1e-12)
    expected = model.summary(rows, WORDS[Y])
    found = model.summary(**arguments)
    assert_close(found.standard_errors, expected.standard_errors, u=1e6)
    assert found.log_likelihood == pytest.approx(expected.log_likelihood, rel=1e-12)
    assert found.terms == expected.terms


@pytest.mark.parametrize("source", SOURCES)
def test_calibrate(source: str, tmp_path: Path) -> None:
    model, arguments, rows = model_for(source, tmp_path)
    T = model.calibrate(rows, WORDS[Y]).temperature_
    assert abs(T - 1) > 0.01
    assert model.calibrate(**arguments).temperature_ == pytest.approx(T, rel=1e-8)


@pytest.mark.parametrize("source", SOURCES)
def test_partial_fit(source: str, tmp_path: Path) -> None:
    """All rows in one mini-batch: nothing is shuffled then, and rounding is the same."""
    settings: dict[str, Any] = {"batch_size": 500, "random_state": 0}
    _, arguments, rows = model_for(source, tmp_path)
    plain = sg.SoftmaxClassifier(**settings).partial_fit(rows, WORDS[Y])
    model = sg.SoftmaxClassifier(**settings).partial_fit(**arguments)
    assert_close(model.coef_, plain.coef_, u=1e5)
    again = SOURCES[source](tmp_path, WORDS[Y])
    assert_close(model.partial_fit(**again).coef_, plain.partial_fit(rows, WORDS[Y]).coef_, u=1e5)
    assert len(model.history_) == 2


def test_parts_of_a_stream_take_mini_batches_in_random_order(tmp_path: Path) -> None:
    """Rows sorted by class, in float32, into a model of float64."""
    order = np.argsort(Y, kind="stable")
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    model = sg.SoftmaxClassifier(batch_size=16, random_state=0).partial_fit(Z, Y)
    for _ in range(20):
        model.partial_fit(cut(Z[order].astype(np.float32), Y[order]))
    assert model.coef_.dtype == np.float64
    assert model.score(Z, Y) > 0.99


@pytest.mark.parametrize("source", ["memmap", "Parquet", "pairs"])
def test_likelihood_ratio_and_weights(source: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    Z = rng.normal(size=(200, 3))
    Z[:, 1] += 1e4  # far from 0
    y, w = rng.integers(3, size=200), rng.integers(3, size=200)
    table = pd.DataFrame(Z, columns=["a", "b", "c"])
    table.assign(y=y, w=w).to_parquet(tmp_path / "t.parquet")
    np.save(tmp_path / "Z.npy", Z)
    arguments: dict[str, Any] = {
        "memmap": {"X": np.load(tmp_path / "Z.npy", mmap_mode="r"), "y": y, "sample_weight": w},
        "Parquet": {"X": tmp_path / "t.parquet", "y": "y", "sample_weight": "w"},
        "pairs": {"X": [(Z[:90], y[:90], w[:90]), (Z[90:], y[90:], w[90:])]},
    }[source]
    model = sg.SoftmaxClassifier(C=np.inf, tol=1e-12).fit(table if source == "Parquet" else Z, y, w)
    rows = table if source == "Parquet" else Z
    for columns in (1, [0, 2], None):
        expected = model.likelihood_ratio(rows, y, w, columns=columns)
        found = model.likelihood_ratio(**arguments, columns=columns)
        assert found.statistic == pytest.approx(expected.statistic, rel=1e-7)
        assert found.columns == expected.columns
    summary = model.summary(**arguments)
    assert_close(summary.standard_errors, model.summary(rows, y, w).standard_errors, u=1e7)
    assert model.score(**arguments) == pytest.approx(model.score(rows, y, w), rel=1e-12)


@pytest.mark.parametrize("verb", PREDICTIONS)
def test_predictions_of_a_list_and_of_blocks_without_rows(verb: str) -> None:
    model = sg.SoftmaxClassifier().fit(X, Y)
    expected = getattr(model, verb)(X)
    lists: tuple[Any, ...] = (
        [X[:60], X[60:60], X[60:]],
        [(X[:60], Y[:60]), (X[60:], Y[60:])],
        cut(X, Y),
        iter([sparse.csr_array(X[:100]), sparse.csr_array(X[100:])]),
    )
    for blocks in lists:
        assert_close(1.0 * getattr(model, verb)(blocks), 1.0 * expected, u=1e4)
    with pytest.raises(ValueError, match="`X` must be blocks with rows, got none"):
        getattr(model, verb)(iter([X[:0]]))


def test_tables_of_predictions_may_lack_the_labels() -> None:
    model = sg.SoftmaxClassifier().fit(frame(kind=Y), "kind")
    expected = model.predict(frame())
    for blocks in (batches(frame()[NAMES[::-1]]), [frame()[:9], frame()[9:]], frame()):
        assert_same_bits(model.predict(blocks), expected)


def test_other_columns_of_a_table_are_left_alone(tmp_path: Path) -> None:
    model = sg.SoftmaxClassifier().fit(frame(), Y)
    path = written("t.csv", tmp_path, frame(kind=Y, note="text")[["note", "kind", *NAMES[::-1]]])
    assert model.score(path, "kind") == model.score(frame(), Y)


BAD: dict[str, tuple[str, dict[str, Any], str]] = {
    "labels that nobody knows": (
        "calibrate",
        {"X": [(X, Y + 1)]},
        r"`y` must be among the classes \[0, 1, 2\], got 3",
    ),
    "other classes": (
        "summary",
        {"X": [(X[Y > 0], Y[Y > 0])]},
        r"`y` must be of the classes of the fit, \[0, 1, 2\], got \[1, 2\]",
    ),
    "a table for a model without names": (
        "score",
        {"X": frame(kind=Y), "y": "kind"},
        "and the model was trained on columns without names",
    ),
    "columns": ("score", {"X": [(X[:, 1:], Y)]}, "X has 12 features, but .* expecting 13"),
    "no rows": ("score", {"X": iter([(X[:0], Y[:0])])}, "`X` must be blocks with rows, got none"),
    "labels of another kind": (
        "score",
        {"X": [(X, WORDS[Y])]},
        "`y` must be labels like 0, got 'red'",
    ),
    "no weight": ("score", {"X": [(X, Y, 0.0 * Y)]}, "`sample_weight` must be positive in some"),
    "no file": ("score", {"X": "none.csv", "y": "kind"}, "none.csv: no such file"),
}


@pytest.mark.parametrize(("verb", "arguments", "message"), BAD.values(), ids=BAD)
def test_errors_say_what(verb: str, arguments: dict[str, Any], message: str) -> None:
    model = sg.SoftmaxClassifier().fit(X, Y)
    with pytest.raises((TypeError, ValueError, UsageError), match=message):
        getattr(model, verb)(**arguments)
    with pytest.raises(NotFittedError):
        getattr(sg.SoftmaxClassifier(), verb)(**arguments)


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["score", "calibrate", "partial_fit", "predict"])
@pytest.mark.parametrize("kind", ["mapped", "pairs"])
def test_memory_holds_neither_rows_nor_logits(verb: str, kind: str, tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    script = Path(__file__).parent / "memory_of_fits.py"
    command = [sys.executable, script, str(tmp_path), kind, verb]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert 2**20 < found["bytes"] < 0.85 * min(found["X"], found["logits"])


# Labels and mini-batches

KINDS: dict[str, Any] = {
    "objects": Y.astype(object),
    "nullable": pd.Series(Y, dtype="Int64"),
    "text of any length": WORDS[Y].astype(np.dtypes.StringDType()),
    "dates": np.array(["2020-01-01", "2021-01-01", "2022-01-01"], "M8[D]")[Y],
    "nanoseconds": Y.astype("m8[ns]"),
}


@pytest.mark.parametrize("labels", KINDS.values(), ids=KINDS)
def test_labels_of_other_kinds_come_back_as_they_were(labels: Any) -> None:
    whole = sg.SoftmaxClassifier().fit(X, labels)
    pairs = sg.SoftmaxClassifier().fit(iter([(X, labels)]))
    part = sg.SoftmaxClassifier().partial_fit(X, labels)
    cells = np.asarray(labels).tolist()
    for model in (whole, pairs, part):
        assert model.classes_.tolist() == sorted(set(cells))
        assert model.classes_.dtype.kind == whole.classes_.dtype.kind != "O"
    assert whole.predict(X).tolist()[:20] == cells[:20]


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("hidden", [(), (4,)])
def test_a_fit_that_diverged_says_so(solver: str, hidden: tuple[int, ...]) -> None:
    Z = X / X.max(axis=0)
    settings: dict[str, Any] = {"solver": solver, "hidden": hidden, "random_state": 0}
    wild = sg.SoftmaxClassifier(**settings, learning_rate=1e5, max_iter=3)
    message = r"diverged: in epoch 1 the loss is .* coefficients of 0 have 1\.1: take a `learning_r"
    with pytest.warns(ConvergenceWarning, match=message):
        wild.fit(Z, Y)
    sg.SoftmaxClassifier(**settings, max_iter=3).fit(Z, Y)
    with pytest.warns(ConvergenceWarning, match=message):
        wild.partial_fit(Z, Y)


def test_a_polish_or_a_held_out_share_saves_what_diverged() -> None:
    Z = X / X.max(axis=0)
    settings: dict[str, Any] = {"solver": "adam", "learning_rate": 1e5, "random_state": 0}
    saved = sg.SoftmaxClassifier(polish=True, **settings).fit(Z, Y)
    assert saved.optimality_ < 1e-6


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_summary_after_mini_batches_names_the_solver(early_stopping: bool) -> None:
    Z = X / X.max(axis=0)
    model = sg.SoftmaxClassifier(solver="adam", early_stopping=early_stopping, random_state=0)
    message = "`solver` must be one that reaches the optimum, or followed by `polish`, got 'adam'"
    with pytest.raises(ValueError, match=message):
        model.fit(Z, Y).summary(Z, Y)
    model.set_params(early_stopping=False, polish=True).fit(Z, Y).summary(Z, Y)


def test_calibration_errors_of_labels_ask_for_the_classes() -> None:
    iris, species = data("iris")
    model = sg.SoftmaxClassifier().fit(iris, WORDS[species])
    p = model.predict_proba(iris)
    message = "`classes` must be the labels of the columns, such as `classes_`, .* got None"
    for y in (WORDS[species], species + 1):
        with pytest.raises(ValueError, match=message):
            sg.expected_calibration_error(p, y)
    assert sg.expected_calibration_error(p, WORDS[species], classes=model.classes_) < 0.1
