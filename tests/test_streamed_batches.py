"""Mini-batches of rows in a file, and their checkpoints."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import softgrad as sg
from asserts import assert_same_bits
from convex import data
from softgrad.learn import stored_rows
from softgrad.learn.checkpoint import Checkpoint
from softgrad.learn.minibatch import Batch, Scattered, batches
from softgrad.learn.stored_rows import StoredRows

X, Y = data("digits")
X = X / 16


class Stopped(Exception):
    """What stands for a kill here."""


def mapped(array: Any, path: Path) -> Any:
    np.save(path, array)
    return np.load(path, mmap_mode="r")


FITS: dict[str, dict[str, Any]] = {
    "adam": {"solver": "adam"},
    "sgd": {"solver": "sgd", "schedule": "constant"},
    "network": {"hidden": (16,), "activation": "softmax"},
    "early stopping": {"hidden": (16,), "early_stopping": True, "n_iter_no_change": 2},
    "polish": {"solver": "adam", "polish": True, "C": 1e-2, "max_iter": 25, "batch_size": 600},
}


@pytest.mark.parametrize(("form", "seed"), [("array", None), ("map", 0)])
@pytest.mark.parametrize("settings", FITS.values(), ids=FITS)
def test_a_fit_in_pieces_is_the_fit_in_one(
    settings: dict[str, Any], form: str, seed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = X if form == "array" else mapped(X, tmp_path / "X.npy")
    path = tmp_path / "folder" / "c"
    path.parent.mkdir()
    settings = {"max_iter": 3, "batch_size": 100, **settings}
    write, left = Checkpoint.write, 0

    def write_and_stop(self: Checkpoint, *state: Any) -> None:
        nonlocal left
        write(self, *state)
        left -= 1
        if left == 0:
            raise Stopped

    if seed is None:  # the first piece decides
        monkeypatch.setattr("softgrad.learn.fits.seed_words", lambda given: np.uint32([7, 7]))
    whole = sg.SoftmaxClassifier(random_state=seed, **settings).fit(rows, Y)
    model = sg.SoftmaxClassifier(random_state=seed, checkpoint=path, checkpoint_every=0, **settings)
    monkeypatch.setattr(Checkpoint, "write", write_and_stop)
    stops = 0
    for some in (5, 13, 3, 57, 10**9):  # within an epoch, at its end; in the polish
        left = some
        if seed is None and stops == 1:
            monkeypatch.setattr("softgrad.learn.fits.seed_words", lambda given: np.uint32([8, 8]))
        try:
            model.fit(rows, Y)
        except Stopped:
            stops += 1
            continue
        break
    assert stops >= 3
    ours, theirs = ([m.coef_] if hasattr(m, "coef_") else m.coefs_ for m in (model, whole))
    for a, b in zip(ours, theirs, strict=True):
        assert_same_bits(a, b)
    assert model.history_ == whole.history_
    assert (model.n_iter_, model.objective_) == (whole.n_iter_, whole.objective_)
    assert os.listdir(path.parent) == []


def test_other_settings_are_another_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: Checkpoint) -> None:
        raise Stopped

    settings = {"solver": "adam", "max_iter": 2, "checkpoint": tmp_path / "c", "random_state": 0}
    monkeypatch.setattr(Checkpoint, "remove", stop)
    with pytest.raises(Stopped):
        sg.SoftmaxClassifier(checkpoint_every=0, **settings).fit(X, Y)
    for changed, message in (
        ({"max_iter": 3}, "max_iter 2, not 3"),
        ({"batch_size": 7}, "batch_size None, not 7"),
        ({"random_state": 1}, "random_state 0, not 1"),
        ({"solver": "sgd"}, "solver adam, not sgd"),
        ({"solver": "lbfgs"}, "solver adam, not lbfgs$"),
        ({"hidden": (3,)}, r"hidden \(\), not \(3,\); activations"),
    ):
        with pytest.raises(ValueError, match=message):
            sg.SoftmaxClassifier(**{**settings, **changed}).fit(X, Y)


@pytest.mark.parametrize("memory", [2**20, 2**14])
def test_scattered_rows_come_once_and_far_from_their_order(
    memory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_PIECE", 2**11)
    N = 5000
    rows = np.column_stack([np.arange(N), -np.arange(N)]).astype(float)
    whole = Batch(StoredRows(mapped(rows, tmp_path / "X.npy")), np.arange(N), np.arange(N) / 2)
    scattered = Scattered(whole, 64, memory)
    found = list(scattered.epoch(np.random.default_rng(0)))
    assert max(len(batch.y) for batch in found) <= 64
    y = np.concatenate([batch.y for batch in found])
    assert np.array_equal(np.sort(y), np.arange(N))
    assert np.array_equal(np.concatenate([batch.X for batch in found]), rows[y])
    assert np.array_equal(np.concatenate([batch.weights for batch in found]), y / 2)
    # A batch of 64 even draws has a mean with a standard deviation of N / 8 / √12.
    means = [batch.y.mean() for batch in found]
    assert np.std(means) < (2 if memory == 2**20 else 4) * N / 8 / np.sqrt(12)
    again = [batch.y for batch in scattered.epoch(np.random.default_rng(0))]
    other = [batch.y for batch in scattered.epoch(np.random.default_rng(1))]
    assert np.array_equal(np.concatenate(again), y)
    assert not np.array_equal(np.concatenate(other), y)


def test_rows_held_out_stay_in_a_file(tmp_path: Path) -> None:
    settings = {"solver": "adam", "early_stopping": True, "max_iter": 4, "random_state": 0}
    model = sg.SoftmaxClassifier(cache=tmp_path, **settings)
    X_mapped = mapped(X, tmp_path / "X.npy")
    assert model.fit(X_mapped, Y).history_[-1].validation_loss < 1
    with pytest.raises(ValueError, match="`cache` must be a folder"):
        model.set_params(cache=tmp_path / "nowhere").fit(X_mapped, Y)


def test_rows_taken_are_a_file_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_rows, "_BLOCK", 2**14)
    ids = np.flatnonzero(np.random.default_rng(0).random(len(X)) > 0.4)
    taken = StoredRows(mapped(X, tmp_path / "X.npy"), tmp_path).taken(ids)
    assert_same_bits(taken[:], X[ids])


def test_sorted_rows_train_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_PIECE", 2**12)
    order = np.argsort(Y, kind="stable")
    rows, y = mapped(X[order], tmp_path / "X.npy"), Y[order]
    model = sg.SoftmaxClassifier(hidden=(32,), random_state=0, max_iter=20, early_stopping=True)
    model.fit(rows, y)
    assert model.score(X, Y) > 0.95
    linear = sg.SoftmaxClassifier(solver="adam", random_state=0, max_iter=20).fit(rows, y)
    assert linear.score(X, Y) > 0.95
