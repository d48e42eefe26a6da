"""Data that come in blocks: the fit of the same rows in memory, within a memory of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse
from sklearn.exceptions import NotFittedError

import softgrad as sg
from asserts import assert_close, assert_same_bits
from convex import data, objective, some_theta
from softgrad.errors import UsageError
from softgrad.learn.blocks.readers import MappedReader
from softgrad.learn.checkpoint import Checkpoint
from softgrad.learn.curvature import Curvature
from softgrad.learn.solvers import SOLVERS, Settings, solve
from softgrad.learn.solvers.preconditioners import ClassBlocks, Diagonal, Kronecker
from softgrad.learn.stored_rows import Spill, StoredRows
from test_checkpoint import disk_of

X, Y = data("wine")
NAMES = [f"c{d}" for d in range(X.shape[1])]
WORDS = np.array(["red", "white", "rosé"])


def cut(*arrays: Any, rows: int = 50) -> Iterator[tuple[Any, ...]]:
    """Yield blocks of arrays, and an empty one among them."""
    yield tuple(array[:0] for array in arrays)
    for i in range(0, len(arrays[0]), rows):
        yield tuple(array[i : i + rows] for array in arrays)


def mapped(array: Any, path: Path, mode: str = "r+") -> Any:
    np.save(path, array)
    return np.load(path, mmap_mode=mode)


def frame(rows: Any = X, **columns: Any) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=NAMES).assign(**columns)


def written(name: str, folder: Path, table: pd.DataFrame) -> Path:
    path = folder / name
    if name.endswith("csv"):
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path, index=False, row_group_size=70)
    return path


def batches(table: pd.DataFrame) -> list[pa.RecordBatch]:
    return pa.Table.from_pandas(table, preserve_index=False).to_batches(30)


Make = Callable[[Path, Any], dict[str, Any]]
SOURCES: dict[str, Make] = {
    "memmap": lambda at, y: {"X": mapped(X, at / "X.npy"), "y": y},
    "read-only": lambda at, y: {"X": mapped(X, at / "X.npy", "r"), "y": y},
    "copy on write": lambda at, y: {"X": mapped(X, at / "X.npy", "c"), "y": y},
    "columns first": lambda at, y: {"X": mapped(np.asfortranarray(X), at / "X.npy"), "y": y},
    "big-endian": lambda at, y: {"X": mapped(X.astype(">f8"), at / "X.npy"), "y": y},
    "some columns": lambda at, y: {"X": mapped(np.tile(X, 3), at / "X.npy")[:, 13:26], "y": y},
    "CSV": lambda at, y: {"X": written("t.csv", at, frame(kind=y)), "y": "kind"},
    "Parquet": lambda at, y: {"X": str(written("t.parquet", at, frame(kind=y))), "y": "kind"},
    "record batches": lambda _, y: {"X": iter(batches(frame(kind=y))), "y": "kind"},
    "reader": lambda _, y: {
        "X": pa.RecordBatchReader.from_batches(
            batches(frame(kind=y))[0].schema, batches(frame(kind=y))
        ),
        "y": "kind",
    },
    "pandas": lambda at, y: {
        "X": pd.read_csv(written("t.csv", at, frame(kind=y)), chunksize=40),
        "y": "kind",
    },
    "polars": lambda _, y: {"X": iter([pl.DataFrame(frame(kind=y))] * 1), "y": "kind"},
    "pairs": lambda _, y: {"X": cut(X, y)},
    "function": lambda _, y: {"X": lambda: cut(X, y)},
    "pairs of frames": lambda _, y: {"X": cut(frame(), pd.Series(y))},
    "triples": lambda _, y: {"X": cut(X, y, np.ones(len(y)))},
    "list of pairs": lambda _, y: {"X": [(X[:50], y[:50]), (X[50:], y[50:])]},
    "list of batches": lambda _, y: {"X": batches(frame(kind=y)), "y": "kind"},
    "a pandas frame": lambda _, y: {"X": frame(kind=y)[::-1][::-1], "y": "kind"},
    "a polars frame": lambda _, y: {"X": pl.DataFrame(frame(kind=y)), "y": "kind"},
    "a table": lambda _, y: {"X": pa.Table.from_pandas(frame(kind=y)), "y": "kind"},
}


@pytest.mark.parametrize("labels", [Y, WORDS[Y]], ids=["integers", "text"])
@pytest.mark.parametrize("source", SOURCES)
def test_every_source_gives_the_bits_of_the_array(source: str, labels: Any, tmp_path: Path) -> None:
    """These rows fit into one block, so that even rounding is the same."""
    plain = sg.SoftmaxClassifier(solver="lbfgs").fit(X, labels)
    model = sg.SoftmaxClassifier(solver="lbfgs").fit(**SOURCES[source](tmp_path, labels))
    assert_same_bits(model.coef_, plain.coef_)
    assert_same_bits(model.intercept_, plain.intercept_)
    assert model.classes_.tolist() == plain.classes_.tolist()
    assert model.classes_.dtype.kind == plain.classes_.dtype.kind
    assert model.n_iter_ == plain.n_iter_
    assert model.n_features_in_ == 13
    rows = frame() if hasattr(model, "feature_names_in_") else X
    assert np.array_equal(model.predict(rows), plain.predict(X))


@pytest.mark.parametrize("solver", SOLVERS)
def test_blocks_change_rounding_and_nothing_else(solver: str, tmp_path: Path) -> None:
    f = objective("many")
    stored = replace(f, X=StoredRows(mapped(f.X, tmp_path / "X.npy")), memory=2**13)
    assert len(list(stored.cuts())) > 3
    plain, blocks = (solve(solver, g, g.start, Settings(1e-9, 500)) for g in (f, stored))
    assert blocks.converged
    assert blocks.value == pytest.approx(plain.value, rel=1e-8)
    assert blocks.bound < 1e-6 * blocks.value


@pytest.mark.parametrize("kind", [Kronecker, ClassBlocks, Diagonal])
def test_curvature_of_blocks_is_that_of_the_array(
    kind: Any, tmp_path: Path, rng: np.random.Generator
) -> None:
    f = objective("tall")
    stored = replace(f, X=StoredRows(mapped(f.X, tmp_path / "X.npy")), memory=2**14)
    theta, direction = some_theta(f, rng), rng.normal(size=f.start.shape)
    one, many = Curvature(f, theta), Curvature(stored, theta)
    assert_close(many.product(direction), one.product(direction), u=1e4)
    assert_close(kind.of(many)(direction), kind.of(one)(direction), u=1e6)
    for ours, theirs in zip(stored.class_sums, f.class_sums, strict=True):
        assert_close(ours, theirs, u=1e3)


@pytest.mark.parametrize("source", ["memmap", "Parquet", "record batches", "pairs"])
def test_float32_stays_float32(source: str, tmp_path: Path) -> None:
    narrow = X.astype(np.float32)
    table = frame(narrow, kind=Y)
    arguments = {
        "memmap": lambda: {"X": mapped(narrow, tmp_path / "X.npy"), "y": Y},
        "Parquet": lambda: {"X": written("t.parquet", tmp_path, table), "y": "kind"},
        "record batches": lambda: {"X": iter(batches(table)), "y": "kind"},
        "pairs": lambda: {"X": cut(narrow, Y)},
    }[source]()
    model = sg.SoftmaxClassifier(solver="lbfgs").fit(**arguments)
    plain = sg.SoftmaxClassifier(solver="lbfgs").fit(narrow, Y)
    assert model.coef_.dtype == np.float32
    assert_same_bits(model.coef_, plain.coef_)


@pytest.mark.parametrize("class_weight", [None, "balanced", {2: 3.0}])
@pytest.mark.parametrize("source", ["memmap", "Parquet", "triples"])
def test_weights_count_and_zero_is_a_row_removed(
    source: str, class_weight: Any, tmp_path: Path, rng: np.random.Generator
) -> None:
    w = rng.uniform(0.5, 2, size=len(Y)) * (rng.random(len(Y)) > 0.3)
    y = np.where(rng.random(len(Y)) > 0.02, Y, 7)  # a class whose rows are all gone
    w[y == 7] = 0
    w[:50] = 0  # and so is a block
    arguments = {
        "memmap": lambda: {"X": mapped(X, tmp_path / "X.npy"), "y": y, "sample_weight": w},
        "Parquet": lambda: {
            "X": written("t.parquet", tmp_path, frame(kind=y, weight=w)),
            "y": "kind",
            "sample_weight": "weight",
        },
        "triples": lambda: {"X": cut(X, y, w)},
    }[source]()
    settings = {"solver": "lbfgs", "class_weight": class_weight}
    model = sg.SoftmaxClassifier(**settings).fit(**arguments)
    plain = sg.SoftmaxClassifier(**settings).fit(X, y, sample_weight=w)
    assert model.classes_.tolist() == [0, 1, 2]
    assert_same_bits(model.coef_, plain.coef_)


LABELS: dict[str, tuple[Any, Any]] = {
    "numbers in CSV": (np.array([10, -9, 2]), np.dtype(np.int64)),
    "floats": (np.array([2.0, 0.0, 1.0]), np.dtype(np.float64)),
    "truth": (np.array([True, False, True]), np.dtype(bool)),
    "text of digits": (np.array(["2", "10", "1"]), np.dtype("<U2")),
    "categories": (pd.Categorical(["c", "a", "b"]), np.dtype("<U1")),
}


@pytest.mark.parametrize(("names", "dtype"), LABELS.values(), ids=LABELS)
def test_labels_of_a_table_have_the_type_of_their_column(
    names: Any, dtype: Any, tmp_path: Path
) -> None:
    kind = names.take(Y)
    name = "t.csv" if dtype.kind == "i" else "t.parquet"
    model = sg.SoftmaxClassifier().fit(written(name, tmp_path, frame(kind=kind)), "kind")
    assert model.classes_.dtype == dtype
    assert model.classes_.tolist() == sorted(set(names.tolist()))
    assert np.mean(model.predict(frame()) == np.asarray(kind)) > 0.95


def test_text_of_digits_keeps_its_classes_from_part_to_part(tmp_path: Path) -> None:
    table = frame(kind=np.array(["2", "10", "1"]).take(Y))
    path = written("t.parquet", tmp_path, table)
    model = sg.SoftmaxClassifier().fit(path, "kind")
    before = model.score(path, "kind")
    model.set_params(solver="adam", learning_rate=1e-9).partial_fit(path, "kind")
    assert model.score(path, "kind") == before
    assert model.classes_.tolist() == ["1", "10", "2"]


def test_categories_of_polars_are_labels() -> None:
    names = np.array(["c", "a", "b"]).take(Y)
    columns = {name: X[:, d] for d, name in enumerate(NAMES)}
    table = pl.DataFrame({**columns, "kind": pl.Series(names, dtype=pl.Categorical)})
    model = sg.SoftmaxClassifier().fit(table, "kind")
    assert model.classes_.tolist() == ["a", "b", "c"]
    assert model.score(frame(), names) > 0.95


@pytest.mark.parametrize("form", ["path", "batches", "pairs", "arrays", "frames", "memmap"])
def test_predictions_of_blocks_are_those_of_the_array(form: str, tmp_path: Path) -> None:
    model = sg.SoftmaxClassifier().fit(written("t.parquet", tmp_path, frame(kind=Y)), "kind")
    mixed = frame(other=1.0)[[*NAMES[::-1], "other"]]
    rows: Any = {
        "path": lambda: written("u.csv", tmp_path, mixed),
        "batches": lambda: iter(batches(mixed)),
        "pairs": lambda: cut(frame(), Y),
        "arrays": lambda: (frame()[i : i + 40] for i in range(0, len(X), 40)),
        "frames": lambda: iter([pl.DataFrame(frame())]),
        "memmap": lambda: mapped(X, tmp_path / "X.npy"),
    }[form]()
    if form in ("memmap", "pairs"):  # rows without names, as in any other call
        model = sg.SoftmaxClassifier().fit(X, Y)
        rows = cut(X, Y) if form == "pairs" else rows
    if form == "pairs":
        rows = ((X, y) for X, y in rows if len(X))
    top = model.predict_top_k(rows, 2)
    expected = model.predict_top_k(X if form in ("memmap", "pairs") else frame(), 2)
    assert np.array_equal(top.labels, expected.labels)
    assert_close(top.log_probs, expected.log_probs, u=100)


def test_predictions_of_a_table_need_names(tmp_path: Path) -> None:
    model = sg.SoftmaxClassifier().fit(X, Y)
    with pytest.raises(TypeError, match="the model was trained on columns without names"):
        model.predict(written("t.csv", tmp_path, frame()))
    with pytest.raises(NotFittedError):
        sg.SoftmaxClassifier().predict("t.csv")


# Memory and files


SLOW = ("pairs", "batches")


@pytest.mark.parametrize(
    "kind",
    ["mapped", "parquet", *(pytest.param(kind, marks=pytest.mark.slow) for kind in SLOW)],
)
def test_memory_holds_neither_rows_nor_logits(kind: str, tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    script = Path(__file__).parent / "memory_of_fits.py"
    command = [sys.executable, script, str(tmp_path), kind]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert 2**20 < found["bytes"] < 0.85 * min(found["X"], found["logits"])


def test_every_block_is_read_once_and_the_file_has_no_name(tmp_path: Path) -> None:
    read = []

    def blocks() -> Iterator[Any]:
        for block in cut(X, Y):
            read.append(len(block[0]))
            assert os.listdir(tmp_path) == []
            yield block

    sg.SoftmaxClassifier(cache=tmp_path).fit(blocks)
    assert read == [0, 50, 50, 50, 28]
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("room", [0, 8192])
def test_a_full_disk_is_said(room: int, tmp_path: Path) -> None:
    model = sg.SoftmaxClassifier(cache=tmp_path)
    message = f"{tmp_path}: the rows of `X` were not written: file too large; `cache` names another"
    with disk_of(room), pytest.raises(UsageError, match=message):
        model.fit(cut(X, Y))
    assert not hasattr(model, "coef_")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("mode", ["r+", "c"])
def test_what_was_written_into_a_map_is_seen(mode: str, tmp_path: Path) -> None:
    rows = mapped(np.zeros_like(X), tmp_path / "X.npy", mode)
    rows[:] = X
    model = sg.SoftmaxClassifier(solver="lbfgs").fit(rows, Y)
    assert_same_bits(model.coef_, sg.SoftmaxClassifier(solver="lbfgs").fit(X, Y).coef_)
    assert_same_bits(np.asarray(rows), X)


def test_rows_in_a_file_are_cut_by_what_comes_into_memory(tmp_path: Path) -> None:
    rows = StoredRows(mapped(X, tmp_path / "X.npy"))
    assert rows.row_bytes == 13 * 8
    assert rows.every(7).row_bytes == 7 * 13 * 8
    assert rows.every(7).shape == (26, 13)
    assert_same_bits(rows.every(7)[2:5], X[14:35:7])
    assert_same_bits(rows[np.array([5, 3])], X[[5, 3]])
    with Spill(tmp_path) as spill:
        for block, _ in cut(X, Y):
            spill.add(block)
        stored = spill.rows()
    assert_same_bits(stored[:], X)


def test_a_map_is_used_where_it_is_if_its_rows_are_as_they_are_wanted(tmp_path: Path) -> None:
    narrow, ones = X.astype(np.float32), np.ones(178)
    for rows, weights, fits in (
        (X, None, True),
        (narrow, ones, True),
        (np.asfortranarray(X), None, False),  # a block would be read from all over the file
        (X.astype(int), None, False),
        (X.astype(">f8"), None, False),
        (X, np.r_[0.0, ones[1:]], False),
    ):
        reader = MappedReader(StoredRows(mapped(rows, tmp_path / "X.npy")), Y, weights, np.asarray)
        assert (reader.stored is not None) == fits


# What cannot be read


def parquet_of(at: Path, **columns: Any) -> Path:
    return written("t.parquet", at, frame(kind=Y).assign(**columns))


def broken(at: Path, share: float) -> Path:
    path = parquet_of(at)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    return path


def damaged(at: Path) -> Path:
    """Return a file whose pages are noise between a good beginning and a good end."""
    path = parquet_of(at)
    content = bytearray(path.read_bytes())
    content[100:3000] = np.random.default_rng(0).bytes(2900)
    path.write_bytes(content)
    return path


def with_gap(value: Any) -> Any:
    gap = X.copy()
    gap[120, 3] = value
    return gap


def later(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Iterator[pa.RecordBatch]:
    """Yield a block, and then one that is not like it."""
    yield from batches(frame(kind=Y)[:20])
    yield from batches(change(frame(kind=Y)[20:40]))


BAD: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "no such file": (lambda at: {"X": at / "t.csv", "y": "a"}, "t.csv: no such file or directory$"),
    "another kind of file": (lambda at: {"X": "t.txt", "y": "a"}, r"expected .* got 't\.txt'$"),
    "no column": (
        lambda at: {"X": parquet_of(at), "y": "sort"},
        "there is no column 'sort'; the columns are 'c0'",
    ),
    "no name": (
        lambda at: {"X": parquet_of(at)},
        "`y` must be the name of a column of `X`, got No",
    ),
    "labels as an array": (
        lambda at: {"X": parquet_of(at), "y": Y},
        "`y` must be the name of a column of `X`, got ndarray",
    ),
    "weights as an array": (
        lambda at: {"X": parquet_of(at), "y": "kind", "sample_weight": np.ones(178)},
        "`sample_weight` must be the name of a column of `X`, or None, got ndarray",
    ),
    "cut short": (lambda at: {"X": broken(at, 0.9), "y": "kind"}, "the file is damaged, cut short"),
    "damaged": (lambda at: {"X": damaged(at), "y": "kind"}, "damaged, cut short or not Parquet$"),
    "a column of text": (
        lambda at: {"X": parquet_of(at, c3="many"), "y": "kind"},
        "column 'c3', row 1: expected a finite number, got 'many'",
    ),
    "a gap in a file": (
        lambda at: {"X": written("t.csv", at, frame(with_gap(np.nan), kind=Y)), "y": "kind"},
        "column 'c3', row 121: expected a finite number, got an empty cell",
    ),
    "a label that is not there": (
        lambda at: {"X": parquet_of(at, kind=[None, *WORDS[Y[1:]]]), "y": "kind"},
        "column 'kind', row 1: expected a label, got an empty cell",
    ),
    "a weight below zero": (
        lambda at: {"X": parquet_of(at, c0=-1.0), "y": "kind", "sample_weight": "c0"},
        r"column 'c0', row 1: expected a weight that is not negative, got -1\.0",
    ),
    "one class": (
        lambda at: {"X": parquet_of(at, kind="a"), "y": "kind"},
        "`y` must be of at least two classes in rows of positive weight, got one class: 'a'",
    ),
    "no weight": (
        lambda at: {"X": parquet_of(at, c0=0.0), "y": "kind", "sample_weight": "c0"},
        "`sample_weight` must be positive in some rows, got zero in all",
    ),
    "a column less": (
        lambda _: {"X": later(lambda t: t.drop(columns="c5")), "y": "kind"},
        "`X`, block 2: there is no column 'c5'; the columns are 'c0'",
    ),
    "a column more": (
        lambda _: {"X": later(lambda t: t.assign(new=1)), "y": "kind"},
        "`X`, block 2: the column 'new' is in no block before",
    ),
    "wider later": (
        lambda _: {
            "X": iter([*batches(frame(X.astype("f4"), kind=Y)), *batches(frame(kind=Y))]),
            "y": "kind",
        },
        "`X`, row 179: expected float32 columns as before",
    ),
    "blocks of arrays": (
        lambda _: {"X": iter([X]), "y": "kind"},
        r"`X` must be blocks \(X, y\), .*",
    ),
    "a pair of one": (
        lambda _: {"X": iter([(X,)])},
        r"`X` must be blocks \(X, y\) or .* in block 1",
    ),
    "labels beside pairs": (lambda _: {"X": cut(X, Y), "y": Y}, "`y` must be None, for the blocks"),
    "weights beside pairs": (
        lambda _: {"X": cut(X, Y), "sample_weight": np.ones(178)},
        "`sample_weight` must be None, for the blocks of `X` bring it, got ndarray",
    ),
    "columns of pairs": (
        lambda _: {"X": iter([(X, Y), (X[:, 1:], Y)])},
        "block 2 of `X`: X has 12 features, but SoftmaxClassifier is expecting 13",
    ),
    "names of pairs": (
        lambda _: {"X": iter([(frame(), Y), (frame()[NAMES[::-1]], Y)])},
        "block 2 of `X`: The feature names should match",
    ),
    "rows of pairs": (
        lambda _: {"X": iter([(X, Y), (X, Y[1:])])},
        r"block 2 of `X`: `y` must be of shape \(178,\), one label a row, got int64 \(177,\)",
    ),
    "weights of triples": (
        lambda _: {"X": cut(X, Y, np.r_[np.ones(60), -1, np.ones(117)])},
        r"block 3 of `X`: `sample_weight` must be not negative and finite, got -1\.0",
    ),
    "labels of two kinds": (
        lambda _: {"X": iter([(X, Y), (X, WORDS[Y])])},
        "block 2 of `X`: `y` must be labels of one kind, such as text, in all blocks, got",
    ),
    "float64 after float32": (
        lambda _: {"X": iter([(X.astype(np.float32), Y), (X, Y)])},
        "`X` must be blocks of one dtype, float32 as in the first one, got float64 .* in block 2",
    ),
    "a gap in pairs": (
        lambda _: {"X": cut(with_gap(np.inf), Y)},
        "block 4 of `X`: Input X contains infinity",
    ),
    "a gap in a map": (
        lambda at: {"X": mapped(with_gap(np.nan), at / "X.npy"), "y": Y},
        "Input X contains NaN",
    ),
    "too large": (lambda _: {"X": cut(with_gap(1e200), Y)}, r"`X` must be no larger than 1e150"),
    "numbers to regress": (lambda _: {"X": cut(X, Y + 0.5)}, "Unknown label type: continuous"),
    "sparse": (
        lambda _: {"X": iter([(sparse.csr_array(X), Y)])},
        "`X` must be blocks of dense rows; CSR goes in whole, got csr_array in block 1",
    ),
    "no blocks": (lambda _: {"X": iter([])}, "`X` must be blocks with rows, got none"),
    "no rows": (lambda _: {"X": iter([(X[:0], Y[:0])])}, "`X` must be blocks with rows, got none"),
    "a function of nothing": (
        lambda _: {"X": lambda: None},
        "`X` must be a function that returns blocks, got NoneType",
    ),
    "no labels of a map": (
        lambda at: {"X": mapped(X, at / "X.npy")},
        "`y` must be the label of every row, got None",
    ),
    "labels of a map": (
        lambda at: {"X": mapped(X, at / "X.npy"), "y": Y[1:]},
        r"inconsistent numbers of samples: \[178, 177\]",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_errors_say_where(
    arguments: Callable[[Path], dict[str, Any]], message: str, tmp_path: Path
) -> None:
    model = sg.SoftmaxClassifier()
    with pytest.raises((TypeError, ValueError, UsageError), match=message):
        model.fit(**arguments(tmp_path))
    assert not hasattr(model, "coef_")


def test_a_cache_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`cache` must be a folder, got '.*nowhere'"):
        sg.SoftmaxClassifier(cache=tmp_path / "nowhere").fit(cut(X, Y))


def test_a_stream_goes_on_from_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written("t.parquet", tmp_path, frame(kind=WORDS[Y]))
    whole = sg.SoftmaxClassifier(solver="lbfgs").fit(path, "kind")
    model = sg.SoftmaxClassifier(solver="lbfgs", checkpoint=tmp_path / "c", checkpoint_every=0)
    waits = iter([True, False, True, False, False])
    monkeypatch.setattr(Checkpoint, "due", lambda _: next(waits))
    with pytest.raises(StopIteration):
        model.fit(path, "kind")
    monkeypatch.undo()
    assert_same_bits(model.fit(path, "kind").coef_, whole.coef_)
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
def test_separation_of_rows_in_a_file_is_that_of_the_array(solver: str, tmp_path: Path) -> None:
    X, y = data("iris")
    stored = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", X.dtype, X.shape)
    stored[:] = X
    settings: dict[str, Any] = {"C": np.inf, "solver": solver}
    with pytest.warns(sg.learn.SeparationWarning):
        own = sg.SoftmaxClassifier(**settings).fit(X, y)
    with pytest.warns(sg.learn.SeparationWarning):
        other = sg.SoftmaxClassifier(**settings).fit(stored, y)
    assert other.separation_.sentence == own.separation_.sentence
