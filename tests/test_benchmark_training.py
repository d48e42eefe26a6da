"""The benchmark of training: it times nothing that does not come as near as was asked for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.training import language, many_classes, optimum
from benchmarks.training.__main__ import _read, markdown
from benchmarks.training.outcome import Outcome
from benchmarks.training.problems import PROBLEMS, Problem
from benchmarks.training.watched import TooSlowError, Watch, fit_peer, fit_softgrad

import softgrad as sg
from convex import data
from corpora import write_folder
from softgrad.bench.machine import Machine

WINE = Problem("178 × 13 × 3", lambda: data("wine"), 1e-3, 2, ("auto", "lbfgs"), ("newton-cg",))
MACHINE = Machine("a processor", 2, "Linux", "3.11", {"softgrad": "0.1.0"})


def test_both_libraries_tell_the_objective_that_is_compared() -> None:
    X, y = data("wine")
    best = sg.SoftmaxClassifier(tol=1e-10).fit(X, y).objective_
    for fit, solvers in ((fit_peer, WINE.peers), (fit_softgrad, WINE.ours)):
        for solver in solvers:
            watch = Watch(best, 1e-3)
            fit(solver, X, y, watch)
            assert best * (1 - 1e-9) <= watch.values[-1] <= best * 1.001
            assert all(value > best * 1.001 for value in watch.values[:-1])


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg", "newton-cholesky"])
def test_every_solver_of_the_peer_is_watched(solver: str) -> None:
    X, y = data("iris")
    watch = Watch(best=0.2, gap=0.0)
    fit_peer(solver, X, y, watch)
    assert len(watch.values) > 1


def test_what_does_not_get_there_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = data("wine")
    with pytest.raises(TooSlowError, match="it ended after"):
        fit_peer("newton-cg", X, y, Watch(best=0.01, gap=1e-6))
    with pytest.raises(TooSlowError, match="0 s were not enough"):
        fit_softgrad("lbfgs", X, y, Watch(best=0.01, gap=1e-6, patience=0.0))
    monkeypatch.setitem(PROBLEMS, "wine", WINE)
    measured = optimum.measure("wine", seconds=0.0, patience=0.0)
    assert [m.seconds for m in measured.measurements] == [None] * 3
    assert all(m.problem for m in measured.measurements)
    assert [verdict.holds for verdict in measured.verdicts] == [None]


def test_the_goal_is_for_what_auto_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROBLEMS, "wine", WINE)
    measured = optimum.measure("wine", seconds=0.0)
    auto, _, peer = measured.measurements
    assert (auto.way, peer.way) == ("softgrad auto", "scikit-learn newton-cg")
    (verdict,) = measured.verdicts
    assert verdict.way == auto.way
    assert verdict.value == pytest.approx(peer.over(auto))
    assert verdict.holds is (verdict.value is not None and verdict.value >= 2)
    assert all(m.error is not None and 0 < m.error <= 1e-3 for m in measured.measurements)


def test_data_are_those_that_are_told() -> None:
    X, y = PROBLEMS["digits"].data()
    assert PROBLEMS["digits"].shape == f"{len(X)} × {X.shape[1]} × {len(np.unique(y))}"


def test_a_pass_is_measured_beside_its_products() -> None:
    measured = many_classes.measure(N=600, D=5, K=40, batch=100)
    ours, bare = measured.measurements
    assert (ours.floor, measured.rounds) == (bare.way, 1)
    time, memory = measured.verdicts
    assert time.value == pytest.approx(ours.over(bare))
    assert memory.value == ours.mebibytes


def test_bare_products_are_those_of_the_head() -> None:
    bare = language.BareProducts(N=6, D=3, V=5)
    bare()
    z = bare.x @ bare.W.T
    np.testing.assert_allclose(bare.z, z, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(bare.x_bar, z @ bare.W, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(bare.W_bar, z.T @ bare.x, rtol=1e-5, atol=1e-5)


def test_every_whole_step_is_measured(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "texts")
    measured = language.measure(tokens=330, dim=4, size=32, source=str(source))
    assert measured.rounds == 330 // 32 - 5
    assert "× 19 types" in measured.shape
    ours, bare = measured.measurements
    assert measured.verdicts[0].value == pytest.approx(ours.over(bare))


def test_files_of_several_runs_become_one_page(tmp_path: Path) -> None:
    case: Any = many_classes.measure(N=600, D=5, K=40, batch=100)
    language_too = replace(case, suite="language model")
    for name, cases in (("b", (language_too,)), ("a", (case,))):
        outcome = Outcome(MACHINE, 1, "seconds of the processor", cases)
        assert Outcome.from_dict(json.loads(outcome.to_json())) == outcome
        (tmp_path / name).write_text(outcome.to_json())
    both = _read([tmp_path / "b", tmp_path / "a"])
    assert both.cases == (case, language_too)
    page = "\n\n".join(markdown(both))
    assert "a processor, 2 cores" in page
    assert "one thread, seconds of the processor" in page
    rows = [line for line in page.splitlines() if line.startswith("| many classes")]
    assert len(rows) == 4
    assert {"holds", "missed"} & {row.split(" | ")[-1].strip("| ") for row in rows}


def test_a_document_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a document softgrad"):
        Outcome.from_dict({"schema": "softgrad.bench/1"})
