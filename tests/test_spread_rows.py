"""A classifier whose rows are spread over real processes, against the fit of one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV

import softgrad as sg

torch = pytest.importorskip("torch")
if not torch.distributed.is_available():
    pytest.skip("PyTorch was built without torch.distributed", allow_module_level=True)

import row_calls as calls  # noqa: E402
from distributed_world import World, in_folder, started_world  # noqa: E402
from softgrad.errors import RankStoppedError  # noqa: E402
from softgrad.learn.model_file import load_model  # noqa: E402

X, Y = load_wine(return_X_y=True)  # class by class
X = np.column_stack([X / X.max(axis=0), 1e6 + X[:, 1] * X[:, 2]])  # the last column is far from 0
N = len(Y)
rng = np.random.default_rng(0)
WEIGHTS = rng.integers(0, 3, N) * 0.5
DATA = (X, np.array(["b", "a", "c"])[Y], WEIGHTS)
NOISY = (X[:, :4], np.where(np.arange(N) % 3 > 0, Y, rng.integers(0, 3, N)), WEIGHTS + 0.5)
NAMES = [f"c{d}" for d in range(X.shape[1])]

SPLITS = [(0, N), (50, 0, 8, N - 58)]
"""One rank has nothing; one has a single class."""

each_split = pytest.mark.parametrize("sizes", SPLITS, ids=lambda sizes: "+".join(map(str, sizes)))

SETTINGS: dict[str, dict[str, Any]] = {
    "newton": {"solver": "newton"},
    "newton-cg": {"solver": "newton-cg"},
    "lbfgs": {"solver": "lbfgs"},
    "balanced": {"class_weight": "balanced"},
    "separated": {"C": np.inf},
    "standardised": {"solver": "sgd", "standardize": True, "max_iter": 4, "random_state": 4},
    "adam": {"solver": "adam", "max_iter": 4, "batch_size": 13, "random_state": 0},
    "polish": {"solver": "sgd", "max_iter": 3, "polish": True, "random_state": 1},
    "stopping": {
        "solver": "adam", "early_stopping": True, "max_iter": 6, "random_state": 2,
        "n_iter_no_change": 2,
    },
    # Adam divides by gradients, of which those of hidden layers are rounding at the start.
    "hidden": {
        "hidden": (5,), "activation": "tanh", "solver": "sgd", "max_iter": 3, "random_state": 3,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with started_world(in_folder(tmp_path_factory.mktemp("world"))) as world:
        yield world


@cache
def of_one_process(name: str, form: str = "dense") -> dict[str, Any]:
    data, settings = (NOISY if name == "noisy" else DATA), SETTINGS.get(name, {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = sg.SoftmaxClassifier(**settings)
        return calls.found(model.fit(*calls.as_form(form, *data)))


def assert_alike(answers: list[dict[str, Any]], expected: dict[str, Any], rel: float) -> None:
    """All ranks have the same bits, and up to rounding what one process finds."""
    for answer in answers:
        np.testing.assert_equal(answer, answers[0])
    assert answers[0].keys() == expected.keys()
    for name, e in expected.items():
        got = answers[0][name]
        if name.startswith(("coef", "intercept")):
            layers = zip(got, e, strict=True) if isinstance(e, list) else [(got, e)]
            for g, one in layers:
                assert g.dtype == one.dtype
                np.testing.assert_allclose(g, one, rtol=0, atol=rel * np.abs(one).max())
        elif name == "objective_":
            assert got == pytest.approx(e, rel=rel, nan_ok=True)
        elif name not in ("history", "optimality_", "covariance_"):
            np.testing.assert_equal(got, e)
    assert len(answers[0]["history"]) == len(expected["history"])


@each_split
@pytest.mark.parametrize("name", SETTINGS)
def test_the_model_is_that_of_one_process(world: World, sizes: Any, name: str) -> None:
    answers = world.results(len(sizes), calls.fitted, sizes, SETTINGS[name], DATA)
    assert_alike(answers, of_one_process(name), rel=1e-10)


def test_the_preconditioner_sees_rows_of_all_ranks(world: World) -> None:
    """Of many rows it sees some: those that one process would, since others lead to other steps."""
    random = np.random.default_rng(5)
    size = np.sort(random.uniform(0.1, 10, 900))[:, None]  # ranks have unlike rows
    A, y = size * random.normal(size=(900, 6)), random.integers(0, 4, 900)
    data, settings = (A, y, random.uniform(0.5, 2, 900)), {"solver": "lbfgs", "C": 10.0}
    one = sg.SoftmaxClassifier(**settings).fit(*data)
    sizes = (301, 0, 599)
    assert_alike(world.results(3, calls.fitted, sizes, settings, data), calls.found(one), rel=1e-10)


@pytest.mark.parametrize("name", ["lbfgs", "stopping"])
def test_the_same_ranks_give_the_same_bits(world: World, name: str) -> None:
    sizes = (50, 60, N - 110)
    one, other = (world.results(3, calls.fitted, sizes, SETTINGS[name], DATA) for _ in range(2))
    np.testing.assert_equal(one, other)


@each_split
@pytest.mark.parametrize("name", ["lbfgs", "adam"])
@pytest.mark.parametrize("form", ["CSR", "float32", "pairs", "batches"])
def test_rows_come_in_any_form(world: World, sizes: Any, form: str, name: str) -> None:
    answers = world.results(len(sizes), calls.fitted, sizes, SETTINGS[name], DATA, form)
    expected = of_one_process(name, form)
    assert_alike(answers, expected, rel=1e-3 if form == "float32" else 1e-10)


@pytest.mark.parametrize("name", ["newton", "adam"])
@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_file_is_shared(world: World, tmp_path: Path, kind: str, name: str) -> None:
    columns = dict(zip(NAMES, X.T, strict=True))
    table = pa.table(columns | {"kind": np.where(Y == 2, 10, Y)})
    path = str(tmp_path / f"wine.{kind}")
    if kind == "csv":
        csv.write_csv(table, path)
    else:
        pq.write_table(table, path, row_group_size=30)
    one = sg.SoftmaxClassifier(**SETTINGS[name]).fit(path, "kind")
    assert one.classes_.tolist() == [0, 1, 10]
    answers = world.results(4, calls.of_file, path, "kind", SETTINGS[name])
    assert_alike(answers, calls.found(one), rel=1e-10)
    few = str(tmp_path / f"few.{kind}")  # of fewer rows than ranks
    table = pa.table({"x": [0.0, 1.0], "kind": ["no", "yes"]})
    csv.write_csv(table, few) if kind == "csv" else pq.write_table(table, few)
    answers = world.results(3, calls.of_file, few, "kind", {})
    assert_alike(answers, calls.found(sg.SoftmaxClassifier().fit(few, "kind")), rel=1e-10)


@pytest.mark.parametrize("name", ["lbfgs", "adam"])
def test_slices_of_a_mapped_array_are_shared(world: World, tmp_path: Path, name: str) -> None:
    path = str(tmp_path / "X.npy")
    np.save(path, X)
    one = sg.SoftmaxClassifier(**SETTINGS[name]).fit(np.load(path, mmap_mode="r"), Y)
    answers = world.results(3, calls.mapped, (100, 0, N - 100), path, Y, SETTINGS[name])
    assert_alike(answers, calls.found(one), rel=1e-10)


def test_parts_are_trained_on_together(world: World) -> None:
    settings = {"solver": "adam", "random_state": 0, "batch_size": 20}
    A = X[:, :-1]
    parts = [((40, 60), A[:100], Y[:100]), ((78, 0), A[100:], Y[100:])]  # class 2 comes late
    one = sg.SoftmaxClassifier(**settings)
    for _, some, labels in parts:
        one.partial_fit(some, labels)
    answers = world.results(2, calls.in_parts, settings, parts)
    assert_alike(answers, calls.found(one), rel=1e-10)


@each_split
def test_statistics_are_of_all_rows(world: World, sizes: Any) -> None:
    A, y, weights = NOISY
    one = sg.SoftmaxClassifier(C=np.inf).fit(A, y, weights)
    summary = one.summary(A, y, weights)
    ratio = one.likelihood_ratio(A, y, weights, columns=[0, 2])
    answers = world.results(len(sizes), calls.summarised, sizes, NOISY)
    assert_alike([model for model, _ in answers], calls.found(one), rel=1e-8)
    expected = (summary.log_likelihood, summary.null_log_likelihood, ratio.statistic)
    for model, numbers in answers:
        assert numbers == pytest.approx(expected, rel=1e-10)
        largest = np.abs(one.covariance_).max()
        np.testing.assert_allclose(model["covariance_"], one.covariance_, 0, 1e-8 * largest)


def test_the_temperature_is_of_all_rows(world: World) -> None:
    A, y, weights = NOISY
    one = sg.SoftmaxClassifier(C=0.01).fit(A, y).calibrate(A, y, weights)
    assert abs(np.log(one.temperature_)) > 0.1
    for answer in world.results(3, calls.calibrated, (50, 0, N - 50), NOISY):
        assert answer["temperature_"] == pytest.approx(one.temperature_, rel=1e-9)


@pytest.mark.parametrize("name", ["lbfgs", "adam", "polish"])
def test_a_job_in_pieces_is_the_job_in_one(world: World, tmp_path: Path, name: str) -> None:
    sizes, settings, path = (90, 0, N - 90), SETTINGS[name], str(tmp_path / "c")
    whole = world.results(3, calls.stopped, sizes, settings, DATA, path, [10**9])
    pieces = world.results(3, calls.stopped, sizes, settings, DATA, path, [1, 2, 10**9])
    np.testing.assert_equal(pieces, whole)
    assert os.listdir(tmp_path) == []


def test_a_checkpoint_of_other_ranks_is_refused(world: World, tmp_path: Path) -> None:
    settings, path = SETTINGS["lbfgs"], str(tmp_path / "c")
    assert world.results(2, calls.stopped, (90, N - 90), settings, DATA, path, [2]) == [None, None]
    sizes = (90, 0, N - 90)
    for answer in world.run(3, calls.stopped, sizes, settings, DATA, path, [10**9]):
        assert "ranks 2, not 3" in str(answer)
    assert (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("killed", "rank 1 of the group cannot be reached any more"),
        ("no folder", "rank 0 of the group has raised FileNotFoundError"),
    ],
)
def test_one_that_stops_stops_all_and_the_job_goes_on(
    world: World, tmp_path: Path, how: str, said: str
) -> None:
    sizes, settings, folder = (90, N - 90), SETTINGS["lbfgs"], tmp_path / "job"
    folder.mkdir()
    path = str(folder / "c")
    whole = world.results(2, calls.stopped, sizes, settings, DATA, path, [10**9])
    with started_world(in_folder(tmp_path)) as other:
        answers = other.run(2, calls.struck, sizes, settings, DATA, path, how)
    one = answers[0] if how == "killed" else answers[1]
    assert isinstance(one, RankStoppedError)
    assert said in str(one)
    assert Path(path).exists() == (how == "killed")
    folder.mkdir(exist_ok=True)
    again = world.results(2, calls.stopped, sizes, settings, DATA, path, [10**9])
    np.testing.assert_equal(again, whole)


ROWS = (X[:80], Y[:80])
BROKEN = (np.where(np.arange(80)[:, None] == 5, np.nan, X[:80]), Y[:80])
REFUSED: dict[str, tuple[list[dict[str, Any]], list[Any], str]] = {
    "options": (
        [{"C": 1.0}, {"C": 2.0}],
        [ROWS, ROWS],
        "`C` must be the same on every rank, got 1.0 on rank 0 and 2.0 on rank 1",
    ),
    "a bad option": ([{}, {"C": -1}], [ROWS, ROWS], "`C` must be positive, got -1"),
    "NaN": ([{}, {}], [ROWS, BROKEN], "contains NaN"),
    "columns": ([{}, {}], [ROWS, (X[:, :3], Y)], "got 14 on rank 0 and 3 on rank 1"),
    "dtype": (
        [{}, {}],
        [ROWS, (X.astype(np.float32), Y)],
        "got float64 on rank 0 and float32 on rank 1",
    ),
    "kind": (
        [{}, {}],
        [ROWS, ([ROWS],)],
        "`X` must be of one kind on every rank, got an array on rank 0 and blocks on rank 1",
    ),
    "labels": ([{}, {}], [ROWS, (X, DATA[1])], "`y` must be labels like 0, got 'a'"),
    "one class": ([{}, {}], [(X[:9], Y[:9]), (X[:9], Y[:9])], "one class: 0"),
    "no rows": ([{}, {}], [(X[:0], Y[:0]), (X[:0], Y[:0])], "`sample_weight` must be positive"),
    "no file": ([{}, {}], [("a.csv", "y"), ("a.csv", "y")], "a.csv: no such file"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_one_rank_refuses_all_refuse(world: World, what: str) -> None:
    settings, rows, message = REFUSED[what]
    for answer in world.results(2, calls.refused, settings, rows):
        assert message in answer
    told = world.results(2, calls.fitted, (80, N - 80), {}, DATA)  # nobody is out of step
    assert_alike(told, of_one_process("plain"), rel=1e-10)


def test_scikit_learn_clones_it_with_its_group(world: World) -> None:
    one = GridSearchCV(sg.SoftmaxClassifier(), {"C": [0.01, 1.0]}, cv=2).fit(X, DATA[1])
    for scores, shared in world.results(2, calls.searched, DATA):
        np.testing.assert_allclose(scores, one.cv_results_["mean_test_score"], rtol=1e-12)
        assert shared


CALLED = {
    ("fit", "partial_fit"): "`call` must be the same on every rank, got fit on rank 0 and partial_",
    ("fit", "calibrate"): "`call` must be the same on every rank, got fit on rank 0 and calibrate",
    ("summary", "ratio of 0"): "`call` must be the same on every rank, got summary on rank 0 and",
    ("ratio of 0", "ratio of 1"): "`columns` must be the same on every rank, got 0 on rank 0 and 1",
    ("summary", "summary to 2"): "`level` must be the same on every rank, got 0.95 on rank 0 and 2",
    ("partial_fit of 3", "partial_fit of 4"): "`classes` must be the same on every rank, got array",
}


@pytest.mark.parametrize("pair", CALLED, ids=" and ".join)
def test_ranks_that_call_something_else_are_refused(world: World, pair: tuple[str, str]) -> None:
    for answer in world.results(2, calls.called, *pair, NOISY):
        assert answer.startswith(CALLED[pair])
    told = world.results(2, calls.fitted, (80, N - 80), {}, DATA)  # nobody is out of step
    assert_alike(told, of_one_process("plain"), rel=1e-10)


def test_a_seed_that_nobody_gives_is_that_of_the_first_rank(world: World) -> None:
    """Each rank makes the hidden layers by itself."""
    one, other = world.results(2, calls.unseeded, NOISY)
    np.testing.assert_equal(one, other)
    again, _ = world.results(2, calls.unseeded, NOISY)
    assert np.any(again[0]["coefs_"][0] != one[0]["coefs_"][0])


def test_a_rank_may_end_the_fit_of_all(world: World) -> None:
    assert world.results(2, calls.ended, NOISY) == [2, 2]


def test_the_solver_is_chosen_for_all_rows(world: World) -> None:
    assert world.results(2, calls.huge, NOISY) == ["adam", "adam"]


@pytest.mark.parametrize("sizes", [(20, 0, 43), (9, 30, 24)], ids=str)
@pytest.mark.parametrize("seed", [0, 3, 7])
def test_what_separates_classes_is_found_in_all_rows(world: World, sizes: Any, seed: int) -> None:
    """Few of many rows contradict a direction, and each rank has other ones."""
    random = np.random.default_rng(seed)
    A = random.integers(-2, 3, (63, 3)).astype(float)
    y = (A @ random.normal(size=(3, 3)) + 0.3 * random.gumbel(size=(63, 3))).argmax(axis=1)
    A[y == 2, 0] = np.maximum(A[y == 2, 0], 1)
    A[y != 2, 0] = np.minimum(A[y != 2, 0], 1)  # of equals some rows are of either kind
    order = np.argsort(A[:, 0], kind="stable")
    data = (A[order], y[order], np.ones(63))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one = sg.SoftmaxClassifier(C=np.inf).fit(*data).separation_
    assert one is not None
    for found in world.results(3, calls.separated, sizes, data):
        assert (found.sentence, found.pairs, found.columns) == (
            one.sentence, one.pairs, one.columns,
        )  # fmt: skip
        z = data[0] @ found.direction[:, :-1].T + found.direction[:, -1]
        margins = z[np.arange(63), data[1]][:, None] - z
        assert margins.min() > -1e-9 * np.abs(z).max()  # no row loses
        assert np.sum(margins.max(axis=1) > 1e-9 * np.abs(z).max()) == found.agreeing


def test_a_column_may_be_small_on_one_rank_alone(world: World) -> None:
    """Without a penalty it must not be on all of them."""
    A, y, weights = NOISY
    A = np.where((np.arange(N) < 60)[:, None] & (np.arange(4) == 1), 1e-200, A)
    one = sg.SoftmaxClassifier(C=np.inf).fit(A, y, weights)
    answers = world.results(2, calls.fitted, (60, N - 60), {"C": np.inf}, (A, y, weights))
    assert_alike(answers, calls.found(one), rel=1e-8)


def test_a_model_leaves_the_group_behind(world: World) -> None:
    for model in world.results(2, calls.pickled, DATA):
        assert model.group is None
        assert model.score(X, DATA[1]) > 0.9


@pytest.mark.parametrize(
    "options",
    [("auto",), ("sgd", "--hidden", "4", "--activation", "tanh", "--epochs", "3")],
    ids=["steps", "mini-batches"],
)
def test_torchrun_trains_on_shares_of_a_file(tmp_path: Path, options: tuple[str, ...]) -> None:
    """One process shows and writes, and the model is that of one process."""
    columns = dict(zip(NAMES, X.T, strict=True))
    pq.write_table(pa.table(columns | {"kind": DATA[1]}), tmp_path / "wine.parquet")
    outputs = []
    for ranks in (1, 2):
        outputs.append(_torchrun(ranks, tmp_path, "wine.parquet", "--json", "--solver", *options))
    one, two = (load_model(tmp_path / f"{ranks}.safetensors") for ranks in (1, 2))
    for name, parameter in one.network.parameters.items():
        other = two.network.parameters[name]
        np.testing.assert_allclose(other, parameter, 0, 1e-10 * np.abs(parameter).max())
    told, other = (json.loads(done.stdout) for done in outputs)
    assert other["objective"] == pytest.approx(told["objective"], rel=1e-12)
    assert sorted(os.listdir(tmp_path)) == ["1.safetensors", "2.safetensors", "wine.parquet"]


def test_torchrun_says_once_what_one_process_has_found(tmp_path: Path) -> None:
    rows = [f"{i},{'?' if i == 90 else i % 2}" for i in range(100)]
    (tmp_path / "t.csv").write_text("\n".join(["kind,x", *rows]))
    done = _torchrun(2, tmp_path, "t.csv", "--solver", "auto", "--target", "kind", check=False)
    said = "softgrad: rank 1 of the group has raised t.csv, column 'x', row 91: expected a finite"
    assert done.stderr.count("softgrad: ") == done.stderr.count(said) == 1
    assert os.listdir(tmp_path) == ["t.csv"]


def test_torchrun_refuses_what_trains_alone(tmp_path: Path) -> None:
    done = _torchrun(2, tmp_path, "iris", check=False)
    assert "softgrad: several processes train together with --solver alone" in done.stderr
    assert os.listdir(tmp_path) == []


def _torchrun(ranks: int, folder: Path, *args: str, check: bool = True) -> Any:
    torchrun = ("-m", "torch.distributed.run", "--nproc-per-node", str(ranks))
    train = ("-m", "softgrad", "train", *args, "-o", f"{ranks}.safetensors")
    command = [sys.executable, *torchrun, *train]
    options: dict[str, Any] = {"cwd": folder, "capture_output": True, "text": True, "timeout": 120}
    return subprocess.run(command, check=check, **options)
