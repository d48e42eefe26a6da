"""`softgrad train --corpus` and `predict --prompt`: what they write, and what they refuse."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from cli_runs import assert_refused, softgrad
from corpora import write_folder
from softgrad.cli import corpus as cli_corpus
from softgrad.learn import load_language_model
from softgrad.learn.language import continuation, evaluate, read_corpus

SMALL = ("--context", 5, "--dim", 8, "--batch-size", 32, "--lr", "0.02", "--validation", "0.3")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "texts")


@pytest.fixture
def model() -> str:
    assert softgrad("train", "--corpus", "texts", *SMALL, "--epochs", 4, "-o", "m").code == 0
    return "m"


def test_a_folder_is_learned_and_compared_with_its_baselines() -> None:
    outcome = softgrad("train", "--corpus", "texts", *SMALL, "--epochs", 4, "-o", "m", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    document = outcome.document
    assert document["schema"] == "softgrad.train-corpus/1"
    assert document["model"] == "m"
    assert document["epoch_losses"][-1] < 0.5 * document["unigram_loss"]
    assert document["unigram_loss"] < document["uniform_loss"] == math.log(document["types"])
    assert len(document["epoch_losses"]) == 4
    assert document["peak_bytes"] > 1e7
    held_out = read_corpus("texts", validation=0.3).held_out.ids
    assert evaluate(load_language_model("m"), held_out) == document["epoch_losses"][-1]
    assert len(held_out) == document["held_out_tokens"]


def test_train_shows_what_was_read_checked_and_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    Path("texts/image").write_bytes(b"\xff\0")
    outcome = softgrad("train", "--corpus", "texts", *SMALL, "--seed", 3)
    assert outcome.code == 0
    for shown in ("texts: 2,", "files to train on", "held out", "1 file left out", "pass", "seed 3",
                  "uniform over 19", "unigram", "perplexity", "tokens a second", "peak memory",
                  "softgrad-model.safetensors"):  # fmt: skip
        assert shown in " ".join(outcome.out.split()), shown
    assert max(map(len, outcome.out.splitlines())) <= 80


def test_the_same_seed_gives_the_same_file() -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        softgrad("train", "--corpus", "texts", *SMALL, "--seed", seed, "-o", name)
    a, b, c = (Path(name).read_bytes() for name in "abc")
    assert a == b != c


def test_options_say_what_is_read_and_trained() -> None:
    args = ("--max-tokens", 900, "--min-count", 3, "--max-types", 12, "--epochs", 2)
    document = softgrad("train", "--corpus", "texts", *SMALL, *args, "--json").document
    assert document["types"] == 12
    assert document["tokens"] + document["held_out_tokens"] == 900 + 3
    model = load_language_model("softgrad-model.safetensors")
    assert (model.context, model.W.shape) == (5, (12, 8))
    settings = {"context": 5, "dim": 8, "epochs": 2, "batch_size": 32, "lr": 0.02, "seed": 0}
    assert settings.items() <= document["settings"].items()


def test_a_wrong_gradient_fails_the_check_and_nothing_is_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("softgrad.learn.language.model.add_rows", lambda *_: None)
    outcome = softgrad("train", "--corpus", "texts", *SMALL)
    assert outcome.code == 1
    assert "FAIL" in outcome.out
    assert "nothing written" in outcome.err
    assert not Path("softgrad-model.safetensors").exists()
    check = softgrad("train", "--corpus", "texts", *SMALL, "--json").document["check"]
    assert check["verdict"] == "fail"


def test_ctrl_c_leaves_the_model_of_the_steps_that_were_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = cli_corpus.train

    def train(*args: Any, on_step: Any, **options: Any) -> None:
        def until_the_third(step: Any) -> None:
            on_step(step)
            if step.number == 3:
                raise KeyboardInterrupt

        right(*args, on_step=until_the_third, **options)

    monkeypatch.setattr(cli_corpus, "train", train)
    outcome = softgrad("train", "--corpus", "texts", *SMALL, "-o", "cut")
    assert outcome.code == 130
    assert "cut is the model after 3 of " in outcome.err
    assert load_language_model("cut").context == 5
    monkeypatch.setattr(cli_corpus, "train", lambda *_, **__: _press_ctrl_c())
    outcome = softgrad("train", "--corpus", "texts", *SMALL, "-o", "none")
    assert outcome.code == 130
    assert "nothing was written" in outcome.err
    assert not Path("none").exists()


def test_a_training_that_was_killed_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    right = cli_corpus.train

    def train(*args: Any, on_step: Any, **options: Any) -> Any:
        def until_the_seventh(step: Any) -> None:
            on_step(step)
            if step.number == 7:
                raise MemoryError

        return right(*args, on_step=until_the_seventh, checkpoint_every=0, **options)

    command = ("train", "--corpus", "texts", *SMALL)
    softgrad(*command, "-o", "whole")
    with monkeypatch.context() as patch:
        patch.setattr(cli_corpus, "train", train)
        assert softgrad(*command, "-o", "m", "--checkpoint", "c").code != 0
    assert Path("c").exists()
    assert not Path("m").exists()
    refused = softgrad(*command, "--dim", 9, "-o", "m", "--checkpoint", "c")
    assert refused.code == 2
    assert "other coefficients to start from" in refused.err
    document = softgrad(*command, "-o", "m", "--checkpoint", "c", "--json").document
    assert Path("m").read_bytes() == Path("whole").read_bytes()
    assert document["epoch_losses"] == softgrad(*command, "--json").document["epoch_losses"]
    assert not Path("c").exists()


def _press_ctrl_c() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--corpus", "nope"], ["nope", "no such folder", "stdlib"]),
        (["--corpus", "texts/0.txt"], ["texts/0.txt", "a file", "folder"]),
        (["--corpus", "empty"], ["empty", "no files"]),
        (["--corpus", "images"], ["images", "two files of text", "2 are no text"]),
        (["--corpus", "texts", "--max-tokens", 9], ["9 tokens", "no more than the first"]),
        (["--corpus", "texts", "digits"], ["DATA or --corpus", "digits", "texts"]),
        ([], ["'DATA'", "'--corpus'"]),
        (["--corpus", "texts", "--hidden", "8"], ["--hidden", "not with --corpus"]),
        (["iris", "--max-tokens", 9], ["--max-tokens", "goes with --corpus"]),
        (["--corpus", "texts", "--context", 0], ["--context"]),
        (["--corpus", "texts", "--max-types", 2], ["max_types", "more than 2"]),
        (["--corpus", "texts", "--validation", 1], ["validation"]),
        (["--corpus", "texts", "--lr", "-1"], ["--lr", "positive"]),
        (["--corpus", "texts", "-o", "no/such/m"], ["no/such"]),
        (["--corpus", "texts", "--lr", "1e30"], ["loss became", "learning rate"]),
    ],
)
def test_train_refuses(args: list[Any], words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    Path("empty").mkdir()
    Path("images").mkdir()
    for name in ("a.png", "b.png"):
        Path("images", name).write_bytes(b"\x89PNG\xff\0")
    before = sorted(Path().rglob("*"))
    outcome = softgrad("train", *args)
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    for word in words:
        assert word in outcome.err
    assert sorted(Path().rglob("*")) == before


def test_predict_goes_on_with_the_prompt(model: str) -> None:
    args = ("predict", model, "--prompt", "if bird:\n    the bird ", "--temperature", 0)
    outcome = softgrad(*args, "--tokens", 3)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("if bird:\n    the bird sings(really")


def test_predict_is_that_of_its_seed_everywhere(model: str) -> None:
    args = ("predict", model, "--prompt", "if", "--tokens", 20, "--seed", 4, "--top-k", 5)
    text = softgrad(*args).out
    assert softgrad(*args).out == text
    document = softgrad(*args, "--json").document
    assert document["prompt"] + document["text"] + "\n" == text
    same = continuation(load_language_model(model), "if", tokens=20, seed=4, top_k=5)
    assert document["text"] == "".join(same)
    assert softgrad(*args, "-o", "out").out == ""
    assert Path("out").read_text() + "\n" == text
    assert softgrad(*args[:-3], 5, "--top-k", 5).out != text


def test_predict_says_what_it_does_not_know(model: str) -> None:
    outcome = softgrad("predict", model, "--prompt", "if whale:", "--tokens", 1)
    assert outcome.code == 0
    assert outcome.err == "softgrad: the model does not know: whale\n"


def test_predict_refuses(model: str) -> None:
    Path("q.csv").write_text("a,kind\n" + "1,x\n0,y\n" * 10)
    assert softgrad("train", "q.csv", "--epochs", 1, "-o", "rows").code == 0
    assert_refused(softgrad("predict", model, "q.csv"), "m: expected a model of rows", "--prompt")
    assert_refused(softgrad("predict", "rows", "--prompt", "a"), "rows: expected a language model")
    assert_refused(softgrad("predict", model), "'DATA'", "'--prompt'")
    assert_refused(softgrad("predict", model, "q.csv", "--prompt", "a"), "got both")
    assert_refused(softgrad("predict", "rows", "q.csv", "--tokens", 3), "--tokens", "--prompt")
    assert_refused(softgrad("predict", "none", "--prompt", "a"), "none", "no such file")
    assert_refused(softgrad("predict", "q.csv", "--prompt", "a"), "q.csv", "not a safetensors")
    Path("cut").write_bytes(Path(model).read_bytes()[:-40])
    assert_refused(softgrad("predict", "cut", "--prompt", "a"), "cut", "damaged")
    for option, value in (("--tokens", 0), ("--temperature", -1), ("--top-k", 0), ("--seed", -1)):
        assert_refused(softgrad("predict", model, "--prompt", "a", option, value), option)
    nan = softgrad("predict", model, "--prompt", "a", "--temperature", "nan")
    assert_refused(nan, "temperature", "nan")
    assert_refused(softgrad("predict", model, "--prompt", "a", "-o", model), "of its own")
