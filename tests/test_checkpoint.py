"""Checkpoints: a fit that was stopped at any moment ends with the bits of one that was not."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import softgrad as sg
from asserts import assert_same_bits
from convex import data, objective
from softgrad.errors import UsageError
from softgrad.files import remove_leftovers
from softgrad.learn.checkpoint import Checkpoint, kept_until_saved
from softgrad.learn.solvers import SOLVERS, Settings, Step, solve


class Stopped(Exception):
    """What stands for a kill here."""


class StoppingAt(Checkpoint):
    """A checkpoint after every step, and an end after so many of them."""

    left: int

    def write(self, *state: Any) -> None:
        if self.left == 0:
            raise Stopped
        self.left -= 1
        super().write(*state)


@pytest.mark.parametrize("form", ["float64", "float32", "CSR array"])
@pytest.mark.parametrize("name", ["wine", "units", "two"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_run_in_pieces_is_the_run_in_one(
    solver: str, name: str, form: str, tmp_path: Path
) -> None:
    f, settings = objective(name, form), Settings(1e-10, 300)
    whole = solve(solver, f, f.start, settings)
    rounds = 0
    for steps in (1, 2, 5, 17, 10**9):  # 5, 20 and 25 are where L-BFGS measures its metric
        checkpoint = StoppingAt(tmp_path / "c", 0, {})
        checkpoint.left, rounds = steps, rounds + 1
        try:
            pieces = solve(solver, f, f.start, settings, checkpoint=checkpoint)
        except Stopped:
            continue
        break
    assert rounds > 1
    assert_same_bits(pieces.theta, whole.theta)
    assert pieces[1:] == whole[1:]


def test_a_checkpoint_changes_nothing_and_is_gone_at_the_end(tmp_path: Path) -> None:
    X, y = data("wine")
    plain = sg.SoftmaxClassifier(solver="lbfgs").fit(X, y)
    kept = sg.SoftmaxClassifier(solver="lbfgs", checkpoint=tmp_path / "c", checkpoint_every=0)
    assert_same_bits(kept.fit(X, y).coef_, plain.coef_)
    assert kept.n_iter_ == plain.n_iter_
    assert os.listdir(tmp_path) == []


def test_a_checkpoint_waits_for_its_time(tmp_path: Path) -> None:
    f = objective("wine")
    for every, written in ((1e9, False), (0.0, True)):
        checkpoint = Checkpoint(tmp_path / "c", every, {})
        solve("lbfgs", f, f.start, Settings(1e-8, 100), checkpoint=checkpoint)
        assert checkpoint.path.exists() == written


def test_a_longer_run_goes_on_from_a_shorter_one(tmp_path: Path) -> None:
    """How long to go on is no part of what a fit is."""
    f = objective("wine")
    whole = solve("lbfgs", f, f.start, Settings(1e-8, 100))
    for settings in (Settings(1e-8, 7), Settings(1e-8, 3), Settings(1e-8, 100)):
        found = solve("lbfgs", f, f.start, settings, checkpoint=Checkpoint(tmp_path / "c", 0, {}))
        assert found.iterations == (7 if settings.max_iter < 100 else whole.iterations)
    assert_same_bits(found.theta, whole.theta)


# Checkpoints of something else

X, Y = data("wine")
OTHERS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "C": ({"C": 2.0}, {}, r"another fit in .*: C 1\.0, not 2\.0$"),
    "solver": ({"solver": "newton-cg"}, {}, "solver lbfgs, not newton-cg"),
    "one column": (
        {},
        {"X": np.where(np.arange(13) == 7, X + 1e-9, X)},
        "c: other numbers in `X`$",
    ),
    "dtype": ({}, {"X": X.astype(np.float32)}, "dtype float64, not float32; other numbers in `X`$"),
    "rows": ({}, {"X": X[1:], "y": Y[1:]}, "rows 178, not 177; other labels"),
    "columns": ({}, {"X": X[:, 1:]}, "columns 13, not 12; other numbers in `X`$"),
    "labels": ({}, {"y": Y[::-1]}, "c: other labels$"),
    "names of classes": ({}, {"y": Y + 1}, "c: other classes$"),
    "weights": ({}, {"sample_weight": np.arange(1, 179)}, "c: other weights$"),
    "class weights": ({"class_weight": "balanced"}, {}, "c: other weights$"),
    "CSR": ({}, {"X": sparse.csr_array(X)}, "c: other numbers in `X`$"),
}


@contextmanager
def stopped_fit(path: Path) -> Iterator[bytes]:
    """Leave the checkpoint of a fit of wine that was stopped, and see that it stays."""
    model = sg.SoftmaxClassifier(solver="lbfgs", checkpoint=path, checkpoint_every=0)

    def stop(self: Checkpoint) -> None:
        raise Stopped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "remove", stop)
        with pytest.raises(Stopped):
            model.fit(X, Y)
    before = path.read_bytes()
    yield before
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize(("settings", "arguments", "message"), OTHERS.values(), ids=OTHERS)
def test_a_checkpoint_of_something_else_is_refused(
    settings: dict[str, Any], arguments: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with stopped_fit(tmp_path / "c"):
        model = sg.SoftmaxClassifier(
            **{"solver": "lbfgs", "checkpoint": tmp_path / "c", "checkpoint_every": 0, **settings}
        )
        with pytest.raises(ValueError, match=message):
            model.fit(**{"X": X, "y": Y, **arguments})
        assert not hasattr(model, "coef_")


def test_another_start_is_another_fit(tmp_path: Path) -> None:
    with stopped_fit(tmp_path / "c"):
        model = sg.SoftmaxClassifier(solver="lbfgs", warm_start=True, C=2.0).fit(X, Y)
        model.set_params(C=1.0, checkpoint=tmp_path / "c")
        with pytest.raises(
            ValueError, match=r"another fit in .*: other coefficients to start from$"
        ):
            model.fit(X, Y)


def header(content: Any) -> bytes:
    """Return a safetensors file of no tensors."""
    text = json.dumps({"__metadata__": content}).encode()
    return len(text).to_bytes(8, "little") + text


DAMAGED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "damaged, cut short or not a safetensors file"),
    "text": (b"epoch 7, loss 0.1" * 10, "damaged, cut short or not a safetensors file"),
    "no header": (header({}), "a safetensors file, but not a checkpoint of softgrad"),
    "bad header": (header({"softgrad": "{"}), "the header is damaged"),
    "a model": (
        header({"softgrad": '{"schema": "softgrad.model/1", "model": 1}'}),
        "expected the schema 'softgrad.checkpoint/1', got 'softgrad.model/1'",
    ),
}


@pytest.mark.parametrize(("content", "message"), DAMAGED.values(), ids=DAMAGED)
def test_what_is_no_checkpoint_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "c"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        sg.SoftmaxClassifier(checkpoint=path).fit(X, Y)
    assert str(caught.value) == f"{path}: {message}"
    assert path.read_bytes() == content


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_a_checkpoint_that_was_cut_is_refused(share: float, tmp_path: Path) -> None:
    with stopped_fit(tmp_path / "c") as content:
        pass
    (tmp_path / "c").write_bytes(content[: int(share * len(content))])
    with pytest.raises(UsageError, match="damaged, cut short"):
        sg.SoftmaxClassifier(solver="lbfgs", checkpoint=tmp_path / "c").fit(X, Y)


def test_a_checkpoint_with_other_numbers_is_refused(tmp_path: Path) -> None:
    with stopped_fit(tmp_path / "c") as content:
        pass
    for place in (-1, -200, len(content) // 2):
        damaged = bytearray(content)
        damaged[place] ^= 64
        (tmp_path / "c").write_bytes(damaged)
        with pytest.raises(UsageError, match="damaged"):
            sg.SoftmaxClassifier(solver="lbfgs", checkpoint=tmp_path / "c").fit(X, Y)


def test_a_checkpoint_waits_for_what_was_made_to_be_saved(tmp_path: Path) -> None:
    model = sg.SoftmaxClassifier(solver="lbfgs", checkpoint=tmp_path / "c", checkpoint_every=0)
    coefficients = []

    def fitted_and_lost() -> None:
        with kept_until_saved():
            coefficients.append(model.fit(X, Y).coef_)
            raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        fitted_and_lost()
    assert os.listdir(tmp_path) == ["c"]
    with kept_until_saved():
        assert_same_bits(model.fit(X, Y).coef_, coefficients[0])
        assert os.listdir(tmp_path) == ["c"]
    assert os.listdir(tmp_path) == []


def test_a_missing_folder_is_said_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere/c: there is no folder for the checkpoint"):
        sg.SoftmaxClassifier(checkpoint=tmp_path / "nowhere" / "c").fit(X, Y)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"checkpoint": 7}, "`checkpoint` must be a path or None, got int"),
        ({"checkpoint_every": -1}, "`checkpoint_every` must be not negative, got -1"),
        ({"checkpoint_every": np.nan}, "`checkpoint_every` must be not negative, got nan"),
        ({"checkpoint_every": "1"}, "`checkpoint_every` must be a number, got '1'"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        sg.SoftmaxClassifier(**settings).fit(X, Y)


# Accidents


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """Let no file grow beyond a size."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    """The checkpoints of L-BFGS grow with its pairs: the first ones have room, later ones not."""
    whole = sg.SoftmaxClassifier(solver="lbfgs").fit(X, Y)
    model = sg.SoftmaxClassifier(solver="lbfgs", checkpoint=tmp_path / "c", checkpoint_every=0)
    message = r"c: the checkpoint was not written: file too large; the one before is whole$"
    with disk_of(4096), pytest.raises(UsageError, match=message):
        model.fit(X, Y)
    assert os.listdir(tmp_path) == ["c"]
    assert 0 < (tmp_path / "c").stat().st_size <= 4096
    assert not hasattr(model, "coef_")
    assert_same_bits(model.fit(X, Y).coef_, whole.coef_)


def test_a_disk_without_any_room_leaves_nothing(tmp_path: Path) -> None:
    model = sg.SoftmaxClassifier(solver="lbfgs", checkpoint=tmp_path / "c", checkpoint_every=0)
    message = r"c: the checkpoint was not written: file too large$"
    with disk_of(100), pytest.raises(UsageError, match=message):
        model.fit(X, Y)
    assert os.listdir(tmp_path) == []


def test_leftovers_of_a_kill_are_removed_and_nothing_else(tmp_path: Path) -> None:
    others = {"c", ".c.part", ".c.2.abcdefgh.part", ".d.abcdefgh.part", ".c.abcdefgh", "notes"}
    for name in {".c.abcdefgh.part", ".c.a1_9zzzz.part"} | others:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path / "c")
    assert set(os.listdir(tmp_path)) == others


KILLED = {
    "lbfgs": {"solver": "lbfgs", "C": 1e4},
    "adam": {"solver": "adam", "max_iter": 20, "batch_size": 60, "random_state": 0},
}


@pytest.mark.parametrize("kills", [5, pytest.param(100, marks=pytest.mark.slow)])
@pytest.mark.parametrize("settings", KILLED.values(), ids=KILLED)
def test_random_kills_lose_nothing(settings: dict[str, Any], kills: int, tmp_path: Path) -> None:
    """Fits are killed at random moments, and each goes on from what the one before it left."""
    script = Path(__file__).parent / "killed_fits.py"
    folder = tmp_path / "folder"
    folder.mkdir()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, script, str(folder), str(kills), json.dumps(settings)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["resumed"] >= kills // 3
    assert len(told["whole"]["coef_"]) == 39
    assert all(found == told["whole"] for found in told["found"])
    assert told["files"] == []


def test_two_fits_at_once_need_two_checkpoints(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"solver": "lbfgs", "checkpoint": tmp_path / "c"}
    refused = []

    def another(step: Any) -> None:
        model = sg.SoftmaxClassifier(**settings)
        with pytest.raises(ValueError, match="`checkpoint` must be a file of this fit alone, got "):
            model.fit(X, Y)
        refused.append(hasattr(model, "coef_"))
        sg.SoftmaxClassifier(solver="lbfgs", checkpoint=tmp_path / "d").fit(X, Y)

    sg.SoftmaxClassifier(**settings, callbacks=another).fit(X, Y)
    assert refused
    assert not any(refused)
    assert os.listdir(tmp_path) == []
    (tmp_path / ".c.lock").touch()  # what a kill leaves is no lock
    sg.SoftmaxClassifier(**settings).fit(X, Y)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("steps", [1, 4])
def test_a_polish_that_was_killed_goes_on_in_the_polish(steps: int, tmp_path: Path) -> None:
    seen: list[Any] = []
    settings: dict[str, Any] = {"solver": "adam", "polish": True, "random_state": 0, "max_iter": 5}
    Z = X / X.max(axis=0)
    whole = sg.SoftmaxClassifier(**settings).fit(Z, Y)
    settings |= {"checkpoint": tmp_path / "c", "checkpoint_every": 0}

    def stop(record: Any) -> None:
        if isinstance(record, Step) and record.number > steps:
            raise Stopped

    with pytest.raises(Stopped):
        sg.SoftmaxClassifier(**settings, callbacks=stop).fit(Z, Y)
    assert os.listdir(tmp_path) == ["c"]
    model = sg.SoftmaxClassifier(**settings, callbacks=seen.append).fit(Z, Y)
    assert_same_bits(model.coef_, whole.coef_)
    assert model.history_ == whole.history_
    assert [record.number for record in seen] == list(range(steps + 1, whole.n_iter_ - 5 + 1))


@pytest.mark.parametrize(
    "settings",
    [
        {"solver": "lbfgs", "callbacks": lambda step: step.number == 5},
        {"solver": "lbfgs", "C": np.inf},
        {"solver": "newton", "C": np.inf},
    ],
)
def test_what_ended_a_run_ends_it_again(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = data("iris")
    y = y > 0  # separated

    def fitted() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = sg.SoftmaxClassifier(**settings, checkpoint=tmp_path / "c", checkpoint_every=0)
            return model.fit(X, y)

    whole = fitted()
    with monkeypatch.context() as patch:  # killed between its last step and its end
        patch.setattr(Checkpoint, "remove", lambda self: None)
        fitted()
    again = fitted()
    assert again.n_iter_ == whole.n_iter_
    assert_same_bits(again.coef_, whole.coef_)


def test_a_callback_that_ends_mini_batches_ends_the_polish_too() -> None:
    X, y = data("iris")
    settings: dict[str, Any] = {"solver": "adam", "polish": True, "random_state": 0}
    model = sg.SoftmaxClassifier(callbacks=lambda epoch: epoch.number == 3, **settings).fit(X, y)
    assert len(model.history_) == 3
