"""`softgrad train` and `predict`: what they write, what they refuse, what an interrupt leaves."""

import csv
import io

import numpy as np
import pytest

from cli_runs import assert_refused, softgrad
from softgrad import nn
from softgrad.cli import fitting
from softgrad.learn import load
from softgrad.learn.model_file import load_model, predict
from softgrad.maps import ReLU


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def table(path, rows=40, **changes):
    """Write two features and a label, with single cells changed: (row, column) -> text."""
    rng = np.random.default_rng(0)
    lines = [["a", "b", "kind"]]
    for _ in range(rows):
        a, b = rng.normal(size=2)
        lines.append([f"{a:.4f}", f"{b:.4f}", "yes" if a + b > 0 else "no"])
    for place, text in changes.items():
        column, _, row = place.partition("_")
        lines[int(row)]["ab".find(column) if column in "ab" else 2] = text
    path.write_text("\n".join(",".join(line) for line in lines) + "\n")
    return path


def test_digits_with_the_defaults_reach_95_percent():
    outcome = softgrad("train", "digits", "--json")
    assert outcome.code == 0
    assert outcome.err == ""
    document = outcome.document
    assert document["validation_accuracy"] >= 0.95
    assert document["settings"]["seed"] == 0
    assert document["model"] == "softgrad-model.safetensors"
    confusion = np.array(document["confusion"])
    assert confusion.sum() == document["validation_rows"] == 359
    assert np.trace(confusion) / 359 == document["validation_accuracy"]
    assert [at["report"]["verdict"] for at in document["checks"]] == ["pass"] * 7
    assert document["checks"][-1]["name"] == "softmax + cross_entropy"


def test_train_shows_verdicts_accuracy_matrix_seed_and_file(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    outcome = softgrad("train", "iris", "--epochs", 3, "--seed", 4, "-o", "m.safetensors")
    assert outcome.code == 0
    for shown in ("Seed 4", "Linear(4, 64)", "softmax + cross_entropy", "pass", "setosa (0)",
                  "Validation accuracy", "m.safetensors"):  # fmt: skip
        assert shown in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.safetensors"]


def test_the_model_is_the_network_of_the_options():
    args = ["--hidden", "7", "--activation", "softmax", "--head", "sigmoid"]
    assert softgrad("train", "wine", *args, "--epochs", 2, "-o", "m.safetensors").code == 0
    model = load_model("m.safetensors")
    assert [str(layer) for layer in model.network.layers[::2]] == ["Linear(13, 7)", "Linear(7, 3)"]
    assert isinstance(model.network.layers[3].map, nn.Sigmoid)
    assert softgrad("train", "wine", "--hidden", "none", "--epochs", 1, "-o", "n.st").code == 0
    assert len(load_model("n.st").network.layers) == 2


def test_the_standardizer_knows_the_training_rows_alone():
    softgrad("train", "iris", "--epochs", 1, "-o", "m.safetensors")
    model, data = load_model("m.safetensors"), load("iris")
    assert not np.allclose(model.standardizer.mean, data.X.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(model.standardizer.mean, data.X.mean(axis=0), rtol=0.1)


def test_the_same_seed_gives_the_same_file(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        softgrad("train", "iris", "--epochs", 2, "--seed", seed, "-o", name)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c


def test_a_file_with_a_target_column_is_trained_on(tmp_path):
    table(tmp_path / "t.csv")
    document = softgrad("train", "t.csv", "--target", "kind", "--epochs", 40, "--json").document
    assert document["classes"] == ["no", "yes"]
    assert document["validation_accuracy"] > 0.8


def test_the_report_is_written_and_named(tmp_path):
    outcome = softgrad("train", "iris", "--epochs", 2, "--report", "r.html")
    assert outcome.code == 0
    assert "r.html" in outcome.out
    page = (tmp_path / "r.html").read_text("utf-8")
    assert "gradient checks pass" in page
    assert "<svg" in page
    assert "softgrad train iris --hidden 64,32" in page


def test_a_wrong_layer_fails_the_check_and_nothing_is_trained(tmp_path, monkeypatch):
    right = ReLU.slopes

    def leaky(self, x):
        value, slope, curvature = right(self, x)
        return value, slope + 0.1, curvature

    monkeypatch.setattr(ReLU, "slopes", leaky)
    outcome = softgrad("train", "iris")
    assert outcome.code == 1
    assert "FAIL" in outcome.out
    assert "nothing written" in outcome.err
    assert list(tmp_path.iterdir()) == []
    checks = softgrad("train", "iris", "--json").document["checks"]
    failed = {at["name"] for at in checks if at["report"]["verdict"] == "fail"}
    assert failed == {"relu"}


def test_a_wrong_gradient_of_the_loss_fails_the_check(monkeypatch):
    right = nn.Network.gradients

    def doubled(self, x, targets):
        gradients = right(self, x, targets)
        object.__setattr__(gradients, "input", 2 * gradients.input)
        return gradients

    monkeypatch.setattr(nn.Network, "gradients", doubled)
    outcome = softgrad("train", "iris", "--json")
    assert outcome.code == 1
    failed = [at["name"] for at in outcome.document["checks"] if at["report"]["verdict"] == "fail"]
    assert failed == ["softmax + cross_entropy"]


@pytest.fixture
def interrupt_after(monkeypatch):
    """Press Ctrl-C in the middle of the epoch after a number of whole ones."""

    def arrange(epochs):
        done = 0
        right = nn.Network.gradients

        def gradients(self, x, targets):
            if done == epochs and len(x) == 16:
                raise KeyboardInterrupt
            return right(self, x, targets)

        def counted(*args, on_epoch, **options):
            def count(epoch):
                nonlocal done
                done = epoch.number
                on_epoch(epoch)

            monkeypatch.setattr(nn.Network, "gradients", gradients)
            return nn.train(*args, on_epoch=count, **options)

        monkeypatch.setattr(fitting, "train", counted)

    return arrange


def test_ctrl_c_leaves_the_last_whole_epoch(tmp_path, interrupt_after, monkeypatch):
    # 120 rows in batches of 52 end with one of 16: the epoch breaks off after two steps.
    args = ["train", "iris", "--batch-size", 52, "--validation", "0.2"]
    assert softgrad(*args, "--epochs", 2, "-o", "two").code == 0
    interrupt_after(epochs=2)
    outcome = softgrad(*args, "--epochs", 9, "-o", "cut")
    assert outcome.code == 130
    assert "epoch 2 of 9" in outcome.err
    assert "Traceback" not in outcome.err
    assert (tmp_path / "cut").read_bytes() == (tmp_path / "two").read_bytes()


def test_ctrl_c_before_an_epoch_is_whole_writes_nothing(tmp_path, interrupt_after):
    (tmp_path / "old").write_text("old")
    interrupt_after(epochs=0)
    outcome = softgrad("train", "iris", "--batch-size", 52, "-o", "old", "--json")
    assert outcome.code == 130
    assert outcome.out == ""
    assert "nothing was written" in outcome.err
    assert (tmp_path / "old").read_text() == "old"


@pytest.mark.parametrize(
    ("changes", "args", "words"),
    [
        ({}, ["--target", "nope"], ["t.csv", "'nope'", "'kind'"]),
        ({"a_3": "three"}, [], ["'a'", "row 3", "'three'"]),
        ({"b_5": "nan"}, [], ["'b'", "row 5", "nan"]),
        ({"b_5": ""}, [], ["'b'", "row 5"]),
        ({"k_2": ""}, [], ["'kind'", "row 2"]),
    ],
)
def test_bad_data_is_refused_and_nothing_written(tmp_path, changes, args, words):
    table(tmp_path / "t.csv", **changes)
    (tmp_path / "m").write_text("old")
    assert_refused(softgrad("train", "t.csv", *args, "-o", "m", "--report", "r.html"), *words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "t.csv"]
    assert (tmp_path / "m").read_text() == "old"


def test_files_without_rows_classes_or_sense_are_refused(tmp_path):
    (tmp_path / "empty.csv").write_text("")
    assert_refused(softgrad("train", "empty.csv"), "empty.csv", "empty")
    (tmp_path / "header.csv").write_text("a,kind\n")
    assert_refused(softgrad("train", "header.csv"), "header.csv", "no rows")
    (tmp_path / "one.csv").write_text("a,kind\n1,x\n2,x\n3,x\n")
    assert_refused(softgrad("train", "one.csv"), "one.csv", "two classes")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 nothing else")
    assert_refused(softgrad("train", "bad.parquet"), "bad.parquet")
    assert_refused(softgrad("train", "missing.csv"), "missing.csv", "no such file")
    assert_refused(softgrad("train", "nope"), "digits", "'nope'")
    assert_refused(softgrad("train", "iris", "--target", "x"), "iris", "target")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["-o", "no/such/m"], ["no/such"]),
        (["-o", "."], ["directory"]),
        (["-o", "/dev/null"], ["cannot be replaced"]),
        (["--report", "no/such/r.html"], ["--report", "no/such"]),
        (["-o", "same", "--report", "same"], ["same", "of its own"]),
        (["--hidden", "8,0"], ["--hidden", "'8,0'"]),
        (["--hidden", "8,x"], ["--hidden", "'8,x'"]),
        (["--hidden", ""], ["--hidden", "none", "''"]),
        (["--activation", "gelu"], ["--activation", "gelu"]),
        (["--head", "nope"], ["--head"]),
        (["--epochs", "0"], ["--epochs"]),
        (["--batch-size", "0"], ["--batch-size"]),
        (["--lr", "0"], ["--lr", "positive"]),
        (["--lr", "nan"], ["--lr", "positive"]),
        (["--validation", "1"], ["validation", "1"]),
        (["--validation", "nan"], ["validation", "nan"]),
    ],
)
def test_train_refuses_before_any_work(tmp_path, args, words, monkeypatch):
    monkeypatch.setattr(fitting, "train", lambda *_, **__: pytest.fail("it was trained"))
    assert_refused(softgrad("train", "iris", *args), *words)
    assert list(tmp_path.iterdir()) == []


def test_the_data_are_not_overwritten(tmp_path):
    before = table(tmp_path / "t.csv").read_bytes()
    assert_refused(softgrad("train", "t.csv", "-o", tmp_path / "t.csv"), "of its own")
    assert (tmp_path / "t.csv").read_bytes() == before


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    assert_refused(softgrad("train", "iris", "-o", "m"), "m", "permission denied")


def test_a_disk_that_fills_up_is_one_line(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("softgrad.learn.model_file.write_atomically", full)
    outcome = softgrad("train", "iris", "--epochs", 1, "-o", "m")
    assert outcome.code == 2
    assert outcome.err == "softgrad: m: cannot be written: no space left on device\n"
    assert "Validation accuracy" in outcome.out  # what was computed is shown all the same
    assert list(tmp_path.iterdir()) == []


def test_an_error_without_a_reason_of_the_system_s_keeps_its_words(monkeypatch):
    def refuse(*_, **__):
        raise OSError("Odd")

    monkeypatch.setattr("softgrad.learn.model_file.write_atomically", refuse)
    outcome = softgrad("train", "iris", "--epochs", 1, "-o", "m")
    assert outcome.err == "softgrad: m: cannot be written: odd\n"


def test_one_epoch_and_one_row_are_singular():
    outcome = softgrad("train", "iris", "--epochs", 1, "--batch-size", 1, "-o", "m")
    assert "1 epoch on 120 rows in" in outcome.out
    assert "a mini-batch of 1 row:" in outcome.out


def test_a_loss_that_is_not_finite_is_refused(tmp_path):
    outcome = softgrad("train", "iris", "--optimizer", "sgd", "--lr", "1e200", "-o", "m")
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert "learning rate" in outcome.err
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def model(tmp_path):
    (tmp_path / "q.csv").write_text("a,b,kind\n" + '1,2,"x, ""y"""\n0,1,plain\n' * 10)
    assert softgrad("train", "q.csv", "--epochs", 3, "-o", "m").code == 0
    return tmp_path / "m"


def test_predict_writes_csv_that_reads_back(model):
    outcome = softgrad("predict", model, "q.csv")
    assert (outcome.code, outcome.err) == (0, "")
    header, *rows = csv.reader(io.StringIO(outcome.out))
    assert header == ["row", "class", "p(plain)", 'p(x, "y")']
    loaded = load_model(model)
    X = load("q.csv").X
    np.testing.assert_array_equal(np.array(rows)[:, 2:].astype(float), predict(loaded, X))
    assert [row[0] for row in rows] == [str(i) for i in range(1, 21)]
    largest = predict(loaded, X).argmax(axis=-1)
    assert [row[1] for row in rows] == [loaded.classes[k] for k in largest]


def test_predict_as_json_and_into_a_file_says_the_same(model, tmp_path):
    text = softgrad("predict", model, "q.csv").out
    document = softgrad("predict", model, "q.csv", "--json").document
    rows = list(csv.reader(io.StringIO(text)))[1:]
    assert document["predicted"] == [row[1] for row in rows]
    np.testing.assert_array_equal(document["probabilities"], np.array(rows)[:, 2:].astype(float))
    outcome = softgrad("predict", model, "q.csv", "-o", "p.csv")
    assert (outcome.code, outcome.out) == (0, "")
    assert (tmp_path / "p.csv").read_text("utf-8") == text


def test_predict_ignores_columns_that_it_does_not_know(model, tmp_path):
    (tmp_path / "more.csv").write_text("b,extra,a\n2,text,1\n")
    document = softgrad("predict", model, "more.csv", "--json").document
    expected = predict(load_model(model), np.array([[1.0, 2.0]]))
    np.testing.assert_array_equal(document["probabilities"], expected)


def test_predict_refuses(model, tmp_path):
    (tmp_path / "less.csv").write_text("a,c\n1,2\n")
    assert_refused(softgrad("predict", model, "less.csv"), "less.csv", "'b'")
    cut = tmp_path / "cut"
    cut.write_bytes(model.read_bytes()[:-40])
    assert_refused(softgrad("predict", cut, "q.csv"), "cut")
    assert_refused(softgrad("predict", "none", "q.csv"), "none", "no such file")
    assert_refused(softgrad("predict", "q.csv", "q.csv"), "q.csv")
    assert_refused(softgrad("predict", model, "q.csv", "-o", model), "of its own")
    assert_refused(softgrad("predict", model, "q.csv", "-o", "q.csv"), "of its own")
    (tmp_path / "huge.csv").write_text("a,b\n0,1\n1e308,-1e308\n")
    assert_refused(softgrad("predict", model, "huge.csv"), "huge.csv", "row 2")


def test_many_classes_are_shown_by_their_mistakes(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = [f"{k % 7},{k},class number {k % 30}" for k in range(300)]
    (tmp_path / "many.csv").write_text("a,b,kind\n" + "\n".join(lines) + "\n")
    outcome = softgrad("train", "many.csv", "--epochs", 1)
    assert outcome.code == 0
    assert "most frequent mistakes" in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 80
