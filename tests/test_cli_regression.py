"""`softgrad train --solver`: the optimum of a table, a model that predicts, and plain refusals."""

from __future__ import annotations

import csv
import errno
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import softgrad as sg
from cli_runs import assert_refused, softgrad
from convex import data
from softgrad.cli import regression
from softgrad.errors import RankStoppedError
from softgrad.learn.checkpoint import Checkpoint


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table(name: str = "wine", words: tuple[str, ...] = ("a", "b", "c")) -> pd.DataFrame:
    X, y = data(name)
    frame = pd.DataFrame(X, columns=[f"x{d}" for d in range(X.shape[1])])
    frame["kind"] = np.array(words)[y]
    return frame


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("name", ["wine", "two"])
def test_the_model_of_a_file_is_the_classifiers(name: str, form: str) -> None:
    frame = table(name)
    getattr(frame, f"to_{form}")(f"t.{form}", index=False)
    outcome = softgrad("train", f"t.{form}", "--solver", "auto", "--C", 2, "-o", "m", "--json")
    assert outcome.code == 0, outcome.err
    X, y = frame.drop(columns="kind"), frame["kind"]
    model = sg.SoftmaxClassifier(C=2.0).fit(X, y)
    document = outcome.document
    assert document["objective"] == pytest.approx(model.objective_, rel=1e-12)
    assert document["optimality"] < 1e-8 * model.objective_
    assert document["classes"] == model.classes_.tolist()
    assert document["settings"] == {"solver": "auto", "C": 2.0}
    rows = csv.DictReader(io.StringIO(softgrad("predict", "m", f"t.{form}").out))
    p = np.array([[float(row[f"p({c})"]) for c in model.classes_] for row in rows])
    assert np.abs(p - model.predict_proba(X)).max() < 1e-9


BATCHES: dict[str, tuple[tuple[object, ...], dict[str, object]]] = {
    "adam": (("adam",), {"solver": "adam"}),
    "plain": (("sgd", "--no-standardize", "--lr", 1e-6), {"solver": "sgd", "learning_rate": 1e-6}),
    "hidden": (
        ("sgd", "--hidden", "6,5", "--activation", "tanh", "--C", 3, "--batch-size", 16),
        {"solver": "sgd", "hidden": (6, 5), "activation": "tanh", "C": 3.0, "batch_size": 16},
    ),
    "held out": (
        ("adam", "--validation", 0.3, "--hidden", 4),
        {"solver": "adam", "hidden": (4,), "early_stopping": True, "validation_fraction": 0.3},
    ),
}


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("classes", [2, 3])
def test_mini_batches_of_a_file_are_the_classifiers(classes: int, name: str) -> None:
    options, settings = BATCHES[name]
    frame = table("wine" if classes == 3 else "two")
    frame.to_csv("t.csv", index=False)
    args = ("t.csv", "--solver", *options, "--epochs", 12, "--seed", 7, "-o", "m")
    outcome = softgrad("train", *args, "--json")
    assert outcome.code == 0, outcome.err
    settings = {"standardize": name != "plain", "max_iter": 12, "random_state": 7} | settings
    model = sg.SoftmaxClassifier(**settings).fit("t.csv", "kind")
    document = outcome.document
    assert document["objective"] == model.objective_
    assert document["losses"] == [epoch.loss for epoch in model.history_]
    assert len(document["held_out"]) == (model.n_iter_ if name == "held out" else 0)
    assert (document["steps"], document["gaps"]) == (model.n_iter_, [])
    assert document["hidden"] == list(settings.get("hidden", ()))  # type: ignore[call-overload]
    rows = csv.DictReader(io.StringIO(softgrad("predict", "m", "t.csv").out))
    p = np.array([[float(row[f"p({c})"]) for c in model.classes_] for row in rows])
    assert np.abs(p - model.predict_proba(frame.drop(columns="kind"))).max() < 1e-9


def test_epochs_are_told_and_the_same_seed_repeats_them() -> None:
    args = ("train", "wine", "--solver", "adam", "--hidden", "8,4", "--validation", 0.2, "-o", "m")
    outcome = softgrad(*args)
    assert outcome.code == 0, outcome.err
    assert "hidden layers of 8 and 4; " in outcome.out
    assert " epochs of adam in " in outcome.out
    assert ", which was kept" in outcome.out
    assert "above its minimum" not in outcome.out
    assert "penalty" not in outcome.out
    first = Path("m").read_bytes()
    assert softgrad(*args).code == 0
    assert Path("m").read_bytes() == first
    assert softgrad(*args, "--seed", 1).code == 0
    assert Path("m").read_bytes() != first


def test_standardised_steps_have_the_penalty_of_standardised_columns() -> None:
    table().to_csv("t.csv", index=False)
    args = ("t.csv", "--solver", "lbfgs", "--standardize", "-o", "m", "--json")
    model = sg.SoftmaxClassifier(solver="lbfgs", standardize=True).fit("t.csv", "kind")
    assert softgrad("train", *args).document["objective"] == model.objective_


def test_mini_batches_go_on_from_a_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    command = ("train", "iris", "--solver", "adam", "--hidden", 5, "--checkpoint", "c")
    assert softgrad(*command, "-o", "whole").code == 0
    due = iter([False] * 30 + [True] * 10)
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "due", lambda self: next(due))
        assert softgrad(*command, "-o", "m").code != 0  # due is asked once too often
    assert Path("c").exists()
    assert not Path("m").exists()
    assert softgrad(*command, "-o", "m").code == 0
    assert Path("m").read_bytes() == Path("whole").read_bytes()
    assert not Path("c").exists()


def test_another_process_that_stops_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no error of softgrad's own."""

    def stopped(*args: Any, **options: Any) -> None:
        raise RankStoppedError("rank 1 of the group cannot be reached any more")

    monkeypatch.setattr(sg.SoftmaxClassifier, "fit", stopped)
    outcome = softgrad("train", "iris", "--solver", "lbfgs", "-o", "m")
    assert outcome.code == 130
    assert outcome.err == "softgrad: rank 1 of the group cannot be reached any more\n"


def test_built_in_data_and_a_checkpoint(folder: Path) -> None:
    outcome = softgrad("train", "iris", "--solver", "lbfgs", "--checkpoint", "c", "-o", "m")
    assert outcome.code == 0, outcome.err
    assert "Objective 0.1926, at most" in outcome.out
    assert sorted(path.name for path in folder.iterdir()) == ["m"]
    assert "setosa" in softgrad("predict", "m", "iris").out


def test_a_checkpoint_of_something_else_is_refused(folder: Path) -> None:
    Path("c").write_text("no checkpoint")
    outcome = softgrad("train", "iris", "--solver", "lbfgs", "--checkpoint", "c", "-o", "m")
    assert_refused(outcome, "c: damaged")
    assert sorted(path.name for path in folder.iterdir()) == ["c"]


def test_no_penalty(folder: Path) -> None:
    frame = table("two")
    frame.to_csv("t.csv", index=False)
    command = ("train", "t.csv", "--solver", "newton", "--C", "inf", "--cache", ".", "-o", "m")
    outcome = softgrad(*command)
    assert outcome.code == 0, outcome.err
    assert ", without a penalty" in outcome.out
    document = softgrad(*command, "--json").document
    model = sg.SoftmaxClassifier(C=np.inf).fit(frame.drop(columns="kind"), frame["kind"])
    assert document["objective"] == pytest.approx(model.objective_, rel=1e-9)
    assert sorted(path.name for path in folder.iterdir()) == ["m", "t.csv"]


def full(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_model_that_cannot_be_saved_leaves_the_checkpoint(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("train", "iris", "--solver", "lbfgs", "--checkpoint", "c", "-o", "m")
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "due", lambda self: True)
        patch.setattr(regression, "save_model", full)
        assert softgrad(*command).code == 2
    assert [path.name for path in folder.iterdir()] == ["c"]
    assert softgrad(*command).code == 0
    assert [path.name for path in folder.iterdir()] == ["m"]


def test_what_cannot_be_saved_was_shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regression, "save_model", full)
    outcome = softgrad("train", "iris", "--solver", "lbfgs", "-o", "m")
    assert outcome.code == 2
    assert "Objective 0.1926" in outcome.out
    assert "no space left on device" in outcome.err
    assert list(folder.iterdir()) == []


def test_refusals_are_one_line(folder: Path) -> None:
    table(words=("a", "a", "a")).to_csv("one.csv", index=False)
    table().assign(x3="many").to_csv("text.csv", index=False)
    for args, words in {
        ("one.csv",): ("two classes", "'a'"),
        ("text.csv",): ("text.csv", "'x3'", "row 1", "'many'"),
        ("text.csv", "--target", "x"): ("text.csv", "no column 'x'"),
        ("none.csv",): ("none.csv", "no such file"),
        ("iris", "--target", "x"): ("iris", "target"),
        ("iris", "--epochs", 3): ("--epochs", "networks"),
        ("iris", "--batch-size", 3): ("--batch-size", "networks"),
        ("iris", "--report", "m"): ("m", "of its own"),
        ("iris", "--checkpoint", "m"): ("m", "of its own"),
        ("iris", "--cache", "none"): ("none", "does not exist"),
        ("iris", "--C", "0"): ("--C", "positive"),
    }.items():
        assert_refused(softgrad("train", *args, "--solver", "lbfgs", "-o", "m"), *words)
    assert_refused(softgrad("train", "iris", "--C", 3), "--C goes with --solver, not with networks")
    for args, words in {
        ("--head", "softmax"): ("--head goes with networks", "not with --solver adam or sgd"),
        ("--optimizer", "sgd"): ("--optimizer goes with networks",),
        ("--validation", 1): ("`validation` must be between 0 and 1", "got 1"),
        ("--validation", 1e-9): ("validation", "one row at least"),
        ("--hidden", "0"): ("--hidden", "positive"),
        ("--dim", 3): ("--dim goes with --corpus",),
    }.items():
        assert_refused(softgrad("train", "iris", *args, "--solver", "adam", "-o", "m"), *words)
    assert sorted(path.name for path in folder.iterdir()) == ["one.csv", "text.csv"]


@pytest.mark.parametrize("labels", [("a", "b", "c"), (3, 1, 2), ("yes", "no", "no")])
def test_the_report_judges_the_rows_as_the_model_does(labels: tuple[object, ...]) -> None:
    frame = table(words=labels)
    frame.to_csv("t.csv", index=False)
    args = ("t.csv", "--solver", "newton", "--C", 0.5, "-o", "m", "--report", "r.html")
    outcome = softgrad("train", *args)
    assert outcome.code == 0, outcome.err
    assert "report  r.html" in outcome.out
    page = Path("r.html").read_text(encoding="utf-8")
    X, y = frame.drop(columns="kind"), frame["kind"]
    right = sg.SoftmaxClassifier(C=0.5, solver="newton").fit(X, y).predict(X) == y
    assert f"{100 * right.mean():.1f} % of its rows are right" in page
    assert f"{right.sum()} of {len(y)} rows that it was trained on stand on the diagonal" in page
    assert "softgrad train t.csv --solver newton --C 0.5" in page


@pytest.mark.parametrize("options", [(), ("--hidden", 6), ("--hidden", 6, "--validation", 0.2)])
def test_the_report_of_epochs(options: tuple[object, ...]) -> None:
    args = ("wine", "--solver", "adam", "--epochs", 9, *options, "-o", "m", "--report", "r.html")
    outcome = softgrad("train", *args)
    assert outcome.code == 0, outcome.err
    page = Path("r.html").read_text(encoding="utf-8")
    assert "Loss by epoch" in page
    assert "Gap by step" not in page
    assert ("Softmax regression on wine" in page) == (not options)
    assert ("Network on wine" in page) == bool(options)
    assert ("above its minimum" in page) == (not options)
    assert ("there is one minimum" in page) == (not options)
    assert ("many minima" in page) == bool(options)
    assert ("Of rows that early stopping held out it" in page) == (len(options) > 2)
    assert ("all rows were trained on" in page) == (len(options) < 3)
    said = " ".join(["softgrad train wine --solver adam --epochs 9", *map(str, options)])
    assert said in page


def test_rows_of_large_files_are_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    table().to_csv("t.csv", index=False)
    monkeypatch.setattr("softgrad.cli.regression._LARGEST_FILE", 100)
    softgrad("train", "t.csv", "--solver", "newton", "-o", "m", "--report", "r.html")
    assert "no row was looked at by itself" in Path("r.html").read_text(encoding="utf-8")
