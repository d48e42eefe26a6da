"""The language model: tokens, corpus, gradients, training, continuation, model files."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asserts import assert_same_bits
from corpora import write_folder
from softgrad.errors import UsageError
from softgrad.learn import Model, Standardizer, load_language_model, load_model, save_model
from softgrad.learn.language import (
    Corpus,
    LanguageModel,
    Step,
    Vocabulary,
    check_gradients,
    continuation,
    evaluate,
    read_corpus,
    split_text,
    train,
    unknown_in,
)
from softgrad.learn.language.files import files_of
from softgrad.learn.language.rows import add_rows
from softgrad.learn.language.training import _share
from softgrad.nn import Linear, Network, build_mlp

TEXTS = [
    "",
    "def f(x):\n    return x == 10\n",
    "  two  spaces\t\ttabs \n\n\n\tlayout \r end ",
    "x_1+=0x1F  # ======== «Größe» 數字 é́ 🙂🙂",
    "a\x0cb\u2028c\xa0d",
]


@pytest.mark.parametrize("text", TEXTS)
def test_tokens_joined_are_the_text(text: str) -> None:
    tokens = split_text(text)
    assert "".join(tokens) == text
    assert all(tokens)


def test_words_take_their_space_along() -> None:
    assert split_text("if a == b:\n  c  d") == [
        "if",
        " a",
        " ==",
        " b",
        ":",
        "\n  ",
        "c",
        "  ",
        "d",
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("corpus") / "texts")


@pytest.fixture(scope="module")
def corpus(folder: Path) -> Corpus:
    return read_corpus(folder, validation=0.3)


@pytest.fixture(scope="module")
def trained(corpus: Corpus) -> LanguageModel:
    model = started(corpus)
    train(model, corpus.training.ids, epochs=6, batch_size=32, lr=0.02)
    return model


def started(corpus: Corpus, **options: Any) -> LanguageModel:
    sizes: dict[str, Any] = {"context": 5, "dim": 8, "hidden": 16, **options}
    return LanguageModel.start(corpus.vocabulary, **sizes)


def text_of(ids: Any, vocabulary: Vocabulary) -> str:
    return "".join(vocabulary.types[i] for i in ids)


def test_corpus_holds_every_file_once(folder: Path) -> None:
    corpus = read_corpus(folder, min_count=1, validation=0.3)
    texts_of = [text_of(part.ids, corpus.vocabulary).split("<end>") for part in parts(corpus)]
    found = [text for texts in texts_of for text in texts if text]
    texts = [path.read_text() for path in folder.iterdir()]
    assert sorted(found) == sorted(texts)
    assert (corpus.training.files, corpus.held_out.files) == (6, 2)
    assert sum(part.characters for part in parts(corpus)) == sum(map(len, texts))


def parts(corpus: Corpus) -> list[Any]:
    return [corpus.training, corpus.held_out]


def test_counts_are_those_of_the_training_files(corpus: Corpus) -> None:
    counts = np.bincount(corpus.training.ids, minlength=len(corpus.vocabulary))
    np.testing.assert_array_equal(corpus.vocabulary.counts, counts)
    assert counts[1] == corpus.training.files
    assert np.all(np.diff(counts[2:]) <= 0)


def test_rare_types_and_those_beyond_the_most_are_unknown(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("often often often twice twice once")
    (tmp_path / "b").write_text("often often often twice twice once")

    def types(**options: Any) -> tuple[str, ...]:
        return read_corpus(tmp_path, validation=0.5, **options).vocabulary.types[2:]

    assert types(min_count=1) == (" often", " twice", "often", " once")
    assert types(min_count=2) == (" often", " twice")
    assert types(min_count=1, max_types=3) == (" often",)
    few = read_corpus(tmp_path, validation=0.5, min_count=2)
    assert few.vocabulary.counts.tolist() == [2, 1, 2, 2]
    assert few.held_out.unknown == 2 / 7


def test_no_more_tokens_are_read(folder: Path) -> None:
    few = read_corpus(folder, min_count=1, max_tokens=700)
    files = few.training.files + few.held_out.files
    assert (files, len(few.training.ids) + len(few.held_out.ids)) == (2, 702)
    texts = [path.read_text() for path in folder.iterdir()]
    for part in parts(few):
        beginning = text_of(part.ids[:-1], few.vocabulary).replace("<unknown>", "")
        assert sum(text.startswith(beginning) for text in texts) == 1


def test_held_out_files_go_into_their_share(folder: Path) -> None:
    sizes = {}
    for validation in (0.01, 0.3, 0.6):
        corpus = read_corpus(folder, validation=validation)
        whole = len(corpus.training.ids) + len(corpus.held_out.ids)
        sizes[validation] = len(corpus.held_out.ids) / whole
    assert 0.1 < sizes[0.01] < 1 / 8 < sizes[0.3] <= 0.3 < sizes[0.6] <= 0.6


def test_seed_decides_what_is_held_out(folder: Path) -> None:
    same, other = read_corpus(folder, seed=0), read_corpus(folder, seed=1)
    np.testing.assert_array_equal(read_corpus(folder).training.ids, same.training.ids)
    assert same.training.ids.tobytes() != other.training.ids.tobytes()


def test_what_is_no_text_or_hidden_is_left_out(tmp_path: Path) -> None:
    write_folder(tmp_path / "inner", files=2)
    write_folder(tmp_path / ".hidden", files=2)
    (tmp_path / "inner" / ".note").write_text("hidden, too")
    (tmp_path / "latin").write_bytes("Größe".encode("latin-1"))
    (tmp_path / "zeros").write_bytes(b"a\0b")
    (tmp_path / "empty").write_bytes(b"")
    corpus = read_corpus(tmp_path)
    assert corpus.skipped == 2
    assert corpus.training.files + corpus.held_out.files == 2


def test_stdlib_is_source_without_its_tests() -> None:
    files = files_of("stdlib", np.random.default_rng(0))
    names = {path.name for path in files}
    assert {"ast.py", "decoder.py"} <= names
    assert "test_ast.py" not in names
    assert {path.suffix for path in files} == {".py"}
    assert not {"test", "tests", "site-packages"} & {part for path in files for part in path.parts}


def test_what_is_no_corpus_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such folder"):
        read_corpus(tmp_path / "none")
    (tmp_path / "file").write_text("one")
    with pytest.raises(UsageError, match="expected stdlib or a folder of text files; a file"):
        read_corpus(tmp_path / "file")
    with pytest.raises(UsageError, match=r"expected two files of text.*; 1 found$"):
        read_corpus(tmp_path)
    (tmp_path / "image").write_bytes(b"\xff\xfe\0")
    with pytest.raises(UsageError, match="1 found, 1 are no text"):
        read_corpus(tmp_path)
    (tmp_path / "inner").mkdir()
    with pytest.raises(UsageError, match="there are no files in it"):
        read_corpus(tmp_path / "inner")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("min_count", 0),
        ("max_types", 2),
        ("max_tokens", 0),
        ("validation", 1.0),
        ("validation", "x"),
        ("seed", -1),
    ],
)
def test_settings_of_a_corpus_are_named(folder: Path, option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^`{option}` must be"):
        read_corpus(folder, **{option: value})


@pytest.mark.parametrize(
    ("types", "counts"),
    [
        (("a", "b"), [1, 1]),
        (("<unknown>", "<end>", "a", "a"), [1, 1, 1, 1]),
        (("<unknown>", "<end>", "a"), [1, 1]),
        (("<unknown>", "<end>", "a"), [1, 1, -1]),
        (("<unknown>", "<end>", "a"), [1.0, 1.0, 1.0]),
    ],
)
def test_bad_vocabularies_are_refused(types: tuple[str, ...], counts: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"^`(types|counts)` must be"):
        Vocabulary(types, np.array(counts))


def test_added_rows_are_the_transpose_of_a_look_up(rng: np.random.Generator) -> None:
    ids, matrix = rng.integers(7, size=50), rng.normal(size=(9, 3))
    rows, before = rng.normal(size=(50, 3)), matrix.copy()
    expected = before + np.eye(9)[ids].T @ rows
    add_rows(matrix, ids, rows)
    np.testing.assert_allclose(matrix, expected, rtol=1e-13, atol=1e-13)
    assert np.all(matrix[7:] == before[7:])


@pytest.mark.parametrize("seed", range(3))
def test_gradients_are_right_in_every_parameter(seed: int) -> None:
    report = check_gradients(seed)
    assert report.verdict == "pass", str(report)


def test_gradients_without_the_look_up_are_seen_to_be_wrong(monkeypatch: Any) -> None:
    monkeypatch.setattr("softgrad.learn.language.model.add_rows", lambda *_: None)
    assert check_gradients().verdict == "fail"


def test_loss_is_the_cross_entropy_of_dense_logits(corpus: Corpus, rng: Any) -> None:
    model = started(corpus)
    V = len(corpus.vocabulary)
    contexts = rng.integers(V, size=(20, 5), dtype=np.int32)
    targets = rng.integers(V, size=20, dtype=np.int32)
    W, b = model.W.astype(float), model.bias.astype(float)
    first, _, second = model.network.layers
    h = np.maximum(W[contexts].reshape(20, -1) @ first.parameters["W"].T.astype(float), 0)
    z = h @ second.parameters["W"].T.astype(float) @ W.T + b
    expected = np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(20), targets])
    assert model.loss(contexts, targets) == pytest.approx(expected, rel=1e-6)
    loss, gradients = model.loss_and_gradients(contexts, targets)
    assert loss == pytest.approx(expected, rel=1e-6)
    assert {name: a.shape for name, a in gradients.items()} == {
        name: a.shape for name, a in model.parameters.items()
    }


def test_a_new_model_knows_frequencies(corpus: Corpus) -> None:
    start = evaluate(started(corpus), corpus.held_out.ids)
    assert start == pytest.approx(corpus.unigram_loss(), rel=0.05)
    assert start < corpus.uniform_loss() - 0.1


def test_evaluation_predicts_each_token_from_those_before_it(trained: LanguageModel) -> None:
    ids = trained.vocabulary.ids(split_text("if dog:\n    the dog barks("))
    padded = [1] * trained.context + ids.tolist()
    losses = [
        trained.loss(np.array([padded[i : i + trained.context]]), np.array([token]))
        for i, token in enumerate(ids)
    ]
    assert evaluate(trained, ids) == pytest.approx(np.mean(losses), rel=1e-5)


def test_training_falls_far_below_the_unigram(corpus: Corpus, trained: LanguageModel) -> None:
    assert evaluate(trained, corpus.held_out.ids) < 0.5 * corpus.unigram_loss()


def test_the_same_seed_gives_the_same_bits(corpus: Corpus) -> None:
    def bits(seed: int) -> bytes:
        model = started(corpus)
        train(model, corpus.training.ids[:300], batch_size=50, seed=seed)
        return model.W.tobytes()

    assert bits(0) == bits(0)
    assert bits(0) != bits(1)


def test_steps_are_told(corpus: Corpus) -> None:
    steps: list[Step] = []
    train(started(corpus), corpus.training.ids[:100], epochs=2, batch_size=30, on_step=steps.append)
    assert [(s.number, s.epoch, s.tokens) for s in steps] == [
        *((number, 1, tokens) for number, tokens in enumerate((30, 30, 30, 10), 1)),
        *((number, 2, tokens) for number, tokens in enumerate((30, 30, 30, 10), 5)),
    ]
    assert {s.steps for s in steps} == {8}
    assert all(math.isfinite(s.loss) for s in steps)


@pytest.mark.parametrize("stops", [(1,), (4, 6), (8, 9, 11)], ids=str)
def test_a_training_in_pieces_is_the_training_in_one(
    stops: tuple[int, ...], corpus: Corpus, tmp_path: Path
) -> None:
    """Four mini-batches an epoch: pieces end within one, at its end, and just before the last."""
    ids, seen = corpus.training.ids[:100], []

    def run(stop: int, checkpoint: Path | None) -> tuple[Any, Any]:
        model = started(corpus)

        def on_step(step: Step) -> None:
            if step.number > stop:
                raise KeyboardInterrupt
            seen.append(step.number)

        options: dict[str, Any] = {"epochs": 3, "batch_size": 30, "on_step": on_step, "seed": 5}
        options |= {"checkpoint": checkpoint, "checkpoint_every": 0}
        losses = train(model, ids, on_epoch=lambda: evaluate(model, ids), **options)
        return model, losses

    whole, expected = run(100, None)
    seen.clear()
    for stop in (*stops, 100):
        try:
            model, losses = run(stop, tmp_path / "c")
        except KeyboardInterrupt:
            assert os.listdir(tmp_path) == ["c"]
    for name, parameter in model.parameters.items():
        assert_same_bits(parameter, whole.parameters[name])
    assert losses == expected
    assert (len(losses.steps), len(losses.epochs)) == (12, 3)
    assert seen == list(range(1, 13))
    assert os.listdir(tmp_path) == []


def test_a_checkpoint_of_another_training_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    ids, options = corpus.training.ids[:100], {"checkpoint": tmp_path / "c", "checkpoint_every": 0}

    def stop(step: Step) -> None:
        if step.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(started(corpus), ids, batch_size=30, on_step=stop, **options)
    before = (tmp_path / "c").read_bytes()
    with pytest.raises(ValueError, match=r"epochs 1, not 2; seed 0, not 1; other tokens$"):
        train(started(corpus), ids[:90], batch_size=30, epochs=2, seed=1, **options)
    trained = started(corpus)
    trained.W[0] += 1
    with pytest.raises(ValueError, match=r"other coefficients to start from$"):
        train(trained, ids, batch_size=30, **options)
    rng = np.random.default_rng(0)
    with pytest.raises(TypeError, match="`seed` must be an integer where there is a checkpoint"):
        train(started(corpus), ids, batch_size=30, seed=rng, **options)
    assert (tmp_path / "c").read_bytes() == before


@pytest.mark.parametrize("steps", [1, 8, 1000])
def test_learning_rate_rises_soon_and_falls_to_the_end(steps: int) -> None:
    shares = [_share(done, steps) for done in range(steps)]
    top = int(np.argmax(shares))
    assert top <= steps // 10
    assert np.all(np.diff(shares[: top + 1]) > 0)
    assert np.all(np.diff(shares[top:]) < 0)
    assert 0.05 < shares[-1] <= 0.05 + 1 / steps
    assert 0.9 < max(shares) <= 1


def test_a_loss_that_is_not_finite_is_said(corpus: Corpus) -> None:
    with pytest.raises(UsageError, match=r"the loss became .*: try a learning rate smaller than"):
        train(started(corpus), corpus.training.ids, batch_size=8, lr=1e30)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"ids": [0.5]}, ValueError, "`ids`"),
        ({"ids": []}, ValueError, "`ids`"),
        ({"ids": [0, 99]}, ValueError, "`ids` must be from 0 to"),
        ({"ids": [-1]}, ValueError, "`ids` must be from 0 to"),
        ({"epochs": 0}, ValueError, "`epochs`"),
        ({"batch_size": 0}, ValueError, "`batch_size`"),
        ({"lr": -1}, ValueError, "`lr`"),
        ({"seed": -1}, ValueError, "`seed`"),
        ({"on_step": 3}, TypeError, "`on_step`"),
        ({"on_epoch": 3}, TypeError, "`on_epoch`"),
        ({"model": None}, TypeError, "`model`"),
    ],
)
def test_bad_arguments_of_training_are_named(
    corpus: Corpus, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    model = started(corpus)
    before = model.W.copy()
    with pytest.raises(error, match=f"^{message}"):
        train(**({"model": model, "ids": corpus.training.ids[:50]} | options))
    np.testing.assert_array_equal(model.W, before)


def said(model: LanguageModel, prompt: str, **options: Any) -> str:
    return "".join(continuation(model, prompt, **options))


def test_continuation_has_what_was_learned(trained: LanguageModel) -> None:
    text = said(trained, "if bird:\n    the bird", tokens=2, temperature=0)
    assert text == " sings("


def test_continuation_is_that_of_its_seed(trained: LanguageModel) -> None:
    first, again = (said(trained, "if", seed=1, tokens=40, temperature=1.0) for _ in range(2))
    assert first == again
    assert first != said(trained, "if", seed=2, tokens=40, temperature=1.0)


def test_greedy_is_the_coldest_and_the_narrowest(trained: LanguageModel) -> None:
    greedy = said(trained, "if", temperature=0, tokens=30)
    assert greedy == said(trained, "if", temperature=5.0, top_k=1, tokens=30, seed=3)
    assert greedy == said(trained, "if", temperature=1e-4, tokens=30, seed=3)


def test_only_the_likeliest_are_drawn_from(corpus: Corpus) -> None:
    model = started(corpus)
    context = np.full((1, model.context), 1, np.int32)  # the begin of a file
    z = model.features(context)[0] @ model.W.T + model.bias
    likeliest = [model.vocabulary.types[i] for i in np.argsort(-z) if i > 1][:3]
    model.bias[:2] = -50.0  # neither unknown nor the end
    drawn = {said(model, "", tokens=1, temperature=9.0, top_k=3, seed=i) for i in range(40)}
    assert drawn == set(likeliest)


def test_a_space_at_the_end_of_a_prompt_is_the_next_words(trained: LanguageModel) -> None:
    with_space = said(trained, "if cat:\n    the ", tokens=3, temperature=0)
    assert with_space == said(trained, "if cat:\n    the", tokens=3, temperature=0)[1:]
    assert with_space.startswith("cat")


def test_a_space_that_no_word_takes_along_is_left(trained: LanguageModel) -> None:
    types = tuple(token.replace(" ", "_") for token in trained.vocabulary.types)
    model = replace(trained, vocabulary=replace(trained.vocabulary, types=types))
    for temperature in (0, 1.0):
        text = said(model, "if ", tokens=5, temperature=temperature)
        assert text
        assert "unknown" not in text


def test_unknown_words_are_never_said_and_those_of_a_prompt_are_known(corpus: Corpus) -> None:
    model = started(corpus)
    model.bias[0] = 50.0  # the unknown token is the likeliest by far
    text = said(model, "", tokens=50, temperature=2.0)
    assert "<unknown>" not in text
    assert unknown_in(model, "if whale swims, whale ") == (" whale", ",")


def test_continuation_ends_where_the_model_ends_a_file(corpus: Corpus) -> None:
    model = started(corpus)
    model.bias[1] = 50.0
    assert said(model, "if") == ""


@pytest.mark.parametrize(
    "options", [{"tokens": 0}, {"temperature": -1.0}, {"temperature": math.nan}, {"top_k": 0}]
)
def test_bad_arguments_of_a_continuation_are_named(
    trained: LanguageModel, options: dict[str, Any]
) -> None:
    (name,) = options
    with pytest.raises(ValueError, match=f"^`{name}` must be"):
        continuation(trained, "if", **options)


def test_model_file_gives_the_same_bits(
    trained: LanguageModel, corpus: Corpus, tmp_path: Path
) -> None:
    save_model(tmp_path / "m", trained)
    same = load_language_model(tmp_path / "m")
    assert same.vocabulary.types == trained.vocabulary.types
    for name, parameter in trained.parameters.items():
        assert same.parameters[name].tobytes() == parameter.tobytes()
        assert same.parameters[name].dtype == np.float32
    assert evaluate(same, corpus.held_out.ids) == evaluate(trained, corpus.held_out.ids)
    save_model(tmp_path / "again", same)
    assert (tmp_path / "again").read_bytes() == (tmp_path / "m").read_bytes()


def test_a_model_of_another_kind_is_said(trained: LanguageModel, tmp_path: Path) -> None:
    save_model(tmp_path / "words", trained)
    standardizer = Standardizer(np.zeros(2), np.ones(2))
    save_model(
        tmp_path / "rows", Model(build_mlp(2, 2, seed=0), ("a", "b"), ("x", "y"), standardizer)
    )
    with pytest.raises(UsageError, match=r"words: expected a model of rows.* got a language model"):
        load_model(tmp_path / "words")
    with pytest.raises(UsageError, match=r"rows: expected a language model.* got a model of rows"):
        load_language_model(tmp_path / "rows")


def test_parts_of_a_model_belong_together(trained: LanguageModel) -> None:
    V, D = trained.W.shape
    parts: dict[str, Any] = {
        "vocabulary": trained.vocabulary,
        "context": trained.context,
        "network": trained.network,
        "W": trained.W,
        "bias": trained.bias,
    }
    wrong: list[dict[str, Any]] = [
        {"context": 0},
        {"context": 4},
        {"W": trained.W[1:]},
        {"W": trained.W.astype(np.float64)},
        {"W": trained.W.astype(np.int64)},
        {"W": np.full((V, D), np.nan, np.float32)},
        {"bias": trained.bias[1:]},
        {"bias": trained.bias.astype(np.float64)},
        {"network": Network([Linear(5 * D, D + 1, seed=0, dtype=np.float32)])},
        {"network": None},
        {"vocabulary": "abc"},
    ]
    for change in wrong:
        with pytest.raises((TypeError, ValueError), match="must be"):
            LanguageModel(**(parts | change))
