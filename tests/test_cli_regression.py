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
    assert_refused(softgrad("train", "iris", "--C", 3), "--C goes with --solver")
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


def test_rows_of_large_files_are_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    table().to_csv("t.csv", index=False)
    monkeypatch.setattr("softgrad.cli.regression._LARGEST_FILE", 100)
    softgrad("train", "t.csv", "--solver", "newton", "-o", "m", "--report", "r.html")
    assert "no row was looked at by itself" in Path("r.html").read_text(encoding="utf-8")
