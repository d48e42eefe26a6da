"""The report of a language model: its numbers, its places, and the command that writes it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import softgrad as sg
from cli_runs import softgrad
from corpora import write_folder
from report_cases import words
from report_runs import language_training, sentences
from softgrad.checker import check
from softgrad.cli.expectations import expectations, goes_on
from softgrad.explain.judged_tokens import JudgedTokens
from softgrad.learn import load_language_model
from softgrad.learn.language import read_corpus
from softgrad.report.expected import expected_chart
from softgrad.report.language import language_page
from softgrad.report.page import Page

SMALL = ("--context", 5, "--dim", 8, "--batch-size", 32, "--lr", "0.02", "--validation", "0.3")


def judged(tokens: tuple[str, ...] = ("a", "b", "\n  ")) -> JudgedTokens:
    p = np.array([[0.5, 0.25], [0.875, 0.0625], [0.75, 0.125]])
    likeliest = (("a", "b"), ("a", "\n  "), ("b", " c"))
    return JudgedTokens(("", "x ", "if y:"), tokens, np.array([0.5, 0.03125, 0.0]), likeliest, p)


def page(losses: Any = (3.0, 1.0), **fields: Any) -> Page:
    report = check(sg.softmax, sg.softmax.vjp, np.random.default_rng(0).normal(size=(2, 5)))
    return language_page(language_training(**fields), losses, report, judged(), ("def", " f():"))


def test_the_verdict_is_the_perplexity_and_what_of_the_guesses_is_right() -> None:
    shown = page()
    assert f"perplexity {math.e:.1f}" in shown.verdict.text
    assert "33.3 % of its first guesses are right" in shown.verdict.text
    assert shown.verdict.tone == "good"


def test_the_loss_stands_beside_those_of_guesses() -> None:
    told = sentences(page())
    assert "falls from 3 to 1" in told
    assert "frequent each token is has 1.5" in told
    assert "the logarithm of 4 types" in told


@pytest.mark.parametrize("epochs", [1, 3])
def test_every_training_has_a_curve(epochs: int) -> None:
    shown = page(np.linspace(3, 1, 1000), epoch_losses=(2.0, 1.5, 1.0)[-epochs:])
    (curve, *_) = (figure for section in shown.sections for figure in section.figures)
    assert curve.svg.count("<path") == 4
    assert len(curve.svg) < 20_000


def test_the_most_certain_mistake_comes_first() -> None:
    (figure,) = page().sections[1].figures
    assert "“b” has probability 0.031, and “a” 0.88" in figure.caption
    written = words(figure.svg)
    assert written.index("−0.97") < written.index("−1")


def test_a_place_has_p_minus_t_of_what_stands_there_and_of_what_is_expected() -> None:
    written = words(expected_chart(judged(), [2]))
    assert written[1:] == ["⏎␣␣", "−1", "b", "0.75", "␣c", "0.12"]


def test_a_model_without_a_mistake_has_no_place_to_show() -> None:
    report = check(sg.softmax, sg.softmax.vjp, np.random.default_rng(0).normal(size=(2, 5)))
    right = judged(("a", "a", "b"))
    shown = language_page(language_training(), [1.0], report, right, ("", ""))
    assert "100.0 % of its first guesses" in shown.verdict.text
    assert "Where is it wrong and sure of it?" not in [s.heading for s in shown.sections]


def test_a_text_keeps_its_indentation() -> None:
    (text,) = (s.blocks[0].text for s in page().sections if s.heading == "How does it go on?")
    assert text.endswith("def▸ f():")
    deep = language_page(language_training(), [1.0], check(sg.softmax, sg.softmax.vjp,
                         np.ones((1, 3))), judged(), ("if x:", "\n    y"))  # fmt: skip
    (text,) = (s.blocks[0].text for s in deep.sections if s.heading == "How does it go on?")
    assert text.endswith("if x:▸\n\u00a0\u00a0\u00a0\u00a0y")


# --- what is asked of a real model ----------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "texts")
    return tmp_path


def test_the_command_writes_the_page(folder: Path) -> None:
    args = ("train", "--corpus", "texts", *SMALL, "--epochs", 2, "-o", "m", "--report", "r.html")
    outcome = softgrad(*args)
    assert (outcome.code, outcome.err) == (0, "")
    assert "report  " in outcome.out
    document = (folder / "r.html").read_text("utf-8")
    assert "A language model of texts" in document
    assert "--epochs 2" in document
    assert len(document) < 300_000


def test_expectations_are_the_model_s_probabilities(folder: Path) -> None:
    assert softgrad("train", "--corpus", "texts", *SMALL, "-o", "m").code == 0
    model = load_language_model("m")
    ids = read_corpus("texts", validation=0.3).held_out.ids
    seen = expectations(model, ids, 0)
    assert len(seen.tokens) == min(len(ids), 2000)
    assert seen.tokens == tuple(model.vocabulary.types[i] for i in ids[: len(seen.tokens)])
    context = np.append([1] * 2, ids[:3])  # before a text there are ends
    logits = model.W @ model.features(context[None])[0] + model.bias
    p = sg.softmax(logits.astype(np.float64))
    assert seen.probabilities[3] == pytest.approx(p[ids[3]], rel=1e-5)
    best = np.argsort(-p, kind="stable")[:5]
    assert seen.their_probabilities[3] == pytest.approx(p[best], rel=1e-5)
    assert seen.likeliest[3] == tuple(model.vocabulary.types[i] for i in best)
    prompt, text = goes_on(model, ids, 0)
    assert prompt + text
    assert seen.before[3].endswith("".join(seen.tokens[:3]))
